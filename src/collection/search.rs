//! The closest points to a vector.
//!
//! A search captures what there is at one moment, scores it without the lock, and then looks
//! whether its winners are still what they were. If a message changed one of them meanwhile,
//! it begins again; the third time it keeps the lock.

use super::column::Part;
use super::read::{Picked, Wanted};
use super::select::{Captured, Points, finish, unchanged};
use super::slots::Slots;
use super::state::{State, Which};
use super::top::{Scored, Top};
use super::{Collection, Query, ReadError, ScoredPoint, Search};
use crate::ann::{self, AnnError, Matrix, Plan, Selector};
use crate::point::{Distance, PointId};
use crate::position::Seq;
use crate::rows::Segment;

/// Attempts without the lock.
const ATTEMPTS: usize = 2;

/// A search as it is carried out: checked, and the query normalised.
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
    query: Vec<f32>,
    except: Option<PointId>,
    points: Captured,
    parts: Vec<Part>,
}

impl Collection {
    /// The closest points, best first, equal scores by id. Every answered point is as it was at
    /// one moment, and was among the closest then.
    pub fn search(&self, search: &Search) -> Result<Vec<ScoredPoint>, ReadError> {
        let wanted = self.wanted(&search.select)?;
        let place = self.known_place(&search.vector)?;
        let query = self.query(place, &search.query)?;
        let distance = self.vectors[place].params.distance;
        let room = search.limit.saturating_add(search.offset);
        let task = Task { search, collection: self, place, distance, room };
        for _ in 0..ATTEMPTS {
            let capture = task.capture(&self.read(), &query)?;
            let winners = task.winners(&capture)?;
            let state = self.read();
            if let Some(picked) = task.pick(&state, &wanted, winners, capture.seq) {
                drop(state);
                return Ok(self.scored(picked, &wanted));
            }
        }
        let state = self.read();
        let capture = task.capture(&state, &query)?;
        let winners = task.winners(&capture)?;
        let picked = task.pick(&state, &wanted, winners, capture.seq).unwrap_or_default();
        drop(state);
        Ok(self.scored(picked, &wanted))
    }

    /// The given vector, ready to be compared with stored ones.
    fn query(&self, place: usize, query: &Query) -> Result<Option<Vec<f32>>, ReadError> {
        let Query::Vector(given) = query else { return Ok(None) };
        let (name, params) = (&self.vectors[place].name, &self.vectors[place].params);
        if given.len() != params.size {
            let (name, given) = (name.clone(), given.len());
            return Err(ReadError::WrongDimension { name, given, expected: params.size });
        }
        if given.iter().any(|value| !value.is_finite()) {
            return Err(ReadError::NotFinite);
        }
        let mut vector = given.clone();
        if params.distance == Distance::Cosine {
            // A zero vector stays zero: it is equally unlike everything.
            ann::normalize(&mut vector);
        }
        Ok(Some(vector))
    }

    fn scored(&self, picked: Vec<(Picked, f32)>, wanted: &Wanted<'_>) -> Vec<ScoredPoint> {
        let point = |(picked, score)| ScoredPoint { point: self.view(picked, wanted), score };
        picked.into_iter().map(point).collect()
    }
}

impl Task<'_> {
    fn capture(&self, state: &State, given: &Option<Vec<f32>>) -> Result<Capture, ReadError> {
        let column = &state.vectors[self.place];
        let (query, except) = match (&self.search.query, given) {
            (Query::Point(id), _) => {
                let row = state.ids.get(*id).and_then(|slot| column.row(slot));
                let vector = row.as_ref().and_then(|row| row.vector());
                (vector.ok_or(ReadError::NoSuchPoint(*id))?.to_vec(), Some(*id))
            }
            (Query::Vector(vector), given) => (given.as_ref().unwrap_or(vector).clone(), None),
        };
        let wanted = Which::Vector(self.place);
        let points = self.collection.capture(state, &self.search.filter, wanted);
        let parts = match points.points {
            Points::Few(_) => Vec::new(),
            Points::Many { .. } => column.view(),
        };
        Ok(Capture { seq: state.seq, query, except, points, parts })
    }

    fn winners(&self, capture: &Capture) -> Result<Vec<Scored>, ReadError> {
        let threshold = self.search.score_threshold;
        let mut top = Top::new(self.distance, self.room, threshold, capture.except);
        self.offer_all(capture, &mut top).map_err(ReadError::Failed)?;
        let mut winners = top.into_sorted();
        winners.drain(..self.search.offset.min(winners.len()));
        Ok(winners)
    }

    fn offer_all(&self, capture: &Capture, top: &mut Top) -> Result<(), AnnError> {
        let evaluator =
            capture.points.facts.evaluator(&self.search.filter, &self.collection.vectors);
        match &capture.points.points {
            Points::Few(candidates) => {
                for candidate in candidates {
                    let vector = candidate.row.as_ref().and_then(|row| row.vector());
                    if let Some(vector) = vector.filter(|_| candidate.matches(&evaluator)) {
                        let score = ann::score(self.distance, &capture.query, vector)?;
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
        top: &mut Top,
    ) -> Result<(), AnnError> {
        if let Some(found) = self.walk(capture, part, slots, at_most)? {
            for (row, score) in found {
                top.offer(score, || part.segment.key(row).id);
            }
            return Ok(());
        }
        let passes = |row: &u32| slots.is_all() || slots.contains(part.segment.slot(*row));
        let rows = part.live.iter().filter(passes);
        let query = &capture.query;
        scan(self.distance, query, &part.segment, rows, &mut |row, score| {
            top.offer(score, || part.segment.key(row).id);
        })
    }

    /// Through the part's graph. `None` if it has none, or is the wrong tool.
    fn walk(
        &self,
        capture: &Capture,
        part: &Part,
        slots: &Slots,
        at_most: u64,
    ) -> Result<Option<Vec<(u32, f32)>>, AnnError> {
        let Some(graph) = part.graph.as_ref().filter(|_| !self.search.exact) else {
            return Ok(None);
        };
        let (rows, live) = (u64::from(part.segment.rows()), part.live.len());
        // One more for the query's own point.
        let limit = self.room.saturating_add(usize::from(capture.except.is_some()));
        let count = live.min(at_most);
        let plan = ann::plan(rows, count, limit, self.search.ef);
        let Plan::Graph(effort) = plan else { return Ok(None) };
        let passes = |row| part.live.contains(row) && slots.contains(part.segment.slot(row));
        let selector = Selector { count, passes: &passes };
        let everything = live == rows && slots.is_all();
        graph.search(&capture.query, limit, effort, (!everything).then_some(selector))
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

/// Scores rows of a segment, given in ascending order.
fn scan(
    distance: Distance,
    query: &[f32],
    segment: &Segment,
    rows: impl Iterator<Item = u32>,
    visit: &mut dyn FnMut(u32, f32),
) -> Result<(), AnnError> {
    match segment {
        Segment::File(file) => {
            let matrix = Matrix::new(file.values(), file.dimensions())?;
            ann::scan(distance, query, matrix, rows, visit)
        }
        Segment::Memory(chunks) => {
            let mut rows = rows.peekable();
            for (first, values) in chunks.matrices() {
                let matrix = Matrix::new(values, query.len())?;
                let end = first + matrix.rows();
                let inside = std::iter::from_fn(|| rows.next_if(|row| *row < end));
                let inside = inside.map(|row| row - first);
                ann::scan(distance, query, matrix, inside, |row, score| {
                    visit(first + row, score);
                })?;
            }
            Ok(())
        }
    }
}
