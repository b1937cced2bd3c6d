//! A serial port, as a source: its input, and the UART of the machine that runs. It outlives the machine's resets.

use std::{
    os::fd::RawFd,
    time::{Duration, Instant},
};

use devices::output::Output;
use event_manager::{EventSet, Events};

use super::{
    keyboard::Keyboard,
    source::{Notice, Request, Source},
    stdin::Stdin,
    waiting::Waiting,
};
use crate::{
    keys::{self, Key},
    link::Attachment,
};

/// How soon a port tries again to get at a UART that a vCPU has.
const UART_CHECK: Duration = Duration::from_millis(1);

/// The host's side of a serial port.
#[derive(Debug)]
pub(super) struct Port {
    /// 0 is COM1.
    number: usize,
    /// Where the guest's output goes, if anywhere.
    output: Option<Output>,
    input: Option<Stdin>,
    /// Set if the input is typed on a terminal.
    keyboard: Option<Keyboard>,
    /// Input that the UART has not taken.
    waiting: Waiting,
    uart: Option<Attachment>,
    /// The UART's wakeup came, and was not passed on: a vCPU had the UART.
    woken: bool,
    /// When to try to get at the UART again.
    retry_at: Option<Instant>,
}

impl Port {
    /// Port `number` without input.
    pub(super) fn new(number: usize, output: Option<Output>) -> Self {
        Self {
            number,
            output,
            input: None,
            keyboard: None,
            waiting: Waiting::default(),
            uart: None,
            woken: false,
            retry_at: None,
        }
    }

    /// Gives it input, typed if there is a keyboard.
    pub(super) fn with_input(self, input: Option<Stdin>, keyboard: Option<Keyboard>) -> Self {
        Self { input, keyboard, ..self }
    }

    /// Whether it takes more input, as soon as the terminal may be read. What is not typed waits for a machine: it may be the
    /// kernel, which another thread reads from there.
    fn wants_input(&self) -> bool {
        let has_room = match self.keyboard {
            Some(_) => true,
            None => self.uart.is_some() && self.waiting.has_room(),
        };
        has_room && self.input.as_ref().is_some_and(|input| !input.has_ended())
    }

    fn may_read(&self) -> bool {
        self.keyboard.as_ref().is_none_or(Keyboard::may_be_read)
    }

    fn read(&mut self, requests: &mut Vec<Request>) {
        let Some(input) = self.input.as_mut() else { return };
        let mut buffer = [0; 4096];
        let bytes = input.read(&mut buffer);
        let Some(keyboard) = &mut self.keyboard else { return self.waiting.extend(bytes) };
        let mut typed = Vec::new();
        for key in keyboard.feed(bytes, &mut typed) {
            match key {
                Key::Quit => requests.push(Request::Quit),
                Key::Help => self.output.iter().for_each(|output| output.offer(keys::HELP.as_bytes())),
            }
        }
        self.waiting.extend_typed(&typed);
    }

    /// Gives the UART what it takes of the input, and its wakeup.
    fn serve_uart(&mut self) {
        self.retry_at = None;
        let Some(uart) = &self.uart else { return };
        if !self.woken && self.waiting.is_empty() {
            return;
        }
        match uart.lock() {
            Some(mut serial) => {
                if std::mem::take(&mut self.woken) {
                    serial.on_wakeup();
                }
                self.waiting.deliver(|bytes| serial.input(bytes));
            }
            None => self.retry_at = Some(Instant::now() + UART_CHECK),
        }
    }
}

impl Source for Port {
    fn watches(&mut self) -> Vec<Events> {
        let wants = self.wants_input();
        let reads = wants && self.may_read();
        if let Some(keyboard) = &mut self.keyboard {
            keyboard.look_later(wants && !reads);
        }
        let input = self.input.as_mut().filter(|_| reads).and_then(Stdin::watch);
        // It stays readable until it is passed on.
        let uart = self.uart.as_ref().filter(|_| !self.woken).map(|uart| uart.wakeup);
        [input, uart].into_iter().flatten().map(|fd| Events::new_raw(fd, EventSet::IN)).collect()
    }

    fn ready(&mut self, fd: RawFd, requests: &mut Vec<Request>) {
        if self.uart.as_ref().is_some_and(|uart| uart.wakeup == fd) {
            self.woken = true;
        } else if self.wants_input() && self.may_read() {
            self.read(requests);
        }
        self.serve_uart();
    }

    fn deadline(&self) -> Option<Instant> {
        let look_at = self.keyboard.as_ref().and_then(Keyboard::look_at);
        [self.retry_at, look_at].into_iter().flatten().min()
    }

    fn on_time(&mut self, _: &mut Vec<Request>) {
        let now = Instant::now();
        if self.retry_at.is_some_and(|at| at <= now) {
            self.serve_uart();
        }
        if let Some(keyboard) = &mut self.keyboard
            && keyboard.look_at().is_some_and(|at| at <= now)
        {
            keyboard.look();
        }
    }

    fn hear(&mut self, notice: &Notice<'_>) {
        match notice {
            Notice::Runs(attachments) => {
                self.uart = attachments.iter().find(|uart| uart.port == self.number).cloned();
                self.serve_uart();
            }
            Notice::Stops => (self.uart, self.woken, self.retry_at) = (None, false, None),
            // No vCPU waits for a file from here on.
            Notice::Quits => self.output.iter().for_each(Output::abandon),
            Notice::Suspends => self.keyboard.iter().for_each(Keyboard::give_back),
            Notice::Continues => self.keyboard.iter().for_each(Keyboard::take),
        }
    }

    fn output(&self) -> Option<Output> {
        self.output.clone()
    }
}
