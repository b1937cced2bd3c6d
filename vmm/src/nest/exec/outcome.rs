//! The host's knowledge about the user's program.

use std::ffi::OsString;

use serde::{Deserialize, Serialize};

use super::news::{End, News, signal_name};
use super::program::Program;

/// The number of bytes of output that are kept for the reports: the last ones.
const KEPT: usize = 1 << 20;
/// The length at which a shown line of output is cut.
const LINE: usize = 4096;

/// The user's program in the record of a run. Times are seconds from the start of the run, by the host's clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProgramRecord {
    /// The file's name.
    pub name: String,
    /// The arguments.
    pub arguments: Vec<String>,
    /// The time when it was started.
    pub started: Option<f64>,
    /// The time when it had ended.
    pub ended: Option<f64>,
    /// The exit status, if it exited.
    pub status: Option<i32>,
    /// The name of the signal that killed it.
    pub signal: Option<String>,
    /// The number of bytes that it printed.
    pub bytes: u64,
    /// The number of bytes that did not arrive.
    pub lost: u64,
    /// The last MiB of its output.
    pub output: String,
}

/// The news in one report about the program.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::nest) struct Told {
    /// A description of its state, if the state is new.
    pub(in crate::nest) doing: Option<String>,
    /// The output.
    pub(in crate::nest) bytes: Vec<u8>,
    /// The lines that this output completes.
    pub(in crate::nest) lines: Vec<String>,
}

/// The reports about the program so far.
#[derive(Debug)]
pub(in crate::nest) struct Outcome {
    record: ProgramRecord,
    end: Option<End>,
    output: Vec<u8>,
    /// The incomplete last line.
    line: Vec<u8>,
}

impl Outcome {
    /// Makes an outcome for `program`, before the first report.
    pub(in crate::nest) fn new(program: &Program) -> Self {
        let text = |text: &OsString| text.to_string_lossy().into_owned();
        let record = ProgramRecord {
            name: program.name(),
            arguments: program.arguments.iter().map(text).collect(),
            started: None,
            ended: None,
            status: None,
            signal: None,
            bytes: 0,
            lost: 0,
            output: String::new(),
        };
        Self { record, end: None, output: Vec::new(), line: Vec::new() }
    }

    /// The program's end, if it has ended.
    pub(in crate::nest) fn end(&self) -> Option<End> {
        self.end
    }

    /// `mytest ended with status 3`.
    pub(in crate::nest) fn sentence(&self) -> String {
        match self.end {
            Some(end) => format!("{} {end}", self.record.name),
            None => format!("it is not known how {} ended", self.record.name),
        }
    }

    /// Handles a report that came at the time `at`.
    pub(in crate::nest) fn hear(&mut self, news: &News, at: f64) -> Told {
        let record = &mut self.record;
        match news {
            News::Started => {
                record.started.get_or_insert(at);
                Told { doing: Some(format!("runs {}", record.name)), ..Told::default() }
            }
            News::Ended(end) => {
                // A broken level may repeat it as often as it likes.
                if self.end.is_none() {
                    record.ended = Some(at);
                    self.end = Some(*end);
                    match *end {
                        End::Exited(status) => record.status = Some(status),
                        End::Killed(signal) => record.signal = Some(signal_name(signal)),
                    }
                }
                let lines = self.end_line().into_iter().collect();
                Told { doing: Some(self.sentence()), lines, ..Told::default() }
            }
            News::Output(piece) => {
                let Some((from, bytes)) = piece.unpack() else { return Told::default() };
                let lost = from.saturating_sub(record.bytes);
                record.lost = record.lost.saturating_add(lost);
                let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                record.bytes = record.bytes.saturating_add(lost).saturating_add(len);
                let doing =
                    (lost > 0).then(|| format!("{lost} bytes of the output of {} were lost", record.name));
                self.keep(&bytes);
                Told { doing, lines: self.lines(&bytes), bytes }
            }
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.output.extend_from_slice(bytes);
        // Not for each piece, since this moves the rest each time.
        if self.output.len() > 2 * KEPT {
            self.output.drain(..self.output.len() - KEPT);
        }
    }

    fn lines(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            let room = LINE.saturating_sub(self.line.len());
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            if part.ends_with(b"\n") {
                lines.push(self.end_line().unwrap_or_default());
            }
        }
        lines
    }

    fn end_line(&mut self) -> Option<String> {
        if self.line.is_empty() {
            return None;
        }
        let line = std::mem::take(&mut self.line);
        Some(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned())
    }

    /// The record of everything that was reported.
    pub(in crate::nest) fn record(mut self) -> ProgramRecord {
        let from = self.output.len().saturating_sub(KEPT);
        self.record.output = String::from_utf8_lossy(&self.output[from..]).into_owned();
        self.record
    }
}

#[cfg(test)]
#[path = "outcome_test.rs"]
mod tests;
