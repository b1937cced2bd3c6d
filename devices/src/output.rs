//! Output to readers that may be slow or absent.

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

/// The number of bytes after which output waits for no more: a write of this length to a pipe is atomic (`PIPE_BUF`).
const BATCH: usize = 4096;
/// The most bytes that wait for a reader. A guest prints less while it boots.
pub const CAPACITY: usize = 1 << 20;

/// Output that a thread of its own writes to a file, so that the writer never waits for a slow reader.
///
/// Up to [`CAPACITY`] bytes wait for the reader. When there are more, the writer waits if the file is a regular file, which takes
/// everything in the end, and if the writer may wait. Otherwise the oldest bytes are dropped and counted, with a warning the first time.
///
/// Bytes wait for some time, to be sent together with further ones: otherwise each byte of a nested guest's console would cost its host a
/// system call, and that host's host several exits. The first byte starts the thread.
///
/// An error loses the bytes that were being sent. It is logged once, until the file works again.
///
/// The output of a serial port on a socket has [`Reader`]s that come and go: waiting bytes wait for the next one, and an error ends the
/// connection to the reader, but loses no bytes.
#[derive(Clone)]
pub struct Output(Arc<Shared>);

/// The options of an [`Output`].
#[derive(Clone, Copy, Debug)]
pub struct OutputOptions {
    /// The name in messages.
    pub name: &'static str,
    /// The time for which a byte waits for more.
    pub delay: Duration,
    /// Log losses and errors. This is off for the log itself.
    pub tell: bool,
    /// The writer may wait for a regular file.
    pub waits: bool,
}

struct Shared {
    options: OutputOptions,
    /// The file takes everything in the end, so the writer waits.
    lossless: bool,
    /// Readers come and go.
    changes_readers: bool,
    /// Another output that also gets everything.
    log: OnceLock<Output>,
    /// Wakes the thread to send what waits.
    timer: OwnedFd,
    state: Mutex<State>,
    /// Signalled when there is room again.
    room: Condvar,
}

#[derive(Debug, Default)]
struct State {
    reader: Option<Arc<Reader>>,
    waiting: VecDeque<u8>,
    /// The thread exists.
    started: bool,
    /// The thread is sending bytes.
    sending: bool,
    /// The timer is set.
    armed: bool,
    /// The number of bytes that the file accepted or refused.
    gone: u64,
    /// The time at which the last of them was sent, if readers change.
    sent_at: Option<Instant>,
    lost: u64,
    /// No writer waits for room any longer.
    abandoned: bool,
    /// Signalled when all bytes have been sent.
    finishing: Option<EventFd>,
}

impl Output {
    /// Makes an output to `file`.
    ///
    /// # Errors
    ///
    /// No file descriptor is left, or the file can't be examined.
    pub fn new(file: File, options: OutputOptions) -> io::Result<Self> {
        let kind = FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode);
        let lossless = options.waits && kind == FileType::RegularFile;
        let reader = if kind == FileType::Fifo { Reader::pipe(file) } else { Reader::other(file) };
        Self::with(options, lossless, Some(reader))
    }

    /// Makes an output for readers that come and go. There is none yet.
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

    /// Also writes everything from now on to `log`. Only the first call has an effect.
    pub fn log_to(&self, log: Self) {
        let _ = self.0.log.set(log);
    }

    /// The other output that also gets everything.
    #[must_use]
    pub fn log(&self) -> Option<&Self> {
        self.0.log.get()
    }

    /// Sends waiting and further bytes to `reader`, in place of the one before.
    pub fn connect(&self, reader: Reader) {
        let mut state = self.0.state();
        let before = state.reader.replace(Arc::new(reader));
        if !state.waiting.is_empty() {
            self.0.arm(&mut state, Duration::ZERO);
        }
        drop(state);
        before.iter().for_each(|reader| reader.hang_up());
    }

    /// Ends the connection to the reader. Waiting bytes wait for the next one.
    pub fn disconnect(&self) {
        let mut state = self.0.state();
        let reader = state.reader.take();
        state.tell_if_gone();
        drop(state);
        reader.iter().for_each(|reader| reader.hang_up());
    }

    /// Returns whether a reader is connected, as far as the last bytes showed.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.0.state().reader.is_some()
    }

    /// Writes without ever blocking.
    pub fn offer(&self, bytes: &[u8]) {
        self.0.push(bytes, false);
    }

    /// Makes no writer wait for room from now on, neither here nor in the log.
    pub fn abandon(&self) {
        self.0.state().abandoned = true;
        self.0.room.notify_all();
        self.0.log.get().iter().for_each(|log| log.abandon());
    }

    /// Logs a warning if bytes were lost, with their number.
    pub fn tell_losses(&self) {
        let lost = self.lost();
        if lost > 0 && self.0.options.tell {
            log::warn!("{}: {lost} bytes are lost: nobody read them in time", self.0.options.name);
        }
    }

    /// Sends all waiting bytes at once, and makes no writer wait from now on. The returned eventfd is readable when all bytes are sent.
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

    /// Waits until all bytes are sent. It gives up if the reader takes five seconds.
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

    /// Returns whether no bytes wait.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.0.state().is_gone()
    }

    /// The number of bytes that the file has accepted or refused. It grows as long as the reader reads.
    #[must_use]
    pub fn gone(&self) -> u64 {
        self.0.state().gone
    }

    /// The number of bytes that were read, as far as that is known. It changes as long as the reader reads.
    #[must_use]
    pub fn read(&self) -> u64 {
        let state = self.0.state();
        let unread = state.reader.as_ref().map_or(0, |reader| reader.unread());
        state.gone.saturating_sub(unread)
    }

    /// Returns whether the output takes everything in the end, as a regular file does.
    #[must_use]
    pub fn is_lossless(&self) -> bool {
        self.0.lossless
    }

    /// The number of bytes that were lost because nothing read them.
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
            // At the end, no reader will come any more.
            None => gone || self.finishing.is_some(),
        }
    }

    fn tell_if_gone(&self) {
        if let (true, Some(event)) = (self.is_gone(), &self.finishing) {
            let _ = event.write(1);
        }
    }

    /// Puts back the bytes that a reader did not take before it went away.
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

    /// Sets the timer to wake the thread after `delay`.
    fn arm(&self, state: &mut State, delay: Duration) {
        // A time of zero would disarm the timer.
        let it_value = Timespec { tv_sec: 0, tv_nsec: i64::from(delay.subsec_nanos().max(1)) };
        let once = Itimerspec { it_interval: Timespec::default(), it_value };
        state.armed = timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once).is_ok();
    }

    /// Appends `bytes`. A writer of a file that doesn't wait for room loses bytes.
    fn push(self: &Arc<Self>, bytes: &[u8], waits: bool) {
        let mut state = self.state();
        // More bytes than fit are appended once everything before has been sent.
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
            // Otherwise they wait for the next reader.
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
