//! Addresses of sockets, to listen at or to connect to.

use std::{
    fmt, io,
    net::{SocketAddr, ToSocketAddrs},
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::PathBuf,
    time::Duration,
};

use rustix::{
    io::Errno,
    net::{
        AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with,
        sockopt::{
            set_socket_keepalive, set_tcp_keepcnt, set_tcp_keepidle, set_tcp_keepintvl, set_tcp_nodelay,
        },
    },
};
use thiserror::Error;

use crate::printable::ToPrintable;

/// The longest path of a unix socket, in bytes: `sun_path` less the NUL at its end, unix(7).
pub(super) const LONGEST_PATH: usize = 107;
/// The time after which a silent peer is probed: its machine may have gone away unnoticed.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
const KEEP_ALIVE_AGAIN: Duration = Duration::from_secs(10);
const KEEP_ALIVE_TIMES: u32 = 3;

/// The address of a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A TCP port. The host is a name or an IP address.
    Tcp {
        /// The host.
        host: String,
        /// The port. Listening at 0 means any free port.
        port: u16,
    },
    /// A unix socket's path.
    Unix(PathBuf),
}

/// Reasons why there is no socket.
#[derive(Debug, Error)]
pub enum AddressError {
    /// Another program listens at the TCP port.
    #[error("{0}: another program listens there; give another port")]
    PortInUse(Address),
    /// Another program listens at the socket file.
    #[error("{0}: another program listens there; give another path")]
    PathInUse(Address),
    /// The file is no socket.
    #[error("{0}: there is a file that is no socket; give another path, or remove it")]
    NoSocket(Address),
    /// The path is too long for a unix socket.
    #[error(
        "{0}: the path has {1} bytes, and a unix socket's has at most {LONGEST_PATH}; give a shorter one"
    )]
    PathTooLong(Address, usize),
    /// The host's name has no address.
    #[error("{0}: the host has no address")]
    NoHost(Address),
    /// Any other error.
    #[error("{0}")]
    Failed(Address, #[source] io::Error),
}

/// An address that [`Resolved::connect`] can use without a name server.
#[derive(Clone, Debug)]
pub(super) enum Resolved {
    Tcp(Vec<SocketAddr>),
    Unix(PathBuf),
}

impl Address {
    /// The kind of socket, by the command line's name.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Tcp { .. } => "tcp",
            Self::Unix(_) => "unix",
        }
    }

    /// Refuses a path that is too long for a unix socket.
    ///
    /// # Errors
    ///
    /// The path is too long.
    pub fn check(&self) -> Result<(), AddressError> {
        match self {
            Self::Unix(path) if path.as_os_str().as_bytes().len() > LONGEST_PATH => {
                Err(AddressError::PathTooLong(self.clone(), path.as_os_str().as_bytes().len()))
            }
            Self::Tcp { .. } | Self::Unix(_) => Ok(()),
        }
    }

    /// Resolves a host's name, which can take a while.
    pub(super) fn resolve(&self) -> Result<Resolved, AddressError> {
        match self {
            Self::Tcp { host, port } => {
                let found = (host.as_str(), *port).to_socket_addrs();
                let found: Vec<_> =
                    found.map_err(|error| AddressError::Failed(self.clone(), error))?.collect();
                if found.is_empty() {
                    return Err(AddressError::NoHost(self.clone()));
                }
                Ok(Resolved::Tcp(found))
            }
            Self::Unix(path) => {
                self.check()?;
                Ok(Resolved::Unix(path.clone()))
            }
        }
    }
}

impl Resolved {
    /// The number of addresses to try.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Tcp(addresses) => addresses.len(),
            Self::Unix(_) => 1,
        }
    }

    /// Begins to connect to one of the addresses, without waiting. Once the socket is writable, its error tells the result.
    pub(super) fn connect(&self, which: usize) -> io::Result<OwnedFd> {
        let open = |family| {
            socket_with(family, SocketType::STREAM, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None)
        };
        let (socket, connected) = match self {
            Self::Tcp(addresses) => {
                let address = &addresses[which % addresses.len()];
                let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
                let socket = open(family)?;
                let connected = connect(&socket, address);
                (socket, connected)
            }
            Self::Unix(path) => {
                let socket = open(AddressFamily::UNIX)?;
                let connected = connect(&socket, &SocketAddrUnix::new(path)?);
                (socket, connected)
            }
        };
        match connected {
            Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
            Err(error) => Err(error.into()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{}", path.printable()),
        }
    }
}

/// Prepares a connection for typing: each key is sent at once, and a peer that went away unnoticed is detected. A unix socket supports
/// neither, and needs neither.
pub fn prepare(socket: impl AsFd) {
    let socket = socket.as_fd();
    let _ = set_tcp_nodelay(socket, true);
    let _ = set_socket_keepalive(socket, true);
    let _ = set_tcp_keepidle(socket, KEEP_ALIVE);
    let _ = set_tcp_keepintvl(socket, KEEP_ALIVE_AGAIN);
    let _ = set_tcp_keepcnt(socket, KEEP_ALIVE_TIMES);
}

#[cfg(test)]
#[path = "address_test.rs"]
mod tests;
