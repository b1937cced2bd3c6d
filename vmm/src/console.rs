//! The main thread while a machine runs: input, signals, and the news that it ended.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::{AsFd, AsRawFd, OwnedFd, RawFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use devices::platform::{PowerManagement, Serial};
use event_manager::{EventManager, EventOps, EventSet, Events, MutEventSubscriber, SubscriberOps};
use vmm_sys_util::eventfd::EventFd;

use crate::{
    config::SerialConfig,
    exit::Exit,
    keys::{self, Escapes, Key},
    machine::Disks,
    signals::{Signal, Signals},
    terminal::{self, RawTerminal},
};

/// What of the outside world COM1 is connected to. It outlives the machine's resets.
#[derive(Debug)]
pub struct Console {
    output: Option<File>,
    input: Option<Input>,
    signals: Signals,
    /// nvmm was started on a terminal, whatever stdin is.
    had_terminal: bool,
    /// Given back when the console is dropped.
    _terminal: Option<RawTerminal>,
}

/// Where input comes from, and what of it the guest has not taken yet.
#[derive(Debug)]
struct Input {
    file: File,
    pending: Vec<u8>,
    /// On a terminal some keys are nvmm's own.
    escapes: Option<Escapes>,
}

impl Console {
    /// Connects to what `config` names, and makes the terminal raw if it is one.
    ///
    /// # Errors
    ///
    /// The file can't be made, or the terminal refuses.
    pub fn new(config: &SerialConfig) -> io::Result<Self> {
        let signals = Signals::new()?;
        let (output, input, terminal) = match config {
            SerialConfig::Null => (None, None, None),
            SerialConfig::File(path) => (Some(File::create(path)?), None, None),
            SerialConfig::Stdio => {
                let output = io::stdout().as_fd().try_clone_to_owned().ok().map(File::from);
                let terminal = RawTerminal::new()?;
                (output, Input::stdin(terminal.is_some()), terminal)
            }
        };
        let had_terminal = terminal::is_there();
        Ok(Self { output, input, signals, had_terminal, _terminal: terminal })
    }

    /// What COM1 writes to.
    ///
    /// # Errors
    ///
    /// No file descriptor is left.
    pub fn sink(&self) -> io::Result<Box<dyn Write + Send>> {
        Ok(match &self.output {
            Some(file) => Box::new(file.try_clone()?),
            None => Box::new(io::sink()),
        })
    }

    /// Serves the machine until `ended` is written or the user wants to end it; then the value says how.
    ///
    /// # Errors
    ///
    /// The events can't be waited for.
    pub fn serve(
        &mut self,
        serial: Arc<Mutex<Serial>>,
        power: Arc<Mutex<PowerManagement>>,
        disks: &Disks,
        ended: &EventFd,
    ) -> Result<Option<Exit>, event_manager::Error> {
        let mut manager = EventManager::new()?;
        let session = Session {
            console: self,
            serial,
            power,
            disks,
            ended,
            asked_to_power_off: false,
            input_waits: false,
            outcome: None,
        };
        let id = manager.add_subscriber(session);
        loop {
            manager.run()?;
            let session = manager.subscriber_mut(id)?;
            if let Some(outcome) = session.outcome.take() {
                return Ok(outcome);
            }
        }
    }
}

impl Input {
    /// stdin, unless reading it would stop the process (a terminal whose foreground is another).
    fn stdin(raw: bool) -> Option<Self> {
        let stdin = io::stdin();
        if rustix::termios::isatty(&stdin) && !raw {
            return None;
        }
        let file = File::from(stdin.as_fd().try_clone_to_owned().ok()?);
        Some(Self { file, pending: Vec::new(), escapes: raw.then(Escapes::default) })
    }

    /// Reads what there is. `None`: there will be no more.
    fn read(&mut self) -> Option<Vec<Key>> {
        // As many as the UART's FIFO takes.
        let mut bytes = [0; 64];
        match self.file.read(&mut bytes) {
            Ok(0) => None,
            Ok(len) => Some(match &mut self.escapes {
                Some(escapes) => {
                    let typed = bytes[..len].iter();
                    typed.filter_map(|&byte| escapes.feed(byte, &mut self.pending)).collect()
                }
                None => {
                    self.pending.extend(&bytes[..len]);
                    Vec::new()
                }
            }),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Some(Vec::new())
            }
            Err(_) => None,
        }
    }
}

const ENDED: u32 = 0;
const SIGNAL: u32 = 1;
const SERIAL: u32 = 2;
const INPUT: u32 = 3;

/// One machine's time with the console.
struct Session<'a> {
    console: &'a mut Console,
    serial: Arc<Mutex<Serial>>,
    power: Arc<Mutex<PowerManagement>>,
    disks: &'a Disks,
    ended: &'a EventFd,
    asked_to_power_off: bool,
    /// Input is not watched until the guest has read what came before.
    input_waits: bool,
    /// Set when it is over; the inner value is the user's reason.
    outcome: Option<Option<Exit>>,
}

