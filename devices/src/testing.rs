//! What the tests of several modules stand in for the machine with.

use std::{
    cell::RefCell,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use crate::irq::{Line, Msi, MsiMessage};

/// A line that remembers its level, and how often it rose.
#[derive(Debug, Default)]
pub(crate) struct FakeLine {
    high: AtomicBool,
    edges: AtomicU32,
}

impl FakeLine {
    pub(crate) fn high(&self) -> bool {
        self.high.load(Ordering::SeqCst)
    }

    /// How often it rose since this was last asked.
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
}

impl FakeMsi {
    pub(crate) fn message(&self) -> MsiMessage {
        *self.message.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often the message was set since this was last asked.
    pub(crate) fn take_sets(&self) -> u32 {
        self.sets.swap(0, Ordering::SeqCst)
    }

    /// How often it was signalled since this was last asked.
    pub(crate) fn take_signals(&self) -> u32 {
        self.signals.swap(0, Ordering::SeqCst)
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

/// What this thread says by default, in warnings and errors, while it does `work`.
pub(crate) fn said_by(work: impl FnOnce()) -> Vec<String> {
    // Set by another test, it is the same.
    let _set = log::set_logger(&Log);
    log::set_max_level(log::LevelFilter::Warn);
    SAID.take();
    work();
    SAID.take()
}
