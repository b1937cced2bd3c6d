//! The tablet: a pointer moved by programs, as the guest receives it.

#[path = "support/control.rs"]
mod control;
#[path = "support/mod.rs"]
mod support;

use control::{Client, Machine};
use serde_json::{Value, json};
use support::{no_kvm, nvmm, run};

/// nvmm's statuses if the guest ends with 0, and with 1.
const DONE: Option<i32> = Some(1);
const NO_TABLET: Option<i32> = Some(3);

fn machine() -> Machine {
    let mut machine = Machine::start("tablet", &["--display", "vga"]);
    // After the VGA, which is after virtio-rng.
    machine.prints("slot 3 class 98000 name QEMU Virtio Tablet to 7fff\nready\n");
    machine
}

fn send(client: &mut Client, events: &[Value]) -> Result<Value, String> {
    client.call("input-send-event", &json!({"events": events}))
}

/// [`send`], which must succeed.
fn tell(client: &mut Client, events: &[Value]) {
    assert_eq!(send(client, events), Ok(json!({})), "{events:?}");
}

fn abs(axis: &str, value: i64) -> Value {
    json!({"type": "abs", "data": {"axis": axis, "value": value}})
}

fn button(button: &str, down: bool) -> Value {
    json!({"type": "btn", "data": {"button": button, "down": down}})
}

/// Ends the guest. Its tablet must not have received anything else.
fn ends(machine: &mut Machine, client: &mut Client) {
    tell(client, &[button("right", true)]);
    machine.prints("1 111 1\n0 0 0\n");
    tell(client, &[button("right", false)]);
    machine.prints("1 111 0\n");
    assert_eq!(machine.nvmm.status_in_time(), DONE);
}

#[test]
fn a_guest_gets_the_pointers_events() {
    if no_kvm() {
        return;
    }
    let mut machine = machine();
    let mut client = machine.client();
    tell(&mut client, &[abs("x", 0x1234), abs("y", 0x7fff), button("left", true)]);
    machine.prints("3 0 1234\n3 1 7fff\n1 110 1\n0 0 0\n");
    tell(&mut client, &[button("left", false), abs("y", 0), abs("x", 0x1235)]);
    machine.prints("1 110 0\n0 0 0\n3 0 1235\n3 1 0\n0 0 0\n");
    tell(&mut client, &[button("wheel-up", true), button("wheel-up", false)]);
    machine.prints("2 8 1\n0 0 0\n");
    tell(&mut client, &[button("wheel-down", true), button("middle", true)]);
    machine.prints("2 8 ffffffff\n0 0 0\n1 112 1\n0 0 0\n");
    ends(&mut machine, &mut client);
}

#[test]
fn the_pointer_waits_while_the_machine_is_stopped_and_comes_to_the_one_after_a_reset() {
    if no_kvm() {
        return;
    }
    let mut machine = machine();
    let mut client = machine.client();
    machine.ask(&["stop"]);
    tell(&mut client, &[abs("x", 1), abs("y", 2), button("left", true), button("left", false)]);
    machine.ask(&["cont"]);
    machine.prints("3 0 1\n3 1 2\n1 110 1\n0 0 0\n1 110 0\n0 0 0\n");
    machine.ask(&["system_reset"]);
    machine.prints("ready\n");
    tell(&mut client, &[abs("y", 3)]);
    machine.prints("3 0 1\n3 1 3\n0 0 0\n");
    ends(&mut machine, &mut client);
}

#[test]
fn events_that_there_are_not_are_refused() {
    if no_kvm() {
        return;
    }
    let mut machine = machine();
    let mut client = machine.client();
    let rel = json!({"type": "rel", "data": {"axis": "x", "value": 1}});
    // If one event of a list is invalid, none is sent.
    let refused = send(&mut client, &[button("left", true), rel]).unwrap_err();
    assert!(refused.starts_with("the pointer can't go by 1: nvmm has a tablet and no mouse"), "{refused}");
    let refused = send(&mut client, &[abs("x", 0x8000)]).unwrap_err();
    assert!(refused.starts_with("the pointer can't be at 32768"), "{refused}");
    tell(&mut client, &[abs("x", 5), abs("y", 5)]);
    machine.prints("3 0 5\n3 1 5\n0 0 0\n");
    ends(&mut machine, &mut client);
}

#[test]
fn a_machine_without_a_screen_has_no_tablet() {
    if no_kvm() {
        return;
    }
    let output = run("tablet", &[]);
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!((output.status.code(), printed), (NO_TABLET, "no tablet\n".into()));
    let mut machine = Machine::start("spin", &[]);
    machine.prints("spinning\n");
    let refused = send(&mut machine.client(), &[button("left", true)]).unwrap_err();
    assert_eq!(refused, "the machine has neither keyboard nor tablet; start it with --display vga");
}

/// The addresses of others are the same without it.
#[test]
fn the_tablet_is_the_last_pci_function() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("a.img");
    std::fs::write(&image, [0; 4096]).unwrap();
    let mut command = nvmm();
    command.arg("--dry-run").arg("--kernel").arg(support::guest("spin")).args(["--display", "vga"]);
    command.arg("--disk").arg(format!("{},bus=sata,format=raw", image.display()));
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let functions: Vec<_> = text.lines().filter(|line| line.contains("00:")).collect();
    let last = functions.last().unwrap_or_else(|| panic!("{text}"));
    assert!(last.contains("virtio-tablet"), "{text}");
    assert_eq!(functions.iter().filter(|line| line.contains("virtio-tablet")).count(), 1, "{text}");
}
