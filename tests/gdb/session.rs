//! gdb's sessions: from the guest's first instruction on, in the middle, and their ends.

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{
    machine::{Machine, Places, cannot, entry, memory, remote, set_memory, show, values},
    support::{Running, expect, expect_end, no_kvm},
};

#[test]
fn a_guest_is_debugged_from_its_first_instruction_to_its_end() {
    if cannot() {
        return;
    }
    let Places { tick, count, seen, go } = Places::find();
    let folder = TempDir::new().unwrap();
    let machine = Machine::start(&folder, &["-S"]);
    let lines = machine.debug(&[
        show("first", "$rip"),
        show("cr3", "$cr3"),
        show("efer", "$efer"),
        "stepi".to_owned(),
        show("second", "$rip"),
        // One by a debug register, and one in memory.
        format!("hbreak *{tick:#x}"),
        "continue".to_owned(),
        show("tick", "$rip"),
        format!("break *{:#x}", tick + 10),
        "continue".to_owned(),
        show("store", "$rip"),
        show("rax", "$rax"),
        // The breakpoint is not visible in memory.
        show("code", &format!("*(unsigned short *){:#x}", tick + 10)),
        "set var $rax = 0x1122".to_owned(),
        "stepi".to_owned(),
        memory("count", count),
        set_memory(seen, 0x3344),
        "stepi".to_owned(),
        show("rdx", "$rdx"),
        "set var $xmm3.uint128 = 0x55667788".to_owned(),
        show("xmm3", "$xmm3.v2_int64[0]"),
        "delete".to_owned(),
        set_memory(go, 1),
        "continue".to_owned(),
    ]);
    let value = |name| match values(&lines, name)[..] {
        [value] => value,
        ref values => panic!("{name} is {values:x?}"),
    };
    // The first instruction loads the stack pointer, and has seven bytes.
    assert_eq!(value("second"), value("first") + 7);
    assert_eq!((value("cr3"), value("efer") & 0x500), (0x9000, 0x500));
    assert_eq!((value("tick"), value("store")), (tick, tick + 10));
    assert_eq!((value("rax"), value("code")), (1, 0x8948));
    assert_eq!((value("count"), value("rdx"), value("xmm3")), (0x1122, 0x3344, 0x5566_7788));
    assert!(lines.iter().any(|line| line.ends_with("exited with code 053]")), "{lines:#?}");
    let (status, said) = machine.end();
    assert_eq!(status, Some(43));
    assert!(said.lines().all(|line| line.contains("before its first instruction")), "{said}");
}

