//! The command line: the command to run, and its options.

mod added;
#[cfg_attr(not(feature = "libvirt"), path = "without/domain.rs")]
mod domain;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod qemu;

use std::{
    ffi::{OsStr, OsString},
    path::Path,
};

use clap::{Arg, ArgAction, CommandFactory, Parser, Subcommand};
use devices::printable::ToPrintable;

use self::{added::Added, qemu::Translated};
pub use self::{
    error::Error,
    qemu::{Note, Told},
};
use crate::{args::MachineArgs, config, exit, migration::Incoming, snapshot::Snapshot};

/// The end of `nvmm --help`.
const AFTER_HELP: &str = "\
More: nvmm help disk (or another option, command or page of the manual),
nvmm help WORDS (searches the manual), nvmm COMMAND --help

Exit status: 0 the guest powered off, 1 nvmm could not run it, 2 the command
line is wrong; the others: nvmm help statuses";

/// `--help` is as short as `-h` for all commands: a line for each option. `nvmm help OPTION` has the long texts.
fn help_flag() -> Arg {
    Arg::new("help").short('h').long("help").help("Print help").action(ArgAction::HelpShort).global(true)
}

/// A KVM hypervisor for nested virtualization: its guests run KVM themselves.
#[derive(Debug, Parser)]
#[command(
    name = "nvmm",
    version,
    args_conflicts_with_subcommands = true,
    disable_help_flag = true,
    disable_help_subcommand = true,
    arg = help_flag(),
    after_help = AFTER_HELP,
    after_long_help = exit::HELP
)]
pub struct Cli {
    /// The command to run instead of a machine.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The machine to run.
    #[command(flatten)]
    pub machine: MachineArgs,
    /// The notes for the user about options of QEMU and libvirt.
    #[arg(skip)]
    pub told: Told,
    /// The arguments of the machine, with the program's name, in the form for its snapshots.
    #[arg(skip)]
    pub words: Vec<OsString>,
    /// The snapshot from which the machine is restored.
    #[arg(skip)]
    pub snapshot: Option<Snapshot>,
    /// The machine that arrives from another nvmm.
    #[arg(skip)]
    pub incoming: Option<Incoming>,
}

/// The command line of a machine without commands. Building the tree of all commands takes several times as long.
#[derive(Debug, Parser)]
#[command(disable_help_flag = true)]
struct MachineAlone {
    #[command(flatten)]
    machine: MachineArgs,
}

impl Cli {
    /// Parses a command line, whose first word is the program's name.
    ///
    /// # Errors
    ///
    /// The command line is wrong, or asks for help or the version.
    pub fn of(words: &[OsString]) -> Result<Self, Error> {
        if !words.get(1).is_some_and(|word| word.as_encoded_bytes().starts_with(b"-")) {
            return Self::try_parse_from(words).map_err(|error| explain(error, words));
        }
        if !qemu::may_be_qemus(words) {
            return Self::of_nvmms(words, Told::default());
        }
        let translated = qemu::translate(words, &MachineAlone::command(), false).map_err(Error::Wrong)?;
        Self::of_nvmms(&translated.words, translated.told)
    }

    fn of_nvmms(words: &[OsString], told: Told) -> Result<Self, Error> {
        // If only a machine's options are given, and all are valid, they can have no other meaning. All errors and help texts come from
        // the whole tree.
        if let Ok(MachineAlone { machine }) = MachineAlone::try_parse_from(words) {
            if let Some(file) = &machine.domain {
                let Added { words, told, text } = domain::add(file, words, &MachineAlone::command(), told)?;
                let MachineAlone { mut machine } =
                    MachineAlone::try_parse_from(&words).map_err(|error| explain(error, &words))?;
                machine.domain_text = Some(text);
                return Ok(Self { command: None, machine, told, words, snapshot: None, incoming: None });
            }
            if let Some(place) = &machine.snapshot.incoming {
                return Self::of_incoming(place, words, told);
            }
            if let Some(path) = &machine.snapshot.restore {
                return Self::of_snapshot(path, words, told);
            }
            let words = words.to_vec();
            return Ok(Self { command: None, machine, told, words, snapshot: None, incoming: None });
        }
        let whole = Self::try_parse_from(words).map_err(|error| explain(error, words))?;
        Ok(Self { told, ..whole })
    }