impl Session<'_> {
    fn serial(&self) -> MutexGuard<'_, Serial> {
        self.serial.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn on_signal(&mut self) {
        let Some(signal) = self.console.signals.next() else { return };
        match signal.number {
            libc::SIGTERM if !self.asked_to_power_off => {
                self.asked_to_power_off = true;
                log::info!("SIGTERM: pressing the guest's power button; a second one ends nvmm");
                self.power.lock().unwrap_or_else(PoisonError::into_inner).press_power_button();
            }
            libc::SIGUSR1 => self.disks.print_totals(),
            libc::SIGHUP if !self.terminal_closed(signal) => self.disks.measure(),
            number => self.outcome = Some(Some(Exit::Signal(number))),
        }
    }

    /// Whether a SIGHUP says that the terminal is gone. A shell that is told so passes it on to its jobs in its own name.
    fn terminal_closed(&self, signal: Signal) -> bool {
        signal.from_kernel || self.console.had_terminal && !terminal::is_there()
    }

    fn on_input(&mut self, ops: &mut EventOps) {
        let Some(input) = &mut self.console.input else { return };
        let fd = input.file.as_raw_fd();
        match input.read() {
            Some(keys) => {
                for key in keys {
                    self.on_key(key);
                }
                if !self.deliver() {
                    // The guest has to read first; `SERIAL` tells when it has.
                    watch(ops.remove(input_events(fd)));
                    self.input_waits = true;
                }
            }
            None => {
                watch(ops.remove(input_events(fd)));
                self.console.input = None;
            }
        }
    }

    fn on_key(&mut self, key: Key) {
        match key {
            Key::Quit => self.outcome = Some(Some(Exit::Quit)),
            Key::Help => {
                if let Some(output) = &mut self.console.output {
                    // A terminal that takes no help loses it.
                    let _ = output.write_all(keys::HELP.as_bytes());
                }
            }
        }
    }

    /// Gives the guest what it takes of the input, and says whether that was all.
    fn deliver(&mut self) -> bool {
        let Some(input) = &mut self.console.input else { return true };
        if !input.pending.is_empty() {
            let mut serial = self.serial.lock().unwrap_or_else(PoisonError::into_inner);
            let taken = serial.input(&input.pending);
            input.pending.drain(..taken);
        }
        input.pending.is_empty()
    }

    fn on_serial(&mut self, ops: &mut EventOps) {
        self.serial().flush();
        if self.input_waits
            && self.deliver()
            && let Some(input) = &self.console.input
        {
            watch(ops.add(input_events(input.file.as_raw_fd())));
            self.input_waits = false;
        }
    }

    /// Watches input. A file that epoll refuses, because it is always readable, comes through a pipe.
    fn watch_input(&mut self, ops: &mut EventOps) {
        let Some(input) = &mut self.console.input else { return };
        if ops.add(input_events(input.file.as_raw_fd())).is_ok() {
            return;
        }
        match pump(&input.file) {
            Ok(pipe) => {
                input.file = pipe;
                watch(ops.add(input_events(input.file.as_raw_fd())));
            }
            Err(error) => {
                log::warn!("stdin is not read: {error}");
                self.console.input = None;
            }
        }
    }
}

impl MutEventSubscriber for Session<'_> {
    fn init(&mut self, ops: &mut EventOps) {
        let wakeup = self.serial().wakeup().as_raw_fd();
        watch(ops.add(Events::with_data(self.ended, ENDED, EventSet::IN)));
        watch(ops.add(Events::with_data(&self.console.signals, SIGNAL, EventSet::IN)));
        watch(ops.add(Events::with_data_raw(wakeup, SERIAL, EventSet::IN)));
        self.watch_input(ops);
    }

    fn process(&mut self, events: Events, ops: &mut EventOps) {
        match events.data() {
            ENDED => self.outcome = Some(None),
            SIGNAL => self.on_signal(),
            SERIAL => self.on_serial(ops),
            _ => self.on_input(ops),
        }
    }
}

fn input_events(fd: RawFd) -> Events {
    Events::with_data_raw(fd, INPUT, EventSet::IN)
}

/// Only a full descriptor table can make these fail.
fn watch(result: Result<(), event_manager::Error>) {
    if let Err(error) = result {
        log::error!("epoll: {error}");
    }
}

/// Copies `file` into a pipe, from a thread that ends with the file or the pipe.
fn pump(file: &File) -> io::Result<File> {
    let (reader, mut writer) = io::pipe()?;
    let mut file = file.try_clone()?;
    thread::Builder::new().name("stdin".to_owned()).spawn(move || io::copy(&mut file, &mut writer))?;
    Ok(OwnedFd::from(reader).into())
}
