//! The main thread's part in a machine's life: reacts to requests of the sources.

use std::{
    sync::mpsc::Sender,
    time::{Duration, Instant},
};

use devices::output::Output;

use super::{leaving::Leaving, sources::Sources};
use crate::{
    attached::Attached,
    exit::{Exit, SIGNAL, UNMET},
    link::Controls,
    run_state::{Cause, Change},
    signals,
    source::{Command, Control, News, Notice, Request, Source},
    wishes::{Wish, Wishes},
};

/// The time that the machine's thread has to remove what it has made, such as sockets, if the user ends nvmm while there is no machine. The
/// thread may be waiting for a file that never opens.
const PATIENCE: Duration = Duration::from_secs(1);

/// The reasons why the user, or the user's script, ends nvmm.
#[derive(Clone, Copy, Debug)]
enum Quit {
    Key,
    Client,
    Unmet,
    Signal(i32),
}

impl Quit {
    fn exit(self) -> Exit {
        match self {
            Self::Key => Exit::Quit,
            Self::Client => Exit::Closed,
            Self::Unmet => Exit::Unmet,
            Self::Signal(number) => Exit::Signal(number),
        }
    }

    fn status(self) -> u8 {
        match self {
            Self::Key | Self::Client => 0,
            Self::Unmet => UNMET,
            Self::Signal(number) => u8::try_from(number).map_or(SIGNAL, |number| SIGNAL + number),
        }
    }
}

/// The state of a machine's life.
#[derive(Debug)]
pub(super) struct Session {
    controls: Controls,
    wishes: Wishes,
    /// The log's output.
    messages: Option<Output>,
    /// Dropped when the machine may start.
    waits: Option<Sender<()>>,
    /// The parts of a running machine.
    running: Option<Attached>,
    /// The machine's thread may be waiting for a file or for memory.
    builds: bool,
    /// The time at which nvmm ends without waiting for that thread.
    leaves_at: Option<Instant>,
    /// All sources have been told that there will be no other machine.
    end_is_told: bool,
    /// The reason why the user ends it.
    quitting: Option<Quit>,
    /// Only unread output is left; then nvmm ends with this status.
    leaving: Option<u8>,
    /// The status, once it is over.
    over: Option<u8>,
}

impl Session {
    /// Makes the session for the machines built at the other end of `controls`.
    pub(super) fn new(controls: Controls, wishes: Wishes, messages: Option<Output>) -> Self {
        Self {
            controls,
            wishes,
            messages,
            waits: None,
            running: None,
            builds: true,
            leaves_at: None,
            quitting: None,
            leaving: None,
            end_is_told: false,
            over: None,
        }
    }

    /// The exit status, once it is over.
    pub(super) fn over(&self) -> Option<u8> {
        self.over
    }

