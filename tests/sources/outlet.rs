//! An outlet that keeps everything in memory, and the rest of what a source is wired to.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use pointd::metrics::Metrics;
use pointd::position::{Mark, Offset, Position, Stream};
use pointd::shutdown::Shutdown;
use pointd::source::status::{Kind, SourceReport};
use pointd::source::{
    Batch, Delivery, Gate, Item, Order, Outlet, Pressure, Status, Watermark, What, Wiring,
};

use super::LIMIT;
use crate::brokers::{until, until_or};

pub struct Memory {
    kept: Mutex<Kept>,
    watermark: Watermark,
}

struct Kept {
    batches: Vec<Batch>,
    /// How many batches it takes in all.
    room: usize,
    refused: u64,
    /// Whether what it takes is durable at once.
    durable: bool,
    pressure: Option<Pressure>,
    gate: Gate,
    /// What came while the gate was closed.
    void: BTreeSet<u64>,
    /// Where the log stood before the first batch.
    known: Option<Offset>,
}

impl Outlet for Memory {
    fn offer(&self, batch: Batch) -> Result<(), Batch> {
        let mut kept = self.kept.lock().unwrap();
        if kept.batches.len() >= kept.room {
            kept.refused += 1;
            return Err(batch);
        }
        assert_eq!(batch.number, kept.batches.len() as u64 + 1, "batches have no holes");
        // As the appender does: nothing is said durable that a closed gate refuses.
        if kept.durable && !kept.gate.refuses(batch.number) {
            self.watermark.raise(batch.number);
        }
        if kept.gate.refuses(batch.number) {
            kept.void.insert(batch.number);
        }
        kept.batches.push(batch);
        Ok(())
    }

    fn pressure(&self) -> Option<Pressure> {
        self.kept.lock().unwrap().pressure
    }

    fn durable(&self, stream: &Stream) -> Option<Offset> {
        let kept = self.kept.lock().unwrap();
        let durable = kept.batches.iter().take_while(|it| it.number <= self.watermark.get());
        let durable = durable.filter(|it| !kept.void.contains(&it.number));
        let of_stream = durable.flat_map(|batch| &batch.items);
        let last = of_stream.filter(|item| *item.position.stream == *stream).last();
        let Some(next) = last else { return kept.known };
        match next.position.mark {
            Mark::Next(next) => Some(next),
            Mark::Fingerprint(_) => None,
        }
    }
}

pub struct Bench {
    pub outlet: Arc<Memory>,
    pub watermark: Watermark,
    pub gate: Gate,
    pub orders: (Sender<Order>, Receiver<Order>),
    pub status: Arc<Status>,
    pub metrics: Metrics,
    pub shutdown: Shutdown,
    pub drain_timeout: Duration,
}

impl Bench {
    /// Takes everything; what it takes is durable at once if `durable`.
    pub fn new(kind: Kind, durable: bool) -> Bench {
        let watermark = Watermark::default();
        let gate = Gate::default();
        let kept = Kept {
            batches: Vec::new(),
            room: usize::MAX,
            refused: 0,
            durable,
            pressure: None,
            known: None,
            gate: gate.clone(),
            void: BTreeSet::new(),
        };
        Bench {
            outlet: Arc::new(Memory { kept: Mutex::new(kept), watermark: watermark.clone() }),
            watermark,
            gate,
            orders: crossbeam_channel::bounded(16),
            status: Status::new("test", kind),
            metrics: Metrics::new(),
            shutdown: Shutdown::new(),
            drain_timeout: Duration::from_secs(10),
        }
    }

    pub fn wiring(&self) -> Wiring {
        Wiring {
            outlet: Arc::clone(&self.outlet) as Arc<dyn Outlet>,
            watermark: self.watermark.clone(),
            gate: self.gate.clone(),
            orders: self.orders.1.clone(),
            status: Arc::clone(&self.status),
            metrics: self.metrics.clone(),
            shutdown: self.shutdown.clone(),
            drain_timeout: self.drain_timeout,
        }
    }

    pub fn set_room(&self, batches: usize) {
        self.outlet.kept.lock().unwrap().room = batches;
    }

    pub fn set_pressure(&self, pressure: Option<Pressure>) {
        self.outlet.kept.lock().unwrap().pressure = pressure;
    }

    /// Every stream's position at the beginning.
    pub fn set_known(&self, next: u64) {
        self.outlet.kept.lock().unwrap().known = Some(Offset(next));
    }

    pub fn refused(&self) -> u64 {
        self.outlet.kept.lock().unwrap().refused
    }

    pub fn batches(&self) -> u64 {
        self.outlet.kept.lock().unwrap().batches.len() as u64
    }

    /// Everything taken so far, with the number of its batch.
    pub fn items(&self) -> Vec<(u64, Item)> {
        let kept = self.outlet.kept.lock().unwrap();
        let numbered = |batch: &Batch| {
            let number = batch.number;
            batch.items.iter().map(move |item| (number, item.clone())).collect::<Vec<_>>()
        };
        kept.batches.iter().flat_map(numbered).collect()
    }

    pub fn messages(&self) -> Vec<(Position, Delivery)> {
        let message = |(_, item): (u64, Item)| match item.what {
            What::Message(delivery) => Some((item.position, delivery)),
            What::Moved { .. } | What::Start { .. } => None,
        };
        self.items().into_iter().filter_map(message).collect()
    }

    /// The values of one partition's messages (or of the queue's), as text.
    pub fn values(&self, partition: Option<i32>) -> Vec<String> {
        let messages = self.messages();
        let here = messages.iter().filter(|(position, _)| position.stream.partition() == partition);
        here.map(|(_, delivery)| {
            String::from_utf8(delivery.value.as_ref().unwrap().to_vec()).unwrap()
        })
        .collect()
    }

    #[track_caller]
    pub fn wait_for_messages(&self, count: usize) {
        until(&format!("{count} messages"), LIMIT, || self.message_count() >= count);
    }

    pub fn message_count(&self) -> usize {
        let kept = self.outlet.kept.lock().unwrap();
        let items = kept.batches.iter().flat_map(|batch| &batch.items);
        items.filter(|item| matches!(item.what, What::Message(_))).count()
    }

    /// The last position of each stream: what a log would hand to the next start.
    pub fn positions(&self) -> Vec<Position> {
        let mut positions: Vec<Position> = Vec::new();
        for (_, item) in self.items() {
            positions.retain(|known| known.stream != item.position.stream);
            positions.push(item.position);
        }
        positions
    }

    pub fn report(&self) -> SourceReport {
        self.status.report()
    }

    #[track_caller]
    pub fn wait_for_report(&self, what: &str, condition: impl Fn(&SourceReport) -> bool) {
        let held = std::cell::RefCell::new(None);
        let watched = || {
            let report = self.report();
            let holds = condition(&report);
            held.replace(Some(report));
            holds
        };
        until_or(LIMIT, watched, || format!("{what}; the last report: {:#?}", held.borrow()));
    }

    /// Without waiting for what is not durable: it never will be.
    pub fn stop_at_once(&self, source: JoinHandle<()>) {
        self.watermark.end();
        self.stop(source);
    }

    pub fn stop(&self, source: JoinHandle<()>) {
        self.shutdown.ask();
        source.join().unwrap();
    }
}
