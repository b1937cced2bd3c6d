//! The command line: what to do, and with which options.

mod added;
#[cfg_attr(not(feature = "libvirt"), path = "without/domain.rs")]
mod domain;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod qemu;

use std::{
    ffi::{OsStr, OsString},
    path::Path,
};

use clap::{
    CommandFactory, Parser, Subcommand,
    error::{ContextKind, ContextValue, ErrorKind},
};
use devices::printable::ToPrintable;

pub use self::qemu::{Note, Told};
use self::{added::Added, qemu::Translated};
use crate::{args::MachineArgs, config, exit, migration::Incoming, snapshot::Snapshot};

/// A KVM hypervisor for nested virtualization: its guests run KVM themselves.
#[derive(Debug, Parser)]
#[command(
    name = "nvmm",
    version,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    after_help = exit::HELP
)]
pub struct Cli {
    /// The command to run instead of a machine.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The machine to run.
    #[command(flatten)]
    pub machine: MachineArgs,
    /// The notes for the user about words of QEMU's and libvirt's.
    #[arg(skip)]
    pub told: Told,
    /// The words of the machine, with the program's name, as a snapshot of it keeps them.
    #[arg(skip)]
    pub words: Vec<OsString>,
    /// The snapshot that the machine is restored from.
    #[arg(skip)]
    pub snapshot: Option<Snapshot>,
    /// The machine that another nvmm moves here.
    #[arg(skip)]
    pub incoming: Option<Incoming>,
}

