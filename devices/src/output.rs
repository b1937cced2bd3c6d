//! Output to whoever reads it, or does not.

mod reader;
mod sender;

use std::{
    collections::VecDeque,
    fmt,
    fs::File,
    io::{self, Write},
    os::fd::OwnedFd,
    sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use rustix::{
    fs::FileType,
    time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    },
};
use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};

pub use self::reader::Reader;

/// At this many bytes output does not wait for more: a write that a pipe takes whole (`PIPE_BUF`).
const BATCH: usize = 4096;
/// As many bytes wait for a reader. A guest prints less while it boots.
pub const CAPACITY: usize = 1 << 20;

/// Output that a thread of its own writes to a file, so that nobody waits for a reader that does not read.
///
/// Up to [`CAPACITY`] bytes wait for the reader. After that a regular file, which takes all in the end, has its writer wait if that
/// can; any other reader loses the oldest bytes: they are counted, and a warning says so the first time.
///
/// Bytes wait for a while for more to be sent along with them, as a nested guest's console would otherwise cost its host a
/// system call, and that host's host several exits, for each. The thread is started by the first byte.
///
/// An error loses what was to be sent, and is said once until the file works again.
///
/// The output of a serial port on a socket has [`Reader`]s that come and go: what waits then waits for the next one, and an error is
/// the end of the reader, not of the bytes.
#[derive(Clone)]
pub struct Output(Arc<Shared>);

/// The behaviour of an [`Output`].
#[derive(Clone, Copy, Debug)]
pub struct OutputOptions {
    /// The name in messages.
    pub name: &'static str,
    /// The time that a byte waits for more.
    pub delay: Duration,
    /// Losses and errors are logged. The log's own can't be.
    pub tell: bool,
    /// The one who writes to a regular file may wait for it.
    pub waits: bool,
}

struct Shared {
    options: OutputOptions,
    /// The file takes all in the end, so its writer waits.
    lossless: bool,
    /// Readers come and go.
    changes_readers: bool,
    /// Gets all that is written, too.
    log: OnceLock<Output>,
    /// Has the thread look at what waits.
    timer: OwnedFd,
    state: Mutex<State>,
    /// There is room again.
    room: Condvar,
}

#[derive(Debug, Default)]
struct State {
    reader: Option<Arc<Reader>>,
    waiting: VecDeque<u8>,
    /// The thread is there.
    started: bool,
    /// The thread holds bytes that it has not got rid of yet.
    sending: bool,
    /// The timer will ring.
    armed: bool,
    /// Bytes that the file took, or refused.
    gone: u64,
    /// When the last of them went, if readers change.
    sent_at: Option<Instant>,
    lost: u64,
    /// Nobody waits for room any longer.
    abandoned: bool,
    /// To be told when all is gone.
    finishing: Option<EventFd>,
}

