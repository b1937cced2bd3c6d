//! The names of the addresses in a level's kernel. The level writes them to its disk, where the level below reads them.
//!
//! A megabyte on a disk costs a few exits, but on a console two exits for each byte.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::nest::image::Memfd;

/// The number of bytes for them.
pub(in crate::nest) const ROOM: u64 = 16 << 20;
/// The number of bytes to read at a time.
const CHUNK: usize = 64 << 10;
/// The longest function: an address farther from a symbol belongs to code without one.
const LONGEST: u64 = 64 << 10;
/// The end of user space's addresses.
const USER_END: u64 = 1 << 47;

/// Makes room for symbols on a disk, from `place` on.
pub(in crate::nest) fn make_room(disk: &Memfd, place: u64) -> io::Result<()> {
    disk.0.set_len(place + ROOM)
}

/// Writes the functions of this kernel and its modules to `disk`, from `place` on. /proc must be mounted.
///
/// # Errors
///
/// The kernel shows no symbols, or the disk has no room for them.
pub(in crate::nest) fn save(disk: &Path, place: u64) -> io::Result<()> {
    let text = functions(&fs::read_to_string("/proc/kallsyms")?);
    let disk = OpenOptions::new().write(true).open(disk)?;
    disk.write_all_at(text.as_bytes(), place)?;
    disk.sync_all()
}

/// The lines of /proc/kallsyms about functions, without their types, and without hidden addresses. It has to be fast: there are a hundred
/// thousand lines, and the processor may be emulated.
fn functions(kallsyms: &str) -> String {
    let mut text = String::with_capacity(kallsyms.len());
    for line in kallsyms.lines() {
        if let Some((address, rest)) = line.split_once(' ')
            && let Some(("t" | "T" | "w" | "W", name)) = rest.split_once(' ')
        {
            for part in [address, " ", name, "\n"] {
                text.push_str(part);
            }
        }
    }
    text
}

/// A kernel's functions.
#[derive(Debug, Default)]
pub(in crate::nest) struct Symbols(Vec<(u64, String)>);

impl Symbols {
    /// The symbols that a level has written to its disk at `place`; none if it wrote none.
    pub(in crate::nest) fn read(disk: &Memfd, place: u64) -> Self {
        let mut text = Vec::new();
        let mut chunk = vec![0; CHUNK];
        while let Ok(length @ 1..) = disk.0.read_at(&mut chunk, place + text.len() as u64) {
            text.extend_from_slice(&chunk[..length]);
            // Don't touch the rest, which would cost memory at each level.
            if chunk[..length].contains(&0) {
                break;
            }
        }
        Self::parse(&text)
    }

    /// Parses up to the first zero byte, which ends what was written to the disk.
    fn parse(bytes: &[u8]) -> Self {
        let text = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
        let text = String::from_utf8_lossy(text);
        let mut symbols: Vec<_> = text
            .lines()
            .filter_map(|line| {
                let (address, name) = line.split_once(' ')?;
                Some((u64::from_str_radix(address, 16).ok()?, name.to_owned()))
            })
            .filter(|&(address, _)| address >= USER_END)
            .collect();
        symbols.sort();
        Self(symbols)
    }

    /// `svm_vcpu_run+0x1a2 [kvm_amd]`.
    pub(super) fn name(&self, address: u64) -> Option<String> {
        if address < USER_END {
            return Some("user space".to_owned());
        }
        let after = self.0.partition_point(|&(start, _)| start <= address);
        let (start, name) = self.0.get(after.checked_sub(1)?)?;
        let offset = address - start;
        // In the form of /proc/kallsyms.
        let (name, module) = name.split_once('\t').unwrap_or((name, ""));
        let text =
            if offset == 0 { format!("{name} {module}") } else { format!("{name}+{offset:#x} {module}") };
        (offset < LONGEST).then(|| text.trim_end().to_owned())
    }
}

#[cfg(test)]
#[path = "symbols_test.rs"]
mod tests;
