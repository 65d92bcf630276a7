//! What others ask the catalog.

use std::collections::BTreeSet;
use std::sync::Arc;

use crossbeam_channel::Receiver;

use super::{Catalog, Counters, DeadLetter, Identity, LettersKept, StreamProgress};
use crate::collection::Collection;
use crate::position::{Offset, Position, Seq, Stream};
use crate::wal::{Anchor, LogId};

impl Catalog {
    /// What the newest manifest says of the log. `None` if there is no manifest yet.
    pub fn anchor(&self) -> Option<Anchor> {
        let manifest = self.manifest()?;
        Some(Anchor { log_id: LogId(manifest.log_id), applied: manifest.seq })
    }

    pub fn collection(&self, name: &str) -> Option<Arc<Collection>> {
        self.state().collections.get(name).map(|held| held.collection.clone())
    }

    /// Whether the configuration has created a collection of this name, ever.
    pub fn was_configured(&self, name: &str) -> bool {
        self.state().configured.contains(name)
    }

    /// By name.
    pub fn collections(&self) -> Vec<(String, Arc<Collection>)> {
        let state = self.state();
        let each = state.collections.iter();
        each.map(|(name, held)| (name.clone(), held.collection.clone())).collect()
    }

    /// Where the records stand, per stream of one source: the next offset of a partition, the
    /// last deliveries of a queue in order.
    pub fn positions(&self, source: &str) -> Vec<Position> {
        self.state().streams.positions(source)
    }

    /// The last messages of a source that have a message id, oldest first; none without a window.
    pub fn window(&self, source: &str) -> Vec<Identity> {
        self.state().windows.of(source)
    }

    /// Where consumption of this partition goes on, as far as it is applied. `None` for a queue
    /// and for a stream of which the log has nothing.
    pub fn next_offset(&self, stream: &Stream) -> Option<Offset> {
        self.state().streams.next_offset(stream)
    }

    /// How far every stream of every source has been applied.
    pub fn progress(&self) -> Vec<StreamProgress> {
        self.state().streams.progress()
    }

    /// Oldest first.
    pub fn dead_letters(&self) -> Vec<Arc<DeadLetter>> {
        self.state().dead_letters.all()
    }

    /// How many dead letters are kept.
    pub fn dead_letter_count(&self) -> usize {
        self.state().dead_letters.len()
    }

    /// What they take, as their bound counts it.
    pub fn dead_letter_bytes(&self) -> u64 {
        self.state().dead_letters.bytes()
    }

    /// How many may be kept, and how many bytes of them.
    pub fn dead_letter_bounds(&self) -> (usize, u64) {
        (self.options.dead_letters_max, self.options.dead_letter_bytes_max)
    }

    /// Whether intake must stop, because no dead letter is ever dropped in silence. What is in
    /// the log already is applied all the same, so the bounds are passed by what was on its way.
    pub fn dead_letters_full(&self) -> bool {
        self.dead_letters_share() >= 1.0
    }

    /// How many are kept, 1 at the bound; in bytes, if that is more.
    pub fn dead_letters_share(&self) -> f64 {
        let state = self.state();
        let letters = state.dead_letters.len() as f64 / self.options.dead_letters_max as f64;
        let bytes = state.dead_letters.bytes() as f64 / self.options.dead_letter_bytes_max as f64;
        letters.max(bytes)
    }

    /// Whether even what was kept for messages on their way is used up: beyond the bounds, so
    /// many more dead letters and bytes.
    pub fn dead_letters_over(&self, more: usize, more_bytes: u64) -> bool {
        let state = self.state();
        let letters = self.options.dead_letters_max.saturating_add(more);
        let bytes = self.options.dead_letter_bytes_max.saturating_add(more_bytes);
        state.dead_letters.len() >= letters || state.dead_letters.bytes() >= bytes
    }

    /// `None` if it is gone.
    pub fn dead_letter(&self, seq: Seq) -> Option<Arc<DeadLetter>> {
        self.state().dead_letters.get(seq).cloned()
    }

    /// Those behind `seq` that are wanted, oldest first: at most `count`, and no more once they
    /// take `bytes`.
    pub fn dead_letters_after(
        &self,
        seq: Seq,
        count: usize,
        bytes: u64,
        wanted: &dyn Fn(&DeadLetter) -> bool,
    ) -> Vec<Arc<DeadLetter>> {
        let (state, mut taken) = (self.state(), 0);
        let wanted = state.dead_letters.after(seq).filter(|letter| wanted(letter));
        let few = wanted.take(count).take_while(|letter| {
            let room = taken < bytes;
            taken += letter.bytes();
            room
        });
        few.cloned().collect()
    }

    pub fn dead_letter_seqs_after(
        &self,
        seq: Seq,
        wanted: &dyn Fn(&DeadLetter) -> bool,
    ) -> BTreeSet<Seq> {
        let state = self.state();
        let wanted = state.dead_letters.after(seq).filter(|letter| wanted(letter));
        wanted.map(|letter| letter.seq).collect()
    }

    /// How many are kept, by source and reason.
    pub fn dead_letters_kept(&self) -> LettersKept {
        self.state().dead_letters.kept().clone()
    }

    /// How many are kept of one source.
    pub fn dead_letters_of(&self, source: &str) -> u64 {
        let state = self.state();
        let of_source = state.dead_letters.kept().iter().filter(|((of, _), _)| of == source);
        of_source.map(|(_, count)| count).sum()
    }

    /// Rises whenever a dead letter comes, changes or goes.
    pub fn dead_letter_changes(&self) -> u64 {
        self.state().dead_letters.changes()
    }

    /// Gives a word when an index was asked for that has to be filled.
    pub fn indexes_wanted(&self) -> &Receiver<()> {
        &self.indexes.1
    }

    pub fn counters(&self) -> Counters {
        self.state().counters
    }

    /// The largest of the collections' unwritten rows, in bytes.
    pub fn head_bytes(&self) -> u64 {
        let collections = self.collections();
        collections.iter().map(|(_, collection)| collection.head_bytes()).max().unwrap_or(0)
    }

    /// What all collections have unwritten, in bytes: about what a checkpoint now writes.
    pub fn heads_bytes(&self) -> u64 {
        self.collections().iter().map(|(_, collection)| collection.head_bytes()).sum()
    }
}
