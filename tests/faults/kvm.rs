//! KVM fails once, at each place in a machine's life.

use std::{fs, io::Read, path::Path, process::Stdio};

use libc::c_int;
use serde_json::json;
use tempfile::TempDir;

use crate::{
    control::{Client, Machine},
    injection::{self, Calls, Fault, KVM_RUN, Place, name},
    support::{Running, guest, no_kvm, nvmm},
};

/// Ioctls that only return numbers, which KVM has no reason to refuse. Their failure means that KVM lacks a feature, and the message is
/// about that.
const NEVER_REFUSED: [u32; 3] = [0xae00, 0xae03, 0xae04];

/// Of more than two hundred `KVM_RUN`s, the first [`FIRST_RUNS`] fail in turn, and then every [`RUNS_APART`]th.
const FIRST_RUNS: usize = 6;
const RUNS_APART: usize = 20;

/// The output of the guest `twice`, which is not affected by a fault.
const OUTPUT: &str = "disk 0\nagain\ndisk 0\nend\n";

/// The end of nvmm, with all its actions and messages.
#[derive(Debug)]
struct Ended {
    calls: Calls,
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

#[test]
fn a_failure_is_named_or_costs_the_guest_nothing() {
    everywhere(libc::ENOMEM, |place, ended| {
        let is_named = NEVER_REFUSED.contains(&place.request) || ended.stderr.contains(&name(place.request));
        // The other vCPU may have reset the machine or powered it off before this one fails.
        let is_late = place.request == KVM_RUN && ended.status == Some(0);
        assert!(is_named || is_late, "{place}: {ended:#?}");
        match ended.status {
            Some(0) => assert_eq!(ended.stdout, OUTPUT, "{place}: {ended:#?}"),
            _ => is_told(place, ended),
        }
    });
}

#[test]
fn an_interruption_is_none_to_the_guest() {
    everywhere(libc::EINTR, |place, ended| {
        if NEVER_REFUSED.contains(&place.request) {
            if ended.status != Some(0) {
                is_told(place, ended);
            }
            return;
        }
        assert_eq!((ended.status, ended.stdout.as_str()), (Some(0), OUTPUT), "{place}: {ended:#?}");
    });
}

#[test]
fn kvm_run_is_tried_again_and_else_a_failure_is_named() {
    everywhere(libc::EAGAIN, |place, ended| match ended.status {
        Some(0) => assert_eq!(ended.stdout, OUTPUT, "{place}: {ended:#?}"),
        _ => {
            assert_ne!(place.request, KVM_RUN, "{ended:#?}");
            is_told(place, ended);
        }
    });
}

/// Checks that nvmm can't go on, and that its last message gives the reason.
fn is_told(place: Place, ended: &Ended) {
    // Another thread may say meanwhile what the sandbox is.
    let mut lines = ended.stderr.lines();
    let why = lines.rfind(|line| !line.starts_with("nvmm: --sandbox: ")).unwrap_or_default();
    let is_named = NEVER_REFUSED.contains(&place.request) || why.contains(&name(place.request));
    assert!(ended.status == Some(1) && why.starts_with("nvmm: ") && is_named, "{place}: {ended:#?}");
}

/// Lets each ioctl fail in a run of its own: while a machine is built, runs, is reset, runs again, and ends.
fn everywhere(errno: c_int, judge: impl Fn(Place, &Ended)) {
    if no_kvm() || injection::cannot() {
        return;
    }
    let none = Place { request: KVM_RUN, number: usize::MAX };
    let ended = run(Some((none, errno)));
    assert_eq!((ended.status, ended.stdout.as_str()), (Some(0), OUTPUT), "{ended:#?}");
    let mut places = 0;
    for (&request, &count) in &ended.calls {
        let is_tried =
            |number: &usize| request != KVM_RUN || *number < FIRST_RUNS || number.is_multiple_of(RUNS_APART);
        for number in (0..count).filter(is_tried) {
            let place = Place { request, number };
            let ended = run(Some((place, errno)));
            if ended.calls.get(&request).is_none_or(|&count| count <= number) {
                assert_eq!(request, KVM_RUN, "{place} is not there again: {ended:#?}");
                continue;
            }
            assert!(!ended.stderr.contains("panicked"), "{place}: {ended:#?}");
            judge(place, &ended);
            places += 1;
        }
    }
    println!("{places} places of {} ioctls", ended.calls.len());
}

/// Runs a machine to its end, and checks that it leaves nothing behind.
fn run(fault: Option<Fault>) -> Ended {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("disk"), [0; 4096]).unwrap();
    let mut command = nvmm();
    command.arg("--kernel").arg(guest("twice")).args(["--memory", "16M", "--smp", "2", "--display", "vga"]);
    command.args(["--disk", &format!("path={},overlay=temp", path("disk").display())]);
    command.arg("--qmp").arg(path("qmp")).arg("--pidfile").arg(path("pid")).arg("--stats").arg(path("stats"));
    command.args(["--serial", "stdio", "--serial", &format!("pty={}", path("pty").display()), "-vv"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let (mut nvmm, answers) = injection::start(fault, || Running::start(&mut command));
    let status = nvmm.status_in_time();
    let read = |from: &mut dyn Read| {
        let mut text = Vec::new();
        from.read_to_end(&mut text).unwrap();
        String::from_utf8_lossy(&text).into_owned()
    };
    let stdout = read(nvmm.0.stdout.as_mut().unwrap());
    let stderr = read(nvmm.0.stderr.as_mut().unwrap());
    let ended = Ended { calls: answers.join().unwrap(), status, stdout, stderr };
    let left: Vec<_> =
        names(folder.path()).into_iter().filter(|name| name != "disk" && name != "stats").collect();
    assert!(left.is_empty(), "{left:?} are left behind with {fault:?}: {ended:#?}");
    ended
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Commands for which nvmm asks KVM.
const QUESTIONS: [(&str, &str); 8] = [
    ("human-monitor-command", r#"{"command-line": "info registers -a"}"#),
    ("human-monitor-command", r#"{"command-line": "info lapic"}"#),
    ("human-monitor-command", r#"{"command-line": "info pic"}"#),
    ("nvmm-registers", "{}"),
    ("query-stats", r#"{"target": "vm"}"#),
    ("stop", "{}"),
    ("nvmm-inject-nmi", r#"{"cpu-index": 0}"#),
    ("cont", "{}"),
];

/// If KVM fails to answer, the client gets an error, and the next question is answered.
#[test]
fn a_question_that_kvm_fails_is_answered_by_an_error() {
    if no_kvm() || injection::cannot() {
        return;
    }
    let (before, _) = ask(&[], None);
    let (calls, errors) = ask(&QUESTIONS, None);
    assert!(errors.is_empty(), "{errors:?}");
    let mut refused = 0;
    for (&request, &count) in &calls {
        for number in before.get(&request).copied().unwrap_or_default()..count {
            let (_, errors) = ask(&QUESTIONS, Some((Place { request, number }, libc::ENOMEM)));
            println!("{} number {number}: {errors:?}", name(request));
            assert!(errors.len() <= 1, "one fault, and {errors:?}");
            refused += errors.len();
        }
    }
    assert_ne!(refused, 0);
}

/// Asks questions to a machine, in which the fault happens, and ends it. Returns the ioctls, and the errors.
fn ask(questions: &[(&str, &str)], fault: Option<Fault>) -> (Calls, Vec<String>) {
    let (mut machine, answers) = injection::start(fault, || Machine::start("echo", &["--smp", "2"]));
    machine.prints("ready\n");
    let mut client: Client = machine.client();
    let mut errors = Vec::new();
    for (command, arguments) in questions {
        let arguments = serde_json::from_str(arguments).unwrap();
        errors.extend(client.call(command, &arguments).err());
    }
    client.call("quit", &json!({})).unwrap();
    assert_eq!(machine.nvmm.status_in_time(), Some(0));
    (answers.join().unwrap(), errors)
}