#[test]
fn each_vcpu_is_a_thread() {
    if cannot() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let machine = Machine::start(&folder, &["--paused", "--smp", "2"]);
    let lines = machine.debug(&[
        "info threads",
        &show("first", "$rip"),
        "thread 2",
        &show("second", "$rip"),
        "thread 1",
        "set scheduler-locking on",
        "stepi",
        &show("after", "$rip"),
        "thread 2",
        &show("still", "$rip"),
        "kill",
    ]);
    assert!(lines.iter().any(|line| line.contains("vCPU 0 [")), "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("vCPU 1 [")), "{lines:#?}");
    assert_eq!(values(&lines, "after")[0], values(&lines, "first")[0] + 7);
    assert_eq!(values(&lines, "second"), values(&lines, "still"));
    let (status, said) = machine.end();
    assert_eq!(status, Some(0));
    assert_eq!(said.matches("the debugger ends the machine").count(), 1, "{said}");
}

#[test]
fn a_guest_that_runs_is_interrupted_and_goes_on_when_gdb_leaves() {
    if cannot() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let mut machine = Machine::start(&folder, &[]);
    let Places { count, go, .. } = Places::of_line(&machine.line());
    let orders = [
        "echo going\\n".to_owned(),
        "continue".to_owned(),
        memory("after", count),
        memory("after", count),
        "detach".to_owned(),
    ];
    let mut gdb = Running::start(&mut machine.gdb(&orders));
    expect(gdb.0.stdout.as_mut().unwrap(), "going\n");
    machine.wait_for_vcpus();
    kill_process(Pid::from_child(&gdb.0), Signal::INT).unwrap();
    let rest = expect_end(gdb.0.stdout.as_mut().unwrap());
    assert!(rest.contains("SIGINT"), "{rest}");
    let lines: Vec<_> = rest.lines().map(str::to_owned).collect();
    let after = values(&lines, "after");
    assert!(after.len() == 2 && after[0] == after[1], "it is stopped: {rest}");
    assert_eq!(gdb.status_in_time(), Some(0));
    // It can be attached to again, and has continued meanwhile.
    let lines = machine.debug(&[memory("later", count), set_memory(go, 1), "detach".to_owned()]);
    assert!(values(&lines, "later")[0] > after[0]);
    let (status, said) = machine.end();
    assert_eq!(status, Some(43));
    assert_eq!(said.matches("the debugger has detached").count(), 2, "{said}");
}

#[test]
fn a_guest_goes_on_when_gdb_dies() {
    if cannot() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let mut machine = Machine::start(&folder, &[]);
    let Places { tick, count, go, .. } = Places::of_line(&machine.line());
    let orders = [
        // The breakpoint stays in memory even while gdb has stopped the guest.
        "set breakpoint always-inserted on".to_owned(),
        format!("break *{tick:#x}"),
        format!("hbreak *{:#x}", tick + 7),
        "continue".to_owned(),
        memory("stopped", count),
        "shell sleep 60".to_owned(),
    ];
    let mut gdb = Running::start(&mut machine.gdb(&orders));
    let seen = expect(gdb.0.stdout.as_mut().unwrap(), "stopped is ");
    assert!(seen.contains("Breakpoint "), "{seen}");
    gdb.0.kill().unwrap();
    gdb.0.wait().unwrap();
    expect(machine.nvmm.0.stderr.as_mut().unwrap(), "the debugger is gone");
    let lines = machine.debug(&[
        memory("first", count),
        show("code", &format!("*(unsigned char *){tick:#x}")),
        "detach".to_owned(),
    ]);
    assert_eq!(values(&lines, "code"), [0x48]);
    let lines =
        [lines, machine.debug(&[memory("second", count), set_memory(go, 1), "detach".to_owned()])].concat();
    assert!(values(&lines, "second")[0] > values(&lines, "first")[0], "{lines:#?}");
    assert_eq!(machine.end().0, Some(43));
}

#[test]
fn monitor_runs_commands_of_qemu_s_monitor() {
    if cannot() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let machine = Machine::start(&folder, &["--paused"]);
    let orders = [
        "monitor info status",
        "monitor info registers",
        "monitor help",
        "monitor no such thing",
        // It is still stopped at the same place.
        &show("first", "$rip"),
        "kill",
    ];
    let output = machine.gdb(&orders).output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    let lines: Vec<_> = text.lines().map(str::to_owned).collect();
    assert!(text.contains("debug"), "{text}");
    assert!(text.contains(&format!("RIP={:016x}", entry())), "{text}");
    assert!(text.contains("monitor reset ") && text.contains("no such thing"), "{text}");
    assert_eq!(values(&lines, "first"), [entry()]);
    assert_eq!(machine.end().0, Some(0));
}

#[test]
fn a_users_page_is_read_and_written_in_spite_of_smap_and_of_its_rights() {
    const PAGE: u64 = 8 << 20;
    if no_kvm() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let mut machine = Machine::start_guest("user", &folder, &[]);
    println!("{}", machine.line());
    let mut remote = remote(&machine);
    assert_eq!(remote.memory(PAGE + 0x100).unwrap(), u64::from_le_bytes(*b"the user"));
    remote.set_memory(PAGE + 0x100, 0x1234).unwrap();
    assert_eq!(remote.memory(PAGE + 0x100).unwrap(), 0x1234);
    remote.tell("k").unwrap();
    assert_eq!(machine.end().0, Some(0));
}
