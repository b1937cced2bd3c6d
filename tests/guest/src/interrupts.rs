//! Counts of interrupts in Linux's /proc/interrupts.

use std::fs;

use anyhow::Context;

/// The current text of the file.
pub(crate) fn read() -> anyhow::Result<String> {
    fs::read_to_string("/proc/interrupts").context("reading /proc/interrupts")
}

/// The interrupts of a device on all CPUs: `  8:   2   IO-APIC   8-edge      rtc0`.
pub(crate) fn of_device(text: &str, device: &str) -> u64 {
    sum(text.lines().find(|line| line.split_whitespace().next_back() == Some(device)))
}

/// The interrupts of a line on all CPUs. Linux names only the first of the ports that share one.
pub(crate) fn of_line(text: &str, irq: u32) -> u64 {
    let first = format!("{irq}:");
    sum(text.lines().find(|line| line.split_whitespace().next() == Some(&first)))
}

fn sum(line: Option<&str>) -> u64 {
    let counts = line.unwrap_or_default().split_whitespace().skip(1);
    counts.map_while(|count| count.parse::<u64>().ok()).sum()
}

#[cfg(test)]
#[path = "interrupts_test.rs"]
mod tests;
