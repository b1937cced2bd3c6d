//! The main thread's loop: what it does about each thing that happens.

use std::{
    io,
    os::fd::OwnedFd,
    sync::{MutexGuard, PoisonError, TryLockError},
    thread,
    time::{Duration, Instant},
};

use devices::{
    output::Output,
    platform::{PowerManagement, Serial},
};
use event_manager::{EventOps, EventSet, Events, MutEventSubscriber};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use super::{Console, input::Input, leaving::Leaving};
use crate::{
    exit::{Exit, SIGNAL},
    keys::{self, Key},
    link::{Attached, Command, Controls, News},
    signals::{self, Signal},
    terminal::{self, Terminal},
    wishes::Wish,
};

/// How often nvmm looks whether it is in the foreground of its terminal again: nobody tells.
const FOREGROUND_CHECK: Duration = Duration::from_millis(500);
/// How soon it tries again to get at a serial port that a vCPU has.
const SERIAL_CHECK: Duration = Duration::from_millis(1);

/// Why the user ends nvmm.
#[derive(Clone, Copy, Debug)]
enum Quit {
    Key,
    Signal(i32),
}

impl Quit {
    fn exit(self) -> Exit {
        match self {
            Self::Key => Exit::Quit,
            Self::Signal(number) => Exit::Signal(number),
        }
    }

    fn status(self) -> u8 {
        match self {
            Self::Key => 0,
            Self::Signal(number) => u8::try_from(number).map_or(SIGNAL, |number| SIGNAL + number),
        }
    }
}

const NEWS: u32 = 0;
const SIGNALS: u32 = 1;
const TIMER: u32 = 2;
const SERIAL: u32 = 3;
const INPUT: u32 = 4;
const GONE: u32 = 5;

/// The main thread's time with the machines.
pub(super) struct Session {
    console: Console,
    controls: Controls,
    timer: OwnedFd,
    /// COM1's.
    output: Option<Output>,
    /// The machine that runs.
    attached: Option<Attached>,
    /// The machine's thread may be waiting for a file or for memory, and has nothing to put away.
    builds: bool,
    /// The user wants to end it.
    quitting: Option<Quit>,
    /// It is over but for the output.
    leaving: Option<Leaving>,
    /// The status, when it is over.
    over: Option<u8>,
    input_watched: bool,
    /// A vCPU had the serial port.
    serial_busy: bool,
    /// Its descriptor is not watched until the port can be had.
    serial_unwatched: bool,
}

impl Session {
    /// Serves what the other end of `controls` builds.
    ///
    /// # Errors
    ///
    /// No file descriptor is left.
    pub(super) fn new(console: Console, controls: Controls) -> io::Result<Self> {
        Ok(Self {
            console,
            controls,
            timer: timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?,
            output: None,
            attached: None,
            builds: true,
            quitting: None,
            leaving: None,
            over: None,
            input_watched: false,
            serial_busy: false,
            serial_unwatched: false,
        })
    }

    /// The exit status, when it is over.
    pub(super) fn over(&self) -> Option<u8> {
        self.over
    }

    fn on_news(&mut self, ops: &mut EventOps) {
        // It was readable.
        let _ = self.controls.wake.read();
        while let Some(news) = self.controls.news() {
            match news {
                News::Output(output) => self.output = Some(output),
                News::Runs(attached) => self.on_runs(attached, ops),
                // The machine's thread waits until what it sent is dropped.
                News::Stops(_held) => {
                    if let Some(serial) = self.serial_events()
                        && !std::mem::take(&mut self.serial_unwatched)
                    {
                        watch(ops.remove(serial));
                    }
                    self.attached = None;
                }
                News::Gone(_held) => self.builds = true,
                News::Ended(status) => self.leave(status, ops),
            }
        }
    }

    fn on_runs(&mut self, attached: Attached, ops: &mut EventOps) {
        self.builds = false;
        if self.console.wishes.has_asked() {
            power(&attached).press_power_button_when_enabled();
        }
        self.attached = Some(attached);
        if let Some(serial) = self.serial_events() {
            watch(ops.add(serial));
        }
        self.deliver();
    }

    fn on_signal(&mut self, ops: &mut EventOps) {
        let Some(signal) = self.console.signals.next() else { return };
        match signal.number {
            libc::SIGUSR1 => self.controls.send(Command::Totals),
            libc::SIGHUP if !self.terminal_closed(signal) => self.controls.send(Command::Measure),
            libc::SIGHUP if self.console.survives_hang_up => {}
            // What is about to end is not stopped.
            libc::SIGTSTP if self.quitting.is_some() || self.leaving.is_some() => {}
            libc::SIGTSTP => {
                if let Some(terminal) = &self.console.terminal {
                    terminal.give_back();
                }
                signals::stop();
                // Also where nobody could stop nvmm, as in a session of its own.
                self.take_terminal();
            }
            libc::SIGCONT => self.take_terminal(),
            number => self.on_wish(number, ops),
        }
    }

