//! nvmm, a KVM hypervisor for nested virtualization.

use std::{
    fs::File,
    io::{self, Write},
    process::ExitCode,
};

use anyhow::{Context, Result};
use clap::{CommandFactory, error::ErrorKind};
use devices::printable::{PrintableLines, ToPrintable};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use vmm::{
    check,
    cli::{Cli, Command, MachineArgs, OnReboot},
    config::{ConfigError, VmConfig},
    console::Console,
    cpu,
    describe::Description,
    disk,
    exit::{COULD_NOT, Exit, USAGE},
    host::{self, Host},
    kernel::Payload,
    machine::{Machine, OpenDisk},
    nest, output,
    stats::Stats,
};

fn main() -> ExitCode {
    if nest::init::is_init() {
        nest::init::main();
    }
    let words: Vec<_> = std::env::args_os().collect();
    let cli = Cli::of(&words).unwrap_or_else(|error| error.exit());
    log_to_stderr(cli.machine.verbose);
    let status = match &cli.command {
        Some(Command::Nest(args)) => nest::run(args),
        Some(Command::Cpu(args)) => cpu::run(args),
        Some(Command::Check(args)) => check::run(args),
        Some(Command::Disk(args)) => {
            raise_descriptor_limit();
            disk::run(args)
        }
        None if cpu::is_help(&cli.machine.cpu) => cpu::help(&cli.machine.kvm),
        None if cli.machine.kernel.is_none() => no_kernel(),
        None => run(&cli.machine),
    };
    ExitCode::from(status.unwrap_or_else(|error| {
        tell(&format!("{error:#}"));
        let usage =
            error.is::<ConfigError>() || error.is::<cpu::UsageError>() || error.is::<disk::UsageError>();
        if usage { USAGE } else { COULD_NOT }
    }))
}

/// Says that a machine needs a kernel, in clap's words. `--cpu help` needs none, so that clap can't ask for it.
fn no_kernel() -> ! {
    let mut command = Cli::command().override_usage("nvmm [OPTIONS] --kernel <FILE>\n       nvmm <COMMAND>");
    let what = "the following required arguments were not provided:\n  --kernel <FILE>";
    command.error(ErrorKind::MissingRequiredArgument, what).exit()
}

fn log_to_stderr(verbose: u8) {
    let level = match verbose {
        0 => log::LevelFilter::Warn,
        1 => log::LevelFilter::Info,
        2 => log::LevelFilter::Debug,
        _ => log::LevelFilter::Trace,
    };
    env_logger::Builder::new()
        .filter_level(level)
        .format(|out, record| writeln!(out, "nvmm: {}", PrintableLines(&record.args().to_string())))
        .init();
}

/// Runs a machine, and again after each reset; the value is nvmm's exit status.
fn run(args: &MachineArgs) -> Result<u8> {
    let config = VmConfig::new(args)?;
    raise_descriptor_limit();
    let mut host = Host::open(&args.kvm)?;
    if config.cpu.tsc_leaf {
        host.read_tsc_khz();
    }
    let payload = Payload::open(&config.kernel, config.initramfs.as_deref(), config.memory.size)?;
    let vcpus = config.topology.vcpus();
    let open = if args.dry_run { OpenDisk::try_out } else { OpenDisk::open };
    let disks = config.disks.iter().map(|disk| open(disk, vcpus)).collect::<Result<Vec<_>, _>>()?;
    if args.dry_run {
        let machine = Machine::build(&host, &config, &payload, &disks, Box::new(io::sink()))?;
        tell_unmet(&config, &machine);
        print(&Description::new(&config, &machine, &disks), args.json)?;
        return Ok(0);
    }
    let mut told = false;
    let count = args.stats.is_some() || log::log_enabled!(log::Level::Info);
    // Before the guest runs, and not when all is over.
    let stats_file = output::open(&config, args.stats.as_deref())?;
    let mut console =
        Console::new(&config.serial).with_context(|| format!("--serial {}", args.serial.printable()))?;
    loop {
        let machine = Machine::build(&host, &config, &payload, &disks, console.sink()?)?;
        if !std::mem::replace(&mut told, true) {
            tell_unmet(&config, &machine);
        }
        log::info!("nesting: {}", host::describe_nesting(machine.cpu.nesting()));
        let (exit, stats) = machine.run(&mut console, count)?;
        if let Some(stats) = &stats {
            log::info!("KVM counted {stats}");
        }
        match exit {
            Exit::Reset if config.on_reboot == OnReboot::Reset => log::info!("the guest reboots"),
            exit => {
                drop(console);
                for disk in &disks {
                    log::info!("disk {}: {}", disk.name(), disk.totals());
                }
                let status = status(exit);
                if let (Some(file), Some(path)) = (stats_file, &args.stats) {
                    write_stats(&file, stats).with_context(|| format!("--stats {}", path.display()))?;
                }
                return Ok(status);
            }
        }
    }
}

/// The usual limit of 1024 is made for `select`. vCPUs, the queues of disks, and images of many files may need more.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        log::info!("the limit of open files stays as it is: {error}");
    }
}

/// Names the features that the guest should have and has not.
fn tell_unmet(config: &VmConfig, machine: &Machine) {
    let unmet: Vec<_> = machine.cpu.unmet().iter().map(ToString::to_string).collect();
    if !unmet.is_empty() {
        log::warn!("--cpu {}: this host cannot give {}", config.cpu, unmet.join(", "));
    }
    if machine.cpu.hides_topology() {
        log::warn!(
            "--smp: Linux finds threads and dies of AMD's CPUs by topoext alone; add +topoext to --cpu"
        );
    }
}

fn write_stats(mut file: &File, stats: Option<Stats>) -> io::Result<()> {
    let stats = stats.unwrap_or_else(|| {
        log::warn!("--stats: this KVM counts nothing; that of Linux 5.14 and later does");
        Stats::default()
    });
    file.write_all((serde_json::to_string_pretty(&stats)? + "\n").as_bytes())
}

/// Prints the description; a reader that has seen enough is no error.
fn print(description: &Description, json: bool) -> io::Result<()> {
    let text = if json { serde_json::to_string_pretty(description)? + "\n" } else { description.to_string() };
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}

fn status(exit: Exit) -> u8 {
    match exit {
        Exit::PowerOff | Exit::Reset | Exit::Quit => 0,
        Exit::Debug(status) => status,
        Exit::Signal(signal) => u8::try_from(signal).map_or(COULD_NOT, |signal| 128 + signal),
        Exit::Crash(crash) => {
            tell(&crash.to_string());
            crash.reason.status()
        }
        Exit::Failed(error) => {
            tell(&format!("{error:#}"));
            COULD_NOT
        }
    }
}

/// Says on stderr what went wrong. Parts of it may be a guest's or an image's.
fn tell(what: &str) {
    eprintln!("nvmm: {}", PrintableLines(what));
}
