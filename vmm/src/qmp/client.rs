//! A client of the control socket.

use std::{
    os::fd::{AsFd, AsRawFd, OwnedFd, RawFd},
    sync::Arc,
    time::Instant,
};

use event_manager::{EventSet, Events};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{Shutdown, shutdown},
};
use serde_json::Value;

use super::{
    command::Command,
    commands::CAPABILITIES,
    descriptors::Descriptors,
    message::{self, Call, Error},
    models::ModelQuestion,
    outbox::Outbox,
    reader::Reader,
    todo::{Finish, Known, Todo},
};
use crate::{
    migration::Migrate,
    questions::{Answer, Question, Refusal},
    source::Control,
};

/// The longest command, in bytes. QEMU's limit is 64 MiB, for devices that nvmm does not have.
const LONGEST: usize = 1 << 20;
/// The most bytes read at once, so that no client keeps the others waiting.
const AT_ONCE: usize = 16 << 10;

/// A client: its connection, and the data in both directions.
#[derive(Debug)]
pub(super) struct Client {
    /// Distinguishes it from all other clients, including former ones.
    number: u64,
    socket: OwnedFd,
    reader: Reader,
    outbox: Outbox,
    /// The client has sent `qmp_capabilities`, which must come first.
    is_negotiated: bool,
    /// A command that another thread answers. The next one is taken after its answer.
    waits: Option<Waiting>,
    /// Nothing more is read from the client.
    ended: bool,
    /// Nothing more is sent to the client.
    deaf: bool,
    descriptors: Descriptors,
}

/// A command that waits for its answer.
#[derive(Debug)]
struct Waiting {
    id: Option<Value>,
    finish: Option<Finish>,
}

/// A request to the rest of nvmm on behalf of a client.
#[derive(Debug)]
pub(super) enum Ask {
    /// Press a button of the machine, and answer.
    Control(Control),
    /// Answer the question.
    Question(Question),
    /// Ask KVM, and answer.
    Kvm(ModelQuestion),
    /// End nvmm.
    Quit,
}

impl Client {
    /// Greets a new client.
    pub(super) fn new(number: u64, socket: OwnedFd) -> Self {
        let mut client = Self {
            number,
            socket,
            reader: Reader::new(LONGEST),
            outbox: Outbox::default(),
            is_negotiated: false,
            waits: None,
            ended: false,
            deaf: false,
            descriptors: Descriptors::default(),
        };
        client.outbox.answer(&message::greeting());
        client.send();
        client
    }

    /// The number.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The descriptor.
    pub(super) fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// The socket's events to wait for.
    pub(super) fn events(&self) -> Events {
        let wanted = |wanted: bool, events| if wanted { events } else { EventSet::empty() };
        let events =
            wanted(self.takes_commands(), EventSet::IN) | wanted(!self.outbox.is_empty(), EventSet::OUT);
        Events::new(&self.socket, events)
    }

    /// Does the work that is possible now: takes commands, and sends pending lines. Requests that follow from a command go to `ask`.
    pub(super) fn serve(&mut self, known: &Known, ask: &mut dyn FnMut(u64, Ask)) {
        if self.takes_commands() {
            self.receive();
        } else if has_hung_up(&self.socket) {
            // Drop its pending commands too, as it no longer wants the answers.
            (self.ended, self.deaf, self.waits) = (true, true, None);
        }
        self.go_on(known, ask);
    }

    /// Answers the waiting command.
    pub(super) fn answer(&mut self, answer: Answer, known: &Known, ask: &mut dyn FnMut(u64, Ask)) {
        if let Some(Waiting { id, finish }) = self.waits.take() {
            let answer = match finish {
                Some(Finish(finish)) => answer.and_then(finish),
                None => answer,
            };
            self.outbox.answer(&message::answer(id, answer.map_err(Error::from)));
            self.go_on(known, ask);
        }
    }

    /// Sends an event to the client, if it has finished the negotiation.
    pub(super) fn tell(&mut self, event: &str, now: Instant) {
        if self.is_negotiated {
            if self.outbox.event(event, now) {
                log::warn!("QMP: a client does not read; events are lost to it");
            }
            self.send();
        }
    }

    /// Takes no more commands, as nvmm is ending. A command that waits is refused.
    pub(super) fn finish(&mut self) {
        self.ended = true;
        self.answer_nothing_more();
        self.send();
    }

    /// Returns whether nothing is left to do for the client.
    pub(super) fn is_over(&self) -> bool {
        self.ended && self.waits.is_none() && (self.deaf || self.outbox.is_empty())
    }

    /// Shuts down the connection before its descriptor is closed.
    pub(super) fn hang_up(&self) {
        // Fails if the client has closed it.
        let _ = shutdown(&self.socket, Shutdown::Both);
    }

    /// The time when a client that doesn't read is disconnected.
    pub(super) fn gives_up_at(&self) -> Option<Instant> {
        self.outbox.gives_up_at().filter(|_| !self.deaf)
    }

