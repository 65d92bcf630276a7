//! Whether the broker still has our consumer: it can lose one without a word.
//!
//! A quorum queue that is deleted and at once declared anew cancels nobody: the consumer of the
//! old one waits for ever, on a connection that is well. So the broker is asked about the queue
//! now and then, which also tells how many messages wait in it. A stream tells neither: there
//! `stream_end` looks.
//!
//! It tells the queue's consumers, too. Another one beside ours gets messages in between, so what
//! comes again is no run that the log's end would show.

use std::time::{Duration, Instant};

use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use lapin::{Channel, ChannelStatus, ConnectionStatus};
use tokio::task::JoinHandle;

use super::link::{CONNECT_TIMEOUT, Link};
use super::session::Session;

const INTERVAL: Duration = Duration::from_secs(5);
/// For so many looks in a row messages may wait and none be delivered: with other consumers of
/// the queue that need not be a fault of ours, and connecting again costs a redelivery. Where
/// none ever was, another consumer is the active one and this one stands by.
const IDLE_LOOKS_MAX: u32 = 6;
/// For so many looks in a row the queue may have neither a message nor a consumer: of a quorum
/// queue whose leader does not answer within a quarter of a second the broker says that, too.
const EMPTY_LOOKS_MAX: u32 = 3;

/// A session that notices a loss by itself ends sooner, after it has given out what it holds.
const LOST_FOR: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(500);

/// Ends when the connection or the channel has been gone for long: a call of the client that was
/// under way when it went may never return.
pub async fn lost(connection: ConnectionStatus, channel: ChannelStatus) {
    let mut since = None;
    loop {
        tokio::time::sleep(LOOK).await;
        if connection.connected() && channel.connected() {
            since = None;
        } else if since.get_or_insert_with(Instant::now).elapsed() > LOST_FOR {
            return;
        }
    }
}

/// So many heartbeats others must have been there: a broker counts the consumer of a connection
/// that we have lost until it has missed some.
const OTHERS_HEARTBEATS: u32 = 4;

/// Consumers of the queue beside ours, over all connections.
#[derive(Default)]
pub struct Others {
    /// Since when there are some on this connection.
    since: Option<Instant>,
    told: u32,
}

impl Others {
    /// On another connection, those that were seen may have been our own.
    pub fn connected(&mut self) {
        self.since = None;
    }

    /// How many to tell of, if that has changed. `consumers` are the broker's, ours included.
    fn judge(&mut self, consumers: u32, now: Instant, allowed: Duration) -> Option<u32> {
        let others = consumers.saturating_sub(1);
        if others == 0 {
            self.since = None;
        } else if now - *self.since.get_or_insert(now) < allowed {
            return None;
        }
        (std::mem::replace(&mut self.told, others) != others).then_some(others)
    }
}

pub struct Watch {
    due: Instant,
    asking: Option<Asking>,
    /// Deliveries taken until the last look.
    taken: u64,
    idle_looks: u32,
    empty_looks: u32,
}

/// A question under way. Its answer comes behind all that the broker has sent, so on a slow line
/// it takes its time.
struct Asking {
    answer: JoinHandle<lapin::Result<lapin::Queue>>,
    /// When it was asked, or something was delivered since.
    since: Instant,
    taken: u64,
}

impl Asking {
    /// Whether neither an answer comes nor a delivery.
    fn is_silent(&mut self, now: Instant, taken: u64) -> bool {
        if std::mem::replace(&mut self.taken, taken) != taken {
            self.since = now;
        }
        now - self.since > CONNECT_TIMEOUT
    }
}

impl Watch {
    pub fn new() -> Watch {
        let due = Instant::now() + INTERVAL;
        Watch { due, asking: None, taken: 0, idle_looks: 0, empty_looks: 0 }
    }

    /// What is wrong, if something is. `consumers` and `waiting` are the broker's, `taken` are
    /// the deliveries of this session, `room` says that more could be delivered.
    fn judge(&mut self, consumers: u32, waiting: u32, taken: u64, room: bool) -> Option<String> {
        let empty = consumers == 0 && waiting == 0;
        self.empty_looks = if empty { self.empty_looks + 1 } else { 0 };
        if consumers == 0 && (!empty || self.empty_looks >= EMPTY_LOOKS_MAX) {
            return Some("the broker has lost the queue's consumer without a word".into());
        }
        let idle = waiting > 0 && room && taken > 0 && taken == self.taken;
        self.taken = taken;
        self.idle_looks = if idle { self.idle_looks + 1 } else { 0 };
        (self.idle_looks >= IDLE_LOOKS_MAX)
            .then(|| format!("{waiting} messages wait in the queue and none is delivered"))
    }
}

