//! Debuggers that are too many, that send nonsense, or that stop and step the guest anywhere.

use std::{
    io::Read,
    os::unix::net::UnixStream,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{
    machine::{Machine, Places, entry, remote},
    remote::{RIP, Remote},
    support::{PATIENCE, Running, guest, no_kvm, nvmm},
};

#[test]
fn a_second_debugger_is_refused_while_one_is_there() {
    if no_kvm() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let mut machine = Machine::start(&folder, &["--paused"]);
    let mut first = remote(&machine);
    let mut second = UnixStream::connect(&machine.socket).unwrap();
    assert_eq!(second.read(&mut [0]).unwrap(), 0, "it is told nothing");
    assert_eq!(first.register(RIP).unwrap(), entry());
    drop(first);
    // The next one is accepted at once, and its end also lets the guest continue.
    remote(&machine).register(RIP).unwrap();
    assert!(machine.line().starts_with("tick "));
    remote(&machine).tell("k").unwrap();
    let (status, said) = machine.end();
    assert_eq!(status, Some(0));
    assert_eq!(said.matches("the debugger is gone: its breakpoints are taken out").count(), 2, "{said}");
}

#[test]
fn a_protocol_error_ends_only_the_session() {
    if no_kvm() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let mut machine = Machine::start(&folder, &[]);
    let Places { tick, count, go, .. } = Places::of_line(&machine.line());
    // Nonsense, a packet that is too long, a wrong checksum, too few registers, an unknown vCPU, more memory than there is.
    let long = [&b"$M0,ffff:"[..], &vec![b'0'; 1 << 20]].concat();
    let hostile: [&[u8]; 7] = [
        b"GET / HTTP/1.1\r\n\r\n",
        &long,
        b"$g#00",
        b"$G00112233#87",
        b"$Hgffffffffffffffff#00",
        b"$vCont;s:7fffffff#00",
        b"\x03\x03\x03-----",
    ];
    for bytes in hostile {
        let mut remote = remote(&machine);
        remote.order(&format!("Z0,{tick:x},1")).unwrap();
        // It may have ended the session before it has read everything.
        let _ = remote.send(bytes);
    }
    // A valid request that can't be fulfilled gives an error.
    let mut remote = remote(&machine);
    for packet in [
        "Hg7fffffff",
        "p0",
        "g",
        "m0,8",
        "Hg1",
        "mfffffffffffffff8,40",
        "mffffffffffffffff,1",
        "M7fffffffffff,1:00",
        "pffffffff",
        "Z2,1000,0",
        "Z2,1000,ffffffffffffffff",
        "Z9,1000,1",
        "z0,1234,1",
        "P12=ffffffff",
        "P39=00",
        "vCont;s:7fffffff",
    ] {
        let answer = remote.ask(packet).unwrap();
        assert!(
            answer.is_empty()
                || answer.starts_with('E')
                || packet.starts_with('H')
                || packet.starts_with("vCont"),
            "{packet}: {answer}"
        );
    }
    let before = remote.memory(count).unwrap();
    drop(remote);
    // It runs on, even if it was not there yet.
    let started = Instant::now();
    let mut remote = self::remote(&machine);
    while remote.memory(count).unwrap() == before {
        assert!(started.elapsed() < PATIENCE, "the guest did not go on");
        drop(remote);
        remote = self::remote(&machine);
    }
    assert_eq!(remote.memory(tick).unwrap() & 0xff, 0x48, "no breakpoint is left");
    remote.set_memory(go, 1).unwrap();
    remote.order("D").unwrap();
    assert_eq!(machine.end().0, Some(43));
}

/// Each time the guest is in a different place, also in the middle of a port access, which is completed first.
#[test]
fn a_guest_is_stopped_wherever_it_is() {
    const TIMES: usize = 50;
    if no_kvm() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("gdb");
    let mut command = nvmm();
    command.arg("--kernel").arg(guest("flood")).args(["--memory", "16M", "--cmdline", "h"]);
    command.args(["--gdb", &format!("unix:{}", socket.display())]);
    let mut nvmm = Running::start(command.stdout(Stdio::piped()).stdin(Stdio::piped()));
    let mut output = nvmm.0.stdout.take().unwrap();
    let reader = thread::spawn(move || {
        let mut all = String::new();
        // Some of it arrives only after the other test has ended.
        while !all.ends_with("end\n") {
            let mut bytes = [0; 4096];
            let len = output.read(&mut bytes).unwrap();
            assert!(len > 0, "it ended after {all}");
            all.push_str(std::str::from_utf8(&bytes[..len]).unwrap());
        }
        all
    });
    let mut remote = Remote::connect(&socket).unwrap();
    for _ in 0..TIMES {
        remote.tell("vCont;c").unwrap();
        thread::sleep(Duration::from_micros(300));
        remote.send(b"\x03").unwrap();
        assert!(remote.answer().unwrap().starts_with("T02"));
        let first = remote.register(RIP).unwrap();
        assert_eq!(remote.register(RIP).unwrap(), first);
        let step = remote.step().unwrap();
        assert!(step.starts_with("T05"), "{step}");
    }
    remote.order("D").unwrap();
    let all = reader.join().unwrap();
    for (number, line) in (0..8 * 1024).zip(all.lines()) {
        assert_eq!(line.trim_end(), format!("{number:08x}"));
    }
}

/// The trap flag in RFLAGS, which a KVM on hardware uses for a step, is lost when the guest loads RFLAGS or the debugger changes RIP.
#[test]
fn each_step_ends_even_if_the_trap_flag_is_lost() {
    /// More than the number of instructions in the guest's loop.
    const STEPS: usize = 40;
    if no_kvm() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let mut machine = Machine::start(&folder, &[]);
    let places = Places::of_line(&machine.line());
    let mut remote = remote(&machine);
    while remote.memory(places.count).unwrap() == 0 {
        remote.tell("vCont;c").unwrap();
        thread::sleep(Duration::from_millis(1));
        remote.send(b"\x03").unwrap();
        assert!(remote.answer().unwrap().starts_with("T02"));
    }
    let before = remote.memory(places.count).unwrap();
    for _ in 0..STEPS {
        let from = remote.register(RIP).unwrap();
        let stop = remote.step().unwrap();
        assert!(stop.starts_with("T05"), "{stop}");
        assert_ne!(remote.register(RIP).unwrap(), from);
    }
    assert!(remote.memory(places.count).unwrap() > before);
    remote.set_register(RIP, places.tick).unwrap();
    let stop = remote.step().unwrap();
    assert!(stop.starts_with("T05"), "{stop}");
    assert_eq!(remote.register(RIP).unwrap(), places.tick + 7);
    remote.tell("k").unwrap();
    assert_eq!(machine.end().0, Some(0));
}
