use std::{
    io::{BufRead, BufReader, ErrorKind, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
};

use arch::cpu::topology::Topology;
use serde_json::{Value, json};

use super::*;
use crate::{
    questions::{Refusal, Reply},
    run_state::{Cause, Change},
    source::Control,
};

struct Test {
    server: Server,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

/// A client's end of a connection.
struct Peer(BufReader<UnixStream>);

impl Test {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("qmp");
        let facts = Facts {
            name: None,
            uuid: None,
            kvm: OpenKvm::new("/dev/kvm".as_ref()),
            topology: Topology::flat(1).unwrap(),
        };
        let server = Server::new(&QmpConfig { path: path.clone() }, facts).unwrap();
        Self { server, path, _folder: folder }
    }

    /// Serves all sources, whether ready or not, and their timers.
    fn serve(&mut self) -> Vec<Request> {
        let mut requests = Vec::new();
        for events in self.server.watches() {
            self.server.ready(events.fd(), &mut requests);
        }
        if self.server.deadline().is_some_and(|at| at <= Instant::now()) {
            self.server.on_time(&mut requests);
        }
        requests
    }

    fn connect(&mut self) -> Peer {
        let peer = Peer(BufReader::new(UnixStream::connect(&self.path).unwrap()));
        self.serve();
        peer
    }

    fn begun(&mut self) -> Peer {
        let mut peer = self.connect();
        assert!(peer.hear()["QMP"].is_object());
        peer.say("qmp_capabilities");
        self.serve();
        assert_eq!(peer.hear(), json!({"return": {}}));
        peer
    }

    /// The return channel of the one button that was pressed.
    fn button(&mut self, expected: Control) -> Reply {
        let mut requests = self.serve();
        assert_eq!(requests.len(), 1, "{requests:?}");
        let Some(Request::Obey(Command::Control(control, Some(reply)))) = requests.pop() else { panic!() };
        assert_eq!(control, expected);
        reply
    }

    fn change(&mut self, change: Change) {
        self.server.hear(&Notice::Changed(&change));
    }
}

impl Peer {
    fn say(&mut self, command: &str) {
        self.0.get_mut().write_all(json!({"execute": command}).to_string().as_bytes()).unwrap();
    }

    fn hear(&mut self) -> Value {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }
}

#[test]
fn the_state_is_that_of_the_news_before_and_all_hear_of_it() {
    let mut test = Test::new();
    let [mut first, mut second] = [test.begun(), test.begun()];
    let mut silent = test.connect();
    for (change, event, status) in [
        (Change::Resume, "RESUME", "running"),
        (Change::Stop(RunState::Paused), "STOP", "paused"),
        (Change::PowerDown, "POWERDOWN", "paused"),
        (Change::Shutdown { by: Cause::HostUi }, "SHUTDOWN", "shutdown"),
    ] {
        test.change(change);
        first.say("query-status");
        test.serve();
        assert_eq!(first.hear()["event"], json!(event));
        assert_eq!(first.hear()["return"]["status"], json!(status));
        assert_eq!(second.hear()["event"], json!(event));
    }
    // A client that has not negotiated gets no events.
    assert!(silent.hear()["QMP"].is_object());
    silent.0.get_ref().set_nonblocking(true).unwrap();
    assert_eq!(silent.0.read_line(&mut String::new()).unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn each_answer_goes_to_the_client_that_asked() {
    let mut test = Test::new();
    let [mut first, mut second] = [test.begun(), test.begun()];
    first.say("stop");
    let firsts = test.button(Control::Stop);
    second.say("cont");
    let seconds = test.button(Control::Continue);
    seconds.give(Err(Refusal("not now".to_owned())));
    test.serve();
    assert_eq!(second.hear()["error"]["desc"], json!("not now"));
    firsts.give(Ok(json!({})));
    test.serve();
    assert_eq!(first.hear(), json!({"return": {}}));
}

#[test]
fn an_answer_does_not_overtake_the_event_before_it() {
    let mut test = Test::new();
    let mut peer = test.begun();
    peer.say("stop");
    let reply = test.button(Control::Stop);
    reply.give(Ok(json!({})));
    // The main thread finds both at once, and passes the event on after it has served the sources.
    for events in test.server.watches() {
        test.server.ready(events.fd(), &mut Vec::new());
    }
    test.change(Change::Stop(RunState::Paused));
    let due = test.server.deadline();
    assert!(due.is_some_and(|at| at <= Instant::now()));
    assert_eq!(test.server.deadline(), due, "it does not run away");
    test.server.on_time(&mut Vec::new());
    assert_eq!(peer.hear()["event"], json!("STOP"));
    assert_eq!(peer.hear(), json!({"return": {}}));
    assert_eq!(test.server.deadline(), None);
}

#[test]
fn an_answer_for_a_client_that_has_gone_is_dropped() {
    let mut test = Test::new();
    let mut gone = test.begun();
    gone.say("stop");
    let reply = test.button(Control::Stop);
    drop(gone);
    test.serve();
    test.server.watches();
    assert_eq!(test.server.clients.len(), 0);
    let mut next = test.begun();
    reply.give(Ok(json!({})));
    assert!(test.serve().is_empty());
    next.say("query-name");
    test.serve();
    assert_eq!(next.hear(), json!({"return": {}}));
}

#[test]
fn one_client_too_many_is_refused() {
    let mut test = Test::new();
    let mut peers: Vec<_> = (0..MOST).map(|_| test.begun()).collect();
    let mut refused = test.connect();
    let why = format!("there are {MOST} clients already; try again when one of them has gone");
    assert_eq!(refused.hear()["error"]["desc"], json!(why));
    assert_eq!(refused.0.read_line(&mut String::new()).unwrap(), 0);
    peers.pop();
    test.serve();
    test.begun();
}

#[test]
fn at_the_end_the_last_commands_are_executed_and_the_file_is_gone() {
    let mut test = Test::new();
    let mut peer = test.begun();
    peer.say("quit");
    assert!(matches!(test.serve()[..], [Request::Close]));
    test.change(Change::Shutdown { by: Cause::HostQmpQuit });
    test.server.hear(&Notice::Leaves);
    test.server.watches();
    assert_eq!(peer.hear(), json!({"return": {}}));
    assert_eq!(peer.hear()["event"], json!("SHUTDOWN"));
    assert_eq!(peer.0.read_line(&mut String::new()).unwrap(), 0);
    drop(test.server);
    assert!(!test.path.exists());
}
