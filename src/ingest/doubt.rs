//! Whether a message that looked well when it was decoded may still be refused at its turn.
//!
//! Promise: where what was taken away between the state that the decoder saw and the message's own
//! place in the log is what it needs (its collection, or a point that it names), its record keeps
//! what was delivered, for the dead letter it may become. So does one whose fate shows only while
//! it is applied. Nothing else keeps it: of all other messages the bytes are in the log once.
//!
//! No promise for what is not taken away but runs out: the last slot of a collection.

use std::collections::HashMap;
use std::sync::Arc;

use crate::catalog::Catalog;
use crate::operation::{Message, Operation, PointVectors, Selector};
use crate::point::PointId;
use crate::position::Seq;

/// With more ids than this a change of payloads may write more than one message may.
const SURE_IDS_MAX: usize = 1000;
/// Deleted points that are told apart; the next ones stand for all of their collection.
const IDS_MAX: usize = 100_000;
/// Likewise of collections; the next ones stand for all.
const COLLECTIONS_MAX: usize = 1000;

/// What the state says about messages that are not applied yet.
#[derive(Clone)]
pub struct Foresight {
    /// What was applied up to here is known to `fits`.
    pub applied: Arc<dyn Fn() -> Seq + Send + Sync>,
    /// Whether a message looks as if it could be applied now.
    pub fits: Arc<dyn Fn(&Message) -> bool + Send + Sync>,
}

impl Foresight {
    pub fn of(catalog: &Arc<Catalog>) -> Foresight {
        let (applied, fits) = (catalog.clone(), catalog.clone());
        Foresight {
            applied: Arc::new(move || applied.applied()),
            fits: Arc::new(move |message| fits.check(message).is_ok()),
        }
    }
}

/// What is in the log, not known to be applied, and may be missed by what comes behind it. The
/// appender's.
pub(super) struct Doubts {
    foresight: Foresight,
    /// Taken away lately.
    young: Gone,
    /// Before that. Forgotten as a whole, once all of it is applied.
    old: Gone,
    /// The newest that were forgotten.
    collections: Seq,
    points: Seq,
}

impl Doubts {
    pub fn new(foresight: Foresight) -> Doubts {
        let (young, old) = (Gone::default(), Gone::default());
        Doubts { foresight, young, old, collections: Seq(0), points: Seq(0) }
    }

    /// Of a message that looked well in the state as of `seen`: may it be refused, were it the
    /// next record of the log?
    pub fn doubts(&self, message: &Message, seen: Seq) -> bool {
        let names_points = named(message).next().is_some();
        let forgotten =
            if names_points { self.collections.max(self.points) } else { self.collections };
        let (fits, gone) = (&self.foresight.fits, [&self.young, &self.old]);
        // What is forgotten is applied, so it shows.
        (seen < forgotten && !fits(message)) || gone.iter().any(|it| it.misses(message, seen))
    }

    /// The message is the record `seq`.
    pub fn note(&mut self, seq: Seq, message: &Message) {
        for operation in &message.operations {
            match operation {
                Operation::DeleteCollection => self.young.collection(seq, message),
                Operation::DeletePoints(points) => self.young.points(seq, message, points),
                _ => {}
            }
        }
    }

    /// Forgets what is applied. To be called now and then.
    pub fn forget(&mut self) {
        if self.young.is_empty() && self.old.is_empty() {
            return;
        }
        let newest = self.old.newest_collection.max(self.old.newest_points);
        if newest <= (self.foresight.applied)() {
            self.collections = self.collections.max(self.old.newest_collection);
            self.points = self.points.max(self.old.newest_points);
            self.old = std::mem::take(&mut self.young);
        }
    }
}

/// Collections and points that records take away, each with the newest of them.
#[derive(Default)]
struct Gone {
    newest_collection: Seq,
    newest_points: Seq,
    collections: HashMap<String, OfCollection>,
    /// Of any collection.
    any: Seq,
    ids: usize,
}

#[derive(Default)]
struct OfCollection {
    whole: Seq,
    any_point: Seq,
    points: HashMap<PointId, Seq>,
}

impl Gone {
    fn is_empty(&self) -> bool {
        self.newest_collection.max(self.newest_points) == Seq(0)
    }

    fn misses(&self, message: &Message, seen: Seq) -> bool {
        if self.newest_collection.max(self.newest_points) <= seen {
            return false;
        }
        let of_collection = || {
            let gone = self.collections.get(&message.collection)?;
            let point = |id| gone.any_point > seen || gone.points.get(&id) > Some(&seen);
            Some(gone.whole > seen || named(message).any(point))
        };
        self.any > seen || of_collection().unwrap_or(false)
    }

    fn collection(&mut self, seq: Seq, message: &Message) {
        self.newest_collection = seq;
        match self.of(&message.collection) {
            Some(gone) => gone.whole = seq,
            None => self.any = seq,
        }
    }

