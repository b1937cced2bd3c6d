//! nvmm's debugger with a KVM that supports everything it needs: level 0 and level 1 debug a tiny guest, and level 0 also debugs level 1's
//! Linux.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use arch::cpu::nesting::Virtualization;
use vmm::nest::child::{Child, Output};
use vmm::nest::image::{self, Manifest, Memfd};

use crate::level0::{Guest, NVMM};
use crate::level1::PATIENCE;
use crate::remote::{RAX, RDX, RIP, Remote};
use crate::scenario;

const DEBUGGED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/debugged"));

const SOCKET: &str = "/gdb";
const PLACE: &str = "unix:/gdb";

/// The size in bytes of the guest's first instruction, and of the one at `tick`; then the offsets of its instructions from `tick` on.
const FIRST: u64 = 7;
const STORE: u64 = 10;
const LOAD: u64 = 17;
const RET: u64 = 24;

/// The number of steps that a guest takes, more than the instructions of the tiny guest's loop.
const STEPS: usize = 40;
/// `SYSTEM_SCHEDULING` of Linux' include/linux/kernel.h: the first value that `system_state` is set to.
const SCHEDULING: u64 = 1;

/// Returns whether a host's emulated processor supports breakpoints. QEMU's emulation of SVM loads a guest's DR7 but never breaks by it,
/// and has no intercept of INT3.
fn has_breakpoints(virt: Virtualization) -> bool {
    virt == Virtualization::Vmx
}

/// The addresses of the tiny guest's parts.
struct Places(BTreeMap<String, u64>);

impl Places {
    /// Reads them from the line that the guest prints.
    fn of(line: &[u8]) -> anyhow::Result<Self> {
        let line = String::from_utf8_lossy(line);
        let words: Vec<_> = line.split_whitespace().collect();
        let places =
            words.chunks_exact(2).map(|pair| Ok((pair[0].to_owned(), u64::from_str_radix(pair[1], 16)?)));
        Ok(Self(places.collect::<anyhow::Result<_>>().with_context(|| format!("the guest says {line:?}"))?))
    }

    fn get(&self, name: &str) -> anyhow::Result<u64> {
        self.0.get(name).copied().with_context(|| format!("the guest tells no {name}"))
    }
}

/// Debugs a tiny guest: steps, breakpoints of both kinds, watchpoints, and the guest's own breakpoints, as far as the processor supports
/// them.
pub(crate) fn tiny(virt: Virtualization) -> anyhow::Result<()> {
    fs::write("/debugged", DEBUGGED).context("writing the guest")?;
    let mut command = Command::new(image::in_root(NVMM));
    command.args(["--kernel", "/debugged", "--memory", "16M", "--debug-exit", "0xf4", "--cmdline", "B"]);
    command.args(["--gdb", PLACE, "--paused"]);
    let mut nvmm = Child::spawn(command).context("starting nvmm")?;
    let mut gdb = Remote::connect(Path::new(SOCKET)).context("connecting")?;

    let first = gdb.register(RIP)?;
    step(&mut gdb, virt, first, first + FIRST)?;
    gdb.tell("vCont;c")?;
    let line = loop {
        match nvmm.line(Some(Instant::now() + PATIENCE)).context("reading the guest's console")? {
            Output::Line(line) if line.starts_with(b"tick ") => break line,
            // A message of nvmm's.
            Output::Line(_) => {}
            other => return Err(anyhow!("{other:?} where the guest should say what it has")),
        }
    };
    let places = Places::of(&line)?;
    interrupt(&mut gdb)?;

    loops(&mut gdb, virt, &places)?;
    if has_breakpoints(virt) {
        breakpoints(&mut gdb, &places, first)?;
    }
    gdb.set_memory(places.get("go")?, 1)?;
    let end = gdb.run()?;
    ensure!(end == "W2b", "the guest's end is told as {end}");
    let status = nvmm.wait().context("waiting for nvmm")?;
    ensure!(status.code() == Some(43), "nvmm ended with {status}");
    Ok(())
}

/// Stops the guest.
fn interrupt(gdb: &mut Remote) -> anyhow::Result<()> {
    gdb.send(b"\x03")?;
    let stop = gdb.answer()?;
    ensure!(stop.starts_with("T02"), "an interrupt is told as {stop}");
    Ok(())
}

/// Makes the tiny guest take steps through its loop, which clears the trap flag in RFLAGS, and one step from another place.
fn loops(gdb: &mut Remote, virt: Virtualization, places: &Places) -> anyhow::Result<()> {
    let (tick, count) = (places.get("tick")?, places.get("count")?);
    while gdb.memory(count)? == 0 {
        gdb.tell("vCont;c")?;
        thread::sleep(Duration::from_millis(10));
        interrupt(gdb)?;
    }
    let before = gdb.memory(count)?;
    steps(gdb)?;
    ensure!(gdb.memory(count)? > before, "{STEPS} steps were less than the guest's loop");
    let (rip, rax) = (gdb.register(RIP)?, gdb.register(RAX)?);
    gdb.set_register(RIP, tick)?;
    step(gdb, virt, tick, tick + FIRST)?;
    gdb.set_register(RIP, rip)?;
    gdb.set_register(RAX, rax)?;
    Ok(())
}

/// Makes the guest take a step from one instruction to another.
fn step(gdb: &mut Remote, virt: Virtualization, from: u64, to: u64) -> anyhow::Result<()> {
    // With Bochs' emulation of VMX, an EPT violation leaves the step's #DB pending, which is then raised before the instruction.
    let most = if virt == Virtualization::Vmx { 3 } else { 1 };
    let mut stop = gdb.step()?;
    for _ in 1..most {
        if gdb.register(RIP)? != from {
            break;
        }
        stop = gdb.step()?;
    }
    stops(&stop, &format!("a step at {from:#x}"), "T05", to, gdb)
}

