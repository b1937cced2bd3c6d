use std::{
    fs,
    process::{Command, Stdio},
};

use kvm_bindings::kvm_regs;
use serde_json::{Value, json};
use tempfile::TempDir;
use vm_memory::{Bytes, GuestAddress};

use super::{
    super::test_machine::{CODE, RAM, TestMachine},
    *,
};

fn dump(arguments: Value) -> Dump {
    serde_json::from_value(arguments).unwrap()
}

#[test]
fn unsupported_dumps_are_refused_with_a_reason() {
    let refused = |arguments: Value| {
        let mut all = json!({ "paging": false, "protocol": "file:/core" });
        all.as_object_mut().unwrap().extend(arguments.as_object().unwrap().clone());
        dump(all).check().map(Path::to_owned).unwrap_err().to_string()
    };
    for (arguments, word) in [
        (json!({ "detach": true }), "detach: "),
        (json!({ "format": "kdump-zlib" }), "format: nvmm writes \"elf\" and not \"kdump-zlib\""),
        (json!({ "begin": 0 }), "begin and length go together"),
        (json!({ "length": 1 }), "begin and length go together"),
        (json!({ "protocol": "fd:3" }), "protocol: give \"file:PATH\""),
        (json!({ "protocol": "file:" }), "protocol: give \"file:PATH\""),
    ] {
        let error = refused(arguments);
        assert!(error.starts_with("dump-guest-memory: ") && error.contains(word), "{error}");
    }
    let all = json!({ "paging": false, "protocol": "file:/c", "format": "elf", "detach": false, "begin": 0, "length": 1 });
    assert_eq!(dump(all).check().unwrap(), Path::new("/c"));
    assert!(
        serde_json::from_value::<Dump>(json!({ "paging": false, "protocol": "file:x", "x": 1 })).is_err()
    );
}

#[test]
fn a_part_of_memory_is_the_ram_in_it() {
    let ram = || vec![0..0xc000_0000, 0x1_0000_0000..0x1_4000_0000];
    let part = |begin: u64, length: u64| {
        dump(json!({ "paging": false, "protocol": "file:x", "begin": begin, "length": length })).ranges(ram())
    };
    assert_eq!(part(0x1000, 0x2000).unwrap().first(), Some(&(0x1000..0x3000)));
    assert_eq!(
        part(0xbfff_f000, u64::MAX).unwrap(),
        [0xbfff_f000..0xc000_0000, 0x1_0000_0000..0x1_4000_0000]
    );
    let refused = part(0xc000_0000, 0x1000).unwrap_err().to_string();
    assert!(refused.contains("no RAM is in 0x1000 bytes from 0xc0000000 on"), "{refused}");
    assert!(part(0, 0).is_err());
}

/// Two vCPUs with different registers, and bytes in memory.
fn machine() -> Option<TestMachine> {
    let machine = TestMachine::new(2)?;
    machine.memory.write_slice(b"a string in memory\0", GuestAddress(0x12_3456)).unwrap();
    for (rip, vcpu) in [(CODE, 0), (0xffff_ffff_8123_4567, 1)] {
        let regs = kvm_regs {
            rip,
            rsp: 0x8000,
            rax: 0x77,
            r12: 0x1234_5678_9abc_def0,
            rflags: 2,
            ..Default::default()
        };
        machine.vcpus[vcpu].fd().set_regs(&regs).unwrap();
    }
    Some(machine)
}

fn write(machine: &TestMachine, path: &Path, more: &Value) {
    let mut arguments = json!({ "paging": false, "protocol": format!("file:{}", path.display()) });
    arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    dump(arguments).write(&machine.halted(), &Taken::default(), &|| false).unwrap();
}

/// The output of a host program about the core; none if the host lacks the program.
fn run(program: &str, arguments: &[&str]) -> Option<String> {
    match Command::new(program).args(arguments).stdin(Stdio::null()).output() {
        Ok(output) => Some(String::from_utf8_lossy(&output.stdout).into_owned()),
        Err(error) => {
            println!("skipped: {program}: {error}");
            None
        }
    }
}

