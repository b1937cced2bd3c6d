//! `nvmm cpu`: shows which CPUs there are, which one a guest would get, and why.
//!
//! ```text
//! --host FILE or KVM ──────▶ HostCpu ─┐                      ┌──▶ show, diff: leaves and MSRs, bit by bit
//! SPEC, --nested, --smp ──▶ CpuSpec ──┴──▶ CpuProfile ───────┼──▶ expand
//! every model ────────────▶ CpuSpec ─────────────────────────┴──▶ list, explain: what this host can run
//! ```

mod baseline;
mod decode;
mod diff;
mod explain;
mod fact;
mod fields;
mod groups;
mod list;
mod models;
mod msrs;
mod raw;
mod show;
mod source;
pub(crate) mod text;
mod values;

#[cfg(test)]
#[path = "cpu/testing.rs"]
mod testing;

use std::path::{Path, PathBuf};

use arch::cpu::{CpuError, choice::Unmet};
use serde::Serialize;

pub(crate) use self::source::recorded;
pub use self::{source::UsageError, text::fit_terminal};
use crate::exit::USAGE;
use explain::Explanation;
use list::Listing;
use show::Sheet;
use source::{HostArgs, Seen, Shape};
use text::{Paint, list_on_stderr, print};

/// The exit statuses in `nvmm cpu diff --help`.
const DIFF_STATUS: &str = "\
Exit status:
  0  the two are equal
  1  they differ
  2  they can't be compared: wrong words, no host to ask, or a CPU that the host
     can't give";

/// An example in `nvmm cpu baseline --help`.
const BASELINE: &str = "\
Example:
  nvmm cpu dump > a.json                        on each host
  nvmm cpu baseline a.json b.json > both.cpu
  nvmm --cpu file:both.cpu ...                  on any of them";

/// Show CPU models and features, and the CPU that a guest would get
#[derive(Debug, clap::Args)]
pub struct CpuArgs {
    #[command(subcommand)]
    command: CpuCommand,
    #[command(flatten)]
    host: HostArgs,
}