impl Output {
    /// Makes an output to `file`.
    ///
    /// # Errors
    ///
    /// No file descriptor is left, or the file can't be looked at.
    pub fn new(file: File, options: OutputOptions) -> io::Result<Self> {
        let kind = FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode);
        let lossless = options.waits && kind == FileType::RegularFile;
        let reader = if kind == FileType::Fifo { Reader::pipe(file) } else { Reader::other(file) };
        Self::with(options, lossless, Some(reader))
    }

    /// Makes an output to readers that come and go. None is there yet.
    ///
    /// # Errors
    ///
    /// No file descriptor is left.
    pub fn to_readers(options: OutputOptions) -> io::Result<Self> {
        Self::with(options, false, None)
    }

    fn with(options: OutputOptions, lossless: bool, reader: Option<Reader>) -> io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC)?;
        let changes_readers = reader.is_none();
        let state = Mutex::new(State { reader: reader.map(Arc::new), ..State::default() });
        let (log, room) = (OnceLock::new(), Condvar::new());
        Ok(Self(Arc::new(Shared { options, lossless, changes_readers, log, timer, state, room })))
    }

    /// Has all that is written from now on written to `log` as well. The first log counts.
    pub fn log_to(&self, log: Self) {
        let _ = self.0.log.set(log);
    }

    /// The output that gets all that is written here, too.
    #[must_use]
    pub fn log(&self) -> Option<&Self> {
        self.0.log.get()
    }

    /// Sends what waits, and what comes, to `reader`. It takes the place of the one before.
    pub fn connect(&self, reader: Reader) {
        let mut state = self.0.state();
        let before = state.reader.replace(Arc::new(reader));
        if !state.waiting.is_empty() {
            self.0.arm(&mut state, Duration::ZERO);
        }
        drop(state);
        before.iter().for_each(|reader| reader.hang_up());
    }

    /// Ends the connection to the reader. What waits waits for the next one.
    pub fn disconnect(&self) {
        let mut state = self.0.state();
        let reader = state.reader.take();
        state.tell_if_gone();
        drop(state);
        reader.iter().for_each(|reader| reader.hang_up());
    }

    /// Returns whether a reader is there, as far as the last bytes told.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.0.state().reader.is_some()
    }

    /// Writes without ever waiting.
    pub fn offer(&self, bytes: &[u8]) {
        self.0.push(bytes, false);
    }

    /// Has nobody wait for room from now on, neither here nor in the log.
    pub fn abandon(&self) {
        self.0.state().abandoned = true;
        self.0.room.notify_all();
        self.0.log.get().iter().for_each(|log| log.abandon());
    }

    /// Warns if something was lost, and says how much.
    pub fn tell_losses(&self) {
        let lost = self.lost();
        if lost > 0 && self.0.options.tell {
            log::warn!("{}: {lost} bytes are lost: nobody read them in time", self.0.options.name);
        }
    }

    /// Sends what waits at once, has nobody wait for room from now on, and makes the value readable when all is gone.
    ///
    /// # Errors
    ///
    /// No file descriptor is left.
    pub fn finish(&self) -> io::Result<EventFd> {
        let event = EventFd::new(EFD_CLOEXEC | EFD_NONBLOCK)?;
        let mut state = self.0.state();
        state.finishing = Some(event.try_clone()?);
        state.abandoned = true;
        state.tell_if_gone();
        self.0.arm(&mut state, Duration::ZERO);
        self.0.room.notify_all();
        Ok(event)
    }

    /// Waits until all is gone, but not for a reader that has not read it in five seconds.
    pub fn wait(&self) {
        let deadline = Instant::now() + Duration::from_secs(5);
        let _event = self.finish();
        let mut state = self.0.state();
        while !state.is_gone() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            (state, _) = self.0.room.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Returns whether nothing waits.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.0.state().is_gone()
    }

    /// The number of bytes that the file took or refused: a number that grows as long as somebody reads.
    #[must_use]
    pub fn gone(&self) -> u64 {
        self.0.state().gone
    }

    /// The number of bytes that were read, as far as can be told: a number that changes as long as somebody reads.
    #[must_use]
    pub fn read(&self) -> u64 {
        let state = self.0.state();
        let unread = state.reader.as_ref().map_or(0, |reader| reader.unread());
        state.gone.saturating_sub(unread)
    }

    /// Returns whether it takes all in the end, as a regular file does.
    #[must_use]
    pub fn is_lossless(&self) -> bool {
        self.0.lossless
    }

    /// The number of bytes that were lost because nobody read.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.0.state().lost
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(log) = self.0.log.get() {
            log.0.push(bytes, true);
        }
        self.0.push(bytes, true);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl State {
    fn is_gone(&self) -> bool {
        let gone = self.waiting.is_empty() && !self.sending;
        match &self.reader {
            Some(reader) => gone && (self.finishing.is_none() || reader.has_all(self.sent_at)),
            // At the end nobody comes any more.
            None => gone || self.finishing.is_some(),
        }
    }

    fn tell_if_gone(&self) {
        if let (true, Some(event)) = (self.is_gone(), &self.finishing) {
            let _ = event.write(1);
        }
    }

    /// Puts back what a reader that went away did not take.
    fn put_back(&mut self, bytes: &[u8]) {
        bytes.iter().rev().for_each(|&byte| self.waiting.push_front(byte));
        let excess = self.waiting.len().saturating_sub(CAPACITY);
        self.waiting.drain(..excess);
        self.lost += excess as u64;
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the thread look at what waits after `delay`.
    fn arm(&self, state: &mut State, delay: Duration) {
        // No time at all would disarm it.
        let it_value = Timespec { tv_sec: 0, tv_nsec: i64::from(delay.subsec_nanos().max(1)) };
        let once = Itimerspec { it_interval: Timespec::default(), it_value };
        state.armed = timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once).is_ok();
    }

    /// Adds to what waits. What does not wait for room in a file is lost there.
    fn push(self: &Arc<Self>, bytes: &[u8], waits: bool) {
        let mut state = self.state();
        // More than there is ever room for goes in once all else is out.
        let full = |state: &State| !state.waiting.is_empty() && state.waiting.len() + bytes.len() > CAPACITY;
        while self.lossless && full(&state) && !state.abandoned {
            if !waits {
                return;
            }
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let before = state.waiting.len();
        state.waiting.extend(bytes);
        let excess =
            if self.lossless && !state.abandoned { 0 } else { state.waiting.len().saturating_sub(CAPACITY) };
        state.waiting.drain(..excess);
        let first_loss = excess > 0 && state.lost == 0;
        state.lost += excess as u64;
        let is_read = state.reader.is_some();
        if !state.started {
            self.start(&mut state);
        }
        let enough = before < BATCH && state.waiting.len() >= BATCH;
        if !is_read {
            // The next reader has it sent.
        } else if enough || state.finishing.is_some() {
            self.arm(&mut state, Duration::ZERO);
        } else if !state.armed {
            self.arm(&mut state, self.options.delay);
        }
        drop(state);
        if first_loss && self.options.tell {
            let who = if is_read { "its reader does not read" } else { "nobody is connected" };
            log::warn!(
                "{}: {who}; of what waits, more than {} KiB, the oldest is lost",
                self.options.name,
                CAPACITY >> 10
            );
        }
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shared { options, lossless, .. } = &*self.0;
        f.debug_struct("Output").field("options", options).field("lossless", lossless).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "output_test.rs"]
mod tests;
