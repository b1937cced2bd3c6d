//! The main loop: the main thread waits for event sources, and reacts with commands to the machine, which a thread of its own builds, runs
//! and takes down. It never waits for anything else.
//!
//! ```text
//! sources: signals ───┐
//!          ports ─────┼─Request─> session ──Command──> machine's thread
//!          inbox ─────┘     <─Notice─┘                      │
//!            └<───────────────News, Serve(source)───────────┘
//! ```

mod leaving;
mod session;
mod signals;
mod sources;
mod wakeups;

use std::{fs::File, io, os::fd::AsFd, sync::Arc, time::Duration};

use devices::output::{Output, OutputOptions};

use self::{session::Session, signals::SignalSource, sources::Sources, wakeups::Wakeups};
use crate::{
    jail,
    link::{self, Link},
    port::{Keyboard, Port, Stdio},
    qmp, sandbox,
    signals::Signals,
    source::Source,
    terminal::Terminal,
    wishes::Wishes,
};

/// The output of the port on stdout.
const OUTPUT: OutputOptions = OutputOptions {
    name: "serial output",
    // The time for which bytes wait for more.
    delay: Duration::from_millis(10),
    tell: true,
    waits: true,
};

/// The main thread's part of a machine. It outlives the machine's resets.
#[derive(Debug)]
pub struct MainLoop {
    signals: SignalSource,
    wishes: Wishes,
    /// The port on stdin and stdout. It is made first, so that keys work before the other sources exist.
    stdio: Option<Port>,
    /// The control socket.
    qmp: Option<qmp::Server>,
    messages: Option<Output>,
    /// One of the sources connects to a server.
    connects: bool,
}

impl MainLoop {
    /// Handles signals from here on, and makes the terminal raw if the serial port `stdio` is on one. The guest has `grace` to power off
    /// after SIGTERM. With `connects`, a source that is added later connects to a server.
    ///
    /// # Errors
    ///
    /// The terminal can't be set up, or no file descriptor is left.
    pub fn new(
        stdio: Option<usize>,
        qmp: Option<qmp::Server>,
        grace: Duration,
        messages: Option<Output>,
        connects: bool,
    ) -> io::Result<Self> {
        let signals = SignalSource::new(Signals::new()?);
        let stdio = stdio.map(self::stdio).transpose()?;
        Ok(Self { signals, wishes: Wishes::new(grace), stdio, qmp, messages, connects })
    }

    /// Runs `life`, which builds and runs machines, on a thread of its own, and serves it until it is over or the user ends it. The value
    /// is the exit status.
    ///
    /// # Errors
    ///
    /// The thread can't be made, or waiting for events fails.
    pub fn serve(self, life: impl FnOnce(&Link) -> u8 + Send + 'static) -> anyhow::Result<u8> {
        let stdout = self.stdio.as_ref().and_then(Source::output);
        let (controls, inbox) = link::start(stdout, life)?;
        // From here on, only that thread opens anything.
        jail::renounce()?;
        sandbox::close_main(self.connects)?;
        let progress = Arc::clone(controls.progress());
        let mut session = Session::new(controls, self.wishes, self.messages);
        let mut sources = Sources::new()?;
        // A program that sends a signal may have seen the guest run: that news comes first.
        sources.add(Box::new(inbox));
        sources.add(Box::new(self.signals));
        sources.add(Box::<Wakeups>::default());
        if let Some(stdio) = self.stdio {
            sources.add(Box::new(stdio));
        }
        if let Some(mut qmp) = self.qmp {
            qmp.follow(progress);
            sources.add(Box::new(qmp));
        }
        loop {
            for request in sources.wait(session.deadline())? {
                session.on_request(request, &mut sources);
            }
            session.on_time(&mut sources);
            if let Some(status) = session.over() {
                return Ok(status);
            }
        }
    }
}

/// The port on stdin and stdout, with nvmm's own keys if that is this session's terminal.
fn stdio(number: usize) -> io::Result<Port> {
    let terminal = Terminal::new()?;
    if let Some(terminal) = &terminal {
        terminal.take()?;
    }
    // Reading another session's terminal would stop this process.
    let reads = terminal.is_some() || !rustix::termios::isatty(io::stdin());
    // It may be closed.
    let stdout = io::stdout().as_fd().try_clone_to_owned().ok().map(File::from);
    let output = stdout.map(|stdout| Output::new(stdout, OUTPUT)).transpose()?;
    Ok(Port::stdio(number, Box::new(Stdio::new(reads, output)?), terminal.map(Keyboard::new)))
}
