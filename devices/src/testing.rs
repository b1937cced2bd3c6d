//! Stand-ins for the machine in the tests of several modules.

use std::{
    cell::RefCell,
    fs::File,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use vmm_sys_util::eventfd::EventFd;

use crate::{
    irq::{Line, Msi, MsiMessage},
    platform::Timer,
};

/// A line that records its level, and the number of rises.
#[derive(Debug, Default)]
pub(crate) struct FakeLine {
    high: AtomicBool,
    edges: AtomicU32,
}

impl FakeLine {
    pub(crate) fn high(&self) -> bool {
        self.high.load(Ordering::SeqCst)
    }

    /// The number of rises since the last call.
    pub(crate) fn take_edges(&self) -> u32 {
        self.edges.swap(0, Ordering::SeqCst)
    }
}

impl Line for FakeLine {
    fn set(&self, high: bool) {
        if !self.high.swap(high, Ordering::SeqCst) && high {
            self.edges.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// A message-signalled interrupt that counts.
#[derive(Debug, Default)]
pub(crate) struct FakeMsi {
    message: Mutex<MsiMessage>,
    sets: AtomicU32,
    signals: AtomicU32,
    /// The descriptors of the events that are attached.
    attached: Mutex<Vec<RawFd>>,
}

impl FakeMsi {
    pub(crate) fn message(&self) -> MsiMessage {
        *self.message.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of times the message was set since the last call.
    pub(crate) fn take_sets(&self) -> u32 {
        self.sets.swap(0, Ordering::SeqCst)
    }

    /// The number of signals since the last call.
    pub(crate) fn take_signals(&self) -> u32 {
        self.signals.swap(0, Ordering::SeqCst)
    }

    /// The descriptors of the events that are attached.
    pub(crate) fn attached(&self) -> Vec<RawFd> {
        self.attached.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Msi for FakeMsi {
    fn set_message(&self, message: MsiMessage) {
        *self.message.lock().unwrap_or_else(PoisonError::into_inner) = message;
        self.sets.fetch_add(1, Ordering::SeqCst);
    }

    fn signal(&self) {
        self.signals.fetch_add(1, Ordering::SeqCst);
    }

    fn attach(&self, event: &EventFd) -> io::Result<()> {
        self.attached.lock().unwrap_or_else(PoisonError::into_inner).push(event.as_raw_fd());
        Ok(())
    }

    fn detach(&self, event: &EventFd) {
        let mut attached = self.attached.lock().unwrap_or_else(PoisonError::into_inner);
        let at = attached.iter().position(|&fd| fd == event.as_raw_fd()).expect("it is attached");
        attached.remove(at);
    }
}

/// A clock that a test moves. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct FakeTimer {
    /// The current time, and the timer's setting.
    state: Arc<Mutex<(Duration, Option<Duration>)>>,
    /// An arbitrary descriptor.
    file: Arc<File>,
}

impl FakeTimer {
    pub(crate) fn new(now: Duration) -> Self {
        let file = File::open("/dev/null").expect("/dev/null");
        Self { state: Arc::new(Mutex::new((now, None))), file: Arc::new(file) }
    }

    fn with<T>(&self, what: impl FnOnce(&mut (Duration, Option<Duration>)) -> T) -> T {
        what(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn set_now(&self, now: Duration) {
        self.with(|state| state.0 = now);
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.with(|state| state.0 += time);
    }

    /// The current setting.
    pub(crate) fn at(&self) -> Option<Duration> {
        self.with(|state| state.1)
    }
}

impl Timer for FakeTimer {
    fn now(&self) -> Duration {
        self.with(|state| state.0)
    }

    fn set(&mut self, at: Option<Duration>) {
        self.with(|state| state.1 = at);
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

thread_local! {
    static SAID: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

#[derive(Debug)]
struct Log;

impl log::Log for Log {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Warn
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            SAID.with_borrow_mut(|said| said.push(record.args().to_string()));
        }
    }

    fn flush(&self) {}
}

/// This thread's warnings and errors, at the default log level, while it does `work`.
pub(crate) fn said_by(work: impl FnOnce()) -> Vec<String> {
    // Set by another test, it is the same.
    let _set = log::set_logger(&Log);
    log::set_max_level(log::LevelFilter::Warn);
    SAID.take();
    work();
    SAID.take()
}
