//! The link between the main thread, which only ever waits for events, and the thread that builds, runs and takes down machines.
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

/// An event for the machine's thread while the machine runs.
#[derive(Debug)]
pub(crate) enum Event {
    /// A vCPU ended the machine.
    Exit(Exit),
    /// The vCPU with this number has stopped for the debugger.
    Trap(u32, Trap),
    /// A request from the debugger.
    Debug(gdb::Request),
    /// While the guest runs, memory was sent to another nvmm, or that failed. The flag identifies the migration, and cancels it.
    Sent(Arc<AtomicBool>, anyhow::Result<Sent>),
    /// A command from the main thread.
    Command(Command),
}

/// The machine thread's end of the link.
#[derive(Debug)]
pub struct Link {
    stdout: Option<Output>,
    events: Receiver<Event>,
    /// Events that have come and are not handled yet.
    kept: RefCell<VecDeque<Event>>,
    /// A source that waits for a peer was added.
    waits: Cell<bool>,
    /// The guest was asked to power off. This is kept through a reset.
    asked_to_power_off: Cell<bool>,
    /// The machine's state, which is kept through a reset.
    state: Cell<RunState>,
    /// The first machine must not run before the user starts it.
    starts_stopped: Cell<bool>,
    /// The progress of a migration, which is kept through a reset.
    progress: Arc<Progress>,
    /// The sender for vCPUs.
    exits: Sender<Event>,
    requests: Sender<Request>,
    wake: Arc<EventFd>,
    end_is_asked: Arc<AtomicBool>,
    save_is_asked: Arc<AtomicBool>,
}

/// The main thread's end of the link.
#[derive(Debug)]
pub(crate) struct Controls {
    commands: Sender<Event>,
    end_is_asked: Arc<AtomicBool>,
    /// A [`Command::Save`] waits in the queue.
    save_is_asked: Arc<AtomicBool>,
    progress: Arc<Progress>,
}

/// The main thread's end for news, as an event source.
#[derive(Debug)]
pub(crate) struct Inbox {
    requests: Receiver<Request>,
    wake: Arc<EventFd>,
}

/// Runs `life` on a thread of its own, with a port on `stdout` if that is open. Its result comes as [`News::Ended`].
pub(crate) fn start(
    stdout: Option<Output>,
    life: impl FnOnce(&Link) -> u8 + Send + 'static,
) -> io::Result<(Controls, Inbox)> {
    let (link, controls, inbox) = ends(stdout)?;
    threads::spawn(&Role::Machine, move || {
        let ended = panic::catch_unwind(AssertUnwindSafe(|| life(&link)));
        // The panic has been printed.
        link.tell(News::Ended(ended.unwrap_or(COULD_NOT)));
    })?;
    Ok((controls, inbox))
}

/// Makes the two ends: the machine thread's, and the main thread's, which sends commands and gets news.
pub(crate) fn ends(stdout: Option<Output>) -> io::Result<(Link, Controls, Inbox)> {
    let ((exits, events), (requests, heard)) = (mpsc::channel(), mpsc::channel());
    let wake = Arc::new(EventFd::new(EFD_CLOEXEC | EFD_NONBLOCK)?);
    let end_is_asked = Arc::new(AtomicBool::new(false));
    let save_is_asked = Arc::new(AtomicBool::new(false));
    let progress = Arc::<Progress>::default();
    let controls = Controls {
        commands: exits.clone(),
        end_is_asked: Arc::clone(&end_is_asked),
        save_is_asked: Arc::clone(&save_is_asked),
        progress: Arc::clone(&progress),
    };
    let inbox = Inbox { requests: heard, wake: Arc::clone(&wake) };
    let link = Link {
        stdout,
        events,
        kept: RefCell::default(),
        waits: Cell::default(),
        asked_to_power_off: Cell::default(),
        state: Cell::default(),
        starts_stopped: Cell::default(),
        progress,
        exits,
        requests,
        wake,
        end_is_asked,
        save_is_asked,
    };
    Ok((link, controls, inbox))
}

impl Link {
    fn ask(&self, request: Request) {
        // It can't fail while the main thread exists.
        let _ = self.requests.send(request);
        if let Err(error) = self.wake.write(1) {
            log::error!("the main thread does not hear: {error}");
        }
    }

    fn tell(&self, news: News) {
        self.ask(Request::News(news));
    }

    /// The output of the port on stdio, which the main thread made.
    pub(crate) fn stdout(&self) -> Option<Output> {
        self.stdout.clone()
    }

    /// Makes the main thread serve `source` from now on.
    pub(crate) fn serve(&self, source: impl Source + Send + 'static) {
        self.waits.set(self.waits.get() || source.waits_for_peer());
        self.ask(Request::Serve(Box::new(source)));
    }

    /// Waits until every source has its peer, if the user wants the machine to wait for it.
    pub fn wait_for_peers(&self) {
        if self.waits.take() {
            self.tell_and_wait(News::Waits);
        }
    }

    /// Reports that a machine runs, with the parts that the main thread has to serve.
    pub(crate) fn runs(&self, attached: Attached) {
        self.tell(News::Runs(attached));
    }

    /// Reports that the machine handles no more commands.
    pub(crate) fn halts(&self) {
        self.tell(News::Halts);
    }

