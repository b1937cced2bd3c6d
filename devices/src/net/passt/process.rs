//! passt's process, and its messages.

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

/// The time that it has to end after it has closed its socket, and again after it was killed for not ending.
const END: Duration = Duration::from_millis(200);
const PAUSE: Duration = Duration::from_millis(1);

/// A process of passt, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct Process {
    child: Mutex<Child>,
    words: Mutex<Words>,
    /// A descriptor that is readable once it has ended. Linux before 5.3 has none.
    end: Option<OwnedFd>,
}

/// The end of the pipe with its messages, and the last line read from it.
#[derive(Debug)]
struct Words {
    pipe: File,
    last: Option<String>,
}

impl Process {
    /// Takes `child`, and the end of the pipe for its stderr, which never blocks.
    pub(super) fn new(child: Child, words: OwnedFd) -> Self {
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let end = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        Self { child: Mutex::new(child), words: Mutex::new(Words { pipe: words.into(), last: None }), end }
    }

    /// The process id.
    #[cfg(test)]
    pub(super) fn id(&self) -> u32 {
        self.child.lock().unwrap_or_else(PoisonError::into_inner).id()
    }

    /// A descriptor that is readable once it has ended.
    pub(super) fn end(&self) -> Option<BorrowedFd<'_>> {
        self.end.as_ref().map(AsFd::as_fd)
    }

    /// Returns how it ended, if it has.
    pub(super) fn status(&self) -> io::Result<Option<ExitStatus>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner).try_wait()
    }

    /// Describes the end of a process that has closed its socket, and so is of no more use.
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

    /// Describes the end of a process, with its last message as the reason.
    pub(super) fn tell(&self, status: ExitStatus) -> String {
        match self.last_words() {
            Some(words) => format!("passt has ended ({status}): {words}"),
            None => format!("passt has ended ({status})"),
        }
    }

    /// The last line of its messages since [`Process::forget_words`].
    pub(super) fn last_words(&self) -> Option<String> {
        let mut words = self.words();
        words.read();
        words.last.clone()
    }

    /// Forgets its messages so far, which have nothing to do with its end.
    pub(super) fn forget_words(&self) {
        let mut words = self.words();
        words.read();
        if let Some(said) = words.last.take() {
            log::debug!("passt says: {said}");
        }
    }

    /// Kills it by its open descriptor, which can't mean another process: a sandbox would not allow killing by number. On Linux before 5.3
    /// it has to end by itself.
    fn kill(&self) {
        // It fails only if the process has ended.
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
        // Without this it would end when its socket is closed. Nothing is left behind.
        self.kill();
        if self.end.is_some() {
            let _ = self.child.get_mut().unwrap_or_else(PoisonError::into_inner).wait();
        }
    }
}

impl Words {
    /// Reads new messages.
    fn read(&mut self) {
        let mut bytes = [0; 1 << 16];
        let len = self.pipe.read(&mut bytes).unwrap_or(0);
        let text = String::from_utf8_lossy(&bytes[..len]);
        if let Some(line) = text.lines().map(str::trim).rfind(|line| !line.is_empty()) {
            self.last = Some(line.printable().to_string());
        }
    }
}
