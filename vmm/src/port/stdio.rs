//! The back end on stdin and stdout, on which the main thread never blocks.

use std::{
    fs::File,
    io::{self, Read},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::fs::OpenOptionsExt,
    },
};

use devices::{
    chars::{Backend, Input},
    output::Output,
    threads::{self, Role},
};
use rustix::{
    event::{
        PollFd, PollFlags, Timespec,
        epoll::{self, EventData, EventFlags},
        poll,
    },
    fs::{FileType, fstat, makedev},
    io::Errno,
};

/// stdin and stdout, each if it is open.
#[derive(Debug)]
pub(crate) struct Stdio {
    input: Option<Stdin>,
    output: Option<Output>,
}

impl Stdio {
    /// Reads stdin if `reads`, and writes to `output`.
    ///
    /// # Errors
    ///
    /// No file descriptor is left.
    pub(crate) fn new(reads: bool, output: Option<Output>) -> io::Result<Self> {
        let stdin = io::stdin().as_fd().try_clone_to_owned().ok().filter(|_| reads);
        Self::on(stdin.map(File::from), output)
    }

    /// The same, with `stdin` in place of the process's.
    pub(super) fn on(stdin: Option<File>, output: Option<Output>) -> io::Result<Self> {
        let input = stdin.map(|shared| Stdin::new(not_waiting(&shared).unwrap_or(shared)));
        Ok(Self { input: input.transpose()?, output })
    }
}

impl Backend for Stdio {
    fn output(&self) -> Option<Output> {
        self.output.clone()
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.input.as_ref().map(|input| input.ready.as_fd())
    }

    fn serve(&mut self, input: &mut Input) {
        if let Some(stdin) = &mut self.input {
            stdin.serve(input);
        }
    }

    fn describe(&self) -> String {
        "stdio".to_owned()
    }
}

/// stdin, until its end.
#[derive(Debug)]
struct Stdin {
    file: File,
    /// An epoll instance: readable when the file is, and there is room for its bytes.
    ready: OwnedFd,
    is_watched: bool,
    /// A file that is always readable, which epoll refuses. From the first read on, a thread copies it into a pipe.
    copied: Option<(File, io::PipeWriter)>,
    /// The end of the file was reached.
    ended: bool,
}

impl Stdin {
    fn new(file: File) -> io::Result<Self> {
        let ready = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let ended = is_null(&file);
        let mut stdin = Self { file, ready, is_watched: false, copied: None, ended };
        if !ended && stdin.watch(true) == Err(Errno::PERM) {
            let (reader, writer) = io::pipe()?;
            let file = std::mem::replace(&mut stdin.file, OwnedFd::from(reader).into());
            stdin.copied = Some((file, writer));
            stdin.watch(true)?;
        }
        Ok(stdin)
    }

    fn watch(&mut self, watched: bool) -> Result<(), Errno> {
        if watched && !self.is_watched {
            epoll::add(&self.ready, &self.file, EventData::new_u64(0), EventFlags::IN)?;
        } else if !watched && self.is_watched {
            epoll::delete(&self.ready, &self.file)?;
        }
        self.is_watched = watched;
        Ok(())
    }

    /// Reads the available bytes, as far as there is room.
    fn serve(&mut self, input: &mut Input) {
        if let Some((mut file, mut pipe)) = self.copied.take()
            && let Err(error) = threads::spawn(&Role::Input, move || io::copy(&mut file, &mut pipe))
        {
            log::warn!("stdin is not read: {error}");
        }
        let mut bytes = [0; Input::CAPACITY];
        let room = input.room().min(bytes.len());
        if room > 0 && !self.ended && is_readable(&self.file) {
            match self.file.read(&mut bytes[..room]) {
                Ok(len @ 1..) => {
                    input.push(&bytes[..len]);
                }
                // Another reader was faster.
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Ok(0) | Err(_) => self.ended = true,
            }
        }
        if let Err(error) = self.watch(!self.ended && input.room() > 0) {
            log::error!("epoll: {error}");
        }
    }
}

/// Returns whether a file is `/dev/null`, which is at its end from the start: most machines that a script starts have it, and need no
/// thread to read it.
fn is_null(file: &File) -> bool {
    // Its numbers: Documentation/admin-guide/devices.txt.
    let is_device = |stat: rustix::fs::Stat| {
        FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == makedev(1, 3)
    };
    fstat(file).is_ok_and(is_device)
}

/// Returns whether a read would return at once, if no other process reads first.
fn is_readable(file: &File) -> bool {
    poll(&mut [PollFd::new(file, PollFlags::IN)], Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}

/// The same terminal or pipe, opened again, so that a read never blocks even if another process reads first. The flag must not be set on
/// the original, which other processes share.
fn not_waiting(file: &File) -> Option<File> {
    let pipe = FileType::from_raw_mode(fstat(file).ok()?.st_mode) == FileType::Fifo;
    if !pipe && !rustix::termios::isatty(file) {
        return None;
    }
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path).ok()
}

#[cfg(test)]
#[path = "stdio_test.rs"]
mod tests;
