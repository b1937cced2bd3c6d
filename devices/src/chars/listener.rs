//! Sockets that listen, and the files of those that are unix sockets.

use std::{
    ffi::OsString,
    fs, io,
    net::TcpListener,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::{
            ffi::{OsStrExt, OsStringExt},
            fs::{FileTypeExt, MetadataExt},
            net::UnixDatagram,
        },
    },
    path::{Path, PathBuf},
    process,
};

use rustix::{
    fs::{Mode, fchmod},
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, listen, socket_with},
    process::{Pid, getpid, test_kill_process},
};

use super::address::{Address, AddressError, LONGEST_PATH};
use crate::root;

/// The most connections that wait to be accepted.
const BACKLOG: i32 = 128;
/// The most temporary names to try. A killed process with the same id may have left some of them behind.
const TEMPORARY_NAMES: u32 = 10;

/// A listening socket. Its file, if it has one, is removed when this is dropped.
#[derive(Debug)]
pub struct Listener {
    socket: OwnedFd,
    address: Address,
    _file: Option<SocketFile>,
}

/// The users that may connect to a unix socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// All users that the process's umask allows.
    Umask,
    /// Only the user of this process: the file has mode 0600.
    Owner,
}

/// A socket file that this process made. It is removed when this is dropped, unless another file has taken its place.
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
    /// Another program listens there, the path is too long or is another kind of file, or the host refuses.
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
                address.check()?;
                remove_stale(address, path)?;
                remove_temporary(path);
                let (socket, temporary) = unix_beside(path, access).map_err(failed)?;
                let file = temporary.link(path).map_err(|error| match error.kind() {
                    // Another program was quicker.
                    io::ErrorKind::AlreadyExists => AddressError::PathInUse(address.clone()),
                    _ => failed(error),
                })?;
                Ok(Self { socket, address: address.clone(), _file: Some(file) })
            }
        }
    }

    /// The address, with the actual port if any free one was asked for.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Accepts a connection and makes it non-blocking; none if nobody waits.
    ///
    /// # Errors
    ///
    /// No file descriptor is left, for example.
    pub fn accept(&self) -> io::Result<Option<OwnedFd>> {
        loop {
            match accept_with(&self.socket, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
                Ok(socket) => return Ok(Some(socket)),
                Err(Errno::AGAIN) => return Ok(None),
                // The connection has been closed already.
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

/// Listens at a temporary name beside `path`. If the file gets its final name only when the socket listens, no early peer is refused.
fn unix_beside(path: &Path, access: Access) -> io::Result<(OwnedFd, SocketFile)> {
    let mut bound = Err(io::ErrorKind::NotFound.into());
    for temporary in temporary_paths(path) {
        bound = unix(&temporary, access).and_then(|socket| Ok((socket, SocketFile::of(&temporary)?)));
        if !bound.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse) {
            break;
        }
    }
    bound
}

/// Names beside `path`, as long as a unix socket's path allows, so that they can be recognized. `ss -x` shows them.
fn temporary_paths(path: &Path) -> impl Iterator<Item = PathBuf> {
    path.file_name().into_iter().flat_map(move |name| {
        let folder = path.with_file_name("");
        let room = LONGEST_PATH.saturating_sub(folder.as_os_str().len()).max(1);
        (0..TEMPORARY_NAMES).map(move |number| {
            let name = [b".", name.as_bytes(), format!(".{}-{number}", process::id()).as_bytes()].concat();
            folder.join(OsString::from_vec(name[name.len().saturating_sub(room)..].to_vec()))
        })
    })
}

/// Removes the temporary names beside `path` that killed processes have left behind. The name contains the process's id.
fn remove_temporary(path: &Path) {
    let Some(name) = path.file_name() else { return };
    let start = [b".", name.as_bytes(), b"."].concat();
    let folder = Some(path.with_file_name("")).filter(|folder| !folder.as_os_str().is_empty());
    for found in fs::read_dir(folder.as_deref().unwrap_or(Path::new("."))).into_iter().flatten().flatten() {
        let name = found.file_name();
        let is_socket = found.file_type().is_ok_and(|kind| kind.is_socket());
        let process = name.as_bytes().strip_prefix(&start[..]).and_then(process_of);
        let is_over = process
            .is_some_and(|process| process == getpid() || test_kill_process(process) == Err(Errno::SRCH));
        // The process may be in another container: so also check that nothing listens.
        if is_socket && is_over && matches!(is_left_behind(&found.path()), Ok(true)) {
            // Without permission to remove it, leave it.
            let _ = fs::remove_file(found.path());
        }
    }
}

/// The process in the end of a temporary name, which is made of a process id and the number of the attempt.
fn process_of(end: &[u8]) -> Option<Pid> {
    let (process, number) = str::from_utf8(end).ok()?.split_once('-')?;
    let _: u32 = number.parse().ok()?;
    Pid::from_raw(process.parse().ok()?)
}

/// Listens at a path. The file has its mode from the beginning.
fn unix(path: &Path, access: Access) -> io::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    if access == Access::Owner {
        // The file gets the mode of the socket.
        fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    }
    bind(&socket, &SocketAddrUnix::new(path)?)?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// Removes a socket file that a process has left behind, if there is one. Any other file is an error.
fn remove_stale(address: &Address, path: &Path) -> Result<(), AddressError> {
    let failed = |error| AddressError::Failed(address.clone(), error);
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(found) if !found.file_type().is_socket() => return Err(AddressError::NoSocket(address.clone())),
        Ok(_) => {}
    }
    if is_left_behind(path).map_err(failed)? {
        fs::remove_file(path).map_err(failed)
    } else {
        Err(AddressError::PathInUse(address.clone()))
    }
}

/// Returns whether nothing listens at a socket file any more. It tries a socket of another type, so that a listener does not take it for a
/// peer.
fn is_left_behind(path: &Path) -> io::Result<bool> {
    let tried = UnixDatagram::unbound()?.connect(path);
    Ok(tried.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused))
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        let found = fs::symlink_metadata(path)?;
        Ok(Self { path: root::canonical(path), identity: (found.dev(), found.ino()) })
    }

    /// Renames the file to a name that must not exist yet.
    fn link(self, path: &Path) -> io::Result<Self> {
        fs::hard_link(&self.path, path)?;
        Ok(Self { path: root::canonical(path), identity: self.identity })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let Some(path) = root::path_now(&self.path) else { return };
        let ours = fs::symlink_metadata(&path).is_ok_and(|it| (it.dev(), it.ino()) == self.identity);
        if ours {
            // An error can't be reported here.
            let _ = fs::remove_file(&path);
        }
    }
}

#[cfg(test)]
#[path = "listener_test.rs"]
mod tests;
