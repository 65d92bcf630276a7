//! The points that suit a query best.
//!
//! A search captures what there is at one moment, scores it without the lock, and then looks
//! whether its winners are still what they were. If a message changed one of them meanwhile,
//! it begins again; the third time it keeps the lock.

use super::column::Part;
use super::query::{Aim, Resolved};
use super::read::{Picked, Wanted};
use super::select::{Captured, Points, finish, unchanged};
use super::slots::Slots;
use super::state::{State, Which};
use super::top::{Scored, Top};
use super::{Collection, ReadError, ScoredPoint, Search};
use crate::ann::{self, AnnError, Plan, Selector};
use crate::point::Distance;
use crate::position::Seq;

/// Attempts without the lock.
const ATTEMPTS: usize = 2;

/// A search as it is carried out.
struct Task<'a> {
    search: &'a Search,
    collection: &'a Collection,
    place: usize,
    distance: Distance,
    /// How many points are kept: those passed over, too.
    room: usize,
}

/// Everything a search needs, as of one moment.
struct Capture {
    seq: Seq,
    query: Resolved,
    points: Captured,
    parts: Vec<Part>,
}

impl Collection {
    /// The best points, best first, equal scores by id. Every answered point is as it was at one
    /// moment, and was among the best then; so are the points whose vectors are compared with.
    pub fn search(&self, search: &Search) -> Result<Vec<ScoredPoint>, ReadError> {
        let wanted = self.wanted(&search.select)?;
        let place = self.known_place(&search.vector)?;
        let distance = self.vectors[place].params.distance;
        let room = search.limit.saturating_add(search.offset);
        let task = Task { search, collection: self, place, distance, room };
        for _ in 0..ATTEMPTS {
            let capture = task.capture(&self.read())?;
            let winners = task.winners(&capture)?;
            let state = self.read();
            if let Some(picked) = task.pick(&state, &wanted, winners, capture.seq) {
                drop(state);
                return Ok(self.scored(picked, &wanted));
            }
        }
        let state = self.read();
        let capture = task.capture(&state)?;
        let winners = task.winners(&capture)?;
        let picked = task.pick(&state, &wanted, winners, capture.seq).unwrap_or_default();
        drop(state);
        Ok(self.scored(picked, &wanted))
    }

    fn scored(&self, picked: Vec<(Picked, f32)>, wanted: &Wanted<'_>) -> Vec<ScoredPoint> {
        let point = |(picked, score)| ScoredPoint { point: self.view(picked, wanted), score };
        picked.into_iter().map(point).collect()
    }
}

impl Task<'_> {
    fn capture(&self, state: &State) -> Result<Capture, ReadError> {
        let query = self.collection.resolve(state, self.place, &self.search.query)?;
        let wanted = Which::Vector(self.place);
        let points = self.collection.capture(state, &self.search.filter, wanted);
        let parts = match points.points {
            Points::Few(_) => Vec::new(),
            Points::Many { .. } => state.vectors[self.place].view(),
        };
        Ok(Capture { seq: state.seq, query, points, parts })
    }

    fn winners(&self, capture: &Capture) -> Result<Vec<Scored>, ReadError> {
        let threshold = self.search.score_threshold;
        let Resolved { aim, except } = &capture.query;
        let larger_is_better = aim.larger_is_better(self.distance);
        let mut top = Top::new(larger_is_better, self.room, threshold, except);
        self.offer_all(capture, &mut top).map_err(ReadError::Failed)?;
        let mut winners = top.into_sorted();
        winners.drain(..self.search.offset.min(winners.len()));
        Ok(winners)
    }

    fn offer_all(&self, capture: &Capture, top: &mut Top<'_>) -> Result<(), AnnError> {
        let evaluator =
            capture.points.facts.evaluator(&self.search.filter, &self.collection.vectors);
        match &capture.points.points {
            Points::Few(candidates) => {
                for candidate in candidates {
                    let vector = candidate.row.as_ref().and_then(|row| row.vector());
                    if let Some(vector) = vector.filter(|_| candidate.matches(&evaluator)) {
                        let score = capture.query.aim.score(self.distance, vector)?;
                        top.offer(score, || candidate.id);
                    }
                }
            }
            Points::Many { answer, existing, payloads } => {
                let slots = finish(answer, payloads, &evaluator);
                let at_most = slots.count_of(existing);
                for part in &capture.parts {
                    self.offer_part(capture, part, &slots, at_most, top)?;
                }
            }
        }
        Ok(())
    }

    fn offer_part(
        &self,
        capture: &Capture,
        part: &Part,
        slots: &Slots,
        at_most: u64,
        top: &mut Top<'_>,
    ) -> Result<(), AnnError> {
        if let Some(found) = self.walk(capture, part, slots, at_most)? {
            for (row, score) in found {
                top.offer(score, || part.segment.key(row).id);
            }
            return Ok(());
        }
        let passes = |row: &u32| slots.is_all() || slots.contains(part.segment.slot(*row));
        let rows = part.live.iter().filter(passes);
        capture.query.aim.scan(self.distance, &part.segment, rows, &mut |row, score| {
            top.offer(score, || part.segment.key(row).id);
        })
    }

    /// Through the part's graph. `None` if it has none, or is the wrong tool: it leads to rows
    /// close to one vector.
    fn walk(
        &self,
        capture: &Capture,
        part: &Part,
        slots: &Slots,
        at_most: u64,
    ) -> Result<Option<Vec<(u32, f32)>>, AnnError> {
        let graph = part.graph.as_ref().filter(|_| !self.search.exact);
        let (Some(graph), Aim::Nearest(query)) = (graph, &capture.query.aim) else {
            return Ok(None);
        };
        let (rows, live) = (u64::from(part.segment.rows()), part.live.len());
        // More for the query's own points.
        let limit = self.room.saturating_add(capture.query.except.len());
        let count = live.min(at_most);
        let plan = ann::plan(rows, count, limit, self.search.ef);
        let Plan::Graph(effort) = plan else { return Ok(None) };
        let passes = |row| part.live.contains(row) && slots.contains(part.segment.slot(row));
        let selector = Selector { count, passes: &passes };
        let everything = live == rows && slots.is_all();
        graph.search(query, limit, effort, (!everything).then_some(selector))
    }

    /// The winners as they stand now, if none of them changed since they were scored.
    fn pick(
        &self,
        state: &State,
        wanted: &Wanted<'_>,
        winners: Vec<Scored>,
        captured: Seq,
    ) -> Option<Vec<(Picked, f32)>> {
        let pick = |winner: Scored| {
            let slot = unchanged(state, winner.id, captured)?;
            Some((wanted.pick(state, winner.id, slot), winner.score))
        };
        winners.into_iter().map(pick).collect()
    }
}
