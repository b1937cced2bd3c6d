//! Between the main thread, which never waits for anything but news, and the thread that builds, runs and takes down machines.
//!
//! ```text
//! main thread: signals, keys, input --Command--> machine's thread: build, run, stop, again
//!              console, log         <---News----
//! ```

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    io,
    os::fd::{AsRawFd, RawFd},
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    thread,
};

use devices::{
    chars::Backend,
    output::Output,
    platform::Serial,
    threads::{self, Role},
    wakes::Wakes,
};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use crate::exit::{COULD_NOT, Exit};

/// What the main thread asks of a machine.
#[derive(Debug)]
pub(crate) enum Command {
    /// Press the power button, and tell if the guest does not listen to it.
    PowerButton,
    /// Say on stderr what was done with the disks.
    Totals,
    /// Look whether disks have grown, and tell the guest.
    Measure,
    /// Pause, or go on after a pause.
    TogglePause,
    /// End.
    Quit(Exit),
}

/// What a machine's thread waits for while the machine runs.
#[derive(Debug)]
pub(crate) enum Event {
    /// A vCPU ended it.
    Exit(Exit),
    /// The main thread asks for something.
    Command(Command),
}

/// A UART of a machine that runs, as the main thread reaches it.
#[derive(Clone, Debug)]
pub(crate) struct Attachment {
    /// The port that it belongs to: 0 is COM1.
    pub(crate) port: usize,
    /// Its [`Wakes::wakeup`], which is open as long as that is there.
    pub(crate) wakeup: RawFd,
    serial: Arc<Mutex<Serial>>,
}

impl Attachment {
    /// The UART of a port.
    pub(crate) fn new(port: usize, serial: Arc<Mutex<Serial>>) -> Self {
        let wakeup = serial.lock().unwrap_or_else(PoisonError::into_inner).wakeup().as_raw_fd();
        Self { port, wakeup, serial }
    }

    /// The UART, unless a vCPU has it for longer than a moment: one that waits for a file has.
    pub(crate) fn lock(&self) -> Option<MutexGuard<'_, Serial>> {
        for _ in 0..100 {
            match self.serial.try_lock() {
                Ok(serial) => return Some(serial),
                Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => thread::yield_now(),
            }
        }
        None
    }
}

/// A device of a machine that runs which waits for time.
#[derive(Clone, Debug)]
pub(crate) struct Waker {
    /// Its [`Wakes::wakeup`], which is open as long as that is there.
    pub(crate) wakeup: RawFd,
    device: Arc<Mutex<dyn Wakes>>,
}

impl Waker {
    /// The waker of a device.
    pub(crate) fn new(device: Arc<Mutex<dyn Wakes>>) -> Self {
        let wakeup = device.lock().unwrap_or_else(PoisonError::into_inner).wakeup().as_raw_fd();
        Self { wakeup, device }
    }

    /// Wakes it. A vCPU has it for no longer than a moment.
    pub(crate) fn wake(&self) {
        self.device.lock().unwrap_or_else(PoisonError::into_inner).on_wakeup();
    }
}

/// The parts of a running machine that the main thread serves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attached {
    /// The serial ports.
    pub(crate) uarts: Vec<Attachment>,
    /// The devices that wait for time.
    pub(crate) wakers: Vec<Waker>,
}

/// What the machine's thread tells.
#[derive(Debug)]
pub(crate) enum News {
    /// A serial port is there to be served.
    Port {
        /// 0 is COM1.
        number: usize,
        /// Its output and its input on the host.
        backend: Box<dyn Backend>,
        /// The receiver drops this once the machine may start.
        starts: Sender<()>,
    },
    /// A machine runs.
    Runs(Attached),
    /// The machine has stopped. The receiver drops the sender once it holds none of it.
    Stops(Sender<()>),
    /// All of it is gone, and another one may be built. As for [`News::Stops`].
    Gone(Sender<()>),
    /// The guest has not enabled the power button that was pressed, or is being reset.
    NobodyListens,
    /// There will be no other: the exit status.
    Ended(u8),
}

/// The machine's thread's end.
#[derive(Debug)]
pub struct Link {
    stdout: Option<Output>,
    events: Receiver<Event>,
    /// Commands that came while no machine ran.
    kept: RefCell<VecDeque<Command>>,
    /// One for each port, with nothing to give until the machine may start.
    starting: RefCell<Vec<Receiver<()>>>,
    /// The guest was asked to power off: so is the one after a reset.
    asked_to_power_off: Cell<bool>,
    /// For vCPUs.
    exits: Sender<Event>,
    news: Sender<News>,
    wake: Arc<EventFd>,
    end_is_asked: Arc<AtomicBool>,
}

/// The main thread's end.
#[derive(Debug)]
pub(crate) struct Controls {
    commands: Sender<Event>,
    end_is_asked: Arc<AtomicBool>,
}

/// The main thread's end of the news.
#[derive(Debug)]
pub(crate) struct Inbox {
    news: Receiver<News>,
    wake: Arc<EventFd>,
}

