//! The threads that serve viewers.

use std::{
    io,
    net::SocketAddr,
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use devices::{
    chars::{Listener, prepare},
    threads::{self, Role},
};
use rustix::{
    event::PollFlags,
    net::{SocketAddrAny, getpeername, getsockname},
};

use super::{
    connection::{Connection, Stop, Woken},
    info::{Endpoint, VncInfo},
    session::{Session, Subject},
    viewer::{self, End},
};

/// The most viewers at the same time.
const MOST: usize = 8;
/// The pause after a connection can't be accepted, for example as no descriptor is left.
const PAUSE: Duration = Duration::from_secs(1);

/// A server with its threads. Dropping it closes all connections and waits for the threads.
#[derive(Debug)]
pub(crate) struct Server {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    listener: Listener,
    subject: Arc<Subject>,
    stop: Stop,
    viewers: Mutex<Vec<Viewer>>,
}

/// A viewer that is being served.
#[derive(Debug)]
struct Viewer {
    number: u32,
    address: Peer,
    thread: JoinHandle<()>,
    /// The thread is ending, and only needs to be joined.
    gone: bool,
}

/// The address of a viewer: host and port; none for a unix socket.
type Peer = Option<SocketAddr>;

impl Server {
    /// Serves the viewers that connect to `listener`.
    ///
    /// # Errors
    ///
    /// No descriptor or no thread is available.
    pub(crate) fn start(listener: Listener, subject: Subject) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            listener,
            subject: Arc::new(subject),
            stop: Stop::new()?,
            viewers: Mutex::default(),
        });
        let served = Arc::clone(&shared);
        let thread = threads::spawn(&Role::Vnc, move || {
            if let Err(error) = served.serve() {
                log::error!("no viewer can connect any more: {error}");
            }
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// The server's address and its viewers.
    pub(crate) fn info(&self) -> VncInfo {
        let shared = &*self.shared;
        let local = getsockname(shared.listener.as_fd()).ok().and_then(|address| address.try_into().ok());
        let at = local.map_or_else(|| Endpoint::unix(&shared.listener.address().to_string()), Endpoint::tcp);
        let viewers = self.viewers().into_iter();
        let viewers = viewers.map(|peer| peer.map_or_else(|| Endpoint::unix(""), Endpoint::tcp)).collect();
        VncInfo::new(at, shared.subject.password.is_some(), viewers)
    }

    /// The addresses of the viewers.
    fn viewers(&self) -> Vec<Peer> {
        let viewers = lock(&self.shared.viewers);
        viewers.iter().filter(|viewer| !viewer.gone).map(|viewer| viewer.address).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop.set();
        // A panic has been printed already.
        let _ended = self.thread.take().map(JoinHandle::join);
        let viewers = std::mem::take(&mut *lock(&self.shared.viewers));
        for viewer in viewers {
            let _ended = viewer.thread.join();
        }
    }
}

impl Shared {
    fn serve(self: &Arc<Self>) -> io::Result<()> {
        for number in 1.. {
            let socket = loop {
                if self.stop.wait(self.listener.as_fd(), PollFlags::IN, None)? == Woken::Stopped {
                    return Ok(());
                }
                match self.listener.accept() {
                    Ok(Some(socket)) => break socket,
                    Ok(None) => {}
                    Err(error) => {
                        log::warn!("a viewer can't connect: {error}");
                        self.stop.pause(PAUSE)?;
                    }
                }
            };
            if let Err(error) = self.take(socket, number) {
                log::warn!("a viewer can't be served: {error}");
            }
        }
        Ok(())
    }

    /// Starts a thread for a connection, unless there are too many.
    fn take(self: &Arc<Self>, socket: OwnedFd, number: u32) -> io::Result<()> {
        prepare(&socket);
        let address = getpeername(&socket)?.and_then(|address: SocketAddrAny| address.try_into().ok());
        // Locked until the new thread is in the list, in which it marks its own end.
        let mut viewers = lock(&self.viewers);
        for gone in viewers.extract_if(.., |viewer| viewer.gone) {
            let _ended = gone.thread.join();
        }
        if viewers.len() >= MOST {
            drop(viewers);
            log::warn!("{} can't look: {MOST} viewers do already", named(address));
            return Ok(());
        }
        let shared = Arc::clone(self);
        let thread = threads::spawn(&Role::Viewer(number), move || {
            let _leaves = Leaves { shared: &shared, number };
            log::info!("{} looks at the screen", named(address));
            let session = Session::new(Arc::clone(&shared.subject));
            match viewer::serve(&Connection::new(socket), session, &shared.stop) {
                end if end.is_usual() => log::info!("{} no longer looks at the screen", named(address)),
                end => log::warn!("{} is sent away: {}", named(address), chain(end)),
            }
        })?;
        viewers.push(Viewer { number, address, thread, gone: false });
        Ok(())
    }
}

/// Marks the end of a viewer's thread on drop, even after a panic.
struct Leaves<'a> {
    shared: &'a Shared,
    number: u32,
}

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        let mut viewers = lock(&self.shared.viewers);
        viewers
            .iter_mut()
            .filter(|viewer| viewer.number == self.number)
            .for_each(|viewer| viewer.gone = true);
    }
}

fn named(peer: Peer) -> String {
    peer.map_or_else(|| "a viewer on this host".to_owned(), |address| format!("the viewer at {address}"))
}

/// An error with its causes.
fn chain(end: End) -> String {
    format!("{:#}", anyhow::Error::from(end))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "server_test.rs"]
mod tests;
