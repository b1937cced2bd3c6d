//! Between the main thread, which never waits for anything but news, and the thread that builds, runs and takes down machines.
//!
//! ```text
//! main thread: signals, keys, input --Command--> machine's thread: build, run, stop, again
//!              console, log         <--Request---
//! ```

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    io,
    os::fd::RawFd,
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, Sender},
    },
};

use devices::{
    output::Output,
    threads::{self, Role},
};
use event_manager::{EventSet, Events};
use serde_json::{Map, Value};
use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};

use crate::{
    attached::Attached,
    exit::{COULD_NOT, Exit},
    gdb::{self, Trap},
    migration::{Progress, Sent, Status},
    questions::{Question, Refusal, Reply},
    run_state::{Change, RunState},
    source::{Command, Control, News, Request, Source},
};

/// The events that a machine's thread waits for while the machine runs.
#[derive(Debug)]
pub(crate) enum Event {
    /// A vCPU ended it.
    Exit(Exit),
    /// The vCPU of this number has stopped for the debugger.
    Trap(u32, Trap),
    /// The debugger asks for something.
    Debug(gdb::Request),
    /// Memory was sent to another nvmm while the guest ran, or that failed, of the migration that this cancels.
    Sent(Arc<AtomicBool>, anyhow::Result<Sent>),
    /// The main thread asks for something.
    Command(Command),
}

/// The machine's thread's end.
#[derive(Debug)]
pub struct Link {
    stdout: Option<Output>,
    events: Receiver<Event>,
    /// Events that came and were not looked at.
    kept: RefCell<VecDeque<Event>>,
    /// A source was given that waits for a peer.
    waits: Cell<bool>,
    /// The guest was asked to power off: so is the one after a reset.
    asked_to_power_off: Cell<bool>,
    /// The machine's state: so is the one after a reset.
    state: Cell<RunState>,
    /// The first machine is not to run before the user says so.
    starts_stopped: Cell<bool>,
    /// Of moving the machine to another nvmm: so is that of the one before a reset.
    progress: Arc<Progress>,
    /// For vCPUs.
    exits: Sender<Event>,
    requests: Sender<Request>,
    wake: Arc<EventFd>,
    end_is_asked: Arc<AtomicBool>,
}

/// The main thread's end.
#[derive(Debug)]
pub(crate) struct Controls {
    commands: Sender<Event>,
    end_is_asked: Arc<AtomicBool>,
}

/// The main thread's end of the news, as a source.
#[derive(Debug)]
pub(crate) struct Inbox {
    requests: Receiver<Request>,
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
    let ((exits, events), (requests, heard)) = (mpsc::channel(), mpsc::channel());
    let wake = Arc::new(EventFd::new(EFD_CLOEXEC | EFD_NONBLOCK)?);
    let end_is_asked = Arc::new(AtomicBool::new(false));
    let controls = Controls { commands: exits.clone(), end_is_asked: Arc::clone(&end_is_asked) };
    let inbox = Inbox { requests: heard, wake: Arc::clone(&wake) };
    let link = Link {
        stdout,
        events,
        kept: RefCell::default(),
        waits: Cell::default(),
        asked_to_power_off: Cell::default(),
        state: Cell::default(),
        starts_stopped: Cell::default(),
        progress: Arc::default(),
        exits,
        requests,
        wake,
        end_is_asked,
    };
    Ok((link, controls, inbox))
}

impl Link {
    fn ask(&self, request: Request) {
        // Without a main thread there is no nvmm.
        let _ = self.requests.send(request);
        if let Err(error) = self.wake.write(1) {
            log::error!("the main thread does not hear: {error}");
        }
    }

    fn tell(&self, news: News) {
        self.ask(Request::News(news));
    }

    /// The output of the port on stdio, which the main thread has made.
    pub(crate) fn stdout(&self) -> Option<Output> {
        self.stdout.clone()
    }

    /// Has the main thread serve `source` from now on.
    pub(crate) fn serve(&self, source: impl Source + Send + 'static) {
        self.waits.set(self.waits.get() || source.waits_for_peer());
        self.ask(Request::Serve(Box::new(source)));
    }

    /// Waits until every source has the peer that the machine is to wait for.
    pub fn wait_for_peers(&self) {
        if self.waits.take() {
            self.tell_and_wait(News::Waits);
        }
    }

    /// Says that a machine runs, and which of its parts the main thread serves.
    pub(crate) fn runs(&self, attached: Attached) {
        self.tell(News::Runs(attached));
    }

    /// Says that the machine hears nobody any longer.
    pub(crate) fn halts(&self) {
        self.tell(News::Halts);
    }