/// Runs `life` on a thread of its own, with a port on `stdout`, if that is open. What it returns comes as [`News::Ended`].
pub(crate) fn start(
    stdout: Option<Output>,
    life: impl FnOnce(&Link) -> u8 + Send + 'static,
) -> io::Result<(Controls, Inbox)> {
    let (link, controls, inbox) = ends(stdout)?;
    threads::spawn(&Role::Machine, move || {
        let ended = panic::catch_unwind(AssertUnwindSafe(|| life(&link)));
        // The panic has said why.
        link.tell(News::Ended(ended.unwrap_or(COULD_NOT)));
    })?;
    Ok((controls, inbox))
}

/// Makes the two ends: the machine's thread's, and the main thread's, which sends commands and hears news.
pub(crate) fn ends(stdout: Option<Output>) -> io::Result<(Link, Controls, Inbox)> {
    let ((exits, events), (news, heard)) = (mpsc::channel(), mpsc::channel());
    let wake = Arc::new(EventFd::new(EFD_NONBLOCK)?);
    let end_is_asked = Arc::new(AtomicBool::new(false));
    let controls = Controls { commands: exits.clone(), end_is_asked: Arc::clone(&end_is_asked) };
    let inbox = Inbox { news: heard, wake: Arc::clone(&wake) };
    let (kept, starting, asked_to_power_off) = (RefCell::default(), RefCell::default(), Cell::default());
    Ok((
        Link { stdout, events, kept, starting, asked_to_power_off, exits, news, wake, end_is_asked },
        controls,
        inbox,
    ))
}

impl Link {
    fn tell(&self, news: News) {
        // Without a main thread there is no nvmm.
        let _ = self.news.send(news);
        if let Err(error) = self.wake.write(1) {
            log::error!("the main thread does not hear: {error}");
        }
    }

    /// The output of the port on stdio, which the main thread has made.
    pub(crate) fn stdout(&self) -> Option<Output> {
        self.stdout.clone()
    }

    /// Has the main thread serve port `number` from now on.
    pub(crate) fn serve_port(&self, number: usize, backend: Box<dyn Backend>) {
        let (starts, started) = mpsc::channel();
        self.tell(News::Port { number, backend, starts });
        self.starting.borrow_mut().push(started);
    }

    /// Waits until every port has the peer that it is to wait for.
    pub fn wait_for_peers(&self) {
        for started in self.starting.take() {
            // An error: that is how it may start.
            let _ = started.recv();
        }
    }

    /// Says that a machine runs, and which of its parts the main thread serves.
    pub(crate) fn runs(&self, attached: Attached) {
        self.tell(News::Runs(attached));
    }

    /// Says that the machine stops, and returns when the main thread has let go of it.
    pub(crate) fn stops(&self) {
        self.tell_and_wait(News::Stops);
    }

    fn tell_and_wait(&self, news: impl FnOnce(Sender<()>) -> News) {
        let (held, released) = mpsc::channel();
        self.tell(news(held));
        // An error: that is how it is released.
        let _ = released.recv();
    }

    /// Says that the machine is gone. Returns how nvmm ends, if the user wants no other one: whoever asks for that later does not
    /// wait for this thread. What else was asked for is kept for the next machine.
    pub fn gone(&self) -> Option<Exit> {
        self.tell_and_wait(News::Gone);
        for event in self.events.try_iter() {
            match event {
                Event::Command(Command::Quit(exit)) => return Some(exit),
                // A machine that is not there has nothing to put away.
                Event::Command(Command::PowerButton) => self.tell(News::NobodyListens),
                Event::Command(command) => self.kept.borrow_mut().push_back(command),
                // One more vCPU has ended the old machine.
                Event::Exit(_) => {}
            }
        }
        None
    }

    /// Returns whether the user has asked for the end, and leaves the request where it is.
    pub(crate) fn end_is_asked(&self) -> bool {
        self.end_is_asked.load(Ordering::SeqCst)
    }

    /// Returns whether the guest, or the one before the last reset, was asked to power off.
    pub(crate) fn is_asked_to_power_off(&self) -> bool {
        self.asked_to_power_off.get()
    }

    /// Answers [`Command::PowerButton`]: whether the guest listens to it.
    pub(crate) fn answer_power_button(&self, listens: bool) {
        if listens {
            self.asked_to_power_off.set(true);
        } else {
            self.tell(News::NobodyListens);
        }
    }

    /// Waits for what happens to the machine next.
    pub(crate) fn next(&self) -> Option<Event> {
        let kept = self.kept.borrow_mut().pop_front().map(Event::Command);
        kept.or_else(|| self.events.recv().ok())
    }

    /// For a vCPU: how it ends the machine.
    pub(crate) fn exits(&self) -> Sender<Event> {
        self.exits.clone()
    }
}

impl Controls {
    /// Asks for something. While no machine runs, [`Command::Quit`] keeps the next one from running, and all else waits for it.
    pub(crate) fn send(&self, command: Command) {
        if let Command::Quit(_) = command {
            self.end_is_asked.store(true, Ordering::SeqCst);
        }
        // Without a thread that hears it there are news, too.
        let _ = self.commands.send(Event::Command(command));
    }
}

impl Inbox {
    /// Takes the news that have come.
    pub(crate) fn take(&self) -> impl Iterator<Item = News> {
        // Makes it unreadable before the news are looked at.
        let _ = self.wake.read();
        self.news.try_iter()
    }
}

impl AsRawFd for Inbox {
    fn as_raw_fd(&self) -> RawFd {
        self.wake.as_raw_fd()
    }
}

#[cfg(test)]
#[path = "link_test.rs"]
mod tests;
