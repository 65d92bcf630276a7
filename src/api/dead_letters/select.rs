//! Which letters a decision is about.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Deserialize;

use super::super::Shared;
use super::super::body::Body;
use super::super::error::ApiError;
use super::is_meant;
use super::view::Content;
use crate::catalog::DeadLetter;
use crate::operation::Reason;
use crate::position::Seq;

/// Either `seqs`, or `source` and `reason` (one of them or both), or `all`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct DecisionBody {
    seqs: Option<BTreeSet<Seq>>,
    source: Option<String>,
    reason: Option<Reason>,
    #[serde(default)]
    all: bool,
    /// The first seq to take.
    #[serde(default)]
    offset: Seq,
    /// The most letters to take.
    limit: Option<usize>,
    /// Says what would happen, and changes nothing.
    #[serde(default)]
    pub(super) dry_run: bool,
    /// Of a redrive of one letter: what to try in place of what was delivered.
    pub(super) value: Option<Content>,
}

impl Body for DecisionBody {}

/// A letter that is meant. It is not there if it was named and is gone.
pub(super) type Meant = (Seq, Option<Arc<DeadLetter>>);

impl DecisionBody {
    /// The letters in order of seq, and where to go on if there are more.
    pub(super) fn select(
        &mut self,
        shared: &Shared,
    ) -> Result<(Vec<Meant>, Option<Seq>), ApiError> {
        let max = shared.settings.limit_max;
        let limit = self.limit.unwrap_or(max);
        if limit == 0 || limit > max {
            let what = format!("value {limit} invalid, must be 1 to {max}");
            return Err(ApiError::validation("limit", what));
        }
        let filtered = self.source.is_some() || self.reason.is_some();
        let ways = [self.seqs.is_some(), filtered, self.all];
        if ways.into_iter().filter(|given| *given).count() != 1 {
            let what = "say which letters are meant: `seqs`, or `source` and `reason` (one or \
                        both), or `all`";
            return Err(ApiError::validation("seqs", what));
        }
        let catalog = &shared.doors.catalog;
        let mut rest: Box<dyn Iterator<Item = Meant>> = match self.seqs.take() {
            Some(seqs) => {
                let offset = self.offset;
                let seqs = seqs.into_iter().filter(move |seq| *seq >= offset);
                Box::new(seqs.map(|seq| (seq, catalog.dead_letter(seq))))
            }
            None => {
                let meant = |letter: &Arc<DeadLetter>| {
                    letter.seq >= self.offset
                        && is_meant(letter, self.source.as_deref(), self.reason)
                };
                let letters = catalog.dead_letters().into_iter().filter(meant);
                Box::new(letters.map(|letter| (letter.seq, Some(letter))))
            }
        };
        let letters: Vec<Meant> = rest.by_ref().take(limit).collect();
        let next = rest.next().map(|(seq, _)| seq);
        if self.value.is_some() && (letters.len() != 1 || next.is_some()) {
            let what = "a mended value is for one letter: give one seq";
            return Err(ApiError::validation("value", what));
        }
        Ok((letters, next))
    }
}