    fn points(&mut self, seq: Seq, message: &Message, points: &Selector) {
        self.newest_points = seq;
        let room = IDS_MAX.saturating_sub(self.ids);
        let Some(gone) = self.of(&message.collection) else {
            self.any = seq;
            return;
        };
        match points {
            Selector::Ids(ids) if ids.len() <= room => {
                gone.points.extend(ids.iter().map(|id| (*id, seq)));
                self.ids += ids.len();
            }
            _ => gone.any_point = seq,
        }
    }

    /// `None`: there are too many.
    fn of(&mut self, collection: &str) -> Option<&mut OfCollection> {
        if !self.collections.contains_key(collection) {
            if self.collections.len() >= COLLECTIONS_MAX {
                return None;
            }
            self.collections.insert(collection.to_owned(), OfCollection::default());
        }
        self.collections.get_mut(collection)
    }
}

/// Whether only applying shows that it is not refused, whatever the state: what a filter selects
/// decides, or how large stored payloads are.
pub(super) fn only_applying_shows(message: &Message) -> bool {
    let mut deletes_matching = false;
    message.operations.iter().any(|operation| match operation {
        Operation::SetPayload { points, .. } | Operation::DeletePayload { points, .. } => {
            let unsure = match points {
                Selector::Ids(ids) => ids.len() > SURE_IDS_MAX,
                Selector::Filter(_) => true,
            };
            unsure || deletes_matching
        }
        Operation::DeletePoints(Selector::Filter(_)) => {
            deletes_matching = true;
            false
        }
        other => deletes_matching && named_by(other).next().is_some(),
    })
}

/// The points that have to be there.
fn named(message: &Message) -> impl Iterator<Item = PointId> {
    message.operations.iter().flat_map(named_by)
}

