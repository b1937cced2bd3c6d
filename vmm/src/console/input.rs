//! COM1's input: stdin, and what of it the guest has not taken yet.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Read},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd, RawFd},
        unix::fs::OpenOptionsExt,
    },
    thread,
};

use rustix::fs::{FileType, fstat};

use crate::keys::{Escapes, Key};

/// As much of what is typed waits for the guest; what is beyond is lost, as the keys that are nvmm's own must be heard.
const TYPED: usize = 1 << 20;
/// A pipe waits by itself.
const PIPED: usize = 4096;

/// Where input comes from, and what waits.
#[derive(Debug)]
pub(super) struct Input {
    file: File,
    pending: VecDeque<u8>,
    /// On a terminal some keys are nvmm's own.
    escapes: Option<Escapes>,
    told_of_loss: bool,
    /// There will be no more.
    ended: bool,
}

impl Input {
    /// stdin, by keys if it is `typed` on a terminal.
    pub(super) fn stdin(typed: bool) -> Option<Self> {
        let shared = File::from(io::stdin().as_fd().try_clone_to_owned().ok()?);
        let file = not_waiting(&shared).unwrap_or(shared);
        Some(Self {
            file,
            pending: VecDeque::new(),
            escapes: typed.then(Escapes::default),
            told_of_loss: false,
            ended: false,
        })
    }

    /// What to watch.
    pub(super) fn fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    /// Whether it is typed, so that some keys are nvmm's own.
    pub(super) fn is_typed(&self) -> bool {
        self.escapes.is_some()
    }

    /// Whether it takes more.
    pub(super) fn has_room(&self) -> bool {
        !self.ended && (self.escapes.is_some() || self.pending.len() < PIPED)
    }

    /// Reads some of what there is. What waits for the guest waits also after the end.
    pub(super) fn read(&mut self) -> Vec<Key> {
        let mut bytes = [0; 4096];
        match self.file.read(&mut bytes) {
            Ok(len @ 1..) => return self.take(&bytes[..len]),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Ok(0) | Err(_) => self.ended = true,
        }
        Vec::new()
    }

    fn take(&mut self, bytes: &[u8]) -> Vec<Key> {
        let Some(escapes) = &mut self.escapes else {
            self.pending.extend(bytes);
            return Vec::new();
        };
        let mut typed = Vec::new();
        let keys = bytes.iter().filter_map(|&byte| escapes.feed(byte, &mut typed)).collect();
        let room = TYPED.saturating_sub(self.pending.len());
        if typed.len() > room && !std::mem::replace(&mut self.told_of_loss, true) {
            log::warn!(
                "the guest reads no input; of what is typed, all after the first {TYPED} bytes is lost"
            );
        }
        self.pending.extend(typed.iter().take(room));
        keys
    }

    /// Gives away the oldest of what waits: `give` says how much it took. Returns whether that was all.
    pub(super) fn deliver(&mut self, give: impl FnOnce(&[u8]) -> usize) -> bool {
        if !self.pending.is_empty() {
            let taken = give(self.pending.make_contiguous());
            self.pending.drain(..taken);
        }
        self.pending.is_empty()
    }

    /// Has it come through a pipe: epoll refuses files that are always readable.
    pub(super) fn pump(&mut self) -> io::Result<()> {
        let (reader, mut writer) = io::pipe()?;
        let mut file = self.file.try_clone()?;
        thread::Builder::new().name("stdin".to_owned()).spawn(move || io::copy(&mut file, &mut writer))?;
        self.file = OwnedFd::from(reader).into();
        Ok(())
    }
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
#[path = "input_test.rs"]
mod tests;