    /// Says that no vCPU of the machine runs any longer, and returns when the main thread has let go of it.
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
                Event::Command(Command::Control(Control::PowerDown, reply)) => {
                    let refusal = Refusal("the machine is being reset".to_owned());
                    self.answer_control(Control::PowerDown, reply, Err(refusal));
                }
                Event::Command(command) => self.kept.borrow_mut().push_back(Event::Command(command)),
                event @ Event::Debug(_) => self.kept.borrow_mut().push_back(event),
                // One more vCPU has ended the old machine.
                Event::Exit(_) | Event::Trap(..) | Event::Sent(..) => {}
            }
        }
        None
    }

    /// Returns whether the user has asked for the end, and leaves the request where it is.
    #[must_use]
    pub fn end_is_asked(&self) -> bool {
        self.end_is_asked.load(Ordering::SeqCst)
    }

    /// Returns whether the user has asked for the end, or for the guest to power off before it, and leaves the request where it is.
    /// Whatever keeps the vCPUs stopped for long gives up then: a guest that is stopped sees no power button.
    pub(crate) fn end_is_wished(&self) -> bool {
        let is_signal =
            |event: &Event| matches!(event, Event::Command(Command::Control(Control::PowerDown, None)));
        let mut kept = self.kept.borrow_mut();
        kept.extend(self.events.try_iter());
        self.end_is_asked() || kept.iter().any(is_signal)
    }

    /// Returns whether the user wants the machine to be moved no more, and leaves the request where it is.
    pub(crate) fn cancel_is_wished(&self) -> bool {
        let mut kept = self.kept.borrow_mut();
        kept.extend(self.events.try_iter());
        kept.iter().any(|event| matches!(event, Event::Command(Command::Ask(Question::CancelMigration, _))))
    }

    /// The progress of moving the machine to another nvmm.
    pub(crate) fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// Says how far moving the machine has come.
    pub(crate) fn migration(&self, status: Status) {
        self.changed(Change::Migration(status));
    }

    /// Returns whether the guest, or the one before the last reset, was asked to power off.
    pub(crate) fn is_asked_to_power_off(&self) -> bool {
        self.asked_to_power_off.get()
    }

    /// Answers [`Command::Control`].
    pub(crate) fn answer_control(&self, control: Control, reply: Option<Reply>, answer: Result<(), Refusal>) {
        match (control, reply, answer) {
            (_, Some(reply), answer) => reply.give(answer.map(|()| Value::Object(Map::new()))),
            (Control::PowerDown, None, Err(_)) => self.tell(News::NobodyListens),
            (_, None, Err(refusal)) => log::warn!("{refusal}"),
            (_, None, Ok(())) => {}
        }
    }

    /// Says that the machine's state has changed.
    pub(crate) fn changed(&self, change: Change) {
        if change == Change::PowerDown {
            self.asked_to_power_off.set(true);
        }
        self.state.set(self.state.get().after(&change));
        self.tell(News::Changed(change));
    }

    /// The machine's state; also that of the one before, if another is being built.
    pub(crate) fn state(&self) -> RunState {
        self.state.get()
    }

    /// Keeps the first machine from running before the user says so.
    pub fn start_stopped(&self) {
        self.starts_stopped.set(true);
    }

    /// Returns whether a machine that is there now waits for the user to let it run.
    pub(crate) fn is_stopped(&self) -> bool {
        match self.state.get() {
            RunState::Prelaunch => self.starts_stopped.get(),
            RunState::Paused
            | RunState::Debug
            | RunState::GuestPanicked
            | RunState::FinishMigrate
            | RunState::PostMigrate => true,
            RunState::Running | RunState::Shutdown => false,
        }
    }

    /// Waits for what happens to the machine next.
    pub(crate) fn next(&self) -> Option<Event> {
        let kept = self.kept.borrow_mut().pop_front();
        kept.or_else(|| self.events.recv().ok())
    }

    /// Returns whether a vCPU has ended the machine or stopped for the debugger, and leaves that where it is. The vCPUs are stopped.
    pub(crate) fn has_exit(&self) -> bool {
        let mut kept = self.kept.borrow_mut();
        kept.extend(self.events.try_iter());
        kept.iter().any(|event| matches!(event, Event::Exit(_) | Event::Trap(..)))
    }

    /// For a vCPU and for the debugger: the way of what happens to the machine.
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

impl Source for Inbox {
    fn watches(&mut self) -> Vec<Events> {
        vec![Events::new(&*self.wake, EventSet::IN)]
    }

    fn ready(&mut self, _: RawFd, requests: &mut Vec<Request>) {
        // Makes it unreadable before the news are looked at.
        let _ = self.wake.read();
        requests.extend(self.requests.try_iter());
    }
}

#[cfg(test)]
#[path = "link_test.rs"]
mod tests;
