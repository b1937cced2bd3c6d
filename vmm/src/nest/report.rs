//! The reports of levels to the one below them, and through it to the host: lines on the serial console.
//!
//! A line is `@nest` and JSON when it is a report, and `@2|` and text when it is what else level 2 printed. Anything else
//! is the console's own text, to which whoever relays it adds the level. Each byte on a serial port costs an exit at
//! every level it goes through, so lines are short and few; kernels are started with `quiet`, so that text is trouble.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::exec::news::News;
use super::explain::{cost::Cost, work::Work};
use super::facts::Facts;
use super::record::{CheckRecord, FailureKind};

const REPORT: &str = "@nest";

/// One line: which level it is about, and what is said.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// The level it is about.
    pub level: u32,
    /// The news of it.
    pub said: Said,
}

/// The news of a level.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Said {
    /// Its VMM is being started. Said by the level below.
    Start,
    /// Its guest code ran: `KVM_RUN` came back from it. Said by the level below.
    Entered,
    /// Its /init runs. Of its features, those that differ from the level below: [`super::facts::difference`].
    Up(Facts),
    /// Its KVM is there.
    Kvm,
    /// `nvmm check` says this of it.
    Check(CheckRecord),
    /// Its disk check is done.
    Disk {
        /// CRC-32 of what it read.
        read: u32,
        /// CRC-32 of what it wrote and read back.
        wrote: u32,
        /// The time that reading took, in milliseconds by its own clock.
        #[serde(default)]
        read_ms: u64,
        /// The time that writing and flushing took.
        #[serde(default)]
        write_ms: u64,
    },
    /// It waits for a program, with `nvmm nest --keep`.
    Ready,
    /// The news of the user's program there.
    Program(News),
    /// KVM's counts of the guest that it ran: exits in all, and by reason.
    Exits(BTreeMap<String, u64>),
    /// It begins to make exits for those below it to measure.
    Work(Work),
    /// One exit of the last level cost it this.
    Cost(Cost),
    /// It can't use KVM's tracepoints to tell what that is made of, for this reason.
    Untraced(String),
    /// It powered off, and its disk holds what it said. Said by the level below.
    Done,
    /// The failure there.
    Fail(FailureKind, String),
    /// It has no more to say. An emulated machine may be ended now.
    Off,
    /// Its emulator has nothing to do while this level waits. Said by the host.
    #[serde(skip)]
    Idle(String),
    /// Text from its console.
    #[serde(skip)]
    Text(String),
}

impl Said {
    /// Returns whether the console of level `own` can say this of `level`.
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
    /// Returns whether a report may have begun with `begin`.
    pub(super) fn is_begun(begin: &[u8]) -> bool {
        begin.starts_with(REPORT.as_bytes())
    }

    /// Reads a line that came from the console of level `own`, without its end of line; `last` is the last level.
    ///
    /// A level, which can print anything, can speak for itself and for those above it. A report of another level is text,
    /// as is one that only the level below can give.
    pub fn parse(line: &[u8], own: u32, last: u32) -> Self {
        let text = String::from_utf8_lossy(line);
        let text = text.trim_end_matches('\r');
        // First, or such text could be a report to whoever is further below.
        if let Some((above, text)) = text.strip_prefix('@').and_then(|rest| rest.split_once('|'))
            && let Ok(level) = above.parse()
            && level >= own
            && level <= last
        {
            return Self { level, said: Said::Text(text.to_owned()) };
        }
        // Not only at the start of a line: a kernel message without an end may stand before it.
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
