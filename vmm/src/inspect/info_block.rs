//! `info block`, in QEMU's layout.

use std::fmt::{self, Display, Formatter};

use devices::printable::ToPrintable;
use serde_json::Value;

/// Disks in the form of QMP's `query-block`, shown like QEMU's monitor does.
#[derive(Debug)]
pub(crate) struct InfoBlock<'a>(pub(crate) &'a [Value]);

impl Display for InfoBlock<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (number, disk) in self.0.iter().enumerate() {
            if number > 0 {
                writeln!(f)?;
            }
            show(disk, f)?;
        }
        Ok(())
    }
}

fn show(disk: &Value, f: &mut Formatter<'_>) -> fmt::Result {
    let (inserted, is) = (&disk["inserted"], |value: &Value| value == &Value::Bool(true));
    let text = |value: &Value| value.as_str().unwrap_or_default().printable().to_string();
    let device = text(&disk["device"]);
    if inserted.is_null() {
        writeln!(f, "{device}: [not inserted]")?;
        return tray(disk, f);
    }
    write!(f, "{device}: {} ({}", text(&inserted["file"]), text(&inserted["drv"]))?;
    writeln!(f, "{})", if is(&inserted["ro"]) { ", read-only" } else { "" })?;
    tray(disk, f)?;
    let cache = &inserted["cache"];
    let mode = if is(&cache["writeback"]) { "writeback" } else { "writethrough" };
    let direct = if is(&cache["direct"]) { ", direct" } else { "" };
    let no_flush = if is(&cache["no-flush"]) { ", ignore flushes" } else { "" };
    writeln!(f, "    Cache mode:       {mode}{direct}{no_flush}")?;
    if inserted["backing_file"].is_string() {
        writeln!(f, "    Backing file:     {}", text(&inserted["backing_file"]))?;
    }
    let limit = |name: &str| inserted[name].as_u64().unwrap_or_default();
    match (limit("bps"), limit("iops")) {
        (0, 0) => Ok(()),
        (bps, iops) => writeln!(f, "    I/O throttling:   bps={bps} iops={iops}"),
    }
}

/// The line about a removable medium.
fn tray(disk: &Value, f: &mut Formatter<'_>) -> fmt::Result {
    if disk["removable"] != Value::Bool(true) {
        return Ok(());
    }
    let is = |name: &str| disk[name] == Value::Bool(true);
    let locked = if is("locked") { "locked" } else { "not locked" };
    let open = if is("tray_open") { "open" } else { "closed" };
    writeln!(f, "    Removable device: {locked}, tray {open}")
}

#[cfg(test)]
#[path = "info_block_test.rs"]
mod tests;
