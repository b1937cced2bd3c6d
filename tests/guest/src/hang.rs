//! A Linux that hangs: both of level 1's CPUs end up in an endless loop, and level 0 inspects the machine over its control socket.
//!
//! The machine ends by an NMI, which makes the kernel panic and then reboot.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail, ensure};
use rustix::thread::{CpuSet, sched_setaffinity};
use serde_json::{Value, json};
use vmm::nest::image;
use vmm::nest::pid1::Pid1;
use vmm::nest::report::Said;

use crate::elf_core::ElfCore;
use crate::level0::NVMM;
use crate::level1::PATIENCE;

/// Level 1's message before it hangs.
pub(crate) const HANGS: &str = "lab: from here on it hangs";
/// The kernel parameter that makes an NMI a panic.
pub(crate) const PARAMETERS: &str = "unknown_nmi_panic";

const SOCKET: &str = "/qmp";
const CORE: &str = "/core";
/// nvmm's options.
pub(crate) const OPTIONS: [&str; 4] = ["--qmp", SOCKET, "--on-reboot", "exit"];

const CPUS: usize = 2;
/// A `jmp` to itself.
const LOOP: [u8; 2] = [0xeb, 0xfe];
/// An upper bound of the size of [`spin`] in bytes, however it is compiled.
const SPIN_LEN: u64 = 32;
/// The loop in which the CPUs hang.
#[inline(never)]
#[expect(clippy::empty_loop, reason = "it is to keep the processor busy")]
fn spin() -> ! {
    loop {}
}

/// Level 1: hangs.
pub(crate) fn hang(pid1: &mut Pid1) -> anyhow::Result<()> {
    for cpu in 1..CPUS {
        thread::spawn(move || move_to(cpu).map(|()| spin()));
    }
    move_to(0)?;
    pid1.say(Said::Text(HANGS.to_owned()));
    pid1.drain()?;
    spin()
}

fn move_to(cpu: usize) -> anyhow::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set).with_context(|| format!("moving to CPU {cpu}"))
}

/// Level 0's inspection of a level 1 that hangs.
#[derive(Debug)]
pub(crate) struct Look {
    console: Sender<String>,
    looking: JoinHandle<anyhow::Result<()>>,
}

impl Look {
    /// Starts the inspection, after [`HANGS`].
    pub(crate) fn start() -> Self {
        let (console, lines) = mpsc::channel();
        let looking = thread::spawn(move || {
            let looked = look(&lines);
            if looked.is_err() {
                // Otherwise it would hang forever. It may have ended already.
                let _ = ask("quit", &json!({}));
            }
            looked
        });
        Self { console, looking }
    }

    /// Takes a line of level 1's console.
    pub(crate) fn hear(&self, line: &str) {
        // A receiver that has failed takes no more.
        let _ = self.console.send(line.to_owned());
    }

    /// Checks the results after level 1 has ended.
    pub(crate) fn judge(self) -> anyhow::Result<()> {
        drop(self.console);
        self.looking.join().map_err(|_| anyhow!("the thread that looks panicked"))?
    }
}

/// Inspects level 1, and makes it panic.
fn look(console: &Receiver<String>) -> anyhow::Result<()> {
    let status = ask("query-status", &json!({}))?;
    ensure!(status.contains("\"running\": true"), "the status of what hangs is {status}");
    let places = stop_in_loop()?;
    for (cpu, place) in places.iter().enumerate() {
        let registers = monitor(&format!("info registers {cpu}"))?;
        ensure!(registers.contains(&format!("RIP={place:016x} ")), "info registers: {registers}");
        let lapic = monitor(&format!("info lapic {cpu}"))?;
        ensure!(lapic.contains(" APIC enabled,"), "info lapic: {lapic}");
    }
    // Linux lets only the first CPU accept external NMIs.
    let lapic = monitor("info lapic 0")?;
    let lint1 = lapic.lines().find(|line| line.starts_with("LVT1"));
    let takes_nmis = lint1.is_some_and(|line| line.contains(" NMI") && !line.contains("masked"));
    ensure!(takes_nmis, "info lapic has LINT1 as {lint1:?}");
    core(&places)?;
    ask("cont", &json!({}))?;
    ask("inject-nmi", &json!({}))?;
    backtrace(console, places[0])
}

