//! A serial port as an event source: its back end, and the UART of the running machine. It is kept across the machine's resets.

mod keyboard;
mod stdio;

use std::{
    os::fd::{AsRawFd, RawFd},
    time::{Duration, Instant},
};

use devices::{
    chars::{Backend, Input},
    output::Output,
    wakes::Wakes,
};
use event_manager::{EventSet, Events};

pub(crate) use self::{keyboard::Keyboard, stdio::Stdio};
use crate::{
    attached::Attachment,
    keys::{self, Key},
    source::{Command, Control, Notice, Request, Source},
};

/// The pause before a port tries again to lock a UART that a vCPU holds.
const UART_CHECK: Duration = Duration::from_millis(1);

/// The host's side of a serial port.
#[derive(Debug)]
pub(crate) struct Port {
    /// 0 for COM1.
    number: usize,
    backend: Box<dyn Backend>,
    /// Set if the input is typed on a terminal.
    keyboard: Option<Keyboard>,
    /// Don't read the input until a machine runs: it may be the kernel image, which another thread reads from there.
    spares_input: bool,
    /// Input that the UART has not taken yet.
    input: Input,
    uart: Option<Attachment>,
    /// The UART's wakeup was signalled, but not passed on, since a vCPU held the UART.
    woken: bool,
    /// The time to try to lock the UART again.
    retry_at: Option<Instant>,
}

impl Port {
    /// Port `number`, 0 for COM1, with `backend`.
    pub(crate) fn new(number: usize, backend: Box<dyn Backend>) -> Self {
        Self { spares_input: false, ..Self::stdio(number, backend, None) }
    }

    /// The port on stdin and stdout. Input that isn't typed is read once a machine runs.
    pub(crate) fn stdio(number: usize, backend: Box<dyn Backend>, keyboard: Option<Keyboard>) -> Self {
        Self {
            number,
            backend,
            spares_input: keyboard.is_none(),
            input: if keyboard.is_some() { Keyboard::input() } else { Input::default() },
            keyboard,
            uart: None,
            woken: false,
            retry_at: None,
        }
    }

    /// Returns whether to read. A terminal is read only while nvmm is in its foreground.
    fn may_read(&self) -> bool {
        self.keyboard.as_ref().is_none_or(Keyboard::may_be_read)
    }

    fn serve_backend(&mut self, requests: &mut Vec<Request>) {
        let Some(keyboard) = &mut self.keyboard else {
            self.backend.serve(&mut self.input);
            return;
        };
        if keyboard.may_be_read() {
            for key in keyboard.read(&mut *self.backend, &mut self.input) {
                match key {
                    Key::Quit => requests.push(Request::Quit),
                    Key::Pause => requests.push(Request::Obey(Command::Control(Control::Toggle, None))),
                    Key::Help => {
                        let help = keys::help(keys::OF_MACHINE);
                        self.backend.output().iter().for_each(|output| output.offer(help.as_bytes()));
                    }
                }
            }
        }
    }

    /// Passes input to the UART as far as it has room, and its wakeup.
    fn serve_uart(&mut self) {
        self.retry_at = None;
        let Some(uart) = &self.uart else { return };
        while self.woken || !self.input.is_empty() {
            let Some(mut serial) = uart.lock() else {
                self.retry_at = Some(Instant::now() + UART_CHECK);
                return;
            };
            if std::mem::take(&mut self.woken) {
                serial.on_wakeup();
            }
            let made_room = self.input.deliver(|bytes| serial.input(bytes));
            drop(serial);
            if !made_room || self.keyboard.is_some() {
                return;
            }
            self.backend.serve(&mut self.input);
        }
    }
}

impl Source for Port {
    fn watches(&mut self) -> Vec<Events> {
        let reads = !self.spares_input && self.may_read();
        if let Some(keyboard) = &mut self.keyboard {
            keyboard.look_later(!reads);
        }
        let backend = self.backend.fd().filter(|_| reads).map(|fd| fd.as_raw_fd());
        // The descriptor stays readable until the wakeup is passed on.
        let uart = self.uart.as_ref().filter(|_| !self.woken).map(|uart| uart.wakeup);
        [backend, uart].into_iter().flatten().map(|fd| Events::new_raw(fd, EventSet::IN)).collect()
    }

    fn ready(&mut self, fd: RawFd, requests: &mut Vec<Request>) {
        if self.uart.as_ref().is_some_and(|uart| uart.wakeup == fd) {
            self.woken = true;
        } else {
            self.serve_backend(requests);
        }
        self.serve_uart();
    }

    fn deadline(&self) -> Option<Instant> {
        let keyboard = self.keyboard.as_ref();
        [self.retry_at, keyboard.and_then(Keyboard::look_at), keyboard.and_then(Keyboard::read_at)]
            .into_iter()
            .flatten()
            .min()
    }

    fn on_time(&mut self, requests: &mut Vec<Request>) {
        let now = Instant::now();
        if self.retry_at.is_some_and(|at| at <= now) {
            self.serve_uart();
        }
        if let Some(keyboard) = &mut self.keyboard
            && keyboard.look_at().is_some_and(|at| at <= now)
        {
            keyboard.look();
        }
        if self.keyboard.as_ref().and_then(Keyboard::read_at).is_some_and(|at| at <= now) {
            self.serve_backend(requests);
            self.serve_uart();
        }
    }

    fn hear(&mut self, notice: &Notice<'_>) {
        match notice {
            Notice::Runs(attached) => {
                self.uart = attached.uarts.iter().find(|uart| uart.port == self.number).cloned();
                if std::mem::take(&mut self.spares_input) {
                    self.backend.serve(&mut self.input);
                }
                self.serve_uart();
            }
            Notice::Stops => {
                // The next machine gets the input that this one hasn't read.
                if let Some(mut serial) = self.uart.as_ref().and_then(Attachment::lock) {
                    self.input.put_back(&serial.take_back());
                }
                (self.uart, self.woken, self.retry_at) = (None, false, None);
            }
            Notice::Types { port, text } => {
                if *port == self.number {
                    self.input.append(text);
                    self.serve_uart();
                }
            }
            // From here on, no vCPU waits for a file.
            Notice::Quits => self.backend.output().iter().for_each(Output::abandon),
            Notice::Leaves => self.backend.finish(),
            Notice::Changed(_) => {}
            Notice::Suspends => self.keyboard.iter().for_each(Keyboard::give_back),
            Notice::Continues => self.keyboard.iter().for_each(Keyboard::take),
        }
    }

    fn waits_for_peer(&self) -> bool {
        self.backend.waits_for_peer()
    }

    fn output(&self) -> Option<Output> {
        self.backend.output()
    }
}

#[cfg(test)]
#[path = "port_test.rs"]
mod tests;
