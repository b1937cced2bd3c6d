//! A serial port that is a pseudoterminal on the host.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::{
            ffi::OsStrExt,
            fs::{MetadataExt, symlink},
        },
    },
    path::{Path, PathBuf},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, epoll::EventFlags, poll},
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    io::Errno,
    pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, ptsname, unlockpt},
    termios::{OptionalActions, tcgetattr, tcsetattr},
};
use thiserror::Error;

use super::{Backend, Input, log_to, output_options, watch::Watch};
use crate::{
    output::{Output, Reader},
    printable::ToPrintable,
    root,
};

/// A pseudoterminal. Any program that opens its other side is the peer; the kernel doesn't tell one from another.
#[derive(Debug)]
pub struct Pty {
    master: OwnedFd,
    /// Kept open: a side that nobody has open counts as hung up, and would wake the watching thread all the time.
    other_side: Option<OwnedFd>,
    path: PathBuf,
    link: Option<Link>,
    watch: Watch,
    /// The descriptor is watched for input.
    reads: bool,
    output: Output,
}

/// Reasons why there is no pseudoterminal.
#[derive(Debug, Error)]
pub enum PtyError {
    /// The kernel gives none.
    #[error("no pseudoterminal can be had")]
    Open(#[source] io::Error),
    /// The link's name is taken.
    #[error("{}: there is such a file; give another name, or remove it", .0.printable())]
    Exists(PathBuf),
    /// The link can't be made.
    #[error("{}", .0.printable())]
    Link(PathBuf, #[source] io::Error),
}

/// A symbolic link that this process made. It is removed when this is dropped, unless another file has taken its place.
#[derive(Debug)]
struct Link {
    path: PathBuf,
    canonical: PathBuf,
    to: PathBuf,
}

impl Pty {
    /// Makes a pseudoterminal for the port `name`, with a symbolic link to it if one is wanted.
    ///
    /// # Errors
    ///
    /// The kernel gives none, or the link's name is taken.
    pub fn new(name: &'static str, link: Option<&Path>, log: Option<File>) -> Result<Self, PtyError> {
        let (master, other_side, path) = open().map_err(PtyError::Open)?;
        let link = link.map(|link| Link::new(link, &path)).transpose()?;
        let watch_it = || {
            let output = Output::to_readers(output_options(name))?;
            log_to(&output, log)?;
            output.connect(Reader::terminal(master.try_clone()?));
            let watch = Watch::new()?;
            watch.add(&master, EventFlags::IN)?;
            Ok((watch, output))
        };
        let (watch, output) = watch_it().map_err(PtyError::Open)?;
        Ok(Self { master, other_side: Some(other_side), path, link, watch, reads: true, output })
    }

    /// The name of the other side, such as `/dev/pts/3`.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn watch_input(&mut self, reads: bool) {
        if std::mem::replace(&mut self.reads, reads) != reads {
            let flags = if reads { EventFlags::IN } else { EventFlags::empty() };
            self.watch.modify(&self.master, flags);
        }
    }
}

impl Backend for Pty {
    fn output(&self) -> Option<Output> {
        Some(self.output.clone())
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.watch.fd())
    }

    fn serve(&mut self, input: &mut Input) {
        let mut bytes = [0; Input::CAPACITY];
        while self.other_side.is_some() && input.room() > 0 {
            let room = input.room().min(bytes.len());
            match rustix::io::read(&self.master, &mut bytes[..room]) {
                Ok(len @ 1..) => _ = input.push(&bytes[..len]),
                Err(Errno::INTR) => {}
                Ok(0) | Err(_) => break,
            }
        }
        self.watch_input(input.room() > 0);
    }

    fn finish(&mut self) {
        if self.other_side.take().is_some() {
            self.watch.remove(&self.master);
        }
        // After the other side is closed here, the kernel tells whether another program has it open.
        if is_hung_up(self.master.as_fd()) {
            self.output.disconnect();
        }
    }

    fn describe(&self) -> String {
        match &self.link {
            Some(link) => format!("pty {}, by the name {}", self.path.display(), link.path.printable()),
            None => format!("pty {}", self.path.display()),
        }
    }
}

/// Opens a pseudoterminal in raw mode from the start, so that the guest's output is never echoed.
fn open() -> io::Result<(OwnedFd, OwnedFd, PathBuf)> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    fcntl_setfl(&master, fcntl_getfl(&master)? | OFlags::NONBLOCK)?;
    let other_side = ioctl_tiocgptpeer(&master, flags)?;
    let mut modes = tcgetattr(&other_side)?;
    modes.make_raw();
    tcsetattr(&other_side, OptionalActions::Now, &modes)?;
    let path = PathBuf::from(OsStr::from_bytes(ptsname(&master, Vec::new())?.to_bytes()));
    Ok((master, other_side, path))
}

fn is_hung_up(master: BorrowedFd<'_>) -> bool {
    let mut master = [PollFd::from_borrowed_fd(master, PollFlags::empty())];
    poll(&mut master, Some(&Timespec::default())).is_ok() && master[0].revents().contains(PollFlags::HUP)
}

/// Returns whether `link` is left behind: it leads to no pseudoterminal, or to a newer one than it was made for. The kernel reuses numbers,
/// also that of the one that was just opened; a pseudoterminal that is newer than the link did not exist when the link was made.
fn is_stale(link: &Path, opened: &Path) -> bool {
    let Ok(to) = fs::read_link(link) else { return false };
    if to.parent() != opened.parent() {
        return false;
    }
    match (fs::symlink_metadata(link), fs::metadata(&to)) {
        _ if to == opened => true,
        (Ok(link), Ok(there)) => (link.mtime(), link.mtime_nsec()) < (there.ctime(), there.ctime_nsec()),
        (_, Err(error)) => error.kind() == io::ErrorKind::NotFound,
        (Err(_), _) => false,
    }
}

impl Link {
    /// Links `path` to `to`. A link that a killed process left behind is replaced.
    fn new(path: &Path, to: &Path) -> Result<Self, PtyError> {
        let failed = |error| PtyError::Link(path.to_owned(), error);
        if is_stale(path, to) {
            fs::remove_file(path).map_err(failed)?;
        }
        symlink(to, path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => PtyError::Exists(path.to_owned()),
            _ => failed(error),
        })?;
        Ok(Self { path: path.to_owned(), canonical: root::canonical(path), to: to.to_owned() })
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let Some(path) = root::path_now(&self.canonical) else { return };
        if fs::read_link(&path).is_ok_and(|to| to == self.to) {
            // An error can't be reported here.
            let _ = fs::remove_file(&path);
        }
    }
}

#[cfg(test)]
#[path = "pty_test.rs"]
mod tests;
