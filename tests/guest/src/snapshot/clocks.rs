//! Clocks, which must continue and never go back.
#![expect(unsafe_code, reason = "reads the TSC")]

use std::arch::x86_64::{_mm_lfence, _rdtsc};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow, ensure};
use rustix::process::setpriority_process;
use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, Timespec, clock_gettime, clock_settime};

use super::DIFFERENCE;

/// The clocks given by a hypervisor by which Linux can keep its time.
const SOURCES: [&str; 2] = [KVM, "tsc"];
pub(super) const KVM: &str = "kvm-clock";
const FOLDER: &str = "/sys/devices/system/clocksource/clocksource0";

/// Threads that read CLOCK_MONOTONIC and the TSC, one on each CPU, as long as nothing else runs there.
pub(super) struct Watch {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<anyhow::Result<()>>>,
}

/// The latest times that any CPU has read.
#[derive(Debug, Default)]
struct Last {
    monotonic: AtomicU64,
    tsc: AtomicU64,
}

/// Both clocks of a level at one moment.
pub(super) struct Clocks {
    monotonic: Instant,
    realtime: SystemTime,
}

impl Watch {
    pub(super) fn start() -> anyhow::Result<Self> {
        let cpus = thread::available_parallelism().context("counting CPUs")?.get();
        let (last, stop) = (Arc::new(Last::default()), Arc::new(AtomicBool::new(false)));
        let watch = |cpu| {
            let (last, stop) = (last.clone(), stop.clone());
            thread::spawn(move || last.watch(cpu, &stop).with_context(|| format!("on CPU {cpu}")))
        };
        Ok(Self { threads: (0..cpus).map(watch).collect(), stop })
    }

    /// Ends the threads.
    ///
    /// # Errors
    ///
    /// A clock has gone back.
    pub(super) fn end(self) -> anyhow::Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().map_err(|_| anyhow!("a thread panicked"))??;
        }
        Ok(())
    }
}

impl Last {
    fn watch(&self, cpu: usize, stop: &AtomicBool) -> anyhow::Result<()> {
        let mut set = CpuSet::new();
        set.set(cpu);
        sched_setaffinity(None, &set).context("moving there")?;
        setpriority_process(None, 19).context("lowering the priority")?;
        while !stop.load(Ordering::Relaxed) {
            never_back("CLOCK_MONOTONIC", &self.monotonic, monotonic)?;
            never_back("the TSC", &self.tsc, tsc)?;
        }
        Ok(())
    }
}

/// Reads a clock, which must not be behind the value that any CPU has read before.
fn never_back(name: &str, last: &AtomicU64, read: impl Fn() -> u64) -> anyhow::Result<()> {
    let before = last.load(Ordering::SeqCst);
    let now = read();
    last.fetch_max(now, Ordering::SeqCst);
    ensure!(before <= now, "{name} went back by {}", before - now);
    Ok(())
}

fn monotonic() -> u64 {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::Monotonic);
    u64::try_from(tv_sec).unwrap_or_default() * 1_000_000_000 + u64::try_from(tv_nsec).unwrap_or_default()
}

/// The TSC, read after all earlier instructions.
fn tsc() -> u64 {
    // SAFETY: every CPU of 64 bits has the instruction.
    unsafe { _mm_lfence() };
    // SAFETY: Linux lets user space read the TSC.
    unsafe { _rdtsc() }
}

impl Clocks {
    pub(super) fn now() -> Self {
        Self { monotonic: Instant::now(), realtime: SystemTime::now() }
    }

    /// Checks that both have continued, and by the same time, except for corrections of the host's clock meanwhile.
    pub(super) fn go_on(&self) -> anyhow::Result<()> {
        let now = Self::now();
        ensure!(now.monotonic >= self.monotonic, "CLOCK_MONOTONIC went back");
        ensure!(now.realtime >= self.realtime, "CLOCK_REALTIME went back");
        let monotonic = now.monotonic.duration_since(self.monotonic);
        let realtime = now.realtime.duration_since(self.realtime)?;
        ensure!(monotonic.abs_diff(realtime) < DIFFERENCE, "{monotonic:?} passed, and {realtime:?}");
        Ok(())
    }
}

/// The clocks of [`SOURCES`] that this level has.
pub(super) fn sources() -> anyhow::Result<Vec<&'static str>> {
    let available = fs::read_to_string(format!("{FOLDER}/available_clocksource"));
    let available = available.context("reading the clocks' names")?;
    let is_there = |name: &&str| available.split_whitespace().any(|there| there == *name);
    Ok(SOURCES.into_iter().filter(is_there).collect())
}

/// Makes Linux keep its time by another clock.
pub(super) fn tell_by(source: &str) -> anyhow::Result<()> {
    fs::write(format!("{FOLDER}/current_clocksource"), source)
        .with_context(|| format!("changing to {source}"))
}

/// Sets CLOCK_REALTIME.
pub(super) fn set(time: SystemTime) -> anyhow::Result<()> {
    let since = time.duration_since(UNIX_EPOCH)?;
    let time = Timespec { tv_sec: since.as_secs().try_into()?, tv_nsec: since.subsec_nanos().into() };
    clock_settime(ClockId::Realtime, time).context("setting the clock")
}
