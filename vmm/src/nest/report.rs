//! Reports from levels to the one below them, and so to the host: lines on the serial console.
//!
//! A report is a line of `@nest` and JSON. Other text that level 2 printed is a line of `@2|` and the text. Any other line is the console's
//! own text, to which the level that passes it on adds the number. Each byte on a serial port costs an exit at every level on its way, so
//! lines are short and few; kernels are started with `quiet`, so that text means trouble.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::exec::news::News;
use super::explain::{cost::Cost, work::Work};
use super::facts::Facts;
use super::record::{CheckRecord, FailureKind};

const REPORT: &str = "@nest";

/// A line: the level that it is about, and the report.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// The level it is about.
    pub level: u32,
    /// The report.
    pub said: Said,
}

/// A report about a level.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Said {
    /// The VMM is being started. Reported by the level below.
    Start,
    /// The level's code ran: `KVM_RUN` returned from it. Reported by the level below.
    Entered,
    /// /init runs. Of its features, only those that differ from the level below: [`super::facts::difference`].
    Up(Facts),
    /// KVM is loaded.
    Kvm,
    /// The result of `nvmm check` on it.
    Check(CheckRecord),
    /// The result of its disk check.
    Disk {
        /// CRC-32 of the bytes that it read.
        read: u32,
        /// CRC-32 of the bytes that it wrote and read back.
        wrote: u32,
        /// The time that reading took, in milliseconds by its own clock.
        #[serde(default)]
        read_ms: u64,
        /// The time that writing and flushing took.
        #[serde(default)]
        write_ms: u64,
    },
    /// The level waits for a program, with `nvmm nest --keep`.
    Ready,
    /// An event of the user's program there.
    Program(News),
    /// KVM's counts of the guest that it ran: exits in total, and by reason.
    Exits(BTreeMap<String, u64>),
    /// The level begins to make exits that those below it measure.
    Work(Work),
    /// The cost for it of one exit of the last level.
    Cost(Cost),
    /// The reason why it can't use KVM's tracepoints to analyse the cost.
    Untraced(String),
    /// The level powered off, and its disk is as it reported. Reported by the level below.
    Done,
    /// A failure there.
    Fail(FailureKind, String),
    /// The level has nothing more to report. An emulated machine may be ended now.
    Off,
    /// The emulator is idle while this level waits. Reported by the host.
    #[serde(skip)]
    Idle(String),
    /// Text from its console.
    #[serde(skip)]
    Text(String),
}

impl Said {
    /// Returns whether the console of level `own` may contain this report about `level`.
    fn can_be_of(&self, level: u32, own: u32, last: u32) -> bool {
        let can_say = match self {
            Self::Start | Self::Entered | Self::Done => level > own,
            // A machine of nvmm's ends by itself.
            Self::Off => level == own && own == 0,
            Self::Program(_) | Self::Ready => level == last,
            _ => true,
        };
        can_say && level >= own && level <= last
    }
}

impl Line {
    /// Returns whether a report may begin with `begin`.
    pub(super) fn is_begun(begin: &[u8]) -> bool {
        begin.starts_with(REPORT.as_bytes())
    }

    /// Parses a line from the console of level `own`, without its line end. `last` is the last level.
    ///
    /// A level can print anything, but can only report about itself and those above it. A report about another level is text, and so is one
    /// that only the level below can give.
    pub fn parse(line: &[u8], own: u32, last: u32) -> Self {
        let text = String::from_utf8_lossy(line);
        let text = text.trim_end_matches('\r');
        // First, or such text could be a report to a level farther below.
        if let Some((above, text)) = text.strip_prefix('@').and_then(|rest| rest.split_once('|'))
            && let Ok(level) = above.parse()
            && level >= own
            && level <= last
        {
            return Self { level, said: Said::Text(text.to_owned()) };
        }
        // It need not be at the start of the line: an incomplete kernel message may come before it.
        if let Some((_, json)) = text.split_once(REPORT)
            && let Ok((level, said)) = serde_json::from_str::<(u32, Said)>(json)
            && said.can_be_of(level, own, last)
        {
            return Self { level, said };
        }
        Self { level: own, said: Said::Text(text.to_owned()) }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.said {
            Said::Text(text) => write!(f, "@{}|{text}", self.level),
            said => {
                let json = serde_json::to_string(&(self.level, said)).map_err(|_| fmt::Error)?;
                write!(f, "{REPORT}{json}")
            }
        }
    }
}

#[cfg(test)]
#[path = "report_test.rs"]
mod tests;