#[derive(Debug, clap::Subcommand)]
enum CpuCommand {
    /// List models and features, and which of them this host can run
    List {
        /// Name every feature that keeps a model from running
        #[arg(long)]
        all: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show the CPUID leaves and MSRs of a guest, and who set what
    Show {
        /// The CPU, as --cpu has it
        spec: String,
        #[command(flatten)]
        shape: Shape,
        /// The vCPU to show
        #[arg(long, value_name = "N", default_value_t = 0)]
        vcpu: u32,
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Print each leaf as `cpuid -r` does, and each MSR
        #[arg(long, conflicts_with = "json")]
        raw: bool,
    },
    /// Print a CPU as MODEL,+feature,-feature
    ///
    /// Print a CPU as MODEL,+feature,-feature, which gives the same CPU again on this host
    Expand {
        /// The CPU, as --cpu has it
        spec: String,
        #[command(flatten)]
        shape: Shape,
    },
    /// Print the best CPU that several hosts can all give
    ///
    /// Print the best CPU that several hosts can all give, for --cpu: a guest with it can move between them
    #[command(after_help = BASELINE)]
    Baseline {
        /// Recorded hosts, of `nvmm cpu dump`; host is this one
        #[arg(value_name = "FILE", required = true)]
        hosts: Vec<PathBuf>,
        /// Print JSON, also of what is left out
        ///
        /// Print JSON, which also names what is left out, and which hosts lack it
        #[arg(long)]
        json: bool,
    },
    /// Show by name what differs between two CPUs
    #[command(after_help = DIFF_STATUS)]
    Diff {
        /// A CPU as --cpu has it, host, or a recorded host (PATH.json)
        a: String,
        /// Another one
        b: String,
        #[command(flatten)]
        shape: Shape,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Say where a feature's bit is, what it needs, and who has it
    Explain {
        /// The feature, by any of its names
        feature: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Record this host: print what --host reads
    Dump,
}

/// Returns whether the value of `--cpu` asks for the list of models and features, in QEMU's words.
#[must_use]
pub fn is_help(spec: &str) -> bool {
    ["help", "?"].contains(&spec)
}

/// Answers `--cpu help`.
///
/// # Errors
///
/// The answer can't be printed.
pub fn help(kvm: &Path) -> anyhow::Result<u8> {
    let command = CpuCommand::List { all: false, json: false };
    run(&CpuArgs { command, host: HostArgs::of_kvm(kvm) })
}

/// Carries out the command. The value is nvmm's exit status.
///
/// # Errors
///
/// The command can't be done: a value is invalid, there is no host to ask, or the host can't give the CPU.
pub fn run(args: &CpuArgs) -> anyhow::Result<u8> {
    let (host, paint) = (&args.host, Paint::stdout());
    match &args.command {
        CpuCommand::List { all, json } => {
            let host = host.ask("what can run here is not marked")?;
            let listing = Listing::new(host.as_ref())?;
            answer(*json, &listing, || listing.text(*all, paint))?;
        }
        CpuCommand::Show { spec, shape, vcpu, json, raw } => {
            let (profile, topology) = shape.resolve(&host.open()?, spec)?;
            if *vcpu >= topology.vcpus() {
                return Err(UsageError::Vcpu { given: *vcpu, last: topology.vcpus() - 1 }.into());
            }
            if *raw {
                warn(profile.unmet());
                print(&raw::text(&Seen::new(&profile, *vcpu)))?;
            } else {
                let sheet = Sheet::new(spec, &profile, topology, *vcpu);
                answer(*json, &sheet, || sheet.text(paint))?;
            }
        }
        CpuCommand::Expand { spec, shape } => {
            let (profile, _) = shape.resolve(&host.open()?, spec)?;
            warn(profile.unmet());
            print(&format!("{}\n", profile.canonical()))?;
        }
        CpuCommand::Baseline { hosts, json } => {
            let report = baseline::Report::new(hosts, host)?;
            answer(*json, &report, || report.text())?;
        }
        CpuCommand::Diff { a, b, shape, json } => {
            return compare(host, [a, b], shape, *json, paint).or_else(|error| {
                eprintln!("nvmm: {error:#}");
                Ok(USAGE)
            });
        }
        CpuCommand::Explain { feature, json } => {
            let host = host.ask("who has it here is not said")?;
            let explanation = Explanation::new(feature, host.as_ref())?;
            answer(*json, &explanation, || explanation.text(paint))?;
        }
        CpuCommand::Dump => print(&(serde_json::to_string_pretty(&host.open()?)? + "\n"))?,
    }
    Ok(0)
}

fn compare(host: &HostArgs, sides: [&str; 2], shape: &Shape, json: bool, paint: Paint) -> anyhow::Result<u8> {
    let [a, b] = sides;
    let (a, b) = (side(host, a, shape)?, side(host, b, shape)?);
    let rows = diff::rows(&a, &b);
    answer(json, &rows, || diff::text(sides, &rows, paint))?;
    Ok(u8::from(!rows.is_empty()))
}

/// One side of a comparison: a specification on the host, or another host as it is. The latter's file name ends in `.json` or contains a
/// slash, which no model's name does.
fn side(host: &HostArgs, side: &str, shape: &Shape) -> anyhow::Result<Seen> {
    let path = Path::new(side);
    let is_host = path.extension().is_some_and(|extension| extension == "json") || side.contains('/');
    let (profile, _) = if is_host && !side.starts_with("file:") {
        shape.resolve(&recorded(path)?, "host-passthrough")?
    } else {
        shape.resolve(&host.open()?, side)?
    };
    Ok(Seen::new(&profile, 0))
}

/// Prints `value` as JSON, or the text.
fn answer(json: bool, value: &impl Serialize, text: impl FnOnce() -> String) -> anyhow::Result<()> {
    let text = if json { serde_json::to_string_pretty(value)? + "\n" } else { text() };
    Ok(print(&text)?)
}

/// The text of an error with its causes. Features that a host can't give may be many: on a terminal, they stand in several lines.
#[must_use]
pub fn error_on_stderr(error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    let is_list =
        |cause: &CpuError| matches!(cause, CpuError::Unmet(_) | CpuError::Checked(_) | CpuError::Strict(_));
    let has_list = error.chain().filter_map(|cause| cause.downcast_ref()).any(is_list);
    if has_list { list_on_stderr(&text) } else { text }
}

/// Warns about features that were asked for and can't be given.
fn warn(unmet: &[Unmet]) {
    if !unmet.is_empty() {
        let unmet = unmet.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        eprintln!("nvmm: {}", list_on_stderr(&format!("this host cannot give {unmet}")));
    }
}
