//! What the HTTP door needs from the rest of the daemon.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::Sender;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::DaemonError;
use crate::api::{
    self, ApiSettings, Bound, Doors, OrderError, Redecode, WriteError, Writes, Written,
};
use crate::catalog::Catalog;
use crate::config::Settings;
use crate::ingest::{Decoder, DurableOffsets, Submit, SubmitError, Submitted};
use crate::operation::{Body, Message, Operation, Redrive};
use crate::position::{Offset, Stream};
use crate::source::Order;
use crate::source::status::{SourceReport, Status};

/// HTTP writes go into the same queue as the sources' batches.
pub(super) struct LogWrites {
    submit: Submit,
    catalog: Arc<Catalog>,
}

impl LogWrites {
    pub fn new(submit: Submit, catalog: Arc<Catalog>) -> Self {
        LogWrites { submit, catalog }
    }
}

impl Writes for LogWrites {
    fn write(&self, message: Message) -> BoxFuture<'static, Result<Written, WriteError>> {
        if !message.waits && self.catalog.dead_letters_full() {
            // Whoever waits is told of a refusal, so no dead letter would be made of it.
            let why =
                "so many dead letters are kept that no further one has room: redrive or drop \
                       some, or write with wait=true"
                    .into();
            return std::future::ready(Err(WriteError::Stopped { why })).boxed();
        }
        if grows(&message) && self.submit.disk_full() {
            return std::future::ready(Err(no_room())).boxed();
        }
        durable(self.submit.write(message)).boxed()
    }

    fn decide(&self, body: Body) -> BoxFuture<'static, Result<Written, WriteError>> {
        // What is dropped makes room.
        let adds = |redrive: &Redrive| redrive.attempt.as_ref().is_ok_and(grows);
        if matches!(&body, Body::Redrive(redrive) if adds(redrive)) && self.submit.disk_full() {
            return std::future::ready(Err(no_room())).boxed();
        }
        let submitted = self.submit.decide(body);
        durable(submitted).boxed()
    }
}

fn no_room() -> WriteError {
    let why = "the disk is full but for storage.reserve_bytes, which is kept for deletes".into();
    WriteError::Stopped { why }
}

async fn durable(submitted: Result<Submitted, SubmitError>) -> Result<Written, WriteError> {
    let Submitted { durable, applied: outcome } = submitted.map_err(|error| match error {
        SubmitError::Full => WriteError::Full,
        SubmitError::Closed => WriteError::Closed,
        SubmitError::TooLarge(_) => WriteError::TooLarge { why: error.to_string() },
    })?;
    // The appender ends only with the process.
    let seq = durable.await.map_err(|_| WriteError::Closed)?;
    Ok(Written { seq, outcome })
}

/// Decodes the original of a dead letter as its source would today.
pub(super) fn redecode(settings: &Settings, decoder: Decoder) -> Redecode {
    let names: Vec<String> = settings.source.iter().map(|source| source.name.clone()).collect();
    Arc::new(move |stream, original, as_json| {
        let place = stream.and_then(|it| names.iter().position(|name| name == it.source()));
        // The last decodes for those that are not there.
        let place = place.unwrap_or(names.len());
        decoder.again(place, stream.and_then(Stream::topic), original, as_json)
    })
}

/// Whether it may leave more behind than was there: anything but a deletion.
fn grows(message: &Message) -> bool {
    message.operations.iter().any(|operation| match operation {
        Operation::DeleteCollection
        | Operation::DeleteIndex { .. }
        | Operation::DeletePoints(_)
        | Operation::DeleteVectors { .. }
        | Operation::DeletePayload { .. }
        | Operation::ClearPayload(_) => false,
        Operation::CreateCollection { .. }
        | Operation::CreateIndex { .. }
        | Operation::Upsert(_)
        | Operation::UpdateVectors(_)
        | Operation::SetPayload { .. }
        | Operation::OverwritePayload { .. } => true,
    })
}

pub(super) struct SourceReports {
    statuses: Vec<Arc<Status>>,
    /// By source.
    orders: BTreeMap<String, Sender<Order>>,
    offsets: DurableOffsets,
}

impl SourceReports {
    pub fn new(
        statuses: Vec<Arc<Status>>,
        orders: BTreeMap<String, Sender<Order>>,
        offsets: DurableOffsets,
    ) -> Self {
        SourceReports { statuses, orders, offsets }
    }
}

impl api::Sources for SourceReports {
    fn reports(&self) -> Vec<SourceReport> {
        self.statuses.iter().map(|status| status.report()).collect()
    }

    fn durable(&self, stream: &Stream) -> Option<Offset> {
        self.offsets.get(stream)
    }

    fn order(&self, source: &str, order: Order) -> Result<(), OrderError> {
        let status = self.statuses.iter().find(|status| status.source() == source);
        let (Some(_), Some(orders)) = (status, self.orders.get(source)) else {
            return Err(OrderError::NoSource);
        };
        orders.try_send(order).map_err(|_| OrderError::Busy)
    }
}

/// Serves on a runtime of its own until shutdown is asked for.
pub(super) fn serve(
    bound: Bound,
    settings: ApiSettings,
    doors: Doors,
) -> std::io::Result<JoinHandle<Result<(), DaemonError>>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("http")
        .enable_all()
        .build()?;
    let serve = move || {
        runtime.block_on(bound.serve(settings, doors))?;
        // Reads that outlast their answers end with the process.
        runtime.shutdown_background();
        Ok(())
    };
    std::thread::Builder::new().name("http".into()).spawn(serve)
}

#[cfg(test)]
mod tests {
    use api::Sources;

    use super::*;
    use crate::source::status::Kind;

    #[test]
    fn a_source_of_any_kind_is_handed_an_order() {
        for kind in [Kind::Kafka, Kind::Amqp, Kind::Embedded] {
            let (orders, taken) = crossbeam_channel::bounded(1);
            let orders = BTreeMap::from([("s".to_owned(), orders)]);
            let statuses = vec![Status::new("s", kind)];
            let reports = SourceReports::new(statuses, orders, DurableOffsets::default());
            let order = || {
                let (answer, _) = crossbeam_channel::bounded(1);
                Order::AcceptGap { topic: None, partition: None, answer }
            };
            assert_eq!(reports.order("s", order()), Ok(()), "{kind:?}");
            assert!(taken.try_recv().is_ok());
            assert_eq!(reports.order("other", order()), Err(OrderError::NoSource));
        }
    }
}
