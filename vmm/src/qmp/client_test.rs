use std::{
    io::{ErrorKind, Read, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
};

use arch::cpu::topology::Topology;
use serde_json::json;

use super::*;
use crate::{host::OpenKvm, qmp::Facts, run_state::RunState};

struct Test {
    client: Client,
    theirs: UnixStream,
    known: Known,
    asked: Vec<Ask>,
}

impl Test {
    fn new() -> Self {
        let (theirs, ours) = UnixStream::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        ours.set_nonblocking(true).unwrap();
        let facts = Facts {
            name: None,
            uuid: None,
            kvm: OpenKvm::new("/dev/kvm".as_ref()),
            topology: Topology::flat(1).unwrap(),
        };
        let known = Known { state: RunState::Running, progress: Arc::default(), facts };
        Self { client: Client::new(1, ours.into()), theirs, known, asked: Vec::new() }
    }

    /// A client that has finished the negotiation.
    fn begun() -> Self {
        let mut test = Self::new();
        test.say(r#"{"execute": "qmp_capabilities"}"#);
        assert_eq!(test.heard().len(), 2);
        test
    }

    /// Does the main thread's work when the client is ready.
    fn serve(&mut self) {
        self.client.serve(&self.known, &mut |number, ask| {
            assert_eq!(number, 1);
            self.asked.push(ask);
        });
    }

    fn say(&mut self, text: &str) {
        self.theirs.write_all(text.as_bytes()).unwrap();
        self.serve();
    }

    fn answer(&mut self, answer: Answer) {
        self.client.answer(answer, &self.known, &mut |_, ask| self.asked.push(ask));
    }

    /// The lines that have arrived.
    fn heard(&mut self) -> Vec<Value> {
        let mut text = String::new();
        match self.theirs.read_to_string(&mut text) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => panic!("{error}"),
            _ => {}
        }
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn error(class: &str, desc: &str) -> Value {
    json!({"error": {"class": class, "desc": desc}})
}

#[test]
fn the_first_command_is_the_one_that_begins() {
    let mut test = Test::new();
    assert!(test.heard()[0]["QMP"].is_object());
    test.client.tell("{\"event\": \"STOP\"}\r\n", Instant::now());
    test.say(r#"{"execute": "query-status"} {"execute": "nonsense"} {"execute": "qmp_capabilities", "arguments": {"enable": ["oob"]}}"#);
    let expecting = error("CommandNotFound", "Expecting capabilities negotiation with 'qmp_capabilities'");
    let oob = error("GenericError", "Capability oob not available");
    assert_eq!(test.heard(), [expecting.clone(), expecting, oob], "and no event");
    test.say(
        r#"{"execute": "qmp_capabilities"} {"execute": "qmp_capabilities"} {"execute": "query-status"}"#,
    );
    let again = error("CommandNotFound", "Capabilities negotiation is already complete, command ignored");
    let status = json!({"return": {"running": true, "status": "running"}});
    assert_eq!(test.heard(), [json!({"return": {}}), again, status]);
    test.client.tell("{\"event\": \"STOP\"}\r\n", Instant::now());
    assert_eq!(test.heard(), [json!({"event": "STOP"})]);
}

#[test]
fn bad_commands_are_refused_and_the_next_is_executed() {
    let mut test = Test::begun();
    test.say("{\"execute\": \"query-status\", \"id\": 1, \"x\": 2}\n[]\n{]\n\"stop\n{\"execute\": \"drive-mirror\", \"id\": {\"a\": 3}}\n");
    let heard = test.heard();
    assert_eq!(heard.len(), 5, "{heard:?}");
    assert_eq!(heard[0]["id"], json!(1));
    assert_eq!(heard[0]["error"]["desc"], json!("QMP input member 'x' is unexpected"));
    assert_eq!(heard[1], error("GenericError", "QMP input must be a JSON object"));
    for fault in &heard[2..4] {
        assert!(fault["error"]["desc"].as_str().unwrap().starts_with("JSON parse error, "), "{fault}");
    }
    let unknown = json!({"class": "CommandNotFound", "desc": "The command drive-mirror has not been found"});
    assert_eq!(heard[4], json!({"error": unknown, "id": {"a": 3}}));
    assert!(!test.client.is_over());
}

#[test]
fn the_next_command_waits_for_the_answer_to_the_one_before() {
    let mut test = Test::begun();
    test.say(r#"{"execute": "stop", "id": 1}{"execute": "query-name", "id": 2}{"execute": "cont", "id": 3}"#);
    assert!(matches!(test.asked[..], [Ask::Control(Control::Stop)]));
    assert_eq!(test.heard(), [] as [Value; 0]);
    // Nothing else is read meanwhile.
    assert_eq!(test.client.events().event_set(), EventSet::empty());
    test.say(r#"{"execute": "query-name", "id": 4}"#);
    assert_eq!(test.heard(), [] as [Value; 0]);
    test.answer(Ok(json!({})));
    assert!(matches!(test.asked[1..], [Ask::Control(Control::Continue)]));
    assert_eq!(test.heard(), [json!({"return": {}, "id": 1}), json!({"return": {}, "id": 2})]);
    test.answer(Err(Refusal("no".to_owned())));
    let refused = json!({"error": {"class": "GenericError", "desc": "no"}, "id": 3});
    assert_eq!(test.heard(), [refused]);
    test.serve();
    assert_eq!(test.heard(), [json!({"return": {}, "id": 4})]);
    // An answer that no command waits for any more.
    test.answer(Ok(json!({})));
    assert_eq!(test.heard(), [] as [Value; 0]);
}

#[test]
fn quit_is_answered_before_nvmm_ends() {
    let mut test = Test::begun();
    test.say(r#"{"execute": "quit"}"#);
    assert!(matches!(test.asked[..], [Ask::Quit]));
    assert_eq!(test.heard(), [json!({"return": {}})]);
}

#[test]
fn a_client_that_leaves_is_removed_whatever_it_waits_for() {
    // All of its commands are executed first.
    let mut test = Test::begun();
    test.theirs.write_all(br#"{"execute": "query-name"}{"execute": "system_powerdown"}"#).unwrap();
    test.theirs.shutdown(Shutdown::Both).unwrap();
    test.serve();
    assert!(matches!(test.asked[..], [Ask::Control(Control::PowerDown)]));
    test.serve();
    assert!(test.client.is_over());
    // A client that has only closed its sending side still gets the answer.
    let mut test = Test::begun();
    test.theirs.write_all(br#"{"execute": "stop"}"#).unwrap();
    test.theirs.shutdown(Shutdown::Write).unwrap();
    test.serve();
    test.serve();
    assert!(!test.client.is_over());
    test.answer(Ok(json!({})));
    test.serve();
    assert!(test.client.is_over());
    assert_eq!(test.heard(), [json!({"return": {}})]);
}

#[test]
fn a_client_that_never_reads_uses_limited_memory() {
    let mut test = Test::begun();
    let command = r#"{"execute": "query-commands"}"#.repeat(100);
    let mut said = 0;
    // Until the socket takes nothing more, since nothing is read from it.
    loop {
        match test.theirs.write(&command.as_bytes()[said % command.len()..]) {
            Ok(len) => said += len,
            Err(_) if test.client.events().event_set().contains(EventSet::IN) => {}
            Err(_) => break,
        }
        test.serve();
    }
    assert_eq!(test.client.events().event_set(), EventSet::OUT);
    let now = Instant::now();
    assert_eq!(test.client.gives_up_at(), None);
    test.client.tell("{}\r\n", now);
    assert!(test.client.gives_up_at().is_some_and(|at| at > now));
    // Once it reads, it gets every answer.
    let (mut text, mut answers) = (Vec::new(), 0);
    while answers < said / (command.len() / 100) {
        let _ = test.theirs.read_to_end(&mut text);
        test.serve();
        answers = text.iter().filter(|&&byte| byte == b'\n').count();
    }
    assert_eq!(test.client.gives_up_at(), None);
    test.client.give_up();
    assert!(test.client.is_over());
}

#[test]
fn a_command_without_end_ends_the_connection() {
    for endless in ["x".repeat(1000), "[".repeat(1000)] {
        let mut test = Test::begun();
        test.say("{\"execute\": \"");
        if endless.starts_with('[') {
            test.say("\"");
        }
        let mut heard = Vec::new();
        for _ in 0..=(LONGEST / 1000) + 1 {
            if test.client.is_over() {
                break;
            }
            let _ = test.theirs.write(endless.as_bytes());
            test.serve();
            heard.extend(test.heard());
        }
        assert!(test.client.is_over());
        assert_eq!(heard.len(), 1);
        assert!(heard[0]["error"]["desc"].as_str().unwrap().contains("limit exceeded"), "{heard:?}");
    }
}

#[test]
fn at_the_end_a_waiting_client_is_refused() {
    let mut test = Test::begun();
    test.say(r#"{"execute": "stop", "id": 5}"#);
    test.client.finish();
    let ended = json!({"error": {"class": "GenericError", "desc": "the machine has ended"}, "id": 5});
    assert_eq!(test.heard(), [ended]);
    assert!(test.client.is_over());
}
