//! The reports that a level gets from the one that it runs.

use std::process::ExitStatus;

use super::explain::meter::COUNTED;
use super::record::FailureKind;
use super::report::{Line, Said};
use crate::exit;
use crate::vcpu::ENTERED;

/// A failure at a level, as in [`Said::Fail`].
pub(super) type Failure = (FailureKind, String);

/// The reports from a level.
#[derive(Debug, Default)]
pub(super) struct Heard {
    up: bool,
    claimed: Option<(u32, u32)>,
    /// A failure was reported, by the level or one above it.
    pub(super) failed: bool,
}

impl Heard {
    /// Handles a line, and returns what has to be passed on.
    pub(super) fn listen(&mut self, level: u32, line: &Line) -> Option<Line> {
        if let Said::Fail(..) = line.said {
            self.failed = true;
        }
        if line.level == level {
            match &line.said {
                Said::Up(_) => self.up = true,
                Said::Disk { read, wrote, .. } => self.claimed = Some((*read, *wrote)),
                Said::Text(text) if text.ends_with(ENTERED) => {
                    return Some(Line { level, said: Said::Entered });
                }
                // The same comes as numbers.
                Said::Text(text) if text.starts_with(COUNTED) => return None,
                _ => {}
            }
        }
        Some(line.clone())
    }

    /// Judges the level, once its nvmm has ended.
    pub(super) fn judge(&self, status: ExitStatus, outside: (u32, u32)) -> Result<(), Failure> {
        match (status.code(), self.claimed) {
            (Some(0), None) if !self.up => {
                Err((FailureKind::KernelDidNotStart, "it ended before it ran /init".to_owned()))
            }
            (Some(0), None) => Err((FailureKind::Ended, "before its disk check".to_owned())),
            (Some(0), Some(claimed)) if claimed == outside => Ok(()),
            (Some(0), Some((read, wrote))) => Err((
                FailureKind::Disk,
                format!(
                    "its disk holds data with CRCs {:08x} and {:08x}, where it read {read:08x} and wrote {wrote:08x}",
                    outside.0, outside.1
                ),
            )),
            (Some(code), _) => match exit::crash(code) {
                Some(crash) => {
                    Err((FailureKind::EntryFailed, format!("{crash} (nvmm's exit status {code})")))
                }
                None => Err((FailureKind::Vmm, format!("nvmm ended with {status}"))),
            },
            (None, _) => Err((FailureKind::Vmm, format!("nvmm ended with {status}"))),
        }
    }
}

#[cfg(test)]
#[path = "heard_test.rs"]
mod tests;
