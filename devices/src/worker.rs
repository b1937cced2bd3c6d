//! A thread that owns a part of a device. It can be told to stop, and then returns what it owned.

use std::{
    convert::Infallible,
    fmt, io,
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use vmm_sys_util::eventfd::EventFd;

use crate::threads::{self, Role};

/// The ways to stop a device, which differ in what becomes of requests in progress. Later ones are stronger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Halt {
    /// For a while: requests in progress are finished and answered.
    Pause,
    /// For good, or until a new driver: requests in progress are left.
    Reset,
}

/// The request that a worker ends, shared by the worker and its owner.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop(Arc<AtomicU8>);

impl Stop {
    const PAUSE: u8 = 1;
    const RESET: u8 = 2;

    /// Returns whether the worker has to end. It begins nothing more.
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire) != 0
    }

    /// Returns whether it also has to leave requests in progress.
    pub(crate) fn leaves_requests(&self) -> bool {
        self.0.load(Ordering::Acquire) == Self::RESET
    }

    /// Requests the end. The strongest request counts.
    pub(crate) fn set(&self, halt: Halt) {
        let wish = match halt {
            Halt::Pause => Self::PAUSE,
            Halt::Reset => Self::RESET,
        };
        self.0.fetch_max(wish, Ordering::AcqRel);
    }
}

/// A running thread that owns a `T`, mostly a queue. Dropping it stops the thread, and waits for it however long that takes.
pub(crate) struct Worker<T> {
    stop: Stop,
    wake: EventFd,
    /// A channel on which nothing is ever sent. It is disconnected when the thread has dropped everything.
    alive: Receiver<Infallible>,
    thread: Option<JoinHandle<Option<T>>>,
}

impl<T: Send + 'static> Worker<T> {
    /// Starts a thread that does `work`, which must end soon after `stop` is set and `wake` written.
    ///
    /// If `work` panics, `panicked` is called, which should mark the device as needing a reset. The machine continues.
    ///
    /// # Errors
    ///
    /// No descriptor or thread is left.
    pub(crate) fn spawn(
        role: &Role,
        stop: Stop,
        wake: &EventFd,
        panicked: impl FnOnce() + Send + 'static,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<Self> {
        let wake = wake.try_clone()?;
        let (dropped_last, alive) = channel();
        let thread = threads::spawn(role, move || {
            let _dropped_last = dropped_last;
            // The panic itself was printed with the thread's name. The rest of `work`'s state is dropped, not used.
            let worked = panic::catch_unwind(AssertUnwindSafe(work));
            if worked.is_err() {
                panicked();
            }
            worked.ok()
        })?;
        Ok(Self { stop, wake, alive, thread: Some(thread) })
    }
}

impl<T> Worker<T> {
    /// Tells the thread to end, and does not wait for it.
    pub(crate) fn stop(&self, halt: Halt) {
        self.stop.set(halt);
        if let Err(error) = self.wake.write(1) {
            log::error!("can't wake a device's worker: {error}");
        }
    }

    /// Waits for at most `patience`, and returns whether the thread has ended.
    pub(crate) fn has_ended(&self, patience: Duration) -> bool {
        matches!(self.alive.recv_timeout(patience), Err(RecvTimeoutError::Disconnected))
    }

    /// Waits for the thread's end, and returns the result of its work, unless it panicked.
    pub(crate) fn join(mut self) -> Option<T> {
        self.thread.take()?.join().ok().flatten()
    }
}

impl<T> Drop for Worker<T> {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.stop(Halt::Reset);
            // Panics were caught in the thread.
            let _ended = thread.join();
        }
    }
}

impl<T> fmt::Debug for Worker<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("stop", &self.stop)
            .field("thread", &self.thread)
            .finish_non_exhaustive()
    }
}

/// Converts `pause` for epoll: whole milliseconds, rounded up; `None` is for ever.
pub(crate) fn millis(pause: Option<Duration>) -> i32 {
    pause.map_or(-1, |pause| i32::try_from(pause.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX))
}

#[cfg(test)]
#[path = "worker_test.rs"]
mod tests;
