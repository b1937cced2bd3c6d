//! `nvmm check`: reports whether this host can run guests, whether these can run guests of their own, and if not, why and what to do.
//!
//! ```text
//! files, CPUID, KVM, the proof ──▶ Facts ──judge──▶ Report ──▶ text, JSON (with the facts), exit status
//!                recorded facts ──▶ ┘
//! ```

pub mod facts;
mod gather;
pub mod judge;
pub mod proof;
pub mod report;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::ValueEnum;
use devices::printable::ToPrintable;

use crate::{
    cpu::text::{Paint, print},
    exit::USAGE,
    small_file,
};
use facts::Facts;
use judge::judge;
use report::{Report, SCHEMA, Verdict};

/// The exit statuses in `nvmm check --help`.
const STATUS: &str = "\
Exit status:
  0   what is required is there
  1   it is not, as when KVM can't be opened; the findings marked with a
      cross say why, and what to do
  2   the command line is wrong, or the recorded host
  77  with --require nested: it can't be told from here";

/// The answer can't be found out. Test programs use this status for skipped tests.
const CANNOT_TELL: u8 = 77;

/// Say whether guests, and guests of guests, can run here, and if not, why and what to do
#[derive(Debug, clap::Args)]
#[command(after_help = STATUS)]
pub struct CheckArgs {
    /// Print JSON, with all that it was judged by
    #[arg(long)]
    json: bool,

    /// What has to work for status 0
    ///
    /// The question that the exit status answers: running guests, or running guests that run guests
    #[arg(long, value_name = "kvm|nested", value_enum, default_value_t, hide_possible_values = true)]
    require: Require,

    /// Judge a recorded host: what --json printed there
    #[arg(long, value_name = "FILE")]
    facts: Option<PathBuf>,

    /// KVM's device node
    #[arg(long, value_name = "PATH", default_value = "/dev/kvm")]
    kvm: PathBuf,
}

/// The answer that has to be yes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Require {
    /// KVM, usable by nvmm
    #[default]
    Kvm,
    /// A KVM whose guests can use KVM
    Nested,
}

/// Examines the host, judges and prints. The value is nvmm's exit status.
///
/// # Errors
///
/// Standard output can't be written to.
pub fn run(args: &CheckArgs) -> anyhow::Result<u8> {
    let facts = match args.facts.as_deref().map(recorded) {
        None => Facts::gather(&args.kvm),
        Some(Ok(facts)) => facts,
        Some(Err(error)) => {
            // A file that can't be read must not give the status of a missing feature.
            eprintln!("nvmm: {}", format!("{error:#}").printable());
            return Ok(USAGE);
        }
    };
    let report = judge(&facts);
    let text =
        if args.json { serde_json::to_string_pretty(&report)? + "\n" } else { report.text(Paint::stdout()) };
    print(&text)?;
    Ok(status(&report, args.require))
}

fn status(report: &Report, require: Require) -> u8 {
    let verdict = match require {
        Require::Kvm => report.kvm,
        Require::Nested => report.nested,
    };
    match verdict {
        Verdict::Yes => 0,
        Verdict::No => 1,
        Verdict::Unknown => CANNOT_TELL,
    }
}

/// Reads facts, alone or in a report.
fn recorded(path: &Path) -> anyhow::Result<Facts> {
    let parse = || -> anyhow::Result<Facts> {
        let mut value: serde_json::Value = serde_json::from_str(&small_file::read(path)?)?;
        if let Some(schema) = value.get("schema")
            && *schema != SCHEMA
        {
            bail!("its schema is {schema}, and this nvmm reads {SCHEMA}");
        }
        let facts = value.get_mut("facts").map(serde_json::Value::take);
        let facts = facts.unwrap_or(value);
        if facts.as_object().is_none_or(serde_json::Map::is_empty) {
            bail!("there are no facts in it; nvmm check --json prints some");
        }
        Ok(serde_json::from_value(facts)?)
    };
    parse().with_context(|| format!("--facts {}", path.printable()))
}

#[cfg(test)]
#[path = "check/status_test.rs"]
mod tests;

#[cfg(test)]
#[path = "check/findings_test.rs"]
mod findings_tests;
