//! Breakpoints and watchpoints.

use tempfile::TempDir;

use crate::machine::{Machine, Places, cannot, entry, in_software, memory, set_memory, show, values};

#[test]
fn breakpoints_outlive_a_reset() {
    if cannot() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let mut machine = Machine::start(&folder, &["--cmdline", "R"]);
    let Places { tick, count, go, .. } = Places::of_line(&machine.line());
    let lines = machine.debug(&[
        format!("break *{tick:#x}"),
        "continue".to_owned(),
        memory("count", count),
        set_memory(go, 1),
        "continue".to_owned(),
        // It is at the first call in the new machine.
        show("at", "$rip"),
        memory("new", count),
        memory("go", go),
        // By gdb's own order: then it is at its first instruction.
        "monitor reset".to_owned(),
        "maintenance flush register-cache".to_owned(),
        show("first", "$rip"),
        "continue".to_owned(),
        show("again", "$rip"),
        memory("newer", count),
        "kill".to_owned(),
    ]);
    assert!(values(&lines, "count")[0] > 0, "{lines:#?}");
    assert_eq!(values(&lines, "at"), [tick]);
    assert_eq!((values(&lines, "new"), values(&lines, "go")), (vec![0], vec![0]));
    assert_eq!(values(&lines, "first"), [entry()]);
    assert_eq!((values(&lines, "again"), values(&lines, "newer")), (vec![tick], vec![0]));
    assert_eq!(machine.end().0, Some(0));
}

#[test]
fn data_is_watched() {
    if cannot() {
        return;
    }
    if in_software() {
        println!("skipped: this KVM runs guests in software, and does not watch data");
        return;
    }
    let folder = TempDir::new().unwrap();
    let mut machine = Machine::start(&folder, &[]);
    let Places { tick, count, seen, go } = Places::of_line(&machine.line());
    let lines = machine.debug(&[
        format!("watch *(unsigned long *){count:#x}"),
        "continue".to_owned(),
        show("written", "$rip"),
        "delete".to_owned(),
        format!("awatch *(unsigned long *){seen:#x}"),
        "continue".to_owned(),
        show("accessed", "$rip"),
        "delete".to_owned(),
        format!("rwatch *(unsigned long *){seen:#x}"),
        "continue".to_owned(),
        show("read", "$rip"),
        "delete".to_owned(),
        set_memory(go, 1),
        "continue".to_owned(),
    ]);
    // Each is told once it is done.
    assert_eq!(values(&lines, "written"), [tick + 17]);
    assert_eq!((values(&lines, "accessed"), values(&lines, "read")), (vec![tick + 24], vec![tick + 24]));
    assert!(lines.iter().any(|line| line.starts_with("Hardware watchpoint 1")), "{lines:#?}");
    assert_eq!(machine.end().0, Some(43));
}

#[test]
fn unmapped_memory_is_unreadable_and_its_breakpoints_take_registers() {
    if cannot() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let machine = Machine::start(&folder, &["--paused"]);
    let mut orders: Vec<_> =
        (0..4).map(|page| format!("break *{:#x}", 0xffff_ffff_8100_0000_u64 + page)).collect();
    orders.extend(["stepi".to_owned(), show("second", "$rip"), "break *0xffffffff81000100".to_owned()]);
    let mut gdb = machine.gdb(&[&orders[..], &["stepi".to_owned()]].concat());
    let output = gdb.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = text.lines().map(str::to_owned).collect();
    assert_eq!(values(&lines, "second"), [entry() + 7]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("Cannot insert breakpoint 5"), "{errors}");
    // Above the RAM, and where there is none at all.
    for address in ["0x1000000", "0xffffffff81000000", "0xfffffffffffffff8"] {
        let output = machine.gdb(&[format!("x/2xb {address}")]).output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(errors.contains("Cannot access memory at address"), "{errors}");
    }
    let mut nvmm = machine;
    let killed = nvmm.gdb(&["kill"]).output().unwrap();
    let text = String::from_utf8([killed.stdout, killed.stderr].concat()).unwrap();
    assert!(killed.status.success() && text.contains("[Inferior 1 (process 1) killed]"), "{text}");
    assert!(nvmm.nvmm.status_in_time() == Some(0));
}
