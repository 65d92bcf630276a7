//! What the applier does about dead letters beside keeping them: it counts what becomes of them,
//! and works the gates of the sources that may not pass a message that is refused.
//!
//! A gate is released here, at the record that settles the last letter of its source, and nowhere
//! else: whatever of the source stands before that record in the log has been applied, so nothing
//! that was refused is still on its way.

use std::collections::BTreeMap;

use crate::catalog::{Catalog, LettersKept, Outcome};
use crate::metrics::Metrics;
use crate::operation::{Body, Redrive, Refusal};
use crate::position::Position;
use crate::source::Gate;

/// The gates of the sources that stop behind a message that is refused, by source.
#[derive(Clone, Default)]
pub struct Gates(BTreeMap<String, Gate>);

impl Gates {
    pub fn new(sources: impl IntoIterator<Item = String>) -> Gates {
        Gates(sources.into_iter().map(|source| (source, Gate::default())).collect())
    }

    /// One that nobody closes, if the source is not among them.
    pub fn of(&self, source: &str) -> Gate {
        self.0.get(source).cloned().unwrap_or_default()
    }

    /// Before the sources start: those of which letters are kept wait for the operator.
    pub fn close_behind_kept(&self, catalog: &Catalog) {
        for (source, gate) in &self.0 {
            let kept = catalog.dead_letters_of(source);
            if kept > 0 {
                gate.close(format!("{kept} of its messages are dead letters: {REMEDY}"));
            }
        }
    }

    fn close(&self, source: &str, refusal: &Refusal) {
        if let Some(gate) = self.0.get(source) {
            gate.close(refusal.halts_its_source());
        }
    }

    fn release_settled(&self, catalog: &Catalog, sources: &[String]) {
        for source in sources {
            match self.0.get(source) {
                Some(gate) if catalog.dead_letters_of(source) == 0 => gate.release(),
                _ => {}
            }
        }
    }
}

const REMEDY: &str = "redrive or drop them, see /dead-letters";

/// Of the letters that a record decides about, those that are there: their sources, one each.
pub struct Decision {
    redrive: bool,
    sources: Vec<String>,
}

pub struct Letters {
    gates: Gates,
    metrics: Metrics,
    shown: LettersKept,
    changes: Option<u64>,
}

impl Letters {
    pub fn new(gates: Gates, metrics: &Metrics) -> Letters {
        Letters { gates, metrics: metrics.clone(), shown: LettersKept::new(), changes: None }
    }

    /// Before a record is applied; `None` if it decides about no letters.
    pub fn decision(catalog: &Catalog, body: &Body) -> Option<Decision> {
        let (redrive, letters) = match body {
            Body::Redrive(Redrive { letter, .. }) => (true, std::slice::from_ref(letter)),
            Body::DropLetters(letters) => (false, &letters[..]),
            _ => return None,
        };
        let there = letters.iter().filter_map(|seq| catalog.dead_letter(*seq));
        let sources = there.map(|letter| letter.source().to_owned()).collect();
        Some(Decision { redrive, sources })
    }

    /// After a record became a letter.
    pub fn kept(&self, position: Option<&Position>, refusal: &Refusal) {
        if let Some(position) = position {
            self.gates.close(position.stream.source(), refusal);
        }
    }

    /// After a decision was applied.
    pub fn decided(&self, catalog: &Catalog, decision: &Decision, outcome: &Outcome) {
        let label = match outcome {
            Outcome::Applied => "applied",
            Outcome::Refused(_) => "refused",
            Outcome::Nothing => return,
        };
        let metrics = &self.metrics.letters;
        for source in &decision.sources {
            match decision.redrive {
                true => metrics.redriven.with_label_values(&[source, label]).inc(),
                false => metrics.dropped.with_label_values(&[source]).inc(),
            }
        }
        self.gates.release_settled(catalog, &decision.sources);
    }

    /// After a frame: shows what is kept, if that has changed.
    pub fn publish(&mut self, catalog: &Catalog) {
        let changes = Some(catalog.dead_letter_changes());
        if self.changes == changes {
            return;
        }
        let shown = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let (metrics, (count_max, bytes_max)) =
            (&self.metrics.letters, catalog.dead_letter_bounds());
        metrics.bytes.set(shown(catalog.dead_letter_bytes()));
        metrics.count_max.set(shown(count_max as u64));
        metrics.bytes_max.set(shown(bytes_max));
        let (kept, gauge) = (catalog.dead_letters_kept(), &self.metrics.letters.kept);
        for ((source, reason), count) in &kept {
            gauge.with_label_values(&[source.as_str(), reason]).set(*count as i64);
        }
        for (source, reason) in self.shown.keys().filter(|place| !kept.contains_key(*place)) {
            // It is there as long as it is shown.
            let _ = gauge.remove_label_values(&[source.as_str(), reason]);
        }
        (self.shown, self.changes) = (kept, changes);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::catalog::{Applied, CatalogOptions};
    use crate::disk::Disk;
    use crate::operation::{Original, Reason, Rejection};
    use crate::position::{Mark, Offset, Seq, Stream, UnixMillis};

    /// Two letters of it: one is dropped, the other tried again in vain, and then dropped.
    #[test]
    fn a_source_goes_on_only_once_its_last_letter_is_settled() {
        let (home, metrics) = (tempfile::tempdir().unwrap(), Metrics::new());
        let options = CatalogOptions::default();
        let catalog = Catalog::open(&Disk::new(), home.path(), options, &metrics).unwrap();
        let letters = Letters::new(Gates::new(["s".to_owned()]), &metrics);
        let gate = letters.gates.of("s");
        let stream = Stream::Queue { source: "s".into(), cluster: "b".into(), queue: "q".into() };
        let stream = Arc::new(stream);
        let apply = |position, body| {
            let decision = Letters::decision(&catalog, &body);
            let seq = catalog.applied().next();
            let outcome = catalog.apply(Applied { seq, time: UnixMillis(1), position, body });
            if let Some(decision) = decision {
                letters.decided(&catalog, &decision, &outcome);
            }
        };
        let refusal = Refusal::new(Reason::NotJson, "why");
        for next in 1..=2 {
            let position = Position::new(stream.clone(), Mark::Next(Offset(next)));
            let (refusal, original) = (refusal.clone(), Original::of("poison"));
            let rejection = Rejection { refusal, original, rewritten: false };
            apply(Some(position), Body::Rejected(rejection));
        }
        letters.gates.close_behind_kept(&catalog);
        apply(None, Body::DropLetters(vec![Seq(1)]));
        assert!(!gate.reopen(1), "the second is kept");
        apply(None, Body::Redrive(Redrive { letter: Seq(2), attempt: Err(refusal) }));
        assert!(!gate.reopen(1), "it was refused again");
        apply(None, Body::DropLetters(vec![Seq(2)]));
        assert!(gate.reopen(1));
    }
}
