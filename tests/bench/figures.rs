//! The figures of a row: the device's, the plain loop's, and their ratios.

use std::{
    fmt::Display,
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};

pub(crate) const ROUNDS: usize = 5;
pub(crate) const ROUND: Duration = Duration::from_millis(250);

/// The result of a round.
pub(crate) struct Run {
    /// Transfers per second.
    rate: f64,
    /// Processor time per transfer, in seconds.
    cpu: f64,
}

/// Measures the time of a round, in one interval or several.
#[derive(Default)]
pub(crate) struct Watch {
    elapsed: Duration,
    cpu: Duration,
    done: u64,
}

impl Watch {
    /// Measures `work`, which returns the number of its transfers. Returns the total time so far.
    pub(crate) fn time(&mut self, work: impl FnOnce() -> u64) -> Duration {
        let (start, cpu) = (Instant::now(), process_time());
        self.done += work();
        self.elapsed += start.elapsed();
        self.cpu += process_time() - cpu;
        self.elapsed
    }

    pub(crate) fn stop(self) -> Run {
        let done = f64::from(u32::try_from(self.done).unwrap());
        Run { rate: done / self.elapsed.as_secs_f64(), cpu: self.cpu.as_secs_f64() / done }
    }
}

/// Prints the heading for rows whose names have `width` characters.
pub(crate) fn head(width: usize) {
    line(width, "", ["nvmm", "plain loop", "ratio"], ["CPU", "plain", "ratio"]);
}

/// Runs the rounds of a row in turn, and prints their medians: thousands of transfers per second, or MiB per second if they are of `large`
/// bytes.
pub(crate) fn row(
    width: usize,
    name: &str,
    large: Option<u32>,
    mut ours: impl FnMut() -> Run,
    mut plain: impl FnMut() -> Run,
) {
    let (ours, plain): (Vec<_>, Vec<_>) = (0..ROUNDS).map(|_| (ours(), plain())).unzip();
    let figures =
        |runs: &[Run]| [median(runs.iter().map(|run| run.rate)), median(runs.iter().map(|run| run.cpu))];
    let ([ours, our_cpu], [plain, plain_cpu]) = (figures(&ours), figures(&plain));
    let rate = |rate: f64| match large {
        Some(len) => format!("{:.0} MiB/s", rate * f64::from(len) / f64::from(1 << 20)),
        None => format!("{:.0} k/s", rate / 1e3),
    };
    let cpu = |seconds: f64| format!("{:.2} us", seconds * 1e6);
    let ratio = |ours: f64, plain: f64| format!("{:.2}", ours / plain);
    let rates = [rate(ours), rate(plain), ratio(ours, plain)];
    line(width, name, rates, [cpu(our_cpu), cpu(plain_cpu), ratio(our_cpu, plain_cpu)]);
}

fn line<T: Display>(width: usize, name: &str, [ours, plain, ratio]: [T; 3], cpu: [T; 3]) {
    let [our_cpu, plain_cpu, cpu_ratio] = cpu;
    println!("{name:<width$} {ours:>14} {plain:>14} {ratio:>6}   {our_cpu:>9} {plain_cpu:>9} {cpu_ratio:>6}");
}

fn process_time() -> Duration {
    clock_gettime(ClockId::ProcessCPUTime).try_into().unwrap()
}

fn median(rates: impl Iterator<Item = f64>) -> f64 {
    let mut rates: Vec<_> = rates.collect();
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}
