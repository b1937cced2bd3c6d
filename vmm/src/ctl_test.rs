use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    thread,
    time::Duration,
};

use serde_json::json;

use super::*;

/// A machine that answers commands with these lines; the first is its greeting.
fn machine(lines: &'static [&'static str]) -> (UnixStream, thread::JoinHandle<Vec<Value>>) {
    let (theirs, mut ours) = UnixStream::pair().unwrap();
    let machine = thread::spawn(move || {
        let (greeting, answers) = lines.split_first().unwrap();
        writeln!(ours, "{greeting}").unwrap();
        let mut heard = BufReader::new(ours.try_clone().unwrap()).lines();
        let mut calls = Vec::new();
        for answer in answers {
            calls.push(serde_json::from_str(&heard.next().unwrap().unwrap()).unwrap());
            writeln!(ours, "{answer}").unwrap();
        }
        calls
    });
    (theirs, machine)
}

const GREETING: &str = r#"{"QMP": {"version": {}, "capabilities": []}}"#;
const NOTHING: &str = r#"{"return": {}}"#;
const MINUTE: Duration = Duration::from_secs(60);

fn connect(lines: &'static [&'static str]) -> Result<(Connection, thread::JoinHandle<Vec<Value>>)> {
    let (socket, machine) = machine(lines);
    Ok((Connection::begin("vm".to_owned(), socket, MINUTE)?, machine))
}

fn refusal<T>(result: Result<T>) -> String {
    result.err().map_or_else(String::new, |error| format!("{error:#}"))
}

#[test]
fn answers_and_events_are_distinguished() {
    let lines = &[
        GREETING,
        NOTHING,
        "{\"event\": \"STOP\"}\n{\"return\": 1}",
        "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no\"}}\n{\"event\": \"RESUME\"}",
    ];
    let (mut connection, machine) = connect(lines).unwrap();
    assert_eq!(connection.call("stop", Map::new()).unwrap(), json!(1));
    assert_eq!(refusal(connection.call("cont", Map::from_iter([("a".to_owned(), json!(2))]))), "cont: no");
    let calls = machine.join().unwrap();
    assert_eq!(calls[2], json!({"execute": "cont", "arguments": {"a": 2}}));
    let (output, _reader) = UnixStream::pair().unwrap();
    let mut event = || connection.event(output.as_fd()).unwrap();
    assert_eq!(event(), Some(json!({"event": "STOP"})));
    assert_eq!(event(), Some(json!({"event": "RESUME"})));
    assert_eq!(event(), None);
    let error = connection.call("stop", Map::new()).unwrap_err();
    assert!(error.is::<Ended>() || error.chain().count() > 1, "{error:#}");
}

#[test]
fn info_is_a_line_of_the_monitor() {
    const TEXT: &str = r#"{"return": "RIP=0\r\n"}"#;
    for (command, words, line) in [
        ("info", &["registers"][..], "info registers"),
        ("info", &["lapic", "1"][..], "info lapic 1"),
        ("info registers -a", &[][..], "info registers -a"),
        ("info", &[][..], "info"),
    ] {
        let (mut connection, machine) = connect(&[GREETING, NOTHING, TEXT]).unwrap();
        let words: Vec<_> = words.iter().map(|&word| word.to_owned()).collect();
        assert_eq!(answer(&mut connection, command, &words).unwrap(), "RIP=0\r\n");
        let expected = json!({"execute": "human-monitor-command", "arguments": {"command-line": line}});
        assert_eq!(machine.join().unwrap()[1], expected);
    }
}