    /// Whether a SIGHUP says that the terminal is gone. A shell that is told so passes it on to its jobs in its own name.
    fn terminal_closed(&self, signal: Signal) -> bool {
        signal.from_kernel || self.console.had_terminal && !terminal::is_there()
    }

    fn on_wish(&mut self, number: i32, ops: &mut EventOps) {
        let listens = self.quitting.is_none()
            && self.attached.as_ref().is_some_and(|attached| power(attached).is_power_button_enabled());
        match self.console.wishes.signal(number, Instant::now(), listens) {
            Wish::Same => {}
            Wish::PowerOff => {
                log::info!("SIGTERM: pressing the guest's power button; another one ends nvmm");
                if let Some(attached) = &self.attached {
                    power(attached).press_power_button();
                }
            }
            Wish::End => self.quit(Quit::Signal(number), ops),
        }
    }

    /// Ends the machine, and at the second time nvmm, whatever is still to be done.
    fn quit(&mut self, quit: Quit, ops: &mut EventOps) {
        if self.quitting.is_some() {
            self.over = Some(self.leaving.as_ref().map_or(quit.status(), Leaving::status));
            return;
        }
        self.quitting = Some(quit);
        match &mut self.leaving {
            Some(leaving) => leaving.hurry(),
            None => {
                // A machine that is being built is not to run, either.
                self.controls.send(Command::Quit(quit.exit()));
                if self.builds {
                    self.leave(quit.status(), ops);
                }
            }
        }
        if let Some(output) = &self.output {
            // No vCPU waits for a file from here on.
            output.abandon();
        }
    }

    /// There will be no other machine: only output is still on its way.
    fn leave(&mut self, status: u8, ops: &mut EventOps) {
        if self.leaving.is_some() {
            return;
        }
        let outputs = self.output.iter().chain(&self.console.messages).cloned();
        match Leaving::new(status, outputs.collect(), self.quitting.is_some()) {
            Ok(leaving) => {
                leaving.events().for_each(|gone| watch(ops.add(Events::with_data(gone, GONE, EventSet::IN))));
                self.leaving = Some(leaving);
            }
            Err(_) => self.over = Some(status),
        }
    }

    fn on_key(&mut self, key: Key, ops: &mut EventOps) {
        match key {
            Key::Quit => self.quit(Quit::Key, ops),
            Key::Help => {
                if let Some(output) = &self.output {
                    output.offer(keys::HELP.as_bytes());
                }
            }
        }
    }

    fn on_input(&mut self, ops: &mut EventOps) {
        if !self.may_read() {
            return;
        }
        let keys = self.console.input.as_mut().map(Input::read).unwrap_or_default();
        keys.into_iter().for_each(|key| self.on_key(key, ops));
        self.deliver();
    }

    /// Whether to read input. What is not typed waits for a machine: it may be the kernel, which another thread reads from there.
    fn wants_input(&self) -> bool {
        let wanted = |input: &Input| input.has_room() && (input.is_typed() || self.attached.is_some());
        self.console.input.as_ref().is_some_and(wanted) && self.may_read()
    }

    /// Reading a terminal in the background would stop nvmm.
    fn may_read(&self) -> bool {
        self.console.terminal.as_ref().is_none_or(Terminal::is_ours)
    }

    /// Whether there is input that is not watched, as the terminal is another's.
    fn reads_later(&self) -> bool {
        !self.input_watched && self.console.input.as_ref().is_some_and(Input::has_room)
    }

    fn take_terminal(&mut self) {
        if let Some(terminal) = &self.console.terminal
            && let Err(error) = terminal.take()
        {
            log::debug!("the terminal can't be made raw: {error}");
        }
    }

    /// Gives the guest what it takes of the input.
    fn deliver(&mut self) {
        let (Some(input), Some(attached)) = (&mut self.console.input, &self.attached) else { return };
        match serial(attached) {
            Some(mut serial) => {
                input.deliver(|bytes| serial.input(bytes));
            }
            None => self.serial_busy = true,
        }
    }

    fn on_serial(&mut self, ops: &mut EventOps) {
        let Some(attached) = &self.attached else { return };
        match serial(attached) {
            Some(mut serial) => serial.on_wakeup(),
            None => {
                // Its descriptor stays readable.
                if let Some(serial) = self.serial_events()
                    && !std::mem::replace(&mut self.serial_unwatched, true)
                {
                    watch(ops.remove(serial));
                }
                self.serial_busy = true;
                return;
            }
        }
        if let Some(serial) = self.serial_events()
            && std::mem::take(&mut self.serial_unwatched)
        {
            watch(ops.add(serial));
        }
        self.deliver();
    }

