//! The control socket: programs that ask about a machine, stop it, continue it and end it, and programs that misbehave.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "support/control.rs"]
mod control;
#[path = "support/schema.rs"]
mod schema;
#[path = "support/mod.rs"]
mod support;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::unix::{fs::PermissionsExt, net::UnixListener},
    process::{Command, Stdio},
};

use control::{Client, Machine, ctl};
use serde_json::{Value, json};
use support::{Running, expect, expect_end, guest, in_time, no_kvm, nvmm};

const NOTHING: Value = Value::Null;

fn none() -> Value {
    json!({})
}

/// Waits until the machine is in this state.
fn wait_for(client: &mut Client, status: &str) {
    assert!(
        in_time(|| client.call("query-status", &none()).unwrap()["status"] == status),
        "it is not {status}"
    );
}

#[test]
fn a_machine_is_stopped_goes_on_and_ends_and_all_hear_of_it() {
    if no_kvm() {
        return;
    }
    let mut machine = Machine::start("spin", &[]);
    machine.prints("spinning\n");
    let mut first = machine.client();
    let mut second = machine.client();
    wait_for(&mut first, "running");
    assert_eq!(first.call("stop", &none()), Ok(none()));
    assert_eq!(second.event(), ("STOP".to_owned(), NOTHING));
    let paused = json!({"running": false, "status": "paused"});
    assert_eq!(second.call("query-status", &none()), Ok(paused.clone()));
    // Again, by another client: nothing happens.
    assert_eq!(second.call("stop", &none()), Ok(none()));
    assert_eq!(first.call("query-status", &none()), Ok(paused));
    // Both at once: the last one decides.
    first.send(br#"{"execute": "cont"}{"execute": "stop"}"#);
    second.send(br#"{"execute": "stop"}{"execute": "cont"}"#);
    let mut answers = [0, 0];
    while answers != [2, 2] {
        for (client, answers) in [&mut first, &mut second].into_iter().zip(&mut answers) {
            if *answers < 2 && client.hear().get("return").is_some() {
                *answers += 1;
            }
        }
    }
    assert_eq!(first.call("cont", &none()), Ok(none()));
    assert_eq!(second.call("query-status", &none()).unwrap()["running"], json!(true));

    assert_eq!(first.call("quit", &none()), Ok(none()));
    let expected = ("SHUTDOWN".to_owned(), json!({"guest": false, "reason": "host-qmp-quit"}));
    for mut client in [first, second] {
        while client.event() != expected {}
        assert!(client.has_ended());
    }
    assert_eq!(machine.nvmm.status_in_time(), Some(0));
    assert!(!machine.socket.exists());
}

#[test]
fn the_power_button_and_a_reset_give_events() {
    if no_kvm() {
        return;
    }
    let mut machine = Machine::start("button", &[]);
    machine.prints("ready\n");
    let mut client = machine.client();
    assert_eq!(client.call("system_reset", &none()), Ok(none()));
    machine.prints("ready\n");
    let reset = ("RESET".to_owned(), json!({"guest": false, "reason": "host-qmp-system-reset"}));
    while client.event() != reset {}
    assert_eq!(client.call("system_powerdown", &none()), Ok(none()));
    assert_eq!(machine.nvmm.status_in_time(), Some(0));
    let events: Vec<_> = std::iter::from_fn(|| (!client.has_ended()).then_some(())).collect();
    assert!(!events.is_empty(), "at least SHUTDOWN");
}

#[test]
fn the_guests_own_end_and_its_panic_are_reported() {
    if no_kvm() {
        return;
    }
    let mut machine = Machine::start("late", &[]);
    machine.prints("ready\n");
    let mut client = machine.client();
    assert_eq!(client.call("system_powerdown", &none()), Ok(none()));
    machine.process().stdin.take().unwrap().write_all(b"o").unwrap();
    let shutdown = ("SHUTDOWN".to_owned(), json!({"guest": true, "reason": "guest-shutdown"}));
    while client.event() != shutdown {}
    assert_eq!(machine.nvmm.status_in_time(), Some(0));

    let mut machine = Machine::start("panic", &["--on-panic", "pause", "--cmdline", "p"]);
    let mut client = machine.client();
    wait_for(&mut client, "guest-panicked");
    assert_eq!(client.call("cont", &none()), Ok(none()));
    machine.prints("goes on\n");
    assert_eq!(machine.nvmm.status_in_time(), Some(1));
}

#[test]
fn a_machine_can_be_asked_for_its_properties() {
    if no_kvm() {
        return;
    }
    let image = tempfile::NamedTempFile::new().unwrap();
    image.as_file().set_len(1 << 20).unwrap();
    let uuid = "00112233-4455-6677-8899-aabbccddeeff";
    let disk = format!("path={},id=data", image.path().display());
    let mut machine = Machine::start("spin", &["--smp", "2", "--disk", &disk, "--uuid", uuid]);
    machine.prints("spinning\n");
    let mut client = machine.client();
    assert_eq!(client.call("query-uuid", &none()), Ok(json!({"UUID": uuid})));
    let version = client.call("query-version", &none()).unwrap();
    assert_eq!(version["package"], json!(concat!("nvmm ", env!("CARGO_PKG_VERSION"))));

    let cpus = client.call("query-cpus-fast", &none()).unwrap();
    let threads: Vec<_> =
        cpus.as_array().unwrap().iter().map(|cpu| cpu["thread-id"].as_u64().unwrap()).collect();
    assert_eq!(threads.len(), 2);
    let pid = machine.process().id();
    assert!(threads.iter().all(|id| fs::exists(format!("/proc/{pid}/task/{id}")).unwrap()), "{cpus}");

    let stats = client.call("query-stats", &json!({"target": "vcpu"}));
    match stats {
        Ok(stats) => assert_eq!(stats.as_array().unwrap().len(), 2, "{stats}"),
        Err(why) => assert!(why.contains("Linux 5.14"), "{why}"),
    }
    let models = client.call("query-cpu-definitions", &none()).unwrap();
    assert!(models.as_array().unwrap().iter().any(|model| model["name"] == "Haswell-v1"));
    let model = json!({"type": "full", "model": {"name": "host"}});
    let host = client.call("query-cpu-model-expansion", &model).unwrap();
    assert!(host["model"]["props"]["sse2"].is_boolean(), "{host}");

    let blocks = client.call("query-block", &none()).unwrap();
    assert_eq!(blocks[0]["device"], json!("data"));
    assert_eq!(blocks[0]["inserted"]["image"]["virtual-size"], json!(1 << 20));
    assert_eq!(client.call("block_resize", &json!({"device": "data", "size": 2 << 20})), Ok(none()));
    assert_eq!(image.as_file().metadata().unwrap().len(), 2 << 20);
    let blocks = client.call("query-block", &none()).unwrap();
    assert_eq!(blocks[0]["inserted"]["image"]["virtual-size"], json!(2 << 20));
    let refused = |client: &mut Client, arguments| client.call("block_resize", &arguments).unwrap_err();
    assert!(refused(&mut client, json!({"device": "data", "size": 512})).contains("can't shrink"));
    assert!(
        refused(&mut client, json!({"device": "data", "size": (2 << 20) + 1})).contains("no multiple of 512")
    );
    assert!(
        refused(&mut client, json!({"device": "other", "size": 512})).contains("Cannot find device='other'")
    );
    let stats = client.call("query-blockstats", &none()).unwrap();
    assert_eq!((&stats[0]["device"], &stats[0]["stats"]["wr_operations"]), (&json!("data"), &json!(0)));
}

#[test]
fn answers_match_the_schema() {
    if no_kvm() {
        return;
    }
    let image = tempfile::NamedTempFile::new().unwrap();
    image.as_file().set_len(1 << 20).unwrap();
    let (image, overlay) = (image.path().display(), tempfile::tempdir().unwrap());
    let disks = [
        format!("path={image},id=plain,readonly=on"),
        format!("path={image},format=raw,id=below,overlay={}", overlay.path().join("over").display()),
    ];
    let mut machine = Machine::start("spin", &["--smp", "2", "--disk", &disks[0], "--disk", &disks[1]]);
    machine.prints("spinning\n");
    let mut client = machine.client();
    let schema = client.call("query-qmp-schema", &none()).unwrap();
    let model = json!({"name": "host"});
    let mut calls = vec![
        ("query-stats", json!({"target": "vm"})),
        ("query-stats", json!({"target": "vcpu", "providers": [{"provider": "kvm", "names": ["exits"]}]})),
        ("query-cpu-model-expansion", json!({"type": "static", "model": model})),
        ("query-cpu-model-expansion", json!({"type": "full", "model": model})),
        ("human-monitor-command", json!({"command-line": "info status"})),
        ("nvmm-registers", none()),
        ("stop", none()),
    ];
    let commands = client.call("query-commands", &none()).unwrap();
    let names: Vec<_> = commands.as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    let mut simple = names;
    simple.retain(|name| name.starts_with("query-") && calls.iter().all(|call| call.0 != *name));
    calls.extend(simple.into_iter().map(|name| (name, none())));
    for (command, arguments) in &calls {
        let info = schema::find(&schema, command).unwrap();
        schema::check(&schema, &info["arg-type"], arguments).unwrap();
        match client.call(command, arguments) {
            // KVM has no counters before Linux 5.14.
            Err(why) => {
                assert!(*command == "query-stats" && why.contains("counts nothing"), "{command}: {why}");
            }
            Ok(answer) => schema::check(&schema, &info["ret-type"], &answer)
                .unwrap_or_else(|why| panic!("{command}: {why}")),
        }
    }
    assert!(calls.len() > 15, "{calls:?}");
}

#[test]
fn a_machine_that_waits_for_a_serial_port_s_peer_is_asked_and_ended() {
    if no_kvm() {
        return;
    }
    let mut machine = Machine::start("spin", &["--serial", "unix=com1,server,wait"]);
    let mut client = machine.client();
    let prelaunch = json!({"running": false, "status": "prelaunch"});
    assert_eq!(client.call("query-status", &none()), Ok(prelaunch.clone()));
    for command in ["query-version", "query-commands", "query-qmp-schema", "query-cpus-fast", "query-kvm"] {
        client.call(command, &none()).unwrap();
    }
    client.call("query-cpu-definitions", &none()).unwrap();
    assert_eq!(client.call("query-status", &none()), Ok(prelaunch));
    // A question that only a machine can answer waits for one, and is refused if there will be none.
    client.send(br#"{"execute": "query-block"}"#);
    assert_eq!(machine.client().call("quit", &none()), Ok(none()));
    let refused = std::iter::repeat_with(|| client.hear()).find(|said| said.get("event").is_none()).unwrap();
    assert_eq!(refused["error"]["desc"], json!("the machine has ended"));
    assert_eq!(machine.nvmm.status_in_time(), Some(0));
}

#[test]
fn a_hung_guest_is_looked_into() {
    if no_kvm() {
        return;
    }
    let mut machine = Machine::start("spin", &[]);
    machine.prints("spinning\n");
    let mut client = machine.client();
    let registers = client.call("nvmm-registers", &none()).unwrap();
    assert!(registers.to_string().contains("rip"), "{registers}");
    assert!(machine.ask(&["info", "registers"]).contains("RIP="));
    let file = machine.folder.path().join("ram");
    machine.ask(&["pmemsave", "val=0x1000", "size=0x2000", &format!("filename={}", file.display())]);
    assert_eq!(fs::metadata(&file).unwrap().len(), 0x2000);
    let core = machine.folder.path().join("core");
    let dump = json!({"paging": false, "protocol": format!("file:{}", core.display())});
    assert_eq!(client.call("dump-guest-memory", &dump), Ok(none()));
    assert!(fs::read(&core).unwrap().starts_with(b"\x7fELF"));
    // It kept running all the time.
    assert_eq!(client.call("query-status", &none()).unwrap()["running"], json!(true));
}

#[test]
fn bad_input_is_refused_and_harms_no_other_client() {
    if no_kvm() {
        return;
    }
    let mut machine = Machine::start("spin", &["--name", "a,,b"]);
    machine.prints("spinning\n");
    let mut bystander = machine.client();
    let mut client = machine.client();
    for bad in
        ["{\"execute\": }\n", "nonsense\n", "[1]\n", "{\"execute\": \"stop\" ,}", "\"open\n", "\u{1}", "{}"]
    {
        client.send(bad.as_bytes());
        assert!(client.hear()["error"]["desc"].is_string(), "{bad}");
    }
    assert!(
        client
            .call("drive-mirror", &none())
            .unwrap_err()
            .contains("The command drive-mirror has not been found")
    );
    assert_eq!(client.call("query-name", &none()), Ok(json!({"name": "a,b"})));

    // A command without an end, and endlessly nested lists.
    for (bytes, count) in [(vec![b'x'; 1 << 20], 100), (b"[".repeat(1 << 20), 1)] {
        let mut endless = machine.connect();
        let mut heard = BufReader::new(endless.try_clone().unwrap());
        heard.read_line(&mut String::new()).unwrap();
        let begin = if count > 1 { &b"{\"execute\": \""[..] } else { b"" };
        let sent =
            endless.write_all(begin).and_then(|()| (0..count).try_for_each(|_| endless.write_all(&bytes)));
        assert!(sent.is_err() || count == 1, "it is let go before all is sent");
        let mut line = String::new();
        heard.read_line(&mut line).unwrap();
        assert!(line.contains("limit exceeded"), "{line}");
    }

    // A client that closes in the middle of a command, and one that closes before its answer.
    let mut gone = machine.client();
    gone.send(br#"{"execute": "quit"#);
    drop(gone);
    let mut gone = machine.client();
    gone.send(br#"{"execute": "query-cpu-definitions"}"#);
    drop(gone);
    // A client that never reads.
    let mut deaf = machine.connect();
    deaf.set_nonblocking(true).unwrap();
    deaf.write_all(br#"{"execute": "qmp_capabilities"}"#).unwrap();
    let flood = br#"{"execute": "query-commands"}"#.repeat(1000);
    for _ in 0..1000 {
        if deaf.write(&flood).is_err() {
            break;
        }
    }
    assert_eq!(bystander.call("query-status", &none()).unwrap()["running"], json!(true));

    // More clients than allowed. Those that have gone leave room.
    let mut clients = Vec::new();
    let refused = loop {
        let socket = machine.connect();
        let mut line = String::new();
        BufReader::new(socket.try_clone().unwrap()).read_line(&mut line).unwrap();
        if line.contains("error") {
            break line;
        }
        clients.push(socket);
        assert!(clients.len() < 100);
    };
    assert!(refused.contains("clients already"), "{refused}");
    assert_eq!(bystander.call("quit", &none()), Ok(none()));
    assert_eq!(machine.nvmm.status_in_time(), Some(0));
}

#[test]
fn places_that_can_not_be_listened_at_are_refused_before_the_machine_starts() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(at("file"), "text").unwrap();
    let _live = UnixListener::bind(at("live")).unwrap();
    let long = at(&"x".repeat(200));
    for (place, why) in [
        (at("live"), "another program listens there; give another path"),
        (at("file"), "there is a file that is no socket"),
        (at("no/where"), "No such file or directory"),
        (long.clone(), "and a unix socket's has at most 107; give a shorter one"),
        ("tcp:127.0.0.1:4444,server,nowait".to_owned(), "give the path of a unix socket"),
        (format!("unix:{},server", at("a")), "add wait=off"),
    ] {
        let output = nvmm().args(["--kernel", "/nowhere", "--qmp", &place]).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(matches!(output.status.code(), Some(1 | 2)), "{error}");
        assert!(error.contains("--qmp") && error.contains(why), "{place}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    assert_eq!(fs::read_to_string(at("file")).unwrap(), "text");
}

#[test]
fn the_socket_is_the_users_alone_and_replaces_one_left_behind() {
    if no_kvm() {
        return;
    }
    let mut machine = Machine::start("spin", &[]);
    machine.prints("spinning\n");
    assert_eq!(fs::metadata(&machine.socket).unwrap().permissions().mode() & 0o777, 0o600);
    machine.process().kill().unwrap();
    machine.nvmm.status();
    assert!(machine.socket.exists(), "a killed process removes nothing");
    let output = machine.ctl(&["query-status"]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("no machine listens there"), "{error}");

    let qemu = format!("unix:{},server=on,wait=off", machine.socket.display());
    let mut command = nvmm();
    command.arg("-kernel").arg(guest("power_off")).args(["-m", "16", "-qmp", &qemu]);
    let output = command.stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!machine.socket.exists());
}

/// Returns true if Python's QMP client is not installed, and prints that the test is skipped, and why.
fn no_qemu_qmp() -> bool {
    let import = Command::new("python3").args(["-c", "import qemu.qmp"]).output();
    let found = import.is_ok_and(|output| output.status.success());
    if !found {
        println!("skipped: python3 has no qemu.qmp, which pip installs");
    }
    !found
}

fn python(script: &[&str], machine: &Machine) -> Command {
    let mut command = Command::new("timeout");
    command.args(["60", "python3"]).args(script).arg(&machine.socket);
    command.env("HOME", machine.folder.path());
    command
}

#[test]
fn qemus_own_client_drives_every_command() {
    if no_kvm() || no_qemu_qmp() {
        return;
    }
    let image = tempfile::NamedTempFile::new().unwrap();
    image.as_file().set_len(1 << 20).unwrap();
    let disk = format!("path={},id=data", image.path().display());
    let mut machine = Machine::start("spin", &["--disk", &disk, "--cdrom", "none", "--display", "vga"]);
    machine.prints("spinning\n");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/qmp_client.py");
    let output = python(&[script], &machine).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && output.stdout.ends_with(b"all commands\n"), "{errors}");
    assert_eq!(machine.nvmm.status_in_time(), Some(0));
}

#[test]
fn qemus_own_shell_drives_it() {
    if no_kvm() || no_qemu_qmp() {
        return;
    }
    let mut machine = Machine::start("spin", &[]);
    machine.prints("spinning\n");
    let mut shell = python(&["-m", "qemu.qmp.qmp_shell"], &machine);
    let mut shell =
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    shell.stdin.take().unwrap().write_all(b"query-status\nstop\nquery-stats target=vm\nquit\n").unwrap();
    let output = shell.wait_with_output().unwrap();
    let [said, errors] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(said.contains("running") && said.contains("{\"return\": {}}"), "{said}{errors}");
    assert_eq!(machine.nvmm.status_in_time(), Some(0));
}

#[test]
fn ctl_is_for_people() {
    if no_kvm() {
        return;
    }
    let mut machine = Machine::start("button", &[]);
    machine.prints("ready\n");
    let list = machine.ask(&[]);
    assert_eq!(machine.ask(&["help"]), list);
    let commands = machine.client().call("query-commands", &none()).unwrap();
    for command in commands.as_array().unwrap() {
        let name = command["name"].as_str().unwrap();
        assert!(list.lines().any(|line| line.split_whitespace().next() == Some(name)), "{name}: {list}");
    }
    assert_eq!(machine.ask(&["stop"]), "");
    let status: Value = serde_json::from_str(&machine.ask(&["query-status"])).unwrap();
    assert_eq!(status, json!({"running": false, "status": "paused"}));
    assert_eq!(machine.ask(&["cont"]), "");
    for (words, status, why) in [
        (&["drive-mirror"][..], 1, "drive-mirror: The command drive-mirror has not been found; `nvmm ctl "),
        (&["block_resize", "size=512"][..], 1, "block_resize: Parameter 'device' is missing"),
        (&["block_resize", "size=x"][..], 2, "size=x: give a whole number"),
        (&["block_resize", "{"][..], 2, "that is no JSON"),
    ] {
        let output = machine.ctl(words);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{words:?}");
        assert!(error.starts_with("nvmm: ") && error.contains(why), "{words:?}: {error}");
    }
    // A reader that has seen enough closes.
    let mut closed = ctl(&machine.socket, &[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(closed.stdout.take());
    let mut error = String::new();
    closed.stderr.take().unwrap().read_to_string(&mut error).unwrap();
    assert_eq!((closed.wait().unwrap().code(), error.as_str()), (Some(0), ""));

    // Also if it waits for events, as it would keep other clients out.
    let mut closed =
        Running::start(ctl(&machine.socket, &["--events", "query-status"]).stdout(Stdio::piped()));
    expect(closed.0.stdout.as_mut().unwrap(), "}\n");
    drop(closed.0.stdout.take());
    assert_eq!(closed.status_in_time(), Some(0));

    let mut events =
        ctl(&machine.socket, &["--events", "query-status"]).stdout(Stdio::piped()).spawn().unwrap();
    // It receives events once it has the answer.
    expect(events.stdout.as_mut().unwrap(), "}\n");
    machine.ask(&["stop"]);
    machine.ask(&["cont"]);
    machine.ask(&["system_powerdown"]);
    let heard = expect_end(events.stdout.as_mut().unwrap());
    assert_eq!(events.wait().unwrap().code(), Some(0));
    let heard: Vec<Value> = heard.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<_> = heard.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["STOP", "RESUME", "POWERDOWN", "SHUTDOWN"]);
    assert_eq!(machine.nvmm.status_in_time(), Some(0));
}
