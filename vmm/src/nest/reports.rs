//! The reports of a run of `nvmm nest`, and its exit status.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::plain::printable;
use super::record::{FailureKind, Record, Verdict};
use super::show;
use crate::cpu::text;
use crate::output::Taken;

/// The group of the reports' options in the help.
pub(super) const REPORTS: &str = "Reports";
/// A level's failure has this status plus the level's number.
const LEVEL_FAILED: u32 = 10;
/// The status for a host that can't nest, which test runners count as a skip.
const SKIPPED: u8 = 77;

/// The reports that are wanted.
#[derive(Debug, clap::Args)]
pub(super) struct ReportArgs {
    /// All that the run showed, as JSON
    ///
    /// Write all that the run showed, as JSON; `-` is standard output
    #[arg(long, help_heading = REPORTS, value_name = "FILE")]
    json: Option<PathBuf>,

    /// A JUnit report, for CI; - is stdout
    ///
    /// Write a JUnit report, for CI; `-` is standard output
    #[arg(long, help_heading = REPORTS, value_name = "FILE")]
    junit: Option<PathBuf>,

    /// A page with the levels as a timeline
    ///
    /// Write a page that shows the levels as a timeline, and what each lacks that the one below has; `-` is standard output
    #[arg(long, help_heading = REPORTS, value_name = "FILE")]
    html: Option<PathBuf>,
}

impl ReportArgs {
    /// Makes the files at the start: a run of minutes should not end with a report that can't be written.
    pub(super) fn make(&self, taken: &mut Taken) -> anyhow::Result<()> {
        for (option, path) in [("--json", &self.json), ("--junit", &self.junit), ("--html", &self.html)] {
            if let Some(path) = path.as_deref().filter(|path| *path != Path::new("-")) {
                taken.create(option, path)?;
            }
        }
        Ok(())
    }

    /// Returns whether a report goes to standard output, so that nothing else may be printed there.
    pub(super) fn take_stdout(&self) -> bool {
        [&self.json, &self.junit, &self.html].iter().any(|path| path.as_deref() == Some(Path::new("-")))
    }

    /// Writes the reports and prints the result. The value is nvmm's exit status.
    pub(super) fn tell(&self, record: &Record) -> anyhow::Result<u8> {
        type Render = fn(&Record) -> String;
        let json: Render = |record| serde_json::to_string_pretty(record).unwrap_or_default() + "\n";
        let reports = [
            ("--json", &self.json, json),
            ("--junit", &self.junit, show::junit as Render),
            ("--html", &self.html, show::html as Render),
        ];
        let reports: Vec<_> = reports
            .iter()
            .filter_map(|(option, path, render)| Some((option, path.as_deref()?, render)))
            .collect();
        if let Verdict::Failed { level, kind, why, console } = &record.verdict {
            say(&format!("level {level}: {kind}: {}\n", printable(why)));
            if !console.is_empty() {
                say(&format!("the end of level {level}'s console:\n  | {}\n", console.join("\n  | ")));
            }
        }
        // The user's program's output is alone there.
        if self.take_stdout() || record.program.is_some() {
            say(&told(record, &io::stderr()));
        } else {
            text::print(&told(record, &io::stdout()))?;
        }
        for (option, path, render) in reports {
            write(option, path, &render(record))?;
        }
        Ok(match record.verdict {
            Verdict::Passed => 0,
            Verdict::Skipped { .. } => SKIPPED,
            Verdict::Failed { level, .. } => u8::try_from(LEVEL_FAILED + level).unwrap_or(u8::MAX),
        })
    }
}

/// The table, if it has any contents, and a line about the run.
fn told(record: &Record, to: &(impl IsTerminal + AsFd)) -> String {
    let terminal = to.is_terminal();
    let width = terminal.then(|| rustix::termios::tcgetwinsize(to).ok()).flatten();
    let width = width.map(|size| usize::from(size.ws_col)).filter(|&columns| columns > 0);
    let table = match record.verdict {
        Verdict::Skipped { .. } | Verdict::Failed { kind: FailureKind::NoAccess, .. }
            if record.levels.iter().all(|level| level.up.is_none()) =>
        {
            String::new()
        }
        _ => show::table(record, width, text::has_colour(to)),
    };
    let told = format!("{table}nest: {}\n", show::summary(record));
    if text::has_signs(to) { told } else { text::in_ascii(&told) }
}

/// Writes to stderr. A failure can't be reported, and the run continues.
fn say(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Writes to a file, or to standard output.
fn write(option: &str, path: &Path, text: &str) -> anyhow::Result<()> {
    if path == Path::new("-") {
        return text::print(text).context("standard output");
    }
    fs::write(path, text).with_context(|| format!("{option} {}", path.display()))
}