    /// Disconnects the client, since it doesn't read.
    pub(super) fn give_up(&mut self) {
        log::warn!(
            "QMP: a client is disconnected, which has read nothing for a minute while events were lost to it"
        );
        (self.ended, self.deaf, self.waits) = (true, true, None);
    }

    /// Returns whether the next command may be taken.
    fn takes_commands(&self) -> bool {
        !self.ended && self.waits.is_none() && (self.deaf || self.outbox.has_room())
    }

    fn receive(&mut self) {
        let mut bytes = [0; AT_ONCE];
        match self.descriptors.receive(&self.socket, &mut bytes) {
            Ok(len @ 1..) => self.reader.push(&bytes[..len]),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Ok(0) | Err(_) => self.ended = true,
        }
    }

    /// Takes the commands that have arrived, as long as there is room for their answers.
    fn go_on(&mut self, known: &Known, ask: &mut dyn FnMut(u64, Ask)) {
        loop {
            let mut is_all = false;
            while self.waits.is_none() && (self.deaf || self.outbox.has_room()) && !is_all {
                is_all = !self.take_command(known, ask);
            }
            self.send();
            if is_all || self.waits.is_some() || !(self.deaf || self.outbox.has_room()) {
                return;
            }
        }
    }

    /// Takes the next command. Returns whether there was one.
    fn take_command(&mut self, known: &Known, ask: &mut dyn FnMut(u64, Ask)) -> bool {
        let call = match self.reader.next() {
            None => return false,
            Some(Ok(text)) => Call::of(text),
            Some(Err(fault)) => {
                if !fault.can_go_on() {
                    log::warn!("QMP: a client is disconnected: {fault}");
                    self.ended = true;
                }
                self.outbox.answer(&message::refusal(&fault.to_string()));
                return !self.ended;
            }
        };
        let (id, next) = match call {
            Err((id, refusal)) => (id, Err(refusal.into())),
            Ok(call) => (call.id.clone(), self.run(call, known)),
        };
        let answer = match next {
            Err(error) => Err(error),
            Ok(Todo::Answer(value)) => Ok(value),
            Ok(Todo::Quit) => {
                ask(self.number, Ask::Quit);
                Ok(Value::Object(serde_json::Map::new()))
            }
            Ok(Todo::Keep(name)) => self.descriptors.keep(name).map_err(Error::from),
            Ok(Todo::Close(name)) => self.descriptors.close(&name).map_err(Error::from),
            Ok(Todo::Migrate { name, downtime, verify }) => match self.descriptors.take(&name) {
                Ok(socket) => {
                    let order = Migrate { socket: Arc::new(socket), downtime, verify };
                    return self.wait(id, None, Ask::Question(Question::Migrate(order)), ask);
                }
                Err(refusal) => Err(refusal.into()),
            },
            Ok(Todo::Control(control)) => return self.wait(id, None, Ask::Control(control), ask),
            Ok(Todo::AskKvm(question)) => return self.wait(id, None, Ask::Kvm(question), ask),
            Ok(Todo::Ask(question, finish)) => {
                return self.wait(id, Some(finish), Ask::Question(question), ask);
            }
        };
        self.outbox.answer(&message::answer(id, answer));
        true
    }

    /// Asks another thread to answer the call with this `id`.
    fn wait(
        &mut self,
        id: Option<Value>,
        finish: Option<Finish>,
        what: Ask,
        ask: &mut dyn FnMut(u64, Ask),
    ) -> bool {
        self.waits = Some(Waiting { id, finish });
        ask(self.number, what);
        true
    }

    fn run(&mut self, call: Call, known: &Known) -> Result<Todo, Error> {
        let begins = call.command == CAPABILITIES;
        if begins == self.is_negotiated {
            return Err(Error::CommandNotFound(if begins {
                "Capabilities negotiation is already complete, command ignored".to_owned()
            } else {
                format!("Expecting capabilities negotiation with '{CAPABILITIES}'")
            }));
        }
        let todo = Command::find(&call.command)?.run(call.arguments, known)?;
        self.is_negotiated = true;
        Ok(todo)
    }

    fn send(&mut self) {
        if !self.deaf && self.outbox.send(&self.socket).is_err() {
            // Still read: its last commands may have been sent before it closed.
            self.deaf = true;
        }
    }

    fn answer_nothing_more(&mut self) {
        if let Some(Waiting { id, .. }) = self.waits.take() {
            let refusal = Refusal("the machine has ended".to_owned());
            self.outbox.answer(&message::answer(id, Err(refusal.into())));
        }
    }
}

/// Returns whether the other end of a socket is closed for both directions.
fn has_hung_up(socket: impl AsFd) -> bool {
    let gone = PollFlags::HUP | PollFlags::ERR;
    let mut polled = [PollFd::new(&socket, PollFlags::empty())];
    poll(&mut polled, Some(&Timespec::default())).is_ok() && polled[0].revents().intersects(gone)
}

#[cfg(test)]
#[path = "client_test.rs"]
mod tests;
