//! Sockets that listen, and the files of those that are unix sockets.

use std::{
    fs, io,
    net::TcpListener,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::{
            fs::{FileTypeExt, MetadataExt},
            net::UnixDatagram,
        },
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Mode, fchmod},
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, listen, socket_with},
};

use super::address::{Address, AddressError};

/// The most connections that wait to be taken.
const BACKLOG: i32 = 128;

/// A socket that listens. Its file, if it has one, is removed when this is dropped.
#[derive(Debug)]
pub struct Listener {
    socket: OwnedFd,
    address: Address,
    _file: Option<SocketFile>,
}

/// The users that may connect to a unix socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Whoever the process's umask lets.
    Umask,
    /// The user whose process this is: the file has mode 0600.
    Owner,
}

/// A socket file that this process made. It is removed when this is dropped, unless another one has taken its place.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl Listener {
    /// Listens at `address`. A socket file that a process has left behind is replaced.
    ///
    /// # Errors
    ///
    /// Another program listens there, the path is too long or another file's, or the host refuses.
    pub fn new(address: &Address, access: Access) -> Result<Self, AddressError> {
        let failed = |error| AddressError::Failed(address.clone(), error);
        match address {
            Address::Tcp { host, port } => {
                let listener =
                    TcpListener::bind((host.as_str(), *port)).map_err(|error| match error.kind() {
                        io::ErrorKind::AddrInUse => AddressError::PortInUse(address.clone()),
                        _ => failed(error),
                    })?;
                listener.set_nonblocking(true).map_err(failed)?;
                let port = listener.local_addr().map_err(failed)?.port();
                let address = Address::Tcp { host: host.clone(), port };
                Ok(Self { socket: listener.into(), address, _file: None })
            }
            Address::Unix(path) => {
                address.check_len(path)?;
                let socket = match unix(path, access) {
                    Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                        remove_stale(address, path)?;
                        unix(path, access)
                    }
                    bound => bound,
                };
                let socket = socket.map_err(failed)?;
                let file = SocketFile::of(path).map_err(failed)?;
                Ok(Self { socket, address: address.clone(), _file: Some(file) })
            }
        }
    }

    /// The address, with the port that was free if none was given.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Takes a connection, which then never blocks; none if nobody waits.
    ///
    /// # Errors
    ///
    /// No file descriptor is left, for example.
    pub fn accept(&self) -> io::Result<Option<OwnedFd>> {
        loop {
            match accept_with(&self.socket, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
                Ok(socket) => return Ok(Some(socket)),
                Err(Errno::AGAIN) => return Ok(None),
                // One that has gone again.
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Readable when a connection can be taken.
impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Listens at a path. The file has its mode from its first moment on.
fn unix(path: &Path, access: Access) -> io::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    if access == Access::Owner {
        // The file is made with the socket's own mode.
        fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    }
    bind(&socket, &SocketAddrUnix::new(path)?)?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// Removes a socket file that a process has left behind.
fn remove_stale(address: &Address, path: &Path) -> Result<(), AddressError> {
    let failed = |error| AddressError::Failed(address.clone(), error);
    if !fs::symlink_metadata(path).map_err(failed)?.file_type().is_socket() {
        return Err(AddressError::NoSocket(address.clone()));
    }
    // A socket of the other type finds out without being taken for a peer.
    let probe = UnixDatagram::unbound().map_err(failed)?;
    match probe.connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(failed)
        }
        _ => Err(AddressError::PathInUse(address.clone())),
    }
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        let found = fs::symlink_metadata(path)?;
        Ok(Self { path: path.to_owned(), identity: (found.dev(), found.ino()) })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path).is_ok_and(|it| (it.dev(), it.ino()) == self.identity);
        if ours {
            // Nobody is left to be told of an error.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
#[path = "listener_test.rs"]
mod tests;
