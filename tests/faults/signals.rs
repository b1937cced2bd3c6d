//! Storms of signals, and an nvmm that is stopped and continued.

use std::{
    io::{Read, Write},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Running, expect, guest, no_kvm, nvmm};

/// The signals without an effect that a guest would see, and those that nvmm ignores.
const HARMLESS: [Signal; 7] = [
    Signal::USR1,
    Signal::HUP,
    Signal::CONT,
    Signal::WINCH,
    Signal::CHILD,
    Signal::URG,
    // It makes a vCPU leave `KVM_RUN`, if a vCPU's thread receives it.
    KICK,
];
// SAFETY: glibc's SIGRTMIN, which glibc leaves to programs.
#[expect(unsafe_code, reason = "rustix knows no real-time signals")]
const KICK: Signal = unsafe { Signal::from_raw_unchecked(34) };

/// The pause after sending each of a storm's signals once.
const CALM: Duration = Duration::from_micros(100);

fn machine(name: &str) -> Command {
    let mut command = nvmm();
    command.arg("--kernel").arg(guest(name)).args(["--debug-exit", "0xf4", "--memory", "16M"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Sends the signals repeatedly while `work` runs. Returns the number sent.
fn storm<T>(child: &Child, signals: &[Signal], work: impl FnOnce() -> T) -> (u64, T) {
    let pid = Pid::from_child(child);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let storm = scope.spawn(|| {
            let mut sent = 0;
            while !is_over.load(Ordering::Relaxed) {
                for signal in signals {
                    // Fails if it has ended.
                    sent += u64::from(kill_process(pid, *signal).is_ok());
                }
                // A guest whose vCPU is constantly kicked does nothing else.
                thread::sleep(CALM);
            }
            sent
        });
        let _over = Over(&is_over);
        let done = work();
        is_over.store(true, Ordering::Relaxed);
        (storm.join().unwrap(), done)
    })
}

/// The end of a storm, even if the test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_guest_does_its_work_in_a_storm() {
    if no_kvm() {
        return;
    }
    let mut nvmm = Running::start(machine("flood").args(["--cmdline", "a"]).stderr(Stdio::null()));
    let (mut stdin, mut stdout) = (nvmm.0.stdin.take().unwrap(), nvmm.0.stdout.take().unwrap());
    let mut text = expect(&mut stdout, "\n");
    let (sent, _) = storm(&nvmm.0, &HARMLESS, || {
        text += &expect(&mut stdout, "end\n");
        // Also while nvmm ends.
        stdin.write_all(b".").unwrap();
        assert_eq!(stdout.read_to_string(&mut text).unwrap(), 0);
    });
    assert_eq!(nvmm.status_in_time(), Some(0));
    println!("{sent} signals");
    let mut lines = text.lines();
    for number in 0..1024 {
        assert_eq!(lines.next().map(str::trim_end), Some(format!("{number:08x}").as_str()));
    }
    assert_eq!(lines.next(), Some("end"));
}

/// A stop interrupts a thread's wait in the kernel, in any thread.
#[test]
fn a_machine_is_reset_in_a_storm_of_stops() {
    if no_kvm() {
        return;
    }
    let mut nvmm = Running::start(machine("reboot").args(["--cmdline", "a"]).stderr(Stdio::piped()));
    let mut stdout = nvmm.0.stdout.take().unwrap();
    expect(&mut stdout, "boot\n");
    let (sent, ()) = storm(&nvmm.0, &[Signal::STOP, Signal::CONT, Signal::USR1], || {
        for _ in 0..200 {
            expect(&mut stdout, "boot\n");
        }
    });
    println!("{sent} signals");
    signal(&nvmm.0, Signal::CONT);
    signal(&nvmm.0, Signal::INT);
    assert_eq!(nvmm.status_in_time(), Some(130));
}

#[test]
fn many_wishes_at_once_are_one() {
    if no_kvm() {
        return;
    }
    let many = |nvmm: &Running, wish| (0..1000).for_each(|_| signal(&nvmm.0, wish));
    let mut nvmm = Running::start(&mut machine("late"));
    let (mut stdin, mut stdout) = (nvmm.0.stdin.take().unwrap(), nvmm.0.stdout.take().unwrap());
    expect(&mut stdout, "ready\n");
    many(&nvmm, Signal::TERM);
    expect(&mut stdout, "button\n");
    stdin.write_all(b"o").unwrap();
    assert_eq!(nvmm.status_in_time(), Some(0));

    for (wish, status) in [(Signal::INT, 130), (Signal::QUIT, 131), (Signal::TERM, 143)] {
        let mut nvmm = Running::start(&mut machine("echo"));
        expect(nvmm.0.stdout.as_mut().unwrap(), "ready\n");
        many(&nvmm, wish);
        assert_eq!(nvmm.status_in_time(), Some(status));
    }
}

/// The guest's clocks continue while nvmm is stopped, as the host's do: they are right at once, none goes back, and its timers expire.
#[test]
fn a_stopped_nvmm_stops_no_clock_of_the_guest() {
    /// The most by which the rates of two clocks of one host may differ.
    const RATE: f64 = 1.001;
    /// ACPI, "Power Management Timer".
    const PM_HERTZ: f64 = 3_579_545.0;
    if no_kvm() {
        return;
    }
    let mut nvmm = Running::start(&mut machine("timers"));
    let (mut stdin, mut stdout) = (nvmm.0.stdin.take().unwrap(), nvmm.0.stdout.take().unwrap());
    let ready = expect(&mut stdout, "\n");
    if ready != "ready\n" {
        return println!("skipped: this KVM has {ready}");
    }
    let mut ask = |between: &dyn Fn(&Child), nvmm: &Running| {
        let before = Instant::now();
        between(&nvmm.0);
        stdin.write_all(b"t").unwrap();
        let line = expect(&mut stdout, "\n");
        let numbers: Vec<_> = line.split_whitespace().map(|number| u64::from_str_radix(number, 16)).collect();
        let [Ok(kvm), Ok(pm), Ok(0)] = numbers[..] else { panic!("a clock has gone back: {line}") };
        (before, Instant::now(), Duration::from_nanos(kvm), u32::try_from(pm).unwrap())
    };
    let stop = |nvmm: &Child| {
        signal(nvmm, Signal::STOP);
        thread::sleep(Duration::from_millis(200));
        signal(nvmm, Signal::CONT);
    };
    let mut last = ask(&|_| {}, &nvmm);
    for _ in 0..5 {
        let now = ask(&stop, &nvmm);
        let (least, most) = (now.0 - last.1, now.1 - last.0);
        let pm = Duration::from_secs_f64(f64::from(now.3.wrapping_sub(last.3)) / PM_HERTZ);
        for (name, passed) in [("kvm-clock", now.2 - last.2), ("PM timer", pm)] {
            println!("{name}: {passed:?}, the host's clock between {least:?} and {most:?}");
            assert!(passed <= most.mul_f64(RATE), "{name} is fast by {:?}", passed - most);
            assert!(passed >= Duration::from_millis(200).div_f64(RATE), "{name} stood still: {passed:?}");
        }
        last = now;
    }
    stdin.write_all(b"q").unwrap();
    assert_eq!(nvmm.status_in_time(), Some(1));
}