    /// The command line of a saved machine, combined with the options in `words`.
    fn of_snapshot(path: &Path, words: &[OsString], told: Told) -> Result<Self, Error> {
        let option = format!("--restore {}", path.printable());
        let snapshot = Snapshot::read(path).map_err(|error| Error::Failed(format!("--restore {error:#}")))?;
        let whole = snapshot
            .command_line(words)
            .map_err(|lines| Error::Wrong(lines.iter().map(|line| format!("{option}: {line}")).collect()))?;
        let MachineAlone { machine } =
            MachineAlone::try_parse_from(&whole).map_err(|error| explain(error, &whole))?;
        let snapshot = Some(snapshot);
        Ok(Self { command: None, machine, told, words: whole, snapshot, incoming: None })
    }

    /// Waits for a machine from another nvmm, and returns its command line, combined with the options in `words`.
    fn of_incoming(place: &OsStr, words: &[OsString], told: Told) -> Result<Self, Error> {
        let option = format!("--incoming {}", place.printable());
        let address = config::destination("--incoming", place)
            .map_err(|error| Error::Wrong(vec![error.to_string()]))?;
        let incoming = Incoming::wait(&address).map_err(|error| Error::Failed(format!("{error:#}")))?;
        let parsed = incoming
            .command_line(words)
            .map_err(|lines| Error::Wrong(lines.iter().map(|line| format!("{option}: {line}")).collect()));
        let parsed = parsed.and_then(|whole| {
            let parsed = MachineAlone::try_parse_from(&whole);
            Ok((parsed.map_err(|error| explain(error, &whole))?, whole))
        });
        match parsed {
            Ok((MachineAlone { machine }, words)) => {
                Ok(Self { command: None, machine, told, words, snapshot: None, incoming: Some(incoming) })
            }
            Err(error) => {
                incoming.refuse(&error.to_string());
                Err(error)
            }
        }
    }
}

/// A command line of QEMU, translated to nvmm's options.
#[derive(Debug)]
pub struct FromQemu {
    /// The options, as a command for a shell.
    pub command: String,
    /// Their parsed form.
    pub cli: Cli,
}

/// Returns nvmm's options for a command line of QEMU, with or without the program's name in front.
///
/// # Errors
///
/// Some part of it is not supported.
pub fn from_qemu(line: &OsStr) -> Result<FromQemu, Error> {
    let words = qemu::words_of(line).map_err(|why| Error::Wrong(vec![format!("--from-qemu: {why}")]))?;
    let Translated { words, told } =
        qemu::translate(&words, &MachineAlone::command(), true).map_err(Error::Wrong)?;
    Ok(FromQemu { command: qemu::command(&words), cli: Cli::of_nvmms(&words, told)? })
}

/// nvmm's commands and options, with everything that clap adds to them.
fn built() -> clap::Command {
    let mut command = Cli::command();
    command.build();
    command
}

/// Converts clap's error to nvmm's form.
fn explain(error: clap::Error, words: &[OsString]) -> Error {
    Error::of(error, words, &built())
}

/// The commands besides running a machine.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Prove that nesting works: boot Linux, and in it Linux, by nvmm
    Nest(Box<crate::nest::NestArgs>),
    /// Show CPU models and features, and what CPU a guest would get
    Cpu(crate::cpu::CpuArgs),
    /// Say if guests and nested guests can run here, and what to do
    Check(crate::check::CheckArgs),
    /// Control a machine that runs: ask, stop, save, move it
    Ctl(crate::ctl::CtlArgs),
    /// Attach the terminal to a guest's serial port
    Console(crate::console::ConsoleArgs),
    /// Show, convert, create and resize disk images
    Disk(crate::disk::DiskArgs),
    /// Tell what a snapshot is, and if this host can run it
    Snapshot(crate::snapshot::SnapshotCommand),
    /// Show the manual: a page, an option, or the places with some words
    Help(crate::manual::HelpArgs),
}

#[cfg(test)]
#[path = "cli/published_test.rs"]
mod published;

#[cfg(test)]
#[path = "cli_test.rs"]
mod tests;