/// The command line of a machine alone. The tree of all commands costs several times as much to build.
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
    /// It is wrong, or asks for help or the version.
    pub fn of(words: &[OsString]) -> Result<Self, clap::Error> {
        if !words.get(1).is_some_and(|word| word.as_encoded_bytes().starts_with(b"-")) {
            return Self::try_parse_from(words).map_err(|error| explain(error, words));
        }
        if !qemu::may_be_qemus(words) {
            return Self::of_nvmms(words, Told::default());
        }
        let translated =
            qemu::translate(words, &MachineAlone::command(), false).map_err(|lines| refusal(&lines))?;
        Self::of_nvmms(&translated.words, translated.told)
    }

    fn of_nvmms(words: &[OsString], told: Told) -> Result<Self, clap::Error> {
        // Of options alone, all of them right, nothing else could be meant. All errors and texts are those of the whole tree.
        if let Ok(MachineAlone { machine }) = MachineAlone::try_parse_from(words) {
            if let Some(file) = &machine.domain {
                let Added { words, told, text } = domain::add(file, words, &MachineAlone::command(), told)
                    .map_err(|lines| refusal(&lines))?;
                let MachineAlone { mut machine } = MachineAlone::try_parse_from(&words)?;
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

    /// The command line of a machine that was saved, with the options that `words` have besides.
    fn of_snapshot(path: &Path, words: &[OsString], told: Told) -> Result<Self, clap::Error> {
        let option = format!("--restore {}", path.printable());
        let snapshot = Snapshot::read(path).map_err(|error| refusal(&[format!("--restore {error:#}")]))?;
        let whole = snapshot.command_line(words).map_err(|lines| {
            refusal(&lines.iter().map(|line| format!("{option}: {line}")).collect::<Vec<_>>())
        })?;
        let MachineAlone { machine } =
            MachineAlone::try_parse_from(&whole).map_err(|error| explain(error, &whole))?;
        let snapshot = Some(snapshot);
        Ok(Self { command: None, machine, told, words: whole, snapshot, incoming: None })
    }

    /// The command line of a machine that comes from another nvmm, which this waits for, with the options that `words` have besides.
    fn of_incoming(place: &OsStr, words: &[OsString], told: Told) -> Result<Self, clap::Error> {
        let option = format!("--incoming {}", place.printable());
        let address =
            config::destination("--incoming", place).map_err(|error| refusal(&[error.to_string()]))?;
        let incoming = Incoming::wait(&address)
            .map_err(|error| Cli::command().error(ErrorKind::Io, format!("{error:#}")))?;
        let parsed = incoming.command_line(words).map_err(|lines| {
            refusal(&lines.iter().map(|line| format!("{option}: {line}")).collect::<Vec<_>>())
        });
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

/// A command line of QEMU's in nvmm's words.
#[derive(Debug)]
pub struct FromQemu {
    /// The words, as a command for a shell.
    pub command: String,
    /// Their meaning.
    pub cli: Cli,
}

/// Returns nvmm's words for a command line of QEMU's, with the program's name in front or without.
///
/// # Errors
///
/// Something in it can't be had.
pub fn from_qemu(line: &OsStr) -> Result<FromQemu, clap::Error> {
    let words = qemu::words_of(line).map_err(|why| refusal(&[format!("--from-qemu: {why}")]))?;
    let Translated { words, told } =
        qemu::translate(&words, &MachineAlone::command(), true).map_err(|lines| refusal(&lines))?;
    Ok(FromQemu { command: qemu::command(&words), cli: Cli::of_nvmms(&words, told)? })
}

/// The error for what nvmm does not take, all of it at once.
fn refusal(lines: &[String]) -> clap::Error {
    // Under each other, after clap's "error: ".
    Cli::command().error(ErrorKind::UnknownArgument, lines.join("\n       "))
}

/// The beginnings of kernels' names.
const KERNELS: [&str; 2] = ["vmlinu", "bzImage"];

/// Adds the way out to clap's error where QEMU's users are used to something else.
fn explain(error: clap::Error, words: &[OsString]) -> clap::Error {
    let kinds = [ErrorKind::UnknownArgument, ErrorKind::ArgumentConflict, ErrorKind::InvalidSubcommand];
    if !kinds.contains(&error.kind()) {
        return error;
    }
    let mut command = Cli::command();
    command.build();
    match error.kind() {
        ErrorKind::UnknownArgument => qemu::suggest_two_dashes(error, words, &command),
        _ => explain_stray_word(error, words, &command),
    }
}

/// The same for a word that is neither an option nor a command: QEMU takes one for a disk.
fn explain_stray_word(mut error: clap::Error, words: &[OsString], command: &clap::Command) -> clap::Error {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else { return error };
    let word = word.clone();
    // The machine's options are not those of a command, such as `nvmm disk x.raw`.
    if words.iter().skip(1).any(|word| command.find_subcommand(word).is_some()) {
        return error;
    }
    let has_kernel = words.iter().any(|word| qemu::name_of(word) == Some("kernel"));
    let like_a_kernel = !has_kernel && KERNELS.iter().any(|start| word.starts_with(start));
    let like_a_path = (word.contains(['.', '/']) || like_a_kernel) && !word.contains('=');
    let file = match has_kernel {
        true => format!("a disk is given with '--disk {word}'"),
        false => format!("a kernel is given with '--kernel {word}', a disk with '--disk {word}'"),
    };
    match error.kind() {
        // clap takes each word after a machine's options for a command.
        ErrorKind::ArgumentConflict => {
            let tip = if like_a_path { file } else { "a value with spaces needs quotes".to_owned() };
            let mut stray = clap::Error::new(ErrorKind::UnknownArgument).with_cmd(command);
            stray.insert(ContextKind::InvalidArg, ContextValue::String(word));
            stray.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
            if let Some(usage) = error.remove(ContextKind::Usage) {
                stray.insert(ContextKind::Usage, usage);
            }
            stray
        }
        ErrorKind::InvalidSubcommand if like_a_path => {
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![file.into()]));
            error
        }
        _ => error,
    }
}

/// The commands besides running a machine.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Prove that nesting works: boot Linux, and in it Linux, each level by nvmm on KVM
    Nest(Box<crate::nest::NestArgs>),
    /// Show CPU models and features, and the CPU that a guest would get
    Cpu(crate::cpu::CpuArgs),
    /// Say whether guests, and guests of guests, can run here, and if not, why and what to do
    Check(crate::check::CheckArgs),
    /// Ask about a machine that runs, stop it, let it go on ...: speak QMP on its control socket
    Ctl(crate::ctl::CtlArgs),
    /// Attach the terminal to a guest's serial port
    Console(crate::console::ConsoleArgs),
    /// Show, convert, create and resize disk images
    Disk(crate::disk::DiskArgs),
    /// Tell what a snapshot of a machine is, and whether this host can run it
    Snapshot(crate::snapshot::SnapshotCommand),
    /// Show a page of the manual, or the places in it that have some words
    Help(crate::manual::HelpArgs),
}

#[cfg(test)]
#[path = "cli/published_test.rs"]
mod published;

#[cfg(test)]
#[path = "cli_test.rs"]
mod tests;
