//! The command line: the user's words, not yet checked against each other or the host.

mod qemu;

use std::{ffi::OsString, path::PathBuf};

use arch::cpu::spec::Nested;
use clap::{
    Args, CommandFactory, Parser, Subcommand, ValueEnum,
    error::{ContextKind, ContextValue, ErrorKind},
};

use crate::exit;

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
            return Self::try_parse_from(words).map_err(|error| explain_stray_word(error, words));
        }
        let words = qemu::with_two_dashes(words);
        // Of options alone, all of them right, nothing else could be meant. All errors and texts are those of the whole tree.
        if let Ok(MachineAlone { machine }) = MachineAlone::try_parse_from(&*words) {
            return Ok(Self { command: None, machine });
        }
        if let Some(error) = qemu::refuse(&words) {
            return Err(error);
        }
        Self::try_parse_from(&*words).map_err(|error| explain_stray_word(error, &words))
    }
}

/// Adds the way out to clap's error about a word that is neither an option nor a command: QEMU takes one for a disk.
fn explain_stray_word(mut error: clap::Error, words: &[OsString]) -> clap::Error {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else { return error };
    let word = word.clone();
    let mut command = Cli::command();
    command.build();
    // The machine's options are not those of a command, such as `nvmm disk x.raw`.
    if words.iter().skip(1).any(|word| command.find_subcommand(word).is_some()) {
        return error;
    }
    let like_a_path = word.contains(['.', '/']) && !word.contains('=');
    let disk = format!("a disk is given with '--disk {word}'");
    match error.kind() {
        // clap takes each word after a machine's options for a command.
        ErrorKind::ArgumentConflict => {
            let tip = if like_a_path { disk } else { "a value with spaces needs quotes".to_owned() };
            let mut stray = clap::Error::new(ErrorKind::UnknownArgument).with_cmd(&command);
            stray.insert(ContextKind::InvalidArg, ContextValue::String(word));
            stray.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
            if let Some(usage) = error.remove(ContextKind::Usage) {
                stray.insert(ContextKind::Usage, usage);
            }
            stray
        }
        ErrorKind::InvalidSubcommand if like_a_path => {
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![disk.into()]));
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
    /// Show, convert, create and resize disk images
    Disk(crate::disk::DiskArgs),
}

/// The options of a machine.
#[derive(Args, Debug)]
pub struct MachineArgs {
    /// Kernel: a bzImage, or an ELF vmlinux (started by PVH if it has the note)
    #[arg(long, value_name = "FILE")]
    pub kernel: Option<PathBuf>,

    /// Initial RAM disk
    #[arg(long, value_name = "FILE", visible_alias = "initrd")]
    pub initramfs: Option<PathBuf>,

    /// Kernel command line
    #[arg(long, value_name = "TEXT", visible_alias = "append", default_value = "console=ttyS0")]
    pub cmdline: String,

    /// CPU: host-passthrough (also: host, max), host-model, or a model, each with [,+FEATURE|,-FEATURE|,FEATURE[=on|off]|,PROPERTY=VALUE]...[,check|,enforce];
    /// or file:PATH, libvirt's <cpu> element; or help, to list models and features. Properties: pmu, kvm, migratable, vendor, family, model, stepping, model-id, level,
    /// min-level, xlevel, min-xlevel, phys-bits, host-phys-bits, host-phys-bits-limit, guest-phys-bits, host-cache-info, l3-cache, caches, tsc-frequency, vmware-cpuid-freq,
    /// kvm-pv-enforce-cpuid
    #[arg(long, value_name = "SPEC", default_value = "host-passthrough")]
    pub cpu: String,

    /// VMX or SVM in the guest: off (no trace of it), auto (as the CPU says), or on (added to any CPU, or nvmm refuses to start)
    #[arg(long, value_name = "off|auto|on", default_value = "auto", value_parser = parse_nested)]
    pub nested: Nested,

    /// vCPUs: N, or [cpus=]N[,sockets=N][,dies=N][,cores=N][,threads=N]; missing numbers as in QEMU [default: 1]
    #[arg(long, value_name = "N")]
    pub smp: Option<String>,

    /// Memory: SIZE, or size=SIZE[,hugepages=on][,prefault=on]; SIZE in MiB or with K, M, G, T
    #[arg(long, short, value_name = "SIZE", default_value = "512M")]
    pub memory: String,

    /// Disk: PATH, or path=PATH[,KEY=VALUE]...; repeatable, in order. A comma in PATH is written twice. Keys: format=raw|qcow2|vmdk, overlay=PATH|temp, backing-root=DIR, readonly=on, direct=on,
    /// cache=writeback|writethrough|unsafe, discard=on|off, aio=io_uring|threads, queues=N, queue-size=N, iops=N, bw=SIZE, serial=TEXT, id=NAME
    #[arg(long, value_name = "DISK")]
    pub disk: Vec<OsString>,

    /// COM1: stdio, null, or file=PATH
    #[arg(long, value_name = "WHERE", default_value = "stdio")]
    pub serial: OsString,

    /// Random bytes for the guest, by virtio-rng: off, or the file or device that they are read from
    #[arg(long, value_name = "off|PATH", default_value = "/dev/urandom")]
    pub rng: OsString,

    /// What the guest's reboot or triple fault does: reset the whole machine, or exit. The third triple fault in ten seconds
    /// always ends nvmm
    #[arg(long, value_name = "reset|exit", value_enum, default_value_t, hide_possible_values = true)]
    pub on_reboot: OnReboot,

    /// Plug in pvpanic, by which the guest's kernel says that it panics, and what that does: exit with status 12, pause the
    /// machine, or reset it; the third panic in ten seconds ends nvmm instead of a reset
    #[arg(long, value_name = "exit|pause|reset", value_enum, hide_possible_values = true)]
    pub on_panic: Option<OnPanic>,

    /// How long the guest has to power off after SIGTERM
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub grace: u32,

    /// I/O port that ends nvmm with status (value << 1) | 1, as QEMU's isa-debug-exit
    #[arg(long, value_name = "PORT", value_parser = parse_port)]
    pub debug_exit: Option<u16>,

    /// At the end write what KVM counted, such as exits by reason, as JSON
    #[arg(long, value_name = "FILE")]
    pub stats: Option<PathBuf>,

    /// Print the machine that would run, and end
    #[arg(long)]
    pub dry_run: bool,

    /// With --dry-run: print JSON
    #[arg(long, requires = "dry_run")]
    pub json: bool,

    /// KVM's device node
    #[arg(long, value_name = "PATH", default_value = "/dev/kvm")]
    pub kvm: PathBuf,

    /// Say more on stderr: -v what the guest gets, -vv what it does, -vvv everything
    #[arg(long, short, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// What to do when the guest reboots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum OnReboot {
    /// Reset the whole machine and boot again
    #[default]
    Reset,
    /// End, with status 0, or 4 for a triple fault
    Exit,
}

/// What to do when the guest's kernel panics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnPanic {
    /// End, with status 12
    Exit,
    /// Pause the machine
    Pause,
    /// Reset the whole machine and boot again
    Reset,
}

fn parse_nested(text: &str) -> Result<Nested, String> {
    text.parse().map_err(|()| "give off, auto or on".to_owned())
}

fn parse_port(text: &str) -> Result<u16, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u16::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| "give an I/O port from 0 to 65535 or 0x0 to 0xffff, such as 0xf4".to_owned())
}

#[cfg(test)]
#[path = "cli_test.rs"]
mod tests;
