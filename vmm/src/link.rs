//! Between the main thread, which never waits for anything but news, and the thread that builds, runs and takes down machines.
//!
//! ```text
//! main thread: signals, keys, input --Command--> machine's thread: build, run, stop, again
//!              console, log         <---News----
//! ```

use std::{
    io,
    os::fd::{AsRawFd, RawFd},
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, Sender, TryRecvError},
    },
    thread,
};

use devices::{
    output::Output,
    platform::{PowerManagement, Serial},
};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use crate::exit::{COULD_NOT, Exit};

/// What the main thread asks of a machine.
#[derive(Debug)]
pub(crate) enum Command {
    /// Say on stderr what was done with the disks.
    Totals,
    /// Look whether disks have grown, and tell the guest.
    Measure,
    /// Stop the vCPUs and the devices until [`Command::Resume`].
    Pause,
    /// Go on after [`Command::Pause`].
    Resume,
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

/// What the main thread reaches of a machine that runs.
#[derive(Debug)]
pub(crate) struct Attached {
    /// The serial ports.
    pub(crate) ports: Vec<Port>,
    /// The power button.
    pub(crate) power: Arc<Mutex<PowerManagement>>,
}

/// A serial port that the main thread serves.
#[derive(Clone, Debug)]
pub(crate) struct Port {
    /// The port.
    pub(crate) serial: Arc<Mutex<Serial>>,
    /// Its [`Serial::wakeup`], which is open as long as the port is there.
    pub(crate) wakeup: RawFd,
}

impl Port {
    /// A port that is just made.
    pub(crate) fn new(serial: Arc<Mutex<Serial>>) -> Self {
        let wakeup = serial.lock().unwrap_or_else(PoisonError::into_inner).wakeup().as_raw_fd();
        Self { serial, wakeup }
    }
}

/// What the machine's thread tells.
#[derive(Debug)]
pub(crate) enum News {
    /// COM1's output goes there.
    Output(Output),
    /// A machine runs.
    Runs(Attached),
    /// The machine has stopped. The receiver drops the sender once it holds none of it.
    Stops(Sender<()>),
    /// All of it is gone, and another one may be built. As for [`News::Stops`].
    Gone(Sender<()>),
    /// There will be no other: the exit status.
    Ended(u8),
}

/// The machine's thread's end.
#[derive(Debug)]
pub struct Link {
    events: Receiver<Event>,
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
    news: Receiver<News>,
    /// Readable when there are news.
    pub(crate) wake: Arc<EventFd>,
}

/// Runs `life` on a thread of its own. What it returns comes as [`News::Ended`].
pub(crate) fn start(life: impl FnOnce(&Link) -> u8 + Send + 'static) -> io::Result<Controls> {
    let ((exits, events), (news, heard)) = (mpsc::channel(), mpsc::channel());
    let wake = Arc::new(EventFd::new(EFD_NONBLOCK)?);
    let end_is_asked = Arc::new(AtomicBool::new(false));
    let controls = Controls {
        commands: exits.clone(),
        end_is_asked: Arc::clone(&end_is_asked),
        news: heard,
        wake: Arc::clone(&wake),
    };
    let link = Link { events, exits, news, wake, end_is_asked };
    thread::Builder::new().name("machine".to_owned()).spawn(move || {
        let ended = panic::catch_unwind(AssertUnwindSafe(|| life(&link)));
        // The panic has said why.
        link.tell(News::Ended(ended.unwrap_or(COULD_NOT)));
    })?;
    Ok(controls)
}

impl Link {
    fn tell(&self, news: News) {
        // Without a main thread there is no nvmm.
        let _ = self.news.send(news);
        if let Err(error) = self.wake.write(1) {
            log::error!("the main thread does not hear: {error}");
        }
    }

    /// Says where COM1's output goes.
    pub fn writes_to(&self, output: &Output) {
        self.tell(News::Output(output.clone()));
    }

    /// Says that a machine runs.
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
    /// wait for this thread.
    pub fn gone(&self) -> Option<Exit> {
        self.tell_and_wait(News::Gone);
        loop {
            match self.events.try_recv() {
                Ok(Event::Command(Command::Quit(exit))) => return Some(exit),
                Ok(_) => {}
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return None,
            }
        }
    }

    /// Whether the user has asked for the end. It is not taken.
    pub(crate) fn end_is_asked(&self) -> bool {
        self.end_is_asked.load(Ordering::SeqCst)
    }

    /// Waits for what happens to the machine next.
    pub(crate) fn next(&self) -> Option<Event> {
        self.events.recv().ok()
    }

    /// For a vCPU: how it ends the machine.
    pub(crate) fn exits(&self) -> Sender<Event> {
        self.exits.clone()
    }
}

impl Controls {
    /// Asks for something. While no machine runs, only [`Command::Quit`] is heard.
    pub(crate) fn send(&self, command: Command) {
        if let Command::Quit(_) = command {
            self.end_is_asked.store(true, Ordering::SeqCst);
        }
        // Without a thread that hears it there are news, too.
        let _ = self.commands.send(Event::Command(command));
    }

    /// The next news, if any.
    pub(crate) fn news(&self) -> Option<News> {
        self.news.try_recv().ok()
    }
}
