//! passt's process, and what it says.

use std::{
    fs::File,
    io::{self, Read},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    process::{Child, ExitStatus},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::printable::ToPrintable;

/// The time that it has to end after it has closed its socket, and again after it was killed for that.
const END: Duration = Duration::from_millis(200);
const PAUSE: Duration = Duration::from_millis(1);

/// A process of passt's, which ends with this.
#[derive(Debug)]
pub(super) struct Process {
    child: Mutex<Child>,
    words: Mutex<Words>,
    /// Readable once it has ended. Linux before 5.3 has none.
    end: Option<OwnedFd>,
}

/// The end of the pipe that holds what it says, and the last line that was read there.
#[derive(Debug)]
struct Words {
    pipe: File,
    last: Option<String>,
}

impl Process {
    /// Takes `child`, and the end of the pipe that is its stderr, which never waits.
    pub(super) fn new(child: Child, words: OwnedFd) -> Self {
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let end = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        Self { child: Mutex::new(child), words: Mutex::new(Words { pipe: words.into(), last: None }), end }
    }

    /// Its number.
    #[cfg(test)]
    pub(super) fn id(&self) -> u32 {
        self.child.lock().unwrap_or_else(PoisonError::into_inner).id()
    }

    /// Readable once it has ended.
    pub(super) fn end(&self) -> Option<BorrowedFd<'_>> {
        self.end.as_ref().map(AsFd::as_fd)
    }

    /// Returns how it ended, if it has.
    pub(super) fn status(&self) -> io::Result<Option<ExitStatus>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner).try_wait()
    }

    /// Tells the end of a process that has closed its socket: it is of no more use.
    pub(super) fn last_will(&self) -> String {
        let mut status = self.status_soon();
        if status.is_none() {
            self.kill();
            status = self.status_soon();
        }
        match status {
            Some(status) => self.tell(status),
            None => "passt has closed its socket".to_owned(),
        }
    }

    /// Tells the end of a process that ended so: the reason is what it said last.
    pub(super) fn tell(&self, status: ExitStatus) -> String {
        match self.last_words() {
            Some(words) => format!("passt has ended ({status}): {words}"),
            None => format!("passt has ended ({status})"),
        }
    }

    /// The last line that it has said, unless [`Process::forget_words`] came after that.
    pub(super) fn last_words(&self) -> Option<String> {
        let mut words = self.words();
        words.read();
        words.last.clone()
    }

    /// Forgets what it has said, since that has nothing to do with its end.
    pub(super) fn forget_words(&self) {
        let mut words = self.words();
        words.read();
        if let Some(said) = words.last.take() {
            log::debug!("passt says: {said}");
        }
    }

    /// Kills it by its open descriptor, as no other process can be meant then, which a sandbox would not allow. Linux before 5.3 leaves it to
    /// end by itself.
    fn kill(&self) {
        // An error: it has ended.
        let _ = self.end.as_ref().map(|end| pidfd_send_signal(end, Signal::KILL));
    }

    fn words(&self) -> MutexGuard<'_, Words> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn status_soon(&self) -> Option<ExitStatus> {
        let since = Instant::now();
        loop {
            match self.status() {
                Ok(None) if since.elapsed() < END => thread::sleep(PAUSE),
                status => return status.ok().flatten(),
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It leaves nothing behind. Without this it would end with its socket.
        self.kill();
        if self.end.is_some() {
            let _ = self.child.get_mut().unwrap_or_else(PoisonError::into_inner).wait();
        }
    }
}

impl Words {
    /// Reads what is new.
    fn read(&mut self) {
        let mut bytes = [0; 1 << 16];
        let len = self.pipe.read(&mut bytes).unwrap_or(0);
        let text = String::from_utf8_lossy(&bytes[..len]);
        if let Some(line) = text.lines().map(str::trim).rfind(|line| !line.is_empty()) {
            self.last = Some(line.printable().to_string());
        }
    }
}