    fn on_time(&mut self, ops: &mut EventOps) {
        // Also makes it unreadable.
        let _ = rustix::io::read(&self.timer, &mut [0_u8; 8]);
        let now = Instant::now();
        if self.quitting.is_none() && self.console.wishes.deadline().is_some_and(|deadline| now >= deadline) {
            log::warn!("the guest has not powered off in the time that --grace gives it");
            self.quit(Quit::Signal(libc::SIGTERM), ops);
        }
        if std::mem::take(&mut self.serial_busy) {
            if self.serial_unwatched {
                self.on_serial(ops);
            } else {
                self.deliver();
            }
        }
        if self.reads_later() && self.may_read() {
            self.take_terminal();
        }
    }

    /// The next deadline of the loop; none if only events matter.
    fn next_time(&self, now: Instant) -> Option<Instant> {
        let grace = self.console.wishes.deadline().filter(|_| self.quitting.is_none());
        let foreground = self.reads_later() && !self.may_read();
        [
            grace,
            foreground.then_some(now + FOREGROUND_CHECK),
            self.serial_busy.then_some(now + SERIAL_CHECK),
            self.leaving.as_ref().map(Leaving::next_look),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn set_timer(&self) {
        let now = Instant::now();
        let it_value = match self.next_time(now) {
            // None at all would disarm it.
            Some(time) => {
                Timespec::try_from(time.saturating_duration_since(now).max(Duration::from_nanos(1)))
            }
            None => Ok(Timespec::default()),
        };
        let once = Itimerspec { it_interval: Timespec::default(), it_value: it_value.unwrap_or_default() };
        if let Err(error) = timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once) {
            log::error!("timerfd: {error}");
        }
    }

    fn serial_events(&self) -> Option<Events> {
        let wakeup = self.attached.as_ref()?.ports.first()?.wakeup;
        Some(Events::with_data_raw(wakeup, SERIAL, EventSet::IN))
    }

    /// Watches input, or no longer. A file that epoll refuses, because it is always readable, comes through a pipe.
    fn watch_input(&mut self, watched: bool, ops: &mut EventOps) {
        let Some(input) = &mut self.console.input else { return };
        if watched == self.input_watched {
            return;
        }
        let events = |input: &Input| Events::with_data_raw(input.fd(), INPUT, EventSet::IN);
        self.input_watched = watched;
        if !watched {
            watch(ops.remove(events(input)));
        } else if ops.add(events(input)).is_err() {
            match input.pump() {
                Ok(()) => watch(ops.add(events(input))),
                Err(error) => {
                    log::warn!("stdin is not read: {error}");
                    self.console.input = None;
                }
            }
        }
    }
}

impl MutEventSubscriber for Session {
    fn init(&mut self, ops: &mut EventOps) {
        watch(ops.add(Events::with_data(&*self.controls.wake, NEWS, EventSet::IN)));
        watch(ops.add(Events::with_data(&self.console.signals, SIGNALS, EventSet::IN)));
        watch(ops.add(Events::with_data(&self.timer, TIMER, EventSet::IN)));
        let watched = self.wants_input();
        self.watch_input(watched, ops);
        self.set_timer();
    }

    fn process(&mut self, events: Events, ops: &mut EventOps) {
        match events.data() {
            NEWS => self.on_news(ops),
            SIGNALS => self.on_signal(ops),
            TIMER => self.on_time(ops),
            SERIAL => self.on_serial(ops),
            INPUT => self.on_input(ops),
            _ => {}
        }
        if self.over.is_none() {
            self.over = self.leaving.as_mut().and_then(Leaving::look);
        }
        let watched = self.wants_input();
        self.watch_input(watched, ops);
        self.set_timer();
    }
}

/// The serial port, unless a vCPU has it for longer than a moment: one that waits for a file has.
fn serial(attached: &Attached) -> Option<MutexGuard<'_, Serial>> {
    for _ in 0..100 {
        match attached.ports.first()?.serial.try_lock() {
            Ok(serial) => return Some(serial),
            Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => thread::yield_now(),
        }
    }
    None
}

/// The power button. Nobody has it for long.
fn power(attached: &Attached) -> MutexGuard<'_, PowerManagement> {
    attached.power.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Only a full descriptor table can make these fail.
fn watch(result: Result<(), event_manager::Error>) {
    if let Err(error) = result {
        log::error!("epoll: {error}");
    }
}
