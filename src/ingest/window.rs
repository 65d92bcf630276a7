//! A source's last messages, by message id and body: what its publisher may send again.

use std::collections::{HashMap, VecDeque};

use crate::catalog::Identity;

/// About 120 bytes a message, beside 32 in the catalog.
pub(super) struct Window {
    size: usize,
    recent: VecDeque<Identity>,
    known: HashMap<Identity, u32>,
    ids: HashMap<u128, u32>,
    warned: bool,
}

impl Window {
    /// From what the log has, oldest first.
    pub fn new(size: usize, recent: impl IntoIterator<Item = Identity>) -> Window {
        let (known, ids) = (HashMap::new(), HashMap::new());
        let mut window = Window { size, recent: VecDeque::new(), known, ids, warned: false };
        for identity in recent {
            window.remember(identity);
        }
        window
    }

    /// Whether the message was sent before.
    pub fn knows(&self, identity: Identity) -> bool {
        self.known.contains_key(&identity)
    }

    /// Whether the message was sent before; if not, it is remembered.
    pub fn repeats(&mut self, source: &str, identity: Identity) -> bool {
        if self.knows(identity) {
            return true;
        }
        if self.ids.contains_key(&identity.message_id) && !self.warned {
            self.warned = true;
            tracing::warn!(
                source,
                "a message id came again with another body: taken as another message. Said once"
            );
        }
        self.remember(identity);
        false
    }

    fn remember(&mut self, identity: Identity) {
        self.recent.push_back(identity);
        *self.known.entry(identity).or_default() += 1;
        *self.ids.entry(identity.message_id).or_default() += 1;
        while self.recent.len() > self.size {
            let Some(oldest) = self.recent.pop_front() else { return };
            forget(&mut self.known, oldest);
            forget(&mut self.ids, oldest.message_id);
        }
    }
}

fn forget<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, u32>, key: K) {
    if let Some(count) = counts.get_mut(&key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_sent_again_is_recognised_within_the_window_and_only_with_its_body() {
        let identity = |message_id, body| Identity { message_id, body };
        let mut window = Window::new(2, [identity(1, 1), identity(2, 2)]);
        assert!(window.repeats("s", identity(1, 1)));
        assert!(!window.repeats("s", identity(2, 9)), "another body");
        assert!(window.repeats("s", identity(2, 2)) && window.repeats("s", identity(2, 9)));
        assert!(!window.repeats("s", identity(1, 1)), "it has left the window");
        assert_eq!((window.recent.len(), window.known.len(), window.ids.len()), (2, 2, 2));
    }
}
