//! The command line: what to do, and with which options.

mod qemu;

use std::ffi::OsString;

use clap::{
    CommandFactory, Parser, Subcommand,
    error::{ContextKind, ContextValue, ErrorKind},
};

use crate::{args::MachineArgs, exit};

/// A KVM hypervisor for nested virtualization: its guests run KVM themselves.
#[derive(Debug, Parser)]
#[command(
    name = "nvmm",
    version,
    args_conflicts_with_subcommands = true,
    after_help = exit::HELP
)]
pub struct Cli {
    /// What to do instead of running a machine.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The machine to run.
    #[command(flatten)]
    pub machine: MachineArgs,
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
        let words = qemu::with_two_dashes(words, MachineAlone::command);
        let (words, mut refused) = qemu::as_net(&words);
        let (words, more) = qemu::as_vsock(&words);
        refused.extend(more);
        // Of options alone, all of them right, nothing else could be meant. All errors and texts are those of the whole tree.
        if refused.is_empty()
            && let Ok(MachineAlone { machine }) = MachineAlone::try_parse_from(&*words)
        {
            return Ok(Self { command: None, machine });
        }
        if let Some(error) = qemu::refuse(&words, refused, Cli::command) {
            return Err(error);
        }
        Self::try_parse_from(&*words).map_err(|error| explain(error, &words))
    }
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

/// What nvmm does besides running a machine.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Prove that nesting works: boot Linux, and in it Linux, each level by nvmm on KVM
    Nest(crate::nest::NestArgs),
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
}

#[cfg(test)]
#[path = "cli_test.rs"]
mod tests;
