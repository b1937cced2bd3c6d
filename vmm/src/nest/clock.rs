//! The time by which a level is judged: the wall clock or, if the host is emulated, the emulator's time.
//!
//! An emulated machine becomes slow when its host is busy, although nothing is wrong. So this counts the emulator's CPU time, and the time
//! in which it has nothing to do, for example because its guest hangs; it does not count the time in which the emulator waits for a
//! processor.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// The time since a start.
#[derive(Debug)]
pub struct Clock {
    start: Instant,
    emulator: Option<Emulator>,
}

/// The process whose time is counted.
#[derive(Debug)]
struct Emulator {
    name: &'static str,
    process: u32,
    used: Used,
    /// The time of the last [`Clock::idle`], with the time used by then.
    looked: (Instant, Used),
    idle: bool,
}

/// The scheduler's counters of a thread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Used {
    ran: Duration,
    /// The time in which it was ready to run, but other threads ran.
    waited: Duration,
}

/// The time for which an emulator is observed before it is called idle.
const WINDOW: Duration = Duration::from_secs(20);
/// An emulator whose guest only waits runs for less than one part in this many: for timer interrupts.
const IDLE: u32 = 20;

impl Clock {
    /// Makes a wall clock.
    #[must_use]
    pub fn wall() -> Self {
        Self { start: Instant::now(), emulator: None }
    }

    /// The clock of an emulator, called `name` in messages.
    #[must_use]
    pub fn of(process: u32, name: &'static str) -> Self {
        let start = Instant::now();
        let used = Used::default();
        let emulator = Emulator { name, process, used, looked: (start, used), idle: false };
        Self { start, emulator: Some(emulator) }
    }

    /// The counted time since its start.
    pub fn now(&mut self) -> Duration {
        let waited = self.emulator.as_mut().map_or(Duration::ZERO, |emulator| emulator.look().waited);
        self.start.elapsed().saturating_sub(waited)
    }

    /// Returns a message when the emulator has become idle: once, and again if it has worked in between.
    pub fn idle(&mut self) -> Option<String> {
        self.emulator.as_mut()?.idle(Instant::now())
    }

    /// Returns a message if the emulator was idle at the last observation.
    pub fn is_idle(&self) -> Option<String> {
        let emulator = self.emulator.as_ref().filter(|emulator| emulator.idle)?;
        Some(emulator.to_string())
    }
}

impl Emulator {
    fn look(&mut self) -> Used {
        let tasks = format!("/proc/{}/task", self.process);
        // After a process has ended, nothing more is known, and its time stands still.
        if let Some(used) = busiest(Path::new(&tasks)) {
            self.used = Used { ran: self.used.ran.max(used.ran), waited: self.used.waited.max(used.waited) };
        }
        self.used
    }

    fn idle(&mut self, now: Instant) -> Option<String> {
        let (then, before) = self.looked;
        let window = now.saturating_duration_since(then);
        if window < WINDOW {
            return None;
        }
        let used = self.look();
        self.looked = (now, used);
        if used.ran.is_zero() {
            // This kernel does not count waiting time: it lacks CONFIG_SCHED_INFO.
            return None;
        }
        let busy = (used.ran - before.ran) + (used.waited - before.waited);
        let was_idle = std::mem::replace(&mut self.idle, busy < window / IDLE);
        (self.idle && !was_idle).then(|| self.to_string())
    }
}

/// Writes `QEMU TCG (process 4711) is idle`.
impl std::fmt::Display for Emulator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (process {}) is idle", self.name, self.process)
    }
}

/// The thread that ran longest, which is the emulating one. `tasks` is a directory such as /proc/1/task.
fn busiest(tasks: &Path) -> Option<Used> {
    let each = fs::read_dir(tasks).ok()?.filter_map(|task| {
        let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        parse(&text)
    });
    each.max()
}

/// Linux, "Scheduler Statistics", /proc/PID/schedstat: nanoseconds on a processor, nanoseconds in a run queue, time slices.
fn parse(schedstat: &str) -> Option<Used> {
    let mut numbers = schedstat.split_whitespace().map(|number| number.parse().map(Duration::from_nanos));
    Some(Used { ran: numbers.next()?.ok()?, waited: numbers.next()?.ok()? })
}

#[cfg(test)]
#[path = "clock_test.rs"]
mod tests;