impl Session<'_> {
    /// Asks if it is time. An error ends the session: it is time to connect again.
    pub(super) async fn watch(&mut self, link: &Link) -> Result<(), String> {
        if self.settings.is_stream() {
            return self.watch_end(link).await;
        }
        let now = Instant::now();
        let Some(asking) = &mut self.watch.asking else {
            if now >= self.watch.due {
                self.watch.due = now + INTERVAL;
                let answer = tokio::spawn(ask(link.channel.clone(), self.settings.queue.clone()));
                self.watch.asking = Some(Asking { answer, since: now, taken: self.taken });
            }
            return Ok(());
        };
        if !asking.answer.is_finished() {
            return match asking.is_silent(now, self.taken) {
                true => Err("no answer about the queue".into()),
                false => Ok(()),
            };
        }
        let Some(Asking { answer, .. }) = self.watch.asking.take() else { return Ok(()) };
        let queue = answer.await.map_err(|error| error.to_string())?;
        let queue = queue.map_err(|error| error.to_string())?;
        self.status.set_waiting(queue.message_count().into());
        if link.consumer.is_none() {
            return Ok(());
        }
        let (consumers, waiting) = (queue.consumer_count(), queue.message_count());
        self.show_others(consumers, now);
        let (taken, room) = (self.taken, self.has_no_more());
        match self.watch.judge(consumers, waiting, taken, room) {
            Some(wrong) => Err(wrong),
            None => Ok(()),
        }
    }

    /// Nothing is halted for it: where one consumer at a time is active, the others do no harm.
    fn show_others(&mut self, consumers: u32, now: Instant) {
        let allowed = self.settings.heartbeat * OTHERS_HEARTBEATS;
        let before = self.numbering.others.told;
        let Some(others) = self.numbering.others.judge(consumers, now, allowed) else { return };
        self.wiring.status.set_other_consumers(others);
        let (source, queue) = (self.name, &self.settings.queue);
        match (before, others) {
            (0, _) => tracing::warn!(
                source,
                queue,
                others,
                "the queue has other consumers: what is delivered again is not recognised exactly \
                 unless only one of them is active at a time"
            ),
            (_, 0) => tracing::info!(source, queue, "the queue has no other consumer any more"),
            _ => {}
        }
    }
}

async fn ask(channel: Channel, queue: String) -> lapin::Result<lapin::Queue> {
    let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(queue.into(), options, FieldTable::default()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_consumers_are_told_once_they_have_stayed() {
        let (begin, allowed) = (Instant::now(), Duration::from_secs(120));
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut others = Others::default();
        assert_eq!(others.judge(1, at(0), allowed), None);
        assert_eq!(others.judge(3, at(10), allowed), None);
        assert_eq!(others.judge(3, at(129), allowed), None, "our own may be counted twice");
        assert_eq!(others.judge(3, at(130), allowed), Some(2));
        assert_eq!(others.judge(3, at(135), allowed), None, "it is told already");
        // Over a connection that is lost it stays told, until there are none or it is certain.
        others.connected();
        assert_eq!(others.judge(4, at(140), allowed), None);
        assert_eq!(others.judge(2, at(145), allowed), None);
        assert_eq!(others.judge(2, at(260), allowed), Some(1));
        assert_eq!(others.judge(0, at(265), allowed), Some(0), "ours is gone, too");
        assert_eq!(others.judge(2, at(270), allowed), None);
        assert_eq!(others.judge(1, at(275), allowed), None);
        assert_eq!(others.judge(2, at(391), allowed), None, "that is another one");
    }

    #[test]
    fn a_consumer_that_is_gone_or_gets_nothing_is_noticed() {
        let mut watch = Watch::new();
        let standby = (0..100).map(|_| watch.judge(2, 7, 0, true)).find(Option::is_some);
        assert_eq!(standby, None, "another consumer is the active one");
        assert!(watch.judge(0, 7, 0, true).is_some());
        for (consumers, gone) in
            [(0, false), (0, false), (1, false), (0, false), (0, false), (0, true)]
        {
            assert_eq!(watch.judge(consumers, 0, 0, true).is_some(), gone, "{consumers}");
        }
        for look in 1..=20 {
            assert_eq!(watch.judge(1, 7, look, true), None, "deliveries come");
            assert_eq!(watch.judge(1, 0, look, true), None, "nothing waits");
            assert_eq!(watch.judge(2, 7, look, false), None, "nothing more may be delivered");
        }
        let last = (1..IDLE_LOOKS_MAX).map(|_| watch.judge(2, 7, 20, true)).find(Option::is_some);
        assert_eq!(last, None);
        assert!(watch.judge(2, 7, 20, true).is_some());
    }
}