/// Stops the machine once each CPU is in its loop, and not in an interrupt handler, and returns their addresses.
fn stop_in_loop() -> anyhow::Result<Vec<u64>> {
    // Level 1's program is the same as this one, at the same addresses.
    let start = u64::try_from(spin as *const () as usize)?;
    let begun = Instant::now();
    loop {
        ask("stop", &json!({}))?;
        let registers: Value = serde_json::from_str(&ask("nvmm-registers", &json!({}))?)?;
        let vcpus = registers["vcpus"].as_array().context("nvmm-registers gives no vcpus")?;
        ensure!(vcpus.len() == CPUS, "nvmm-registers gives {} vCPUs", vcpus.len());
        let places = vcpus.iter().map(|vcpu| {
            number(&vcpu["general"]["rip"]).filter(|place| (start..start + SPIN_LEN).contains(place))
        });
        if let Some(places) = places.collect() {
            return Ok(places);
        }
        ensure!(begun.elapsed() < PATIENCE, "its CPUs are not in the loop at {start:#x}: {registers}");
        ask("cont", &json!({}))?;
        thread::sleep(Duration::from_millis(100));
    }
}

/// Makes nvmm write a core, and finds the CPUs, the kernel, and the loop in it.
fn core(places: &[u64]) -> anyhow::Result<()> {
    ask("dump-guest-memory", &json!({ "paging": true, "protocol": format!("file:{CORE}") }))?;
    let core = ElfCore::open(Path::new(CORE)).context("opening the core")?;
    let notes = core.notes().context("reading the core's notes")?;
    ensure!(notes.rips == places, "the core has {:x?} for RIP, not {places:x?}", notes.rips);
    let vmcoreinfo = notes.vmcoreinfo.context("the core has no vmcoreinfo")?;
    // Level 1's kernel is the same as this one.
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let expected = format!("OSRELEASE={release}");
    ensure!(vmcoreinfo.lines().any(|line| line == expected), "no {expected} in {vmcoreinfo}");
    for place in places {
        let code = core.memory(*place, 2)?;
        ensure!(code == LOOP, "the core has {code:02x?} at {place:#x}");
    }
    Ok(fs::remove_file(CORE)?)
}

/// Waits for the end of the console, and checks that the kernel has panicked by an NMI at `place`.
fn backtrace(console: &Receiver<String>, place: u64) -> anyhow::Result<()> {
    let mut text = String::new();
    loop {
        match console.recv_timeout(PATIENCE) {
            Ok(line) => text = format!("{text}\n{line}"),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => bail!("it runs on after an NMI:{text}"),
        }
    }
    for part in
        ["Kernel panic - not syncing: NMI: Not continuing", "Call Trace:", &format!("RIP: 0033:{place:#x}")]
    {
        ensure!(text.contains(part), "no {part:?} on the console after an NMI:{text}");
    }
    Ok(())
}

/// A number such as `0x1f`.
fn number(text: &Value) -> Option<u64> {
    u64::from_str_radix(text.as_str()?.strip_prefix("0x")?, 16).ok()
}

fn monitor(line: &str) -> anyhow::Result<String> {
    ask("human-monitor-command", &json!({ "command-line": line }))
}

/// Sends a command to level 1's nvmm, and returns the output of `nvmm ctl`.
fn ask(command: &str, arguments: &Value) -> anyhow::Result<String> {
    let output = Command::new(image::in_root(NVMM))
        .args(["ctl", SOCKET, command, &arguments.to_string()])
        .output()
        .context("starting nvmm ctl")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command}: nvmm ctl ended with {}: {errors}", output.status);
    String::from_utf8(output.stdout).with_context(|| command.to_owned())
}
