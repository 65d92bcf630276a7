//! Points by chance.

use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand::seq::index;
use roaring::RoaringBitmap;

use super::read::{Picked, Wanted};
use super::select::unchanged;
use super::state::{State, Which};
use super::{Collection, PointView, ReadError, Select};
use crate::filter::Filter;
use crate::point::Slot;
use crate::position::Seq;

/// Attempts without the lock.
const ATTEMPTS: usize = 2;

/// So many of the matching points, in an order of chance.
#[derive(Clone, Debug)]
pub struct Sample {
    pub filter: Filter,
    pub limit: usize,
    pub select: Select,
    /// The same seed over the same history draws the same points.
    pub seed: u64,
}

impl Collection {
    /// Each point at most once; all sets of so many points are equally likely. All are as they
    /// were at one moment.
    pub fn sample(&self, sample: &Sample) -> Result<Vec<PointView>, ReadError> {
        let wanted = self.wanted(&sample.select)?;
        let mut picked = None;
        for _ in 0..ATTEMPTS {
            let (seq, drawn) = self.draw(sample, None);
            picked = pick(&self.read(), &wanted, &drawn, seq);
            if picked.is_some() {
                break;
            }
        }
        let picked = picked.unwrap_or_else(|| {
            let state = self.read();
            let (seq, drawn) = self.draw(sample, Some(&state));
            pick(&state, &wanted, &drawn, seq).unwrap_or_default()
        });
        Ok(picked.into_iter().map(|picked| self.view(picked, &wanted)).collect())
    }

    /// Some of the slots that match, as of the seq.
    fn draw(&self, sample: &Sample, state: Option<&State>) -> (Seq, Vec<Slot>) {
        let capture =
            |state: &State| (state.seq, self.capture(state, &sample.filter, Which::Payload));
        let (seq, captured) = match state {
            Some(state) => capture(state),
            None => capture(&self.read()),
        };
        let slots = captured.slots(&captured.facts.evaluator(&sample.filter, &self.vectors));
        (seq, drawn(&slots, sample.limit, sample.seed))
    }
}

fn drawn(slots: &RoaringBitmap, limit: usize, seed: u64) -> Vec<Slot> {
    let count = slots.len() as usize;
    let ranks = index::sample(&mut SmallRng::seed_from_u64(seed), count, limit.min(count));
    ranks.into_iter().filter_map(|rank| slots.select(rank as u32)).map(Slot).collect()
}

/// The points of these slots, if none of them changed since.
fn pick(state: &State, wanted: &Wanted<'_>, slots: &[Slot], captured: Seq) -> Option<Vec<Picked>> {
    let pick = |slot: &Slot| {
        let id = state.payload.row(*slot)?.key().id;
        unchanged(state, id, captured).map(|slot| wanted.pick(state, id, slot))
    };
    slots.iter().map(pick).collect()
}
