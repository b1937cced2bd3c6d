//! The control socket: its connections, and the events sent to clients.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, RawFd},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use devices::{
    chars::{Access, Address, AddressError, Listener},
    threads::{self, Role},
};
use event_manager::{EventSet, Events};
use rustix::net::{SendFlags, send};

pub use super::todo::Facts;
use super::{
    client::{Ask, Client},
    message,
    models::ModelQuestion,
    todo::Known,
};
use crate::{
    config::QmpConfig,
    host::OpenKvm,
    migration::Progress,
    questions::{Answer, Asker, Reply},
    run_state::RunState,
    source::{Command, Notice, Request, Source},
};

/// The most clients at a time.
const MOST: usize = 8;
/// The most connections accepted at once, so that a flood of them keeps no client waiting.
const AT_A_TIME: usize = 16;
/// The pause after an error that is likely to last, such as a full descriptor table.
const PAUSE: Duration = Duration::from_secs(1);

/// The control socket and its clients, a source of the main thread.
#[derive(Debug)]
pub struct Server {
    listener: Listener,
    /// New connections are accepted. False once nvmm is ending.
    listens: bool,
    /// The time to accept connections again after an error.
    listens_at: Option<Instant>,
    told_of_error: bool,
    asker: Asker,
    /// Answers that have arrived. They are sent after the events that happened before them.
    answers: Vec<(u64, Answer)>,
    /// The time when the first of them arrived.
    answered: Option<Instant>,
    known: Known,
    clients: Vec<Client>,
    /// Former clients, whose descriptors may still be watched.
    gone: Vec<Client>,
    /// The number of clients so far.
    count: u64,
}

/// The reason why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The host can't listen there.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// No file descriptor is left.
    #[error(transparent)]
    Host(#[from] io::Error),
}

impl Server {
    /// Listens at the address in `config`.
    ///
    /// # Errors
    ///
    /// Another program listens there, the path is too long or belongs to another file, or the host refuses.
    pub fn new(config: &QmpConfig, facts: Facts) -> Result<Self, ServerError> {
        Ok(Self {
            listener: Listener::new(&Address::Unix(config.path.clone()), Access::Owner)?,
            listens: true,
            listens_at: None,
            told_of_error: false,
            asker: Asker::new()?,
            answers: Vec::new(),
            answered: None,
            known: Known { state: RunState::default(), progress: Arc::default(), facts },
            clients: Vec::new(),
            gone: Vec::new(),
            count: 0,
        })
    }

    /// Tells clients of this progress of a migration.
    pub(crate) fn follow(&mut self, progress: Arc<Progress>) {
        self.known.progress = progress;
    }

    fn accept(&mut self) {
        for _ in 0..AT_A_TIME {
            match self.listener.accept() {
                Ok(None) => return,
                Ok(Some(socket)) if self.clients.iter().filter(|client| !client.is_over()).count() < MOST => {
                    self.count += 1;
                    self.clients.push(Client::new(self.count, socket));
                    log::info!("QMP: a client has connected, the {} of {MOST} at most", self.clients.len());
                }
                Ok(Some(socket)) => {
                    let why =
                        format!("there are {MOST} clients already; try again when one of them has gone");
                    // A new socket's buffer has room for a line.
                    let _ = send(&socket, message::refusal(&why).as_bytes(), SendFlags::NOSIGNAL);
                }
                Err(error) => {
                    if !std::mem::replace(&mut self.told_of_error, true) {
                        log::warn!("QMP: no connection can be taken: {error}; trying again");
                    }
                    self.listens_at = Some(Instant::now() + PAUSE);
                    return;
                }
            }
        }
    }

    /// Runs `work` for each client that is `wanted`.
    fn serve(
        &mut self,
        wanted: impl Fn(&Client) -> bool,
        requests: &mut Vec<Request>,
        mut work: impl FnMut(&mut Client, &Known, &mut dyn FnMut(u64, Ask)),
    ) {
        let asker = &self.asker;
        let mut ask = |number, ask| {
            requests.push(match ask {
                Ask::Control(control) => Request::Obey(Command::Control(control, Some(asker.reply(number)))),
                Ask::Question(question) => Request::Obey(Command::Ask(question, asker.reply(number))),
                Ask::Kvm(question) => return ask_kvm(question, &self.known.facts.kvm, asker.reply(number)),
                Ask::Quit => Request::Close,
            });
        };
        for client in self.clients.iter_mut().filter(|client| wanted(client)) {
            work(client, &self.known, &mut ask);
        }
    }
}

/// Answers on a separate thread, as KVM may take a while.
fn ask_kvm(question: ModelQuestion, kvm: &OpenKvm, reply: Reply) {
    let kvm = kvm.clone();
    if let Err(error) = threads::spawn(&Role::Models, move || reply.give(question.answer(&kvm))) {
        log::warn!("QMP: nobody can ask KVM: {error}");
    }
}

impl Source for Server {
    fn watches(&mut self) -> Vec<Events> {
        // The last call did not name these, so they are no longer watched.
        self.gone = self.clients.extract_if(.., |client| client.is_over()).collect();
        self.gone.iter().for_each(Client::hang_up);
        let listens = self.listens && self.listens_at.is_none();
        let listener = listens.then(|| Events::new_raw(self.listener.as_fd().as_raw_fd(), EventSet::IN));
        listener
            .into_iter()
            .chain([Events::new(&self.asker, EventSet::IN)])
            .chain(self.clients.iter().map(Client::events))
            .collect()
    }

    fn ready(&mut self, fd: RawFd, requests: &mut Vec<Request>) {
        if fd == self.asker.as_raw_fd() {
            self.answers.extend(self.asker.answers());
            self.answered.get_or_insert_with(Instant::now);
        } else if self.listener.as_fd().as_raw_fd() == fd {
            self.accept();
        } else {
            self.serve(|client| client.fd() == fd, requests, Client::serve);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let gives_up = self.clients.iter().filter_map(Client::gives_up_at);
        gives_up.chain(self.listens_at).chain(self.answered).min()
    }

    fn on_time(&mut self, requests: &mut Vec<Request>) {
        let now = Instant::now();
        self.listens_at.take_if(|at| *at <= now);
        self.answered = None;
        for (number, answer) in std::mem::take(&mut self.answers) {
            let mut answer = Some(answer);
            self.serve(
                |client| client.number() == number,
                requests,
                |client, known, ask| {
                    if let Some(answer) = answer.take() {
                        client.answer(answer, known, ask);
                    }
                },
            );
        }
        let is_stuck = |client: &Client| client.gives_up_at().is_some_and(|at| at <= now);
        self.serve(is_stuck, requests, |client, _, _| client.give_up());
    }

    fn hear(&mut self, notice: &Notice<'_>) {
        match notice {
            Notice::Changed(change) => {
                self.known.state = self.known.state.after(change);
                let (event, now) = (message::event(change, SystemTime::now()), Instant::now());
                self.clients.iter_mut().for_each(|client| client.tell(&event, now));
            }
            Notice::Leaves => {
                self.listens = false;
                self.clients.iter_mut().for_each(Client::finish);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
#[path = "server_test.rs"]
mod tests;