#[test]
fn gdb_finds_threads_registers_and_memory() {
    let Some(machine) = machine() else { return };
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("core");
    write(&machine, &path, &json!({}));
    let commands = [
        "info threads",
        "thread 1",
        "p/x $rip",
        "thread 2",
        "p/x $rip",
        "p/x $r12",
        "p/x $rax",
        "x/s 0x123456",
    ];
    let Some(told) = gdb(&path, &commands) else { return };
    for expected in [
        "LWP 1",
        "LWP 2",
        "$1 = 0x100000",
        "$2 = 0xffffffff81234567",
        "$3 = 0x123456789abcdef0",
        "$4 = 0x77",
        "\"a string in memory\"",
    ] {
        assert!(told.contains(expected), "no {expected} in:\n{told}");
    }
}

/// gdb's output about a core.
fn gdb(core: &Path, commands: &[&str]) -> Option<String> {
    let architecture = "set architecture i386:x86-64";
    let mut arguments = vec!["-nx", "-batch", "-ex", architecture, "-core", core.to_str().unwrap()];
    arguments.extend(commands.iter().flat_map(|command| ["-ex", command]));
    run("gdb", &arguments)
}

#[test]
fn gdb_follows_linear_addresses_with_paging() {
    let Some(machine) = machine() else { return };
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("core");
    machine.map_pages(&[(0x40_0000, 0x12_3000), (0x40_1000, 0x20_0000)]);
    write(&machine, &path, &json!({ "paging": true }));
    let Some(told) = gdb(&path, &["x/s 0x400456", "x/s 0x123456", "x/xb 0x403000"]) else { return };
    assert_eq!(told.matches("\"a string in memory\"").count(), 2, "{told}");
    // Not mapped, but still a physical address.
    assert!(told.contains("0x403000:\t0x00"), "{told}");
}

#[test]
fn readelf_finds_no_fault_with_the_notes() {
    let Some(machine) = machine() else { return };
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("core");
    write(&machine, &path, &json!({}));
    let Some(told) = run("readelf", &["-W", "-n", "-l", path.to_str().unwrap()]) else { return };
    assert_eq!(told.matches("NT_PRSTATUS").count(), 2, "{told}");
    assert_eq!(told.matches("QEMU ").count(), 2, "{told}");
    assert!(told.contains("CORE (Core file)"), "{told}");
}

#[test]
fn a_core_has_all_of_memory_and_holes_for_zeros() {
    let Some(machine) = machine() else { return };
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("core");
    write(&machine, &path, &json!({}));
    let core = fs::read(&path).unwrap();
    let memory_at = core.len() - usize::try_from(RAM).unwrap();
    let mut ram = vec![0; usize::try_from(RAM).unwrap()];
    machine.memory.read_slice(&mut ram, GuestAddress(0)).unwrap();
    assert!(core[memory_at..] == ram);

    write(&machine, &path, &json!({ "begin": 0x12_3000, "length": 0x1000 }));
    let core = fs::read(&path).unwrap();
    assert!(core[core.len() - 0x1000..] == ram[0x12_3000..0x12_4000]);
    assert!(core.len() < 0x4000, "{}", core.len());
}

#[test]
fn a_dump_that_is_stopped_leaves_no_core() {
    let Some(machine) = machine() else { return };
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("core");
    let dump = dump(json!({ "paging": false, "protocol": format!("file:{}", path.display()) }));
    let asked = std::cell::Cell::new(0);
    let stop = || asked.replace(asked.get() + 1) == 5;
    let stopped = dump.write(&machine.halted(), &Taken::default(), &stop).unwrap_err();
    assert_eq!(stopped.to_string(), format!("dump-guest-memory {}: the file was left empty", path.display()));
    assert_eq!(fs::metadata(&path).unwrap().len(), 0);
}