#[test]
fn an_unknown_command_is_refused_with_the_way_to_the_list() {
    const UNKNOWN: &str =
        r#"{"error": {"class": "CommandNotFound", "desc": "The command x has not been found"}}"#;
    const COMMANDS: &str = r#"{"return": [{"name": "y"}]}"#;
    let expected = "x: The command x has not been found; `nvmm ctl vm` lists the commands";
    let (mut connection, machine) = connect(&[GREETING, NOTHING, UNKNOWN]).unwrap();
    assert_eq!(refusal(answer(&mut connection, "x", &[])), expected);
    assert_eq!(machine.join().unwrap()[1], json!({"execute": "x"}));
    // Arguments that are invalid for any command.
    let (mut connection, machine) = connect(&[GREETING, NOTHING, COMMANDS]).unwrap();
    assert_eq!(refusal(answer(&mut connection, "x", &["word".to_owned()])), expected);
    assert_eq!(machine.join().unwrap()[1], json!({"execute": "query-commands"}));
}

#[test]
fn a_refusal_names_its_command_once() {
    let lines = &[
        GREETING,
        NOTHING,
        r#"{"error": {"desc": "dump-guest-memory: detach: leave it out"}}"#,
        r#"{"error": {"desc": "pmemsave a.img: give another"}}"#,
        r#"{"error": {"desc": "stopped already"}}"#,
        r#"{"error": {"desc": "stop"}}"#,
    ];
    let (mut connection, machine) = connect(lines).unwrap();
    for (command, told) in [
        ("dump-guest-memory", "dump-guest-memory: detach: leave it out"),
        ("pmemsave", "pmemsave a.img: give another"),
        ("stop", "stop: stopped already"),
        ("stop", "stop: stop"),
    ] {
        assert_eq!(refusal(connection.call(command, Map::new())), told);
    }
    machine.join().unwrap();
}

#[test]
fn sockets_without_a_machine_are_reported() {
    let other = "vm: what listens there does not speak QMP; give the path that --qmp named";
    for said in [&["{}"], &["SSH-2.0"], &["Debian GNU/Linux 12 debian ttyS0"], &["[\u{1b}[2J"]] {
        assert_eq!(refusal(connect(said)), other);
    }
    assert_eq!(
        refusal(connect(&[r#"{"error": {"desc": "there are 8 clients"}}"#])),
        "vm: there are 8 clients"
    );
    // A serial port, whose guest prints nothing.
    let (socket, _silent) = UnixStream::pair().unwrap();
    let told = refusal(Connection::begin("vm".to_owned(), socket, Duration::from_millis(1)));
    assert!(told.starts_with("vm: no greeting came; ") && told.contains("`nvmm console vm`"), "{told}");
}

#[test]
fn the_list_has_a_line_for_each_command_and_argument() {
    let list = json!([
        {"name": "stop", "help": "stop the machine", "arguments": []},
        {"name": "query-stats", "help": "tell what KVM counted", "arguments": [
            {"name": "target", "type": "string", "values": ["vm", "vcpu"], "optional": false, "help": "of what"},
            {"name": "size", "type": "uint64", "optional": true, "help": "how much"},
        ]},
        {"name": "as-qemu-tells-it"},
    ]);
    let expected = "\
stop                      stop the machine
query-stats               tell what KVM counted
  target=vm|vcpu          of what
  [size=UINT64]           how much
as-qemu-tells-it
";
    assert_eq!(listed(&list), expected);
}

#[test]
fn answers_are_for_people() {
    assert_eq!(shown(&json!({})).unwrap(), "");
    assert_eq!(shown(&json!("a\r\nb\x1b[2J\r\n")).unwrap(), "a\nb\\x1b[2J\n");
    let tabs = "lapic\tid\r\n12345678\tx\nä\t\ty\t\n";
    assert_eq!(shown(&json!(tabs)).unwrap(), "lapic   id\n12345678        x\nä               y\n");
    assert_eq!(shown(&json!({"a": [1]})).unwrap(), "{\n  \"a\": [\n    1\n  ]\n}\n");
    let odd = json!({"a": "\u{202e}\u{85}\u{e0001}"});
    let shown = shown(&odd).unwrap();
    assert!(shown.is_ascii(), "{shown}");
    assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), odd);
}
