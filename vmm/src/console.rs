//! The main thread: input, signals, and news of the machine, which a thread of its own builds, runs and takes down. Nothing here waits
//! for anything else.

mod input;
mod leaving;
mod session;

use std::{fs::File, io, os::fd::AsFd, time::Duration};

use devices::output::{Output, OutputOptions};
use event_manager::{EventManager, SubscriberOps};

use self::{input::Input, session::Session};
use crate::{
    config::SerialConfig,
    link::{self, Link},
    signals::Signals,
    terminal::{self, Terminal},
    wishes::Wishes,
};

/// How long the guest's output waits for more.
const BATCH_TIME: Duration = Duration::from_millis(10);

/// The main thread's part of a machine. It outlives the machine's resets.
#[derive(Debug)]
pub struct Console {
    signals: Signals,
    wishes: Wishes,
    /// Whoever started nvmm wants it to survive its terminal (`nohup`).
    survives_hang_up: bool,
    /// nvmm was started on a terminal, whatever stdin is.
    had_terminal: bool,
    /// Given back when this is dropped.
    terminal: Option<Terminal>,
    input: Option<Input>,
    messages: Option<Output>,
}

/// Opens what COM1 writes to, and tells the main thread. A FIFO waits for its reader here. `None`: nowhere.
///
/// # Errors
///
/// The file can't be made.
pub fn output(config: &SerialConfig, link: &Link) -> io::Result<Option<Output>> {
    let file = match config {
        SerialConfig::Null => return Ok(None),
        SerialConfig::File(path) => File::create(path)?,
        // It may be closed.
        SerialConfig::Stdio => match io::stdout().as_fd().try_clone_to_owned() {
            Ok(stdout) => stdout.into(),
            Err(_) => return Ok(None),
        },
    };
    let options = OutputOptions { name: "serial output", delay: BATCH_TIME, tell: true, waits: true };
    let output = Output::new(file, options)?;
    link.writes_to(&output);
    Ok(Some(output))
}

impl Console {
    /// Hears signals from here on, and makes the terminal raw if COM1 is on one. The guest has `grace` to power off after SIGTERM.
    ///
    /// # Errors
    ///
    /// The terminal refuses, or no file descriptor is left.
    pub fn new(config: &SerialConfig, grace: Duration, messages: Option<Output>) -> io::Result<Self> {
        let signals = Signals::new()?;
        let (mut terminal, mut input) = (None, None);
        if *config == SerialConfig::Stdio {
            terminal = Terminal::new()?;
            if let Some(terminal) = &terminal {
                terminal.take()?;
            }
            // Another session's terminal would stop its reader.
            if terminal.is_some() || !rustix::termios::isatty(io::stdin()) {
                input = Input::stdin(terminal.is_some());
            }
        }
        Ok(Self {
            signals,
            wishes: Wishes::new(grace),
            survives_hang_up: terminal::is_ignored(libc::SIGHUP),
            had_terminal: terminal::is_there(),
            terminal,
            input,
            messages,
        })
    }

    /// Runs `life`, which has machines built and run, on a thread of its own, and serves it until it is over or the user has had
    /// enough; the value is the exit status.
    ///
    /// # Errors
    ///
    /// The thread can't be made, or the events can't be waited for.
    pub fn serve(self, life: impl FnOnce(&Link) -> u8 + Send + 'static) -> anyhow::Result<u8> {
        let controls = link::start(life)?;
        let mut manager = EventManager::new()?;
        let id = manager.add_subscriber(Session::new(self, controls)?);
        loop {
            manager.run()?;
            if let Some(status) = manager.subscriber_mut(id)?.over() {
                return Ok(status);
            }
        }
    }
}