/// Makes the guest take steps.
fn steps(gdb: &mut Remote) -> anyhow::Result<()> {
    for step in 0..STEPS {
        let before = gdb.register(RIP)?;
        let stop = gdb.step().with_context(|| format!("step {step}, at {before:#x}"))?;
        ensure!(stop.starts_with("T05"), "step {step}, at {before:#x}, is told as {stop}");
    }
    Ok(())
}

/// Makes the tiny guest run into breakpoints of all kinds. `unused` is an instruction that it has already passed.
fn breakpoints(gdb: &mut Remote, places: &Places, unused: u64) -> anyhow::Result<()> {
    let (tick, count, seen, own) =
        (places.get("tick")?, places.get("count")?, places.get("seen")?, places.get("own")?);
    at(gdb, "Z1", tick, 1, "hwbreak:", tick)?;
    at(gdb, "Z0", tick + STORE, 1, "swbreak:", tick + STORE)?;
    gdb.set_memory(seen, 0x5566)?;
    // A watchpoint is reported after the access.
    at(gdb, "Z2", count, 8, &format!("watch:{count:x};"), tick + LOAD)?;
    at(gdb, "Z4", seen, 8, &format!("awatch:{seen:x};"), tick + RET)?;
    let loaded = gdb.register(RDX)?;
    ensure!(loaded == 0x5566, "RDX is {loaded:#x}");
    // KVM passes all of the guest's breakpoints to nvmm while nvmm has one in memory.
    gdb.order(&format!("Z0,{unused:x},1"))?;
    let before = gdb.memory(own)?;
    at(gdb, "Z1", tick, 1, "hwbreak:", tick)?;
    let after = gdb.memory(own)?;
    ensure!(after == before + 1, "the guest had {before} breakpoints of its own, and then {after}");
    gdb.order(&format!("z0,{unused:x},1"))?;
    Ok(())
}

/// Sets a breakpoint, runs the guest into it, and removes it.
fn at(gdb: &mut Remote, kind: &str, address: u64, len: u64, why: &str, rip: u64) -> anyhow::Result<()> {
    gdb.order(&format!("{kind},{address:x},{len:x}"))?;
    let stop = gdb.run()?;
    stops(&stop, &format!("{kind} at {address:#x}"), why, rip, gdb)?;
    gdb.order(&format!("{},{address:x},{len:x}", kind.to_lowercase()))?;
    Ok(())
}

/// Checks the reason and the place of a stop.
fn stops(stop: &str, what: &str, why: &str, rip: u64, gdb: &mut Remote) -> anyhow::Result<()> {
    let found = gdb.register(RIP)?;
    ensure!(
        stop.contains(why) && found == rip,
        "{what} is told as {stop} at {found:#x}, not {why} at {rip:#x}"
    );
    Ok(())
}

/// Level 0: debugs level 1's Linux from its first instruction until its /init is done. Returns whether level 1 has debugged its guest.
pub(crate) fn linux(virt: Virtualization, manifest: &Manifest, image: &Memfd) -> anyhow::Result<bool> {
    let symbols = fs::read_to_string("/proc/kallsyms").context("reading /proc/kallsyms")?;
    // Level 1's kernel is the same as this one, and neither is relocated.
    let symbol = |name: &str| {
        let line = symbols.lines().find(|line| line.split_whitespace().nth(2) == Some(name));
        let address = line.and_then(|line| u64::from_str_radix(line.split(' ').next()?, 16).ok());
        address.filter(|address| *address != 0).with_context(|| format!("/proc/kallsyms has no {name}"))
    };
    let [start_kernel, banner, state, reboot] = [
        symbol("start_kernel")?,
        symbol("linux_banner")?,
        symbol("system_state")?,
        symbol("__x64_sys_reboot")?,
    ];
    let has_breakpoints = has_breakpoints(virt);
    // If it fails, the guest goes on without it.
    let debugger = thread::spawn(move || -> anyhow::Result<()> {
        let mut gdb = Remote::connect(Path::new(SOCKET)).context("connecting")?;
        steps(&mut gdb)?;
        if has_breakpoints {
            at(&mut gdb, "Z1", start_kernel, 1, "hwbreak:", start_kernel)?;
        } else {
            // Until the kernel has its page tables.
            let started = Instant::now();
            while gdb.memory(banner).is_err() {
                ensure!(started.elapsed() < PATIENCE, "the kernel is not mapped");
                gdb.tell("vCont;c")?;
                thread::sleep(Duration::from_millis(500));
                interrupt(&mut gdb)?;
            }
        }
        steps(&mut gdb)?;
        let version = gdb.memory(banner)?.to_le_bytes();
        ensure!(version == *b"Linux ve", "linux_banner is {version:?}");
        if has_breakpoints {
            gdb.order(&format!("Z2,{state:x},4"))?;
            let stop = gdb.run()?;
            let value = gdb.memory(state)? & 0xffff_ffff;
            ensure!(stop.contains("watch:") && value == SCHEDULING, "system_state is {value} at {stop}");
            gdb.order(&format!("z2,{state:x},4"))?;
            // User space's last call.
            at(&mut gdb, "Z0", reboot, 1, "swbreak:", reboot)?;
        }
        gdb.order("D")?;
        Ok(())
    });
    let options = vec!["--gdb", PLACE, "--paused"];
    let guest = Guest { scenario: scenario::DEBUG, options, ..Guest::default() };
    let record = guest.record(manifest, image, &mut |_, _| Ok(()));
    let debugged = debugger.join().map_err(|_| anyhow!("the debugger's thread panicked"))?;
    let record = record?;
    debugged?;
    Ok(record.debugged)
}