    /// The time at which [`Session::on_time`] has to be called.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.quitting {
            Some(_) => self.leaves_at.filter(|_| self.leaving.is_none()),
            None => self.wishes.deadline(),
        }
    }

    /// Does what is due: lets the machine start once no source waits for a peer, ends it when the guest's grace is over, and stops waiting
    /// for the machine's thread when its time is over.
    pub(super) fn on_time(&mut self, sources: &mut Sources) {
        self.waits.take_if(|_| !sources.wait_for_peer());
        if self.deadline().is_none_or(|deadline| deadline > Instant::now()) {
            return;
        }
        match self.quitting {
            Some(quit) => self.leave(quit.status(), sources),
            None => {
                log::warn!("the guest has not powered off in the time that --grace gives it");
                self.quit(Quit::Signal(libc::SIGTERM), sources);
            }
        }
    }

    /// Handles a source's request.
    pub(super) fn on_request(&mut self, request: Request, sources: &mut Sources) {
        match request {
            Request::Obey(command) => self.controls.send(command),
            Request::Serve(source) => self.serve(source, sources),
            Request::Signal(number) => self.on_signal(number, sources),
            Request::Quit => self.quit(Quit::Key, sources),
            Request::Close => self.quit(Quit::Client, sources),
            Request::Unmet => self.quit(Quit::Unmet, sources),
            Request::Type { port, text } => sources.tell(&Notice::Types { port, text: &text }),
            // A machine that is about to end is not suspended.
            Request::Suspend if self.quitting.is_some() || self.leaving.is_some() => {}
            Request::Suspend => {
                sources.tell(&Notice::Suspends);
                signals::stop();
                // Also if nothing could stop nvmm, as in a session of its own.
                sources.tell(&Notice::Continues);
            }
            Request::Continue => sources.tell(&Notice::Continues),
            Request::News(news) => self.on_news(news, sources),
            Request::End(status) => self.over = Some(status),
        }
    }

    fn on_news(&mut self, news: News, sources: &mut Sources) {
        match news {
            News::Waits(_held) if self.quitting.is_some() => {}
            News::Waits(held) => self.waits = Some(held),
            News::Runs(attached) => {
                self.builds = false;
                self.leaves_at = None;
                sources.tell(&Notice::Runs(&attached));
                self.running = Some(attached);
            }
            News::Halts => self.running = None,
            // The machine's thread waits until what it sent is dropped.
            News::Stops(_held) => {
                self.running = None;
                sources.tell(&Notice::Stops);
            }
            News::Gone(_held) => self.builds = true,
            News::Changed(change) => self.tell_change(change, sources),
            News::NobodyListens if self.quitting.is_some() => {}
            News::NobodyListens => self.quit(Quit::Signal(libc::SIGTERM), sources),
            News::Ended(status) => {
                // If the user has ended nvmm, that status counts, whatever became of the machine.
                let asked = self.quitting.filter(|_| self.leaves_at.is_some()).map(Quit::status);
                self.leave(asked.unwrap_or(status), sources);
            }
        }
    }

    /// Adds a source. If nvmm is leaving, the source is dropped: the others have already sent their last output.
    fn serve(&mut self, mut source: Box<dyn Source>, sources: &mut Sources) {
        if self.leaving.is_some() {
            return;
        }
        if let Some(attached) = &self.running {
            source.hear(&Notice::Runs(attached));
        }
        if self.quitting.is_some() {
            source.hear(&Notice::Quits);
        }
        sources.add(source);
    }

    fn on_signal(&mut self, number: i32, sources: &mut Sources) {
        let may_listen = self.running.is_some() && self.quitting.is_none();
        match self.wishes.signal(number, Instant::now(), may_listen) {
            Wish::Same => {}
            Wish::PowerOff => {
                log::info!("SIGTERM: pressing the guest's power button; another one ends nvmm");
                self.controls.send(Command::Control(Control::PowerDown, None));
            }
            Wish::End => self.quit(Quit::Signal(number), sources),
        }
    }

    /// Ends the machine. The second time, ends nvmm, whatever is left to do.
    fn quit(&mut self, quit: Quit, sources: &mut Sources) {
        if self.quitting.is_some() {
            self.over = Some(self.leaving.unwrap_or(quit.status()));
            return;
        }
        self.quitting = Some(quit);
        if self.leaving.is_none() {
            // If a machine is being built, this keeps it from running.
            self.controls.send(Command::Quit(quit.exit()));
            if self.builds {
                self.leaves_at = Some(Instant::now() + PATIENCE);
                // Sources no longer wait for a peer.
                self.waits = None;
            }
        }
        sources.tell(&Notice::Quits);
    }

    /// Tells all sources about a change. The end is reported once.
    fn tell_change(&mut self, change: Change, sources: &mut Sources) {
        let is_end = matches!(change, Change::Shutdown { .. });
        if !(is_end && std::mem::replace(&mut self.end_is_told, true)) {
            sources.tell(&Notice::Changed(&change));
        }
    }

    /// Leaves: there will be no other machine, and only unread output is left.
    fn leave(&mut self, status: u8, sources: &mut Sources) {
        if self.leaving.is_some() {
            return;
        }
        let status = sources.verdict(status).unwrap_or(status);
        // Unless it was reported with the machine's end.
        let by = self.quitting.map_or(Cause::HostError, |quit| Cause::of(&quit.exit()));
        self.tell_change(Change::Shutdown { by }, sources);
        sources.tell(&Notice::Leaves);
        let mut outputs = sources.outputs();
        outputs.extend(self.messages.clone());
        match Leaving::new(status, outputs, self.quitting.is_some()) {
            Ok(leaving) => {
                sources.add(Box::new(leaving));
                self.leaving = Some(status);
            }
            Err(_) => self.over = Some(status),
        }
    }
}

#[cfg(test)]
#[path = "session_test.rs"]
mod tests;
