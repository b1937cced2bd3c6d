//! The host's side of a socket device: a unix socket that programs connect to, and sockets at which they listen.

use std::{
    ffi::OsString,
    fmt::Debug,
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use crate::{
    chars::{Access, Address, AddressError, Listener},
    once::Once,
};

/// Connects to listening programs of the host.
pub(super) trait Connect: Send + Sync + Debug {
    /// Connects to the program at `port`. Neither this nor the socket ever blocks.
    ///
    /// # Errors
    ///
    /// No program listens there, or it is not quick enough.
    fn connect(&self, port: u32) -> io::Result<OwnedFd>;
}

/// The host's side of a socket device. It outlives resets.
#[derive(Debug)]
pub struct Host {
    cid: u32,
    path: PathBuf,
    listener: Option<Listener>,
    pub(super) said_broken: Once,
    pub(super) said_busy: Once,
}

impl Host {
    /// Listens at `path` for programs that want to connect to the guest, whose address is `cid`.
    ///
    /// # Errors
    ///
    /// Another program listens there, the path is too long (also with a port appended), or the host refuses.
    pub fn listen(cid: u32, path: &Path) -> Result<Self, AddressError> {
        Self::check(path)?;
        let listener = Listener::new(&Address::Unix(path.to_owned()), Access::Umask)?;
        Ok(Self { listener: Some(listener), ..Self::planned(cid, path) })
    }

    /// The same without opening a socket, for a machine that will not run.
    #[must_use]
    pub fn planned(cid: u32, path: &Path) -> Self {
        let (said_broken, said_busy) = (Once::default(), Once::default());
        Self { cid, path: path.to_owned(), listener: None, said_broken, said_busy }
    }

    /// Refuses a path that is too long when a port is appended.
    ///
    /// # Errors
    ///
    /// The path of a port's socket would be longer than a socket's can be.
    pub fn check(path: &Path) -> Result<(), AddressError> {
        Address::Unix(of_port(path, u32::MAX)).check()
    }

    /// The guest's address.
    #[must_use]
    pub fn cid(&self) -> u32 {
        self.cid
    }

    /// The path of the socket that programs connect to.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn listener(&self) -> Option<&Listener> {
        self.listener.as_ref()
    }
}

impl Connect for Host {
    fn connect(&self, port: u32) -> io::Result<OwnedFd> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        connect(&socket, &SocketAddrUnix::new(of_port(&self.path, port))?)?;
        Ok(socket)
    }
}

/// The path at which a program of the host listens for `port`.
fn of_port(path: &Path, port: u32) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!("_{port}"));
    name.into()
}
