//! `info block`, in QEMU's layout.

use std::fmt::{self, Display, Formatter};

use devices::printable::ToPrintable;
use serde_json::Value;

/// Disks, as QMP's `query-block` has them, as QEMU's monitor shows them.
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
    write!(f, "{}: {} ({}", text(&disk["device"]), text(&inserted["file"]), text(&inserted["drv"]))?;
    writeln!(f, "{})", if is(&inserted["ro"]) { ", read-only" } else { "" })?;
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

#[cfg(test)]
#[path = "info_block_test.rs"]
mod tests;
