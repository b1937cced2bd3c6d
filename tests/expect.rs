//! `--expect` and `--send`: a script on COM1.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "support/mod.rs"]
mod support;

use std::{
    fs,
    io::Write,
    os::unix::process::ExitStatusExt,
    process::{Command, Output, Stdio},
};

use support::{Running, expect, guest, no_kvm, nvmm};

/// The status if the expected output didn't come.
const UNMET: i32 = 3;
/// The steps of a login.
const LOGIN: [&str; 8] =
    ["--expect", "tiny login: ", "--send", "root", "--expect", "Password:", "--send", "secret"];

fn machine(steps: &[&str]) -> Command {
    let mut command = nvmm();
    command.arg("--kernel").arg(guest("login")).args(["--debug-exit", "0xf4", "--memory", "16M"]).args(steps);
    command
}

fn run(steps: &[&str]) -> Output {
    machine(steps).output().unwrap()
}

/// The status, the guest's output, and nvmm's messages.
fn end(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_script_logs_in_and_runs_a_command() {
    if no_kvm() {
        return;
    }
    let rest =
        ["--expect", "re:[#$] $", "--send", "hello", "--expect", r"re:^you said (\w+)$", "--send", "off"];
    let (status, shown, said) = end(&run(&[&LOGIN[..], &rest].concat()));
    assert_eq!((status, said.as_str()), (Some(0), ""), "{shown}");
    assert!(shown.contains("welcome root with secret\r\n"), "{shown}");
    assert!(shown.contains("you said hello\r\n"), "{shown}");
}

#[test]
fn without_anything_to_wait_for_text_is_typed_at_the_start() {
    if no_kvm() {
        return;
    }
    let steps = ["--send", "a", r"--send", r"b\n", "--send", r"o\c", "--send", r"f\x66"];
    let (status, shown, said) = end(&run(&steps));
    assert_eq!((status, said.as_str()), (Some(0), ""), "{shown}");
    assert!(shown.contains("welcome a with b\r\n"), "{shown}");
}

#[test]
fn a_text_that_does_not_come_ends_the_machine() {
    if no_kvm() {
        return;
    }
    let (status, shown, said) = end(&run(&["--expect", "no such text", "--expect-timeout", "1"]));
    assert_eq!(status, Some(UNMET), "{shown}{said}");
    let expected =
        "nvmm: --expect \"no such text\" (1 of 1) was not met in 1 s (--expect-timeout); the console";
    assert!(said.starts_with(expected), "{said}");
}

#[test]
fn a_guest_that_ends_early_has_not_met_it() {
    if no_kvm() {
        return;
    }
    let unmet =
        "nvmm: --expect \"more\" (4 of 4) was not met before the guest ended; the console's last lines:
    tiny login: \n    Password: \n    welcome root with secret\n    $\n";
    for (last, expected) in [("off", UNMET), ("exit", UNMET), ("crash", 4)] {
        let rest = ["--expect", "$ ", "--send", last, "--expect", "more", "--on-reboot", "exit"];
        let (status, shown, said) = end(&run(&[&LOGIN[..], &rest].concat()));
        assert_eq!(status, Some(expected), "{last}: {shown}{said}");
        // The report of a crash comes before or after it.
        assert!(said.contains(unmet), "{last}: {said}");
    }
    // Having nothing more to type is no error.
    let rest = ["--expect", "$ ", "--send", "off", "--expect", "\n", "--send", "never"];
    let (status, shown, said) = end(&run(&[&LOGIN[..], &rest].concat()));
    assert_eq!((status, said.as_str()), (Some(0), ""), "{shown}");
}

#[test]
fn a_script_goes_on_after_a_reset() {
    if no_kvm() {
        return;
    }
    let reboot = ["--expect", "$ ", "--send", "reboot"];
    let off = ["--expect", "$ ", "--send", "off"];
    let (status, shown, said) = end(&run(&[&LOGIN[..], &reboot, &LOGIN, &off].concat()));
    assert_eq!((status, said.as_str()), (Some(0), ""), "{shown}");
    assert_eq!(shown.matches("welcome root with secret").count(), 2, "{shown}");
}

#[test]
fn a_flood_and_garbage_are_seen_through() {
    if no_kvm() {
        return;
    }
    let rest = [
        "--expect",
        "$ ",
        "--send",
        "flood",
        "--expect",
        r"re:\.{100}.*\$ $",
        "--send",
        "garbage",
        "--expect",
        r"re:\xfe\xff",
        "--expect",
        "$ ",
        "--send",
        "off",
    ];
    let (status, _, said) = end(&run(&[&LOGIN[..], &rest].concat()));
    assert_eq!((status, said.as_str()), (Some(0), ""));
}

#[test]
fn the_output_goes_where_the_port_leads() {
    if no_kvm() {
        return;
    }
    let off = ["--expect", "$ ", "--send", "off"];
    let (status, shown, said) = end(&run(&[&["--serial", "null"], &LOGIN[..], &off].concat()));
    assert_eq!((status, shown.as_str(), said.as_str()), (Some(0), "", ""));

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("console");
    let serial = format!("file={}", file.display());
    let (status, shown, said) = end(&run(&[&["--serial", &serial], &LOGIN[..], &off].concat()));
    assert_eq!((status, shown.as_str(), said.as_str()), (Some(0), "", ""));
    let console = fs::read_to_string(file).unwrap();
    assert!(
        console.contains("\x1b[0;1;32mtiny") && console.contains("welcome root with secret"),
        "{console}"
    );
}

#[test]
fn a_user_types_beside_a_script() {
    if no_kvm() {
        return;
    }
    let mut command = machine(&LOGIN);
    let mut nvmm = Running::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
    let (mut stdin, mut stdout) = (nvmm.0.stdin.take().unwrap(), nvmm.0.stdout.take().unwrap());
    expect(&mut stdout, "$ ");
    stdin.write_all(b"it is me\n").unwrap();
    expect(&mut stdout, "you said it is me\r\n");
    stdin.write_all(b"off\n").unwrap();
    assert_eq!(nvmm.status_in_time(), Some(0));
}

#[test]
fn a_signal_has_its_own_status() {
    if no_kvm() {
        return;
    }
    let mut command = machine(&["--expect", "no such text", "--grace", "0"]);
    let mut nvmm = Running::start(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    expect(&mut nvmm.0.stdout.take().unwrap(), "gin: ");
    let pid = rustix::process::Pid::from_child(&nvmm.0);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(nvmm.status_in_time(), Some(143));
    assert_eq!(nvmm.0.wait().unwrap().signal(), None);
}

#[test]
fn wrong_words_are_refused() {
    let cases: [(&[&str], &str); 8] = [
        (
            &["--expect", "re:foo(bar"],
            "nvmm: --expect re:foo(bar: regex parse error:\n    foo(bar\n       ^\nerror: unclosed group\n",
        ),
        (
            &["--expect", "re:a*"],
            "nvmm: --expect re:a*: this matches the empty text, so it would be met at once; leave out what makes all of it optional\n",
        ),
        (&["--expect", "re:[a&&b]"], "nvmm: --expect re:[a&&b]: no text matches this\n"),
        (
            &["--expect", "re:a.{0,60}b.{0,60}c"],
            "nvmm: --expect re:a.{0,60}b.{0,60}c: this takes more than 4 MiB to look for; write * instead of a counted repeat such as {0,100}\n",
        ),
        (&["--expect", ""], "nvmm: --expect : give the text to wait for, or re:REGEX\n"),
        (
            &["--send", r"\q"],
            "nvmm: --send \\q: give \\n, \\r, \\t, \\xHH with two hexadecimal digits, or \\\\; \\c at the end leaves Enter out\n",
        ),
        (&["--expect-timeout", "5"], "--expect <TEXT|re:REGEX>"),
        (&["--expect", "a", "--expect-timeout", "x"], "--expect-timeout x: give seconds, such as 60"),
    ];
    for (words, expected) in cases {
        let output = nvmm().args(["--kernel", "/no/such/file"]).args(words).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{words:?}: {said}");
        assert!(said.contains(expected), "{words:?}: {said}");
    }
}
