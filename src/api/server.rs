//! Connections: how many, how long, and their end.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::{ApiSettings, Doors, router};
use crate::metrics::Metrics;
use crate::shutdown::Shutdown;

/// Accepting fails when the process is out of file descriptors, and would fail again at once.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// What a request's head may take, in memory.
const HEAD_BYTES_MAX: usize = 64 << 10;

#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error(
        "api.listen = {address} is taken, perhaps by another pointd or a Qdrant: stop it, or \
         choose another port"
    )]
    Taken { address: SocketAddr },
    #[error("api.listen = {address}: {source}")]
    Unusable { address: SocketAddr, source: io::Error },
}

/// A listening address. Connections queue up in the kernel until [`Bound::serve`].
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
}

/// Takes the address, early, so that a taken port stops the start before anything else.
pub fn bind(address: SocketAddr) -> Result<Bound, BindError> {
    let unusable = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => BindError::Taken { address },
        _ => BindError::Unusable { address, source },
    };
    let listener = TcpListener::bind(address).map_err(unusable)?;
    listener.set_nonblocking(true).map_err(unusable)?;
    let address = listener.local_addr().map_err(unusable)?;
    Ok(Bound { listener, address })
}

impl Bound {
    /// With the port that was taken where port 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until shutdown is asked for; then takes no more connections, lets requests end,
    /// and cuts those that have not ended after `shutdown_timeout`.
    pub async fn serve(self, settings: ApiSettings, doors: Doors) -> io::Result<()> {
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        let (metrics, shutdown) = (doors.metrics.clone(), doors.shutdown.clone());
        let permits = Arc::new(Semaphore::new(settings.connections_max));
        let drain = settings.shutdown_timeout;
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(settings.header_timeout)
            .max_buf_size(HEAD_BYTES_MAX);
        let connections = Connections { http, router: router(settings, doors), metrics, shutdown };
        let mut running = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = connections.shutdown.asked() => break,
                accepted = accept(&listener, &permits) => accepted,
            };
            let (stream, permit) = accepted;
            running.spawn(connections.clone().run(stream, permit));
            while running.try_join_next().is_some() {}
        }
        drop(listener);
        let ended = async { while running.join_next().await.is_some() {} };
        if tokio::time::timeout(drain, ended).await.is_err() {
            let left = running.len();
            tracing::warn!(left, "cutting the connections whose requests have not ended");
            running.shutdown().await;
        }
        Ok(())
    }
}

/// The next connection, once there is room for it.
async fn accept(
    listener: &tokio::net::TcpListener,
    permits: &Arc<Semaphore>,
) -> (TcpStream, OwnedSemaphorePermit) {
    // The permit first: what is accepted is served at once, the rest waits in the kernel.
    let permit = loop {
        if let Ok(permit) = permits.clone().acquire_owned().await {
            break permit;
        }
    };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, permit),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

#[derive(Clone)]
struct Connections {
    http: http1::Builder,
    router: Router,
    metrics: Metrics,
    shutdown: Shutdown,
}

/// Counts a connection for as long as it lives, however it ends.
struct Counted(Metrics);

impl Counted {
    fn new(metrics: Metrics) -> Self {
        metrics.http.connections.inc();
        Counted(metrics)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.http.connections.dec();
    }
}

impl Connections {
    async fn run(self, stream: TcpStream, permit: OwnedSemaphorePermit) {
        let _counted = Counted::new(self.metrics);
        let _permit = permit;
        // Answers are written whole; waiting for more to send would only delay them.
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(self.router);
        let connection = self.http.serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.shutdown.asked() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            // The peer's doing: it went away, was too slow, or does not speak HTTP.
            tracing::debug!(%error, "a connection ended early");
        }
    }
}
