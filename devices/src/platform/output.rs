use std::{
    fmt,
    io::{self, ErrorKind, Write},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use log::warn;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

/// Bytes wait at most this long, in the hope of more to send along with them.
const SEND_AFTER: Timespec = nanoseconds(10_000_000);
/// The shortest wait that a timer knows; none at all disarms it.
const AT_ONCE: Timespec = nanoseconds(1);
const NEVER: Timespec = nanoseconds(0);
/// Bytes wait until there are this many: a write that a pipe takes whole (`PIPE_BUF`).
const BATCH: usize = 4096;

/// A batch of output on its way to a sink, and the timer that bounds its wait.
///
/// Writing to it never fails, and never waits unless the sink does.
pub(super) struct Output {
    sink: Box<dyn Write + Send>,
    batch: Vec<u8>,
    timer: OwnedFd,
    armed: bool,
    /// The sink's last answer was an error, which has been reported.
    failing: bool,
}

impl Output {
    pub(super) fn new(sink: Box<dyn Write + Send>) -> io::Result<Self> {
        Ok(Self {
            sink,
            batch: Vec::new(),
            timer: timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?,
            armed: false,
            failing: false,
        })
    }

    /// Sends the batch, as far as the sink takes it without blocking, and has the descriptor no longer readable.
    pub(super) fn flush_and_rest(&mut self) {
        if self.armed {
            self.wake_in(NEVER);
        }
        self.send();
    }

    /// The timer goes on: it may be there for [`Output::wake_now`].
    fn send(&mut self) {
        while !self.batch.is_empty() {
            match self.sink.write(&self.batch) {
                Ok(0) => self.fail(&ErrorKind::WriteZero.into()),
                Ok(sent) => {
                    self.batch.drain(..sent);
                    self.failing = false;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return self.wake_soon(),
                Err(error) => self.fail(&error),
            }
        }
    }

    /// Makes the descriptor readable, unless it will be anyway.
    fn wake_soon(&mut self) {
        if !self.armed {
            self.wake_in(SEND_AFTER);
        }
    }

    /// Makes the descriptor readable at once.
    pub(super) fn wake_now(&mut self) {
        self.wake_in(AT_ONCE);
    }

    /// Sets the timer; as it is set anew, it is not readable until then.
    fn wake_in(&mut self, time: Timespec) {
        let once = Itimerspec { it_interval: NEVER, it_value: time };
        self.armed = timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once).is_ok() && time != NEVER;
    }

    /// Loses the batch, and says so once until the sink works again.
    fn fail(&mut self, error: &io::Error) {
        self.batch.clear();
        if !self.failing {
            self.failing = true;
            warn!("serial output is lost: {error}");
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.batch.len() + bytes.len() > BATCH {
            self.send();
        }
        // What a sink that would block leaves no room for is lost, as on a wire.
        let room = BATCH - self.batch.len();
        self.batch.extend(bytes.iter().take(room));
        self.wake_soon();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.send();
    }
}

impl AsFd for Output {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.timer.as_fd()
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output")
            .field("batch", &self.batch.len())
            .field("failing", &self.failing)
            .finish_non_exhaustive()
    }
}

const fn nanoseconds(tv_nsec: i64) -> Timespec {
    Timespec { tv_sec: 0, tv_nsec }
}
