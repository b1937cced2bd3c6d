//! The kernel's log: Linux, "Documentation/ABI/testing/dev-kmsg".

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;

use anyhow::{Context, ensure};
use rustix::fs::OFlags;

/// The message of a machine that was too slow for its timers, such as an emulated one on a busy host.
const SLOW: &str = "hrtimer: interrupt took ";

/// A message of the log.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// Up to 7 for the kernel's own; those of user space also contain a facility.
    pub(crate) priority: u32,
    pub(crate) text: String,
}

/// The length of the log at one moment.
#[derive(Debug)]
pub(crate) struct KernelLog(usize);

impl KernelLog {
    pub(crate) fn now() -> anyhow::Result<Self> {
        Ok(Self(read()?.len()))
    }

    /// Checks that it has no new line.
    pub(crate) fn has_not_grown(&self) -> anyhow::Result<()> {
        let messages = read()?;
        ensure!(messages.len() >= self.0, "the kernel's log has lost lines");
        let new = messages[self.0..].iter().map(|message| message.text.as_str());
        let new: Vec<_> = new.filter(|text| !text.starts_with(SLOW)).collect();
        ensure!(new.is_empty(), "the kernel's log has new lines: {new:#?}");
        Ok(())
    }
}

/// Reads the whole log so far, message by message.
pub(crate) fn read() -> anyhow::Result<Vec<Message>> {
    let log =
        OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open("/dev/kmsg");
    log.and_then(messages).context("reading the kernel's log")
}

fn messages(mut log: impl Read) -> io::Result<Vec<Message>> {
    let mut bytes = [0; 8192];
    let mut messages = Vec::new();
    loop {
        match log.read(&mut bytes) {
            Ok(0) => return Ok(messages),
            Ok(len) => messages.extend(message(&String::from_utf8_lossy(&bytes[..len]))),
            // Some were overwritten before they could be read; continue with the next.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(messages),
            Err(error) => return Err(error),
        }
    }
}

/// A record: `6,339,5140900,-;NET: Registered`, and more lines that begin with a space.
fn message(record: &str) -> Option<Message> {
    let (prefix, text) = record.split_once(';')?;
    let priority = prefix.split(',').next()?.parse().ok()?;
    Some(Message { priority, text: text.lines().next().unwrap_or_default().to_owned() })
}

#[cfg(test)]
#[path = "kernel_log_test.rs"]
mod tests;
