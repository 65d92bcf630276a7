//! A TCP proxy on loopback that can be told to misbehave.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Between two looks at what it is told, and the granularity of its throttle.
const LOOK: Duration = Duration::from_millis(5);

/// Ends with the handle; connections do too.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    target: AtomicUsize,
    /// Nothing is passed on, and nothing is closed.
    stalled: AtomicBool,
    /// Nor of the connections before this one.
    stalled_below: AtomicU64,
    /// What clients send is lost.
    muted: AtomicBool,
    /// Connections are closed as soon as they come.
    refusing: AtomicBool,
    /// Bytes a second and direction; 0 is no bound.
    rate: AtomicU64,
    accepted: AtomicU64,
    ended: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    /// Passes on to `target` on loopback, which need not be there yet.
    pub fn start(target: u16) -> Proxy {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        listener.set_nonblocking(true).unwrap();
        let shared = Arc::new(Shared::default());
        shared.target.store(target.into(), Ordering::Relaxed);
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accepting.accept(&listener));
        Proxy { port, shared }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn set_target(&self, target: u16) {
        self.shared.target.store(target.into(), Ordering::Relaxed);
    }

    /// Connections so far.
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    /// Closes every connection, in an orderly way.
    pub fn cut(&self) {
        self.shared.cut();
    }

    /// Half-open from now on: nothing is passed on, nothing is closed.
    pub fn stall(&self, stalled: bool) {
        self.shared.stalled.store(stalled, Ordering::Relaxed);
    }

    /// Half-open for good: the connections that there are. Later ones are passed on.
    pub fn stall_present(&self) {
        self.shared.stalled_below.store(self.accepted(), Ordering::Relaxed);
    }

    /// What clients send is lost, acks for one; what they are sent is passed on. A connection
    /// that was muted is of no more use.
    pub fn mute_clients(&self, muted: bool) {
        self.shared.muted.store(muted, Ordering::SeqCst);
    }

    pub fn refuse(&self, refusing: bool) {
        self.shared.refusing.store(refusing, Ordering::Relaxed);
        if refusing {
            self.cut();
        }
    }

    /// Bytes a second, each way and connection; 0 takes the bound away.
    pub fn throttle(&self, bytes_per_second: u64) {
        self.shared.rate.store(bytes_per_second, Ordering::Relaxed);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        self.cut();
    }
}

impl Shared {
    fn ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    fn cut(&self) {
        for connection in self.open.lock().unwrap().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    fn wait_while_stalled(&self, number: u64) {
        let stalled = || {
            let alone = number < self.stalled_below.load(Ordering::Relaxed);
            alone || self.stalled.load(Ordering::Relaxed)
        };
        while stalled() && !self.ended() {
            // tidy allows: a loop over a socket that does not block
            thread::park_timeout(LOOK);
        }
    }

    fn accept(self: Arc<Self>, listener: &TcpListener) {
        while !self.ended() {
            let Ok((client, _)) = listener.accept() else {
                // tidy allows: a loop over a socket that does not block
                thread::park_timeout(LOOK);
                continue;
            };
            let number = self.accepted.fetch_add(1, Ordering::Relaxed);
            if self.refusing.load(Ordering::Relaxed) {
                continue;
            }
            let target = self.target.load(Ordering::Relaxed) as u16;
            let Ok(server) = TcpStream::connect(("127.0.0.1", target)) else { continue };
            // Known before anything passes: what is cut then is cut.
            let ends = [client.try_clone().unwrap(), server.try_clone().unwrap()];
            self.open.lock().unwrap().extend(ends);
            for (up, from, to) in [(true, &client, &server), (false, &server, &client)] {
                let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                let shared = Arc::clone(&self);
                thread::spawn(move || shared.pass(number, up, from, to));
            }
            // It may have been told after we looked.
            if self.refusing.load(Ordering::Relaxed) {
                self.cut();
            }
        }
    }

    /// One direction, `up` from a client, until either end goes.
    fn pass(&self, number: u64, up: bool, mut from: TcpStream, mut to: TcpStream) {
        from.set_nonblocking(false).unwrap();
        let _ = from.set_read_timeout(Some(LOOK));
        let mut buffer = vec![0; 64 << 10];
        while !self.ended() {
            self.wait_while_stalled(number);
            let rate = self.rate.load(Ordering::Relaxed);
            let share = match rate {
                0 => buffer.len(),
                _ => (rate * LOOK.as_millis() as u64 / 1000).max(1) as usize,
            };
            let began = Instant::now();
            let share = share.min(buffer.len());
            let read = from.read(&mut buffer[..share]);
            // It may have been told while we read.
            self.wait_while_stalled(number);
            if self.ended() {
                break;
            }
            match read {
                Ok(0) => break,
                Ok(_) if up && self.muted.load(Ordering::SeqCst) => {}
                Ok(read) if to.write_all(&buffer[..read]).is_err() => break,
                Ok(_) => {}
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => break,
            }
            if rate > 0 {
                // tidy allows: the throttle is a pause
                thread::park_timeout(LOOK.saturating_sub(began.elapsed()));
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }
}

#[test]
fn it_passes_on_cuts_and_stalls() {
    let echo = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let proxy = Proxy::start(echo.local_addr().unwrap().port());
    thread::spawn(move || {
        for stream in echo.incoming() {
            let mut stream = stream.unwrap();
            let mut out = stream.try_clone().unwrap();
            thread::spawn(move || std::io::copy(&mut stream, &mut out));
        }
    });
    let mut client = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut echoed = [0; 4];
    client.write_all(b"ping").unwrap();
    client.read_exact(&mut echoed).unwrap();
    assert_eq!(&echoed, b"ping");
    proxy.stall(true);
    client.write_all(b"late").unwrap();
    client.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    assert!(client.read_exact(&mut echoed).is_err());
    proxy.stall(false);
    client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    client.read_exact(&mut echoed).unwrap();
    assert_eq!((&echoed, proxy.accepted()), (b"late", 1));
    proxy.mute_clients(true);
    client.write_all(b"lost").unwrap();
    client.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    assert!(client.read_exact(&mut echoed).is_err());
    proxy.cut();
    assert_eq!(client.read(&mut echoed).unwrap_or(0), 0);
}
