//! Output to whoever reads it, or does not.

use std::{
    collections::VecDeque,
    fmt,
    fs::File,
    io::{self, ErrorKind, Write},
    os::fd::OwnedFd,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    fs::FileType,
    io::ioctl_fionread,
    time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    },
};
use vmm_sys_util::{
    eventfd::{EFD_NONBLOCK, EventFd},
    signal::{block_signal, unblock_signal},
};

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
#[derive(Clone)]
pub struct Output(Arc<Shared>);

/// How an [`Output`] behaves.
#[derive(Clone, Copy, Debug)]
pub struct OutputOptions {
    /// What messages call it.
    pub name: &'static str,
    /// How long a byte waits for more.
    pub delay: Duration,
    /// Whether losses and errors are logged. The log's own can't be.
    pub tell: bool,
    /// Whether the one who writes to a regular file may wait for it.
    pub waits: bool,
}

struct Shared {
    options: OutputOptions,
    file: File,
    /// The file takes all in the end, so its writer waits.
    lossless: bool,
    is_pipe: bool,
    /// Has the thread look at what waits.
    timer: OwnedFd,
    state: Mutex<State>,
    /// There is room again.
    room: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<u8>,
    /// The thread is there.
    started: bool,
    /// The thread holds bytes that it has not got rid of yet.
    sending: bool,
    /// The timer will ring.
    armed: bool,
    /// Bytes that the file took, or refused.
    gone: u64,
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
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC)?;
        let lossless = options.waits && kind == FileType::RegularFile;
        let is_pipe = kind == FileType::Fifo;
        let (state, room) = (Mutex::default(), Condvar::new());
        let shared = Shared { options, file, lossless, is_pipe, timer, state, room };
        Ok(Self(Arc::new(shared)))
    }

    /// Writes without ever waiting.
    pub fn offer(&self, bytes: &[u8]) {
        self.0.push(bytes, false);
    }

    /// Has nobody wait for room from now on.
    pub fn abandon(&self) {
        self.0.state().abandoned = true;
        self.0.room.notify_all();
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
        let event = EventFd::new(EFD_NONBLOCK)?;
        let mut state = self.0.state();
        if state.is_gone() {
            event.write(1)?;
        }
        state.finishing = Some(event.try_clone()?);
        state.abandoned = true;
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

    /// Whether nothing waits.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.0.state().is_gone()
    }

    /// How many bytes the file took or refused: a number that grows as long as somebody reads.
    #[must_use]
    pub fn gone(&self) -> u64 {
        self.0.state().gone
    }

    /// How many bytes were read, as far as can be told: a number that changes as long as somebody reads.
    #[must_use]
    pub fn read(&self) -> u64 {
        // What is in a pipe is not read yet. Others than pipes don't say.
        let unread = if self.0.is_pipe { ioctl_fionread(&self.0.file).unwrap_or(0) } else { 0 };
        self.gone().saturating_sub(unread)
    }

    /// Whether it takes all in the end, as a regular file does.
    #[must_use]
    pub fn is_lossless(&self) -> bool {
        self.0.lossless
    }

    /// How many bytes were lost because nobody read.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.0.state().lost
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.push(bytes, true);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl State {
    fn is_gone(&self) -> bool {
        self.waiting.is_empty() && !self.sending
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
        if !state.started {
            self.start(&mut state);
        }
        let enough = before < BATCH && state.waiting.len() >= BATCH;
        if enough || state.finishing.is_some() {
            self.arm(&mut state, Duration::ZERO);
        } else if !state.armed {
            self.arm(&mut state, self.options.delay);
        }
        drop(state);
        if first_loss && self.options.tell {
            log::warn!(
                "{}: its reader does not read; of what waits for it, more than {} KiB, the oldest is lost",
                self.options.name,
                CAPACITY >> 10
            );
        }
    }

    fn start(self: &Arc<Self>, state: &mut State) {
        let shared = Arc::clone(self);
        let thread = thread::Builder::new().name(self.options.name.to_owned());
        match without_signals(|| thread.spawn(move || shared.send_all())) {
            Ok(_) => state.started = true,
            // The next byte tries again.
            Err(_) => state.lost += state.waiting.drain(..).count() as u64,
        }
    }

    /// The thread. It goes when nvmm does.
    fn send_all(&self) {
        let mut failing = false;
        loop {
            // Until the timer rings. An error could only be that of a signal.
            let _ = rustix::io::read(&self.timer, &mut [0_u8; 8]);
            self.state().armed = false;
            while let Some(batch) = self.next_batch() {
                let sent = send(&self.file, &batch);
                let mut state = self.state();
                state.gone += batch.len() as u64;
                state.sending = false;
                if let (true, Some(event)) = (state.is_gone(), &state.finishing) {
                    let _ = event.write(1);
                }
                self.room.notify_all();
                drop(state);
                match sent {
                    Ok(()) => failing = false,
                    Err(error) if !std::mem::replace(&mut failing, true) && self.options.tell => {
                        log::warn!("{} is lost: {error}", self.options.name);
                    }
                    Err(_) => {}
                }
            }
        }
    }

    fn next_batch(&self) -> Option<Vec<u8>> {
        let mut state = self.state();
        // At the end, so that a slow terminal is seen to read.
        let most = if state.finishing.is_some() && !self.lossless { BATCH / 16 } else { BATCH };
        let len = state.waiting.len().min(most);
        if len == 0 {
            return None;
        }
        state.sending = true;
        let batch = state.waiting.drain(..len).collect();
        self.room.notify_all();
        Some(batch)
    }
}

/// Does what makes a thread, which then leaves the signals that a program may wait for to the others. One that took such a signal would
/// end the process by its default action.
fn without_signals<T>(work: impl FnOnce() -> T) -> T {
    const WAITED_FOR: [i32; 7] = [
        libc::SIGHUP,
        libc::SIGINT,
        libc::SIGQUIT,
        libc::SIGUSR1,
        libc::SIGTERM,
        libc::SIGCONT,
        libc::SIGTSTP,
    ];
    // An error: it is blocked already.
    let blocked: Vec<i32> = WAITED_FOR.into_iter().filter(|&signal| block_signal(signal).is_ok()).collect();
    let value = work();
    for signal in blocked {
        let _ = unblock_signal(signal);
    }
    value
}

/// Writes it all, however long that takes.
fn send(mut file: &File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(sent) => bytes = &bytes[sent..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Somebody else who has the file wants it so.
            Err(error) if error.kind() == ErrorKind::WouldBlock => wait_for_room(file)?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn wait_for_room(file: &File) -> io::Result<()> {
    use rustix::event::{PollFd, PollFlags, poll};
    match poll(&mut [PollFd::new(file, PollFlags::OUT)], None) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
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