fn named_by(operation: &Operation) -> impl Iterator<Item = PointId> {
    let (vectors, ids): (&[PointVectors], &[PointId]) = match operation {
        Operation::UpdateVectors(points) => (points, &[]),
        Operation::DeleteVectors { points: Selector::Ids(ids), .. }
        | Operation::SetPayload { points: Selector::Ids(ids), .. }
        | Operation::OverwritePayload { points: Selector::Ids(ids), .. }
        | Operation::DeletePayload { points: Selector::Ids(ids), .. }
        | Operation::ClearPayload(Selector::Ids(ids)) => (&[], ids),
        _ => (&[], &[]),
    };
    vectors.iter().map(|point| point.id).chain(ids.iter().copied())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    use super::*;
    use crate::operation::decode_written;

    /// A state that stands where it is told to, and takes what it is told to.
    #[derive(Default)]
    struct State {
        applied: AtomicU64,
        refuses: AtomicBool,
    }

    fn doubts() -> (Arc<State>, Doubts) {
        let state = Arc::new(State::default());
        let (applied, fits) = (state.clone(), state.clone());
        let foresight = Foresight {
            applied: Arc::new(move || Seq(applied.applied.load(Ordering::SeqCst))),
            fits: Arc::new(move |_| !fits.refuses.load(Ordering::SeqCst)),
        };
        (state, Doubts::new(foresight))
    }

    fn message(operation: &str) -> Message {
        in_collection("c", operation)
    }

    fn in_collection(name: &str, operation: &str) -> Message {
        decode_written(&format!(r#"{{"collection": "{name}", {operation}}}"#)).unwrap()
    }

    fn delete(ids: &str) -> Message {
        message(&format!(r#""delete": {{"points": [{ids}]}}"#))
    }

    fn set(id: u64) -> Message {
        message(&format!(r#""set_payload": {{"payload": {{"a": 1}}, "points": [{id}]}}"#))
    }

    fn delete_collection(name: &str) -> Message {
        let operations = vec![Operation::DeleteCollection];
        Message { collection: name.to_owned(), operations, original: None, waits: true }
    }

    const UPSERT: &str = r#""upsert": {"points": [{"id": 7, "vector": [1]}]}"#;
    const MATCHING: &str = r#""delete": {"filter": {}}"#;

    #[test]
    fn what_is_deleted_in_front_of_a_message_that_names_it_makes_doubt() {
        let (_, mut doubts) = doubts();
        doubts.note(Seq(10), &delete("7, 8"));
        assert!(doubts.doubts(&set(7), Seq(9)));
        // The state that was seen knows of it, or it is about other points.
        assert!(!doubts.doubts(&set(7), Seq(10)));
        assert!(!doubts.doubts(&set(9), Seq(9)));
        assert!(!doubts.doubts(&message(UPSERT), Seq(9)), "an upsert needs no point");
        let elsewhere = r#""set_payload": {"payload": {}, "points": [7]}"#;
        assert!(!doubts.doubts(&in_collection("d", elsewhere), Seq(9)));
        for named in [
            r#""update_vectors": {"points": [{"id": 8, "vector": [1]}]}"#,
            r#""delete_vectors": {"vector": ["v"], "points": [8]}"#,
            r#""overwrite_payload": {"payload": {}, "points": [8]}"#,
            r#""delete_payload": {"keys": ["a"], "points": [8]}"#,
            r#""clear_payload": {"points": [8]}"#,
        ] {
            assert!(doubts.doubts(&message(named), Seq(9)), "{named}");
        }
        doubts.note(Seq(11), &message(MATCHING));
        assert!(doubts.doubts(&set(9), Seq(10)), "a filter may have selected it");
        assert!(!doubts.doubts(&message(UPSERT), Seq(10)));
    }

    #[test]
    fn a_collection_that_goes_takes_every_message_with_it() {
        let (_, mut doubts) = doubts();
        doubts.note(Seq(10), &delete_collection("c"));
        assert!(doubts.doubts(&message(UPSERT), Seq(9)));
        assert!(doubts.doubts(&delete("1"), Seq(9)));
        assert!(!doubts.doubts(&message(UPSERT), Seq(10)));
        assert!(!doubts.doubts(&in_collection("d", UPSERT), Seq(9)));
    }

    #[test]
    fn what_is_forgotten_is_asked_of_the_state() {
        let (state, mut doubts) = doubts();
        doubts.note(Seq(10), &delete("7"));
        doubts.forget();
        doubts.note(Seq(20), &delete_collection("d"));
        doubts.forget();
        assert!(doubts.doubts(&set(7), Seq(9)), "it was forgotten before it was applied");
        state.applied.store(10, Ordering::SeqCst);
        doubts.forget();
        // Seen without it, and applied since.
        assert!(!doubts.doubts(&set(7), Seq(9)), "the state says that it fits");
        state.refuses.store(true, Ordering::SeqCst);
        assert!(doubts.doubts(&set(7), Seq(9)));
        assert!(!doubts.doubts(&set(7), Seq(10)), "it was asked although it was seen");
        assert!(!doubts.doubts(&message(UPSERT), Seq(9)), "an upsert needs no point");
        assert!(doubts.doubts(&in_collection("d", UPSERT), Seq(9)));
        state.applied.store(20, Ordering::SeqCst);
        doubts.forget();
        assert!(doubts.doubts(&message(UPSERT), Seq(19)));
        assert!(!doubts.doubts(&message(UPSERT), Seq(20)));
        assert!(doubts.young.is_empty() && doubts.old.is_empty());
    }

    #[test]
    fn what_is_too_much_to_be_told_apart_makes_doubt_of_all() {
        let (_, mut doubts) = doubts();
        let ids = |from: u64| Selector::Ids((from..).take(IDS_MAX).map(PointId::Number).collect());
        let many =
            |from| Message { operations: vec![Operation::DeletePoints(ids(from))], ..delete("1") };
        doubts.note(Seq(10), &many(1000));
        assert!(!doubts.doubts(&set(7), Seq(9)) && doubts.doubts(&set(1000), Seq(9)));
        doubts.note(Seq(11), &delete("8"));
        assert!(doubts.doubts(&set(7), Seq(10)));
        assert!(doubts.young.ids <= IDS_MAX);
        for number in 0..COLLECTIONS_MAX {
            doubts.note(Seq(12), &in_collection(&number.to_string(), MATCHING));
        }
        assert!(doubts.doubts(&in_collection("other", UPSERT), Seq(11)));
        assert_eq!(doubts.young.collections.len(), COLLECTIONS_MAX);
    }

    #[test]
    fn what_only_applying_shows_is_known() {
        let sure = |text: &str| !only_applying_shows(&message(text));
        assert!(sure(UPSERT) && sure(MATCHING));
        assert!(sure(r#""set_payload": {"payload": {"a": 1}, "points": [7]}"#));
        assert!(sure(r#""clear_payload": {"filter": {}}"#));
        assert!(!sure(r#""set_payload": {"payload": {"a": 1}, "filter": {}}"#));
        assert!(!sure(r#""delete_payload": {"keys": ["a"], "filter": {}}"#));
        let ids: Vec<String> = (0..=SURE_IDS_MAX).map(|id| id.to_string()).collect();
        let ids = ids.join(",");
        assert!(!sure(&format!(r#""delete_payload": {{"keys": ["a"], "points": [{ids}]}}"#)));
        let both = |first: &str, second: &str| {
            sure(&format!(r#""operations": [{{{first}}}, {{{second}}}]"#))
        };
        let update = r#""update_vectors": {"points": [{"id": 7, "vector": [1]}]}"#;
        assert!(!both(MATCHING, update) && both(update, MATCHING) && both(MATCHING, UPSERT));
    }
}