    /// Reports that no vCPU of the machine runs any more, and returns when the main thread has released its parts.
    pub(crate) fn stops(&self) {
        self.tell_and_wait(News::Stops);
    }

    fn tell_and_wait(&self, news: impl FnOnce(Sender<()>) -> News) {
        let (held, released) = mpsc::channel();
        self.tell(news(held));
        // It fails by being released.
        let _ = released.recv();
    }

    /// Reports that the machine is gone. Returns nvmm's end, if the user wants no other machine; then a later request to end does not wait
    /// for this thread. Other requests are kept for the next machine.
    pub fn gone(&self) -> Option<Exit> {
        self.tell_and_wait(News::Gone);
        for event in self.events.try_iter() {
            match event {
                Event::Command(Command::Quit(exit)) => return Some(exit),
                // There is no machine that could shut down.
                Event::Command(Command::Control(Control::PowerDown, reply)) => {
                    let refusal = Refusal("the machine is being reset".to_owned());
                    self.answer_control(Control::PowerDown, reply, Err(refusal));
                }
                Event::Command(command) => self.kept.borrow_mut().push_back(Event::Command(command)),
                event @ Event::Debug(_) => self.kept.borrow_mut().push_back(event),
                // Another vCPU has ended the old machine.
                Event::Exit(_) | Event::Trap(..) | Event::Sent(..) => {}
            }
        }
        None
    }

    /// Returns whether the user has asked nvmm to end. The request stays in the queue.
    #[must_use]
    pub fn end_is_asked(&self) -> bool {
        self.end_is_asked.load(Ordering::SeqCst)
    }

    /// Returns whether the user has asked nvmm to end, or the guest to power off before that. The request stays in the queue. Operations
    /// that keep the vCPUs stopped for long give up then: a stopped guest doesn't see the power button.
    pub(crate) fn end_is_wished(&self) -> bool {
        let is_signal =
            |event: &Event| matches!(event, Event::Command(Command::Control(Control::PowerDown, None)));
        let mut kept = self.kept.borrow_mut();
        kept.extend(self.events.try_iter());
        self.end_is_asked() || kept.iter().any(is_signal)
    }

    /// Returns whether the user has cancelled the migration. The request stays in the queue.
    pub(crate) fn cancel_is_wished(&self) -> bool {
        let mut kept = self.kept.borrow_mut();
        kept.extend(self.events.try_iter());
        kept.iter().any(|event| matches!(event, Event::Command(Command::Ask(Question::CancelMigration, _))))
    }

    /// The progress of the migration.
    pub(crate) fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// Reports the progress of the migration.
    pub(crate) fn migration(&self, status: Status) {
        self.changed(Change::Migration(status));
    }

    /// Returns whether the guest was asked to power off, before or after the last reset.
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

    /// Reports that the machine's state has changed.
    pub(crate) fn changed(&self, change: Change) {
        if change == Change::PowerDown {
            self.asked_to_power_off.set(true);
        }
        self.state.set(self.state.get().after(&change));
        self.tell(News::Changed(change));
    }

    /// The machine's state; while another machine is built, that of the one before.
    pub(crate) fn state(&self) -> RunState {
        self.state.get()
    }

    /// Keeps the first machine from running before the user starts it.
    pub fn start_stopped(&self) {
        self.starts_stopped.set(true);
    }

    /// Returns whether the machine that exists now has to wait for the user to start it.
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

    /// Waits for the next event of the machine.
    pub(crate) fn next(&self) -> Option<Event> {
        let kept = self.kept.borrow_mut().pop_front();
        let event = kept.or_else(|| self.events.recv().ok());
        if let Some(Event::Command(Command::Save)) = event {
            // Before the save begins: what is asked for from now on is another.
            self.save_is_asked.store(false, Ordering::SeqCst);
        }
        event
    }

    /// Returns whether a vCPU has ended the machine or stopped for the debugger. The event stays in the queue. The vCPUs are stopped.
    pub(crate) fn has_exit(&self) -> bool {
        let mut kept = self.kept.borrow_mut();
        kept.extend(self.events.try_iter());
        kept.iter().any(|event| matches!(event, Event::Exit(_) | Event::Trap(..)))
    }

    /// The sender for events from vCPUs and the debugger.
    pub(crate) fn exits(&self) -> Sender<Event> {
        self.exits.clone()
    }
}

impl Controls {
    /// The progress of the migration.
    pub(crate) fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// Sends a command. If no machine runs, [`Command::Quit`] keeps the next one from running, and other commands wait for it. A
    /// [`Command::Save`] is not sent while another waits: one save is enough for both.
    pub(crate) fn send(&self, command: Command) {
        if let Command::Quit(_) = command {
            self.end_is_asked.store(true, Ordering::SeqCst);
        }
        if matches!(command, Command::Save) && self.save_is_asked.swap(true, Ordering::SeqCst) {
            return;
        }
        // If the thread has ended, there is news about that.
        let _ = self.commands.send(Event::Command(command));
    }
}

impl Source for Inbox {
    fn watches(&mut self) -> Vec<Events> {
        vec![Events::new(&*self.wake, EventSet::IN)]
    }

    fn ready(&mut self, _: RawFd, requests: &mut Vec<Request>) {
        // Make it unreadable before the news are read.
        let _ = self.wake.read();
        requests.extend(self.requests.try_iter());
    }
}

#[cfg(test)]
#[path = "link_test.rs"]
mod tests;
