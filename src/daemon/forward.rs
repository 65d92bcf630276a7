//! Wires the forwarder, if the configuration asks for one.

use std::sync::Arc;

use futures_util::FutureExt;

use super::stages::{Stage, Stages, spawn};
use super::{DaemonError, StartError};
use crate::api;
use crate::config::Settings;
use crate::disk::Disk;
use crate::forward::{Cursor, DropLetters, Forwarder, Lines, Status};
use crate::metrics::Metrics;
use crate::operation::Body;
use crate::shutdown::Shutdown;

#[derive(Default)]
pub(super) struct Forward {
    running: Option<(Stage, Arc<Status>)>,
}

impl Forward {
    pub fn start(
        settings: &Settings,
        stages: &Stages,
        metrics: &Metrics,
        shutdown: &Shutdown,
    ) -> Result<Forward, StartError> {
        let Some(forward) = &settings.dead_letters.forward else { return Ok(Forward::default()) };
        let target = forward.target();
        let (dir, last) = (&settings.storage.dir, stages.recovered);
        let cursor = Cursor::open(&Disk::new(), dir, forward, stages.log_id, last)?;
        let status = Arc::new(Status::new(target, cursor.seq()));
        let submit = stages.submit();
        let drop_letters: DropLetters = Arc::new(move |letters| {
            let submitted = submit.decide(Body::DropLetters(letters));
            async move {
                let submitted = submitted.map_err(|error| error.to_string())?;
                match submitted.applied {
                    // The applier ends only with the process.
                    Some(applied) => applied.await.map(|_| ()).map_err(|error| error.to_string()),
                    None => Ok(()),
                }
            }
            .boxed()
        });
        let lines = Lines {
            catalog: stages.catalog.clone(),
            cursor,
            drop_letters,
            applied: stages.applied.clone(),
            status: status.clone(),
            metrics: metrics.clone(),
            shutdown: shutdown.clone(),
        };
        let forwarder = Forwarder::new(forward.clone(), lines)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (_, thread) = spawn("forward", shutdown, move || {
            forwarder.run(&runtime);
            Ok(())
        })?;
        Ok(Forward { running: Some((thread, status)) })
    }

    pub fn report(&self) -> Option<api::Forwarding> {
        let status = self.running.as_ref()?.1.clone();
        Some(Arc::new(move || status.to_json()))
    }

    /// Ends soon after shutdown was asked for; it holds an entrance of the log's queue until then.
    pub fn join(self) -> Result<(), DaemonError> {
        match self.running.map(|(thread, _)| thread.join()) {
            Some(Err(_)) => Err(DaemonError::Panicked("forward")),
            Some(Ok(ended)) => ended,
            None => Ok(()),
        }
    }
}
