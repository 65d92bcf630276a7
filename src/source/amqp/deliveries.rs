//! What was delivered and not given out yet: batches in the making.

use std::collections::VecDeque;

use lapin::Acker;

use crate::position::UnixMillis;
use crate::source::{Item, What};

/// A batch in the making. Its last delivery's acker acks all of it.
pub struct Taken {
    pub items: Vec<Item>,
    pub acker: Acker,
    bytes: usize,
    /// Redeliveries after a lost connection: only the whole run can be compared with the log's
    /// end, so it is one batch however long.
    is_run: bool,
}

impl Taken {
    pub fn last_time(&self) -> UnixMillis {
        match self.items.last().map(|item| &item.what) {
            Some(What::Message(delivery)) => delivery.time,
            _ => UnixMillis::now(),
        }
    }
}

/// At most `prefetch` deliveries: the broker sends no more before an ack.
pub struct Deliveries {
    taken: VecDeque<Taken>,
    messages_max: usize,
    bytes_max: usize,
}

impl Deliveries {
    pub fn new(messages_max: usize, bytes_max: usize) -> Deliveries {
        Deliveries { taken: VecDeque::new(), messages_max, bytes_max }
    }

    pub fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }

    /// Whether one waits that can be given out: any but a run that is not over.
    pub fn has_whole(&self) -> bool {
        self.taken.front().is_some_and(|taken| !taken.is_run)
    }

    /// Whether the newest batch takes no further delivery.
    pub fn is_full(&self) -> bool {
        self.taken.back().is_some_and(|taken| !self.has_room(taken))
    }

    fn has_room(&self, taken: &Taken) -> bool {
        taken.is_run || (taken.items.len() < self.messages_max && taken.bytes < self.bytes_max)
    }

    pub fn push(&mut self, item: Item, bytes: usize, acker: Acker) {
        let has_room = self.taken.back().is_some_and(|taken| self.has_room(taken));
        match self.taken.back_mut().filter(|_| has_room) {
            Some(taken) => {
                taken.items.push(item);
                taken.bytes += bytes;
                taken.acker = acker;
            }
            None => {
                let items = vec![item];
                self.taken.push_back(Taken { items, acker, bytes, is_run: false });
            }
        }
    }

    /// Makes the next delivery the first of a run.
    pub fn begin_run(&mut self, item: Item, bytes: usize, acker: Acker) {
        self.taken.push_back(Taken { items: vec![item], acker, bytes, is_run: true });
    }

    /// `cut`: more of it may come.
    pub fn end_run(&mut self, cut: bool) {
        let Some(taken) = self.taken.back_mut() else { return };
        taken.is_run = false;
        if let Some(Item { what: What::Message(delivery), .. }) = taken.items.last_mut()
            && let Some(came) = &mut delivery.redelivered
        {
            came.cut = cut;
        }
    }

    pub fn pop(&mut self) -> Option<Taken> {
        if self.has_whole() { self.taken.pop_front() } else { None }
    }

    pub fn give_back(&mut self, taken: Taken) {
        self.taken.push_front(taken);
    }

    /// Keeps the first that are wanted: none behind one that is not. For a stream, where an ack is
    /// only room for more.
    pub fn cut(&mut self, is_wanted: impl Fn(&Item) -> bool) {
        let mut kept = VecDeque::new();
        for mut taken in self.taken.drain(..) {
            let wanted = taken.items.iter().take_while(|item| is_wanted(item)).count();
            let whole = wanted == taken.items.len();
            taken.items.truncate(wanted);
            if wanted > 0 {
                kept.push_back(taken);
            }
            if !whole {
                break;
            }
        }
        self.taken = kept;
    }

    pub fn clear(&mut self) {
        self.taken.clear();
    }
}
