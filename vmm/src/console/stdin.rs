//! stdin, read so that the main thread never waits for it.

use std::{
    fs::File,
    io::{self, Read},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd, RawFd},
        unix::fs::OpenOptionsExt,
    },
    thread,
};

use rustix::fs::{FileType, fstat};
use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};

/// stdin, until its end.
#[derive(Debug)]
pub(super) struct Stdin {
    file: File,
    /// epoll refuses files that are always readable: they come through a pipe, once they are to be read.
    needs_pump: bool,
    /// There will be no more.
    ended: bool,
}

impl Stdin {
    /// stdin, if it is open.
    pub(super) fn new() -> Option<Self> {
        let shared = File::from(io::stdin().as_fd().try_clone_to_owned().ok()?);
        Some(Self::of(not_waiting(&shared).unwrap_or(shared)))
    }

    fn of(file: File) -> Self {
        let needs_pump = !is_watchable(&file);
        Self { file, needs_pump, ended: false }
    }

    /// The descriptor to watch, unless its end has come. What reads ahead begins to do so here.
    pub(super) fn watch(&mut self) -> Option<RawFd> {
        if self.needs_pump && !self.ended {
            self.needs_pump = false;
            if let Err(error) = self.pump() {
                log::warn!("stdin is not read: {error}");
                self.ended = true;
            }
        }
        (!self.ended).then(|| self.file.as_raw_fd())
    }

    /// Whether its end has come.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Reads some of what there is.
    pub(super) fn read<'a>(&mut self, bytes: &'a mut [u8]) -> &'a [u8] {
        match self.file.read(bytes) {
            Ok(len @ 1..) => return &bytes[..len],
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Ok(0) | Err(_) => self.ended = true,
        }
        &[]
    }

    fn pump(&mut self) -> io::Result<()> {
        let (reader, mut writer) = io::pipe()?;
        let mut file = self.file.try_clone()?;
        thread::Builder::new().name("stdin".to_owned()).spawn(move || io::copy(&mut file, &mut writer))?;
        self.file = OwnedFd::from(reader).into();
        Ok(())
    }
}

/// Whether epoll takes it.
fn is_watchable(file: &File) -> bool {
    let event = EpollEvent::new(EventSet::IN, 0);
    Epoll::new().is_ok_and(|epoll| epoll.ctl(ControlOperation::Add, file.as_raw_fd(), event).is_ok())
}

/// The same terminal or pipe, opened again, so that a read never waits though somebody else read first. The flag must not be set on
/// what other processes share.
fn not_waiting(file: &File) -> Option<File> {
    let pipe = FileType::from_raw_mode(fstat(file).ok()?.st_mode) == FileType::Fifo;
    if !pipe && !rustix::termios::isatty(file) {
        return None;
    }
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path).ok()
}

#[cfg(test)]
#[path = "stdin_test.rs"]
mod tests;
