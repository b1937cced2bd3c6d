//! The inspection of a guest that hangs, over the control socket.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "support/control.rs"]
mod control;
#[path = "support/mod.rs"]
mod support;

use std::{
    fs,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use control::{Client, Machine};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use support::{expect, no_kvm};
use tempfile::TempDir;

/// A `jmp` to itself.
const LOOP: [u8; 2] = [0xeb, 0xfe];

fn monitor(client: &mut Client, line: &str) -> String {
    let text = client.call("human-monitor-command", &json!({ "command-line": line })).unwrap();
    text.as_str().unwrap().to_owned()
}

/// The page of the guest `user`.
const USER: u64 = 8 << 20;

/// A number such as `0x1f`.
fn number(text: &Value) -> u64 {
    u64::from_str_radix(text.as_str().unwrap().strip_prefix("0x").unwrap(), 16).unwrap()
}

#[test]
fn a_guest_that_hangs_is_looked_into_and_hangs_on() {
    if no_kvm() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let mut machine = Machine::start("hang", &["--smp", "2"]);
    machine.prints("hanging\n");
    let mut client = machine.client();

    // It may not have reached the loop yet.
    let mut rip = 0;
    for _ in 0..1000 {
        let registers = client.call("nvmm-registers", &json!({})).unwrap();
        let [first, second] = [0, 1].map(|vcpu| registers["vcpus"][vcpu].clone());
        assert_eq!((&first["state"], &second["state"]), (&json!("running"), &json!("uninitialized")));
        if first["code"].as_str().unwrap().starts_with("eb fe") {
            assert_eq!(first["general"]["rbx"], "0x1234567890abcdef");
            assert_eq!(number(&first["general"]["rflags"]) & 1 << 9, 0, "interrupts are off");
            assert_eq!(registers["ioapic"]["pins"].as_array().unwrap().len(), 24);
            rip = number(&first["general"]["rip"]);
            break;
        }
    }
    assert_ne!(rip, 0, "it does not hang");

    let text = monitor(&mut client, "info registers");
    assert!(text.contains("RBX=1234567890abcdef") && text.contains("\r\nCPU#0\r\n"), "{text}");
    assert!(text.contains(&format!("RIP={rip:016x}")), "{text}");
    assert!(monitor(&mut client, "info lapic 1").starts_with("dumping local APIC state for CPU 1 \r\n"));
    assert!(monitor(&mut client, "info pic").starts_with("ioapic0: "));
    assert!(monitor(&mut client, "info pci").contains("Host bridge: PCI device "));
    assert_eq!(monitor(&mut client, "info block"), "");
    assert_eq!(monitor(&mut client, "info status"), "VM status: running\r\n");
    assert!(monitor(&mut client, "info foo").starts_with("unknown command: 'info foo'"));

    let code = file("code");
    client.call("memsave", &json!({ "val": rip, "size": 2, "filename": code })).unwrap();
    assert_eq!(fs::read(&code).unwrap(), LOOP);
    let refused = client.call("memsave", &json!({ "val": 1_u64 << 46, "size": 2, "filename": code }));
    assert!(refused.unwrap_err().contains("vCPU 0 has nothing mapped at 0x400000000000"));
    let refused = client.call("memsave", &json!({ "val": -0x1000, "size": 1, "filename": code }));
    assert!(refused.unwrap_err().contains("at 0xfffffffffffff000"));
    client.call("pmemsave", &json!({ "val": 0, "size": 0x1000, "filename": code })).unwrap();
    assert_eq!(fs::metadata(&code).unwrap().len(), 0x1000);

    // Firmware leaves LINT1 masked.
    let nmi = client.call("inject-nmi", &json!({}));
    assert!(nmi.unwrap_err().contains("no vCPU takes an NMI"));

    let core = file("core");
    let arguments = json!({ "paging": true, "protocol": format!("file:{core}") });
    client.call("dump-guest-memory", &arguments).unwrap();
    let commands =
        ["-nx", "-batch", "-core", &core, "-ex", "thread 1", "-ex", "p/x $rbx", "-ex", "x/2xb $rip"];
    match Command::new("gdb").args(commands).stdin(Stdio::null()).output() {
        Ok(output) => {
            let told = String::from_utf8_lossy(&output.stdout);
            assert!(told.contains("0x1234567890abcdef") && told.contains("0xeb\t0xfe"), "{told}");
        }
        Err(error) => println!("without gdb: {error}"),
    }

    // It keeps running, and is not paused.
    assert_eq!(client.call("query-status", &json!({})).unwrap()["status"], "running");
    client.call("quit", &json!({})).unwrap();
    assert_eq!(machine.nvmm.status_in_time(), Some(0));
}

#[test]
fn a_users_memory_is_seen_in_spite_of_smap() {
    if no_kvm() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("memory");
    let mut machine = Machine::start("user", &[]);
    machine.prints("in user mode ");
    let smap = expect(machine.process().stdout.as_mut().unwrap(), " SMAP\n");
    println!("{smap}");
    let mut client = machine.client();
    // It may not have reached the loop yet.
    let in_loop = |client: &mut Client| {
        let registers = client.call("nvmm-registers", &json!({})).unwrap()["vcpus"][0].take();
        (number(&registers["general"]["rip"]) == USER + 1).then_some(registers)
    };
    let registers = (0..1000).find_map(|_| in_loop(&mut client)).expect("it is not in user mode");
    assert_eq!(registers["segments"]["cs"]["dpl"], 3);
    assert_eq!(number(&registers["control"]["cr4"]) & 1 << 20 != 0, smap.starts_with("with "));
    assert!(registers["code"].as_str().unwrap().starts_with("eb fe"), "{registers}");

    let save = json!({ "val": USER + 0x100, "size": 10, "filename": file });
    client.call("memsave", &save).unwrap();
    assert_eq!(fs::read(&file).unwrap(), b"the user's");
    client.call("quit", &json!({})).unwrap();
    assert_eq!(machine.nvmm.status_in_time(), Some(0));
}

/// Waits until no vCPU has a thread, while the machine's thread inspects the machine.
fn wait_for_look(machine: &Machine) {
    let tasks = format!("/proc/{}/task", machine.nvmm.0.id());
    // A thread may have ended meanwhile.
    let name = |task: fs::DirEntry| fs::read_to_string(task.path().join("comm")).unwrap_or_default();
    for _ in 0..60_000 {
        if !fs::read_dir(&tasks).unwrap().any(|task| name(task.unwrap()) == "vcpu0\n") {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
    panic!("the vCPU is not stopped");
}

#[test]
fn sigterm_ends_a_memsave_that_would_never_end() {
    if no_kvm() {
        return;
    }
    let mut machine = Machine::start("loop_tables", &["--grace", "36000"]);
    machine.prints("ready\n");
    let core = machine.folder.path().join("core");
    let mut client = machine.client();
    // Each table counts once.
    let dump = json!({ "paging": true, "protocol": format!("file:{}", core.display()) });
    client.call("dump-guest-memory", &dump).unwrap();

    let file = machine.folder.path().join("memory");
    // 127 TiB, all of which map the same page.
    let save = json!({ "val": 1_u64 << 39, "size": 255_u64 << 39, "filename": file });
    client.send(json!({ "execute": "memsave", "arguments": save }).to_string().as_bytes());
    wait_for_look(&machine);
    kill_process(Pid::from_child(&machine.nvmm.0), Signal::TERM).unwrap();
    let answer = (0..100).map(|_| client.hear()).find(|said| said.get("event").is_none()).unwrap();
    assert_eq!(answer["error"]["desc"], "nvmm was told to end", "{answer}");
    assert!(!file.exists(), "nothing was written yet");
    // The guest ignores its power button.
    assert_eq!(machine.nvmm.status_in_time(), Some(143));
}
