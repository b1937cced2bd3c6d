//! nvmm, a KVM hypervisor for nested virtualization.

mod launch;

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context, Result};
use clap::CommandFactory;
use devices::{
    output::Output,
    printable::{PrintableLines, ToPrintable},
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use vmm::{
    args::MachineArgs,
    board::{self, OpenDevice, Opening},
    check,
    cli::{self, Cli, Command, FromQemu, Note, Told},
    config::{ConfigError, Outside, QmpConfig, VmConfig},
    console, cpu, ctl,
    daemon::{self, Side},
    describe::Description,
    disk,
    exit::{COULD_NOT, USAGE},
    gdb::Debugger,
    host::{self, Host, OpenKvm},
    jail::Jail,
    link::Link,
    machine::Machine,
    main_loop::MainLoop,
    manual, messages,
    migration::{Incoming, Peer},
    nest,
    notifier::Notifier,
    output::Taken,
    payload::Payload,
    pid_file::PidFile,
    qmp,
    reboots::Reboots,
    sandbox,
    snapshot::{self, Origin, Restored, Snapshot},
    stats::Stats,
};

use self::launch::{Launch, status};

fn main() -> ExitCode {
    if nest::init::is_init() {
        nest::init::main();
    }
    let words: Vec<_> = std::env::args_os().collect();
    let cli = Cli::of(&words).unwrap_or_else(|error| error.exit());
    let (command, machine, told) = (&cli.command, &cli.machine, &cli.told);
    // A machine ends in its own way.
    if command.is_some() || machine.dry_run {
        messages::to_stderr(machine.verbose);
        cpu::fit_terminal();
    }
    let status = match command {
        Some(Command::Nest(args)) => nest::run(args),
        Some(Command::Cpu(args)) => cpu::run(args),
        Some(Command::Check(args)) => check::run(args),
        Some(Command::Console(args)) => console::run(args),
        Some(Command::Ctl(args)) => ctl::run(args),
        Some(Command::Disk(args)) => {
            raise_descriptor_limit();
            disk::run(args)
        }
        Some(Command::Snapshot(args)) => snapshot::run(args),
        Some(Command::Help(args)) => manual::run(args, &mut Cli::command()),
        None if cpu::is_help(&machine.cpu) => cpu::help(&machine.kvm),
        None if machine.dry_run => dry_run(machine, told),
        None => match &machine.from_qemu {
            Some(line) => from_qemu(line),
            None => run(cli),
        },
    };
    ExitCode::from(status.unwrap_or_else(|error| {
        // Parts of it may come from a guest or an image.
        eprintln!("nvmm: {}", PrintableLines(&cpu::error_on_stderr(&error)));
        status_of(&error)
    }))
}

fn status_of(error: &anyhow::Error) -> u8 {
    let of_machine = error.downcast_ref::<ConfigError>().is_some_and(|error| !error.is_of_file());
    let of_command =
        error.is::<cpu::UsageError>() || error.is::<ctl::UsageError>() || error.is::<disk::UsageError>();
    if of_machine || of_command { USAGE } else { COULD_NOT }
}

/// Prints nvmm's options for QEMU's; an error lists what can't be translated.
fn from_qemu(line: &OsStr) -> Result<u8> {
    let FromQemu { mut command, cli } = cli::from_qemu(line).unwrap_or_else(|error| error.exit());
    for Note::Idle(line) | Note::Missing(line) in &cli.told.notes {
        eprintln!("{line}");
    }
    command.push('\n');
    print_text(&command)?;
    if !cpu::is_help(&cli.machine.cpu) {
        VmConfig::new(&cli.machine).map_err(|error| cli.told.explain(error))?;
    }
    Ok(0)
}

/// Prints a description of the machine that would run.
fn dry_run(args: &MachineArgs, told: &Told) -> Result<u8> {
    told.log();
    let config = VmConfig::new(args).map_err(|error| told.explain(error))?;
    let Open { host, payload, devices, .. } = open(args, &config, None)?;
    // A jail has other rights, and other paths.
    if args.jail.user.is_none() && args.jail.chroot.is_none() {
        snapshot::look_at_exit(&config)?;
    }
    let machine = Machine::build(&host, &config, &payload, &devices, None)?;
    tell_unmet(&config, &machine);
    print(&Description::new(&config, &payload, &machine, &devices), args.json)?;
    Ok(0)
}

/// Runs a machine. The value is nvmm's exit status.
fn run(cli: Cli) -> Result<u8> {
    let Cli { machine: args, told, words, snapshot, mut incoming, .. } = cli;
    let folder = snapshot::folder();
    let starter = match args.daemonize.then(daemon::divide).transpose().context("--daemonize")? {
        None => None,
        Some(Side::Parent(status)) => return Ok(status),
        Some(Side::Child(starter)) => Some(starter),
    };
    // The notifier's socket may be outside of the jail.
    let notifier = Notifier::connect().context("NOTIFY_SOCKET")?;
    // Before the first thread, which is started by the first message.
    let jail = Jail::enter(&args.jail)?;
    sandbox::enter(&args.sandbox, &Outside::of(&args))?;
    let messages = match (&starter, &args.log_file) {
        (None, None) => messages::to_stderr_without_waiting(args.verbose),
        // Nothing reads them while the guest runs, and a file keeps them whatever happens to nvmm.
        _ => {
            messages::to_stderr(args.verbose);
            None
        }
    };
    told.log();
    let prepared = VmConfig::new(&args).map_err(|error| told.explain(error)).and_then(|config| {
        let lock = |path: &PathBuf| PidFile::lock(path, &Taken::before_disks(&config)).map(Arc::new);
        let pid_file = config.pid_file.as_ref().map(lock).transpose()?;
        let qmp = config.qmp.as_ref().map(|qmp| control(qmp, &config, &args.kvm)).transpose()?;
        let main_loop = MainLoop::new(config.stdio(), qmp, config.grace, messages.clone(), config.connects())
            .context("--serial stdio")?;
        Ok((config, main_loop, pid_file))
    });
    // The file exists until the end, whatever the machine's thread still does then.
    let (config, main_loop, pid_file) = prepared.inspect_err(|error| {
        if let Some(incoming) = incoming.take() {
            incoming.refuse(&format!("{error:#}"));
        }
        // Don't lose earlier messages.
        messages.inspect(Output::wait);
    })?;
    let launch = Launch {
        pid_file: pid_file.as_ref().map(Arc::downgrade),
        jail,
        sandbox: args.sandbox.clone(),
        starter,
        notifier,
    };
    main_loop.serve(move |link| {
        live(&args, &config, Given { words, folder, snapshot, incoming }, link, launch).unwrap_or_else(
            |error| {
                log::error!("{error:#}");
                status_of(&error)
            },
        )
    })
}

/// The command line in the form for snapshots.
struct Given {
    words: Vec<OsString>,
    /// The directory in which nvmm was started.
    folder: PathBuf,
    /// The snapshot from which the machine is restored.
    snapshot: Option<Snapshot>,
    /// The other nvmm from which the machine comes.
    incoming: Option<Incoming>,
}

/// Listens for clients of the control socket, before the machine is built.
fn control(config: &QmpConfig, machine: &VmConfig, kvm: &Path) -> Result<qmp::Server> {
    let facts = qmp::Facts {
        name: machine.name.clone(),
        uuid: machine.smbios.system.uuid,
        kvm: OpenKvm::new(kvm),
        topology: machine.topology,
    };
    qmp::Server::new(config, facts).context("--qmp")
}

/// Everything that outlives the machine's resets.
struct Open {
    host: Host,
    payload: Payload,
    devices: Vec<Box<dyn OpenDevice>>,
    /// The files that must not be overwritten.
    taken: Taken,
}

/// Opens everything that outlives the machine's resets; without `link`, for a machine that will not run.
fn open(args: &MachineArgs, config: &VmConfig, link: Option<&Link>) -> Result<Open> {
    raise_descriptor_limit();
    let mut host = Host::open(&args.kvm)?;
    if config.cpu.tsc_leaf {
        host.read_tsc_khz();
    }
    // Before devices make any files.
    let payload = Payload::open(config, link.is_some())?;
    let script = config.script.as_ref();
    let mut opening =
        Opening { link, name: config.name.as_deref(), script, taken: Taken::by(config), own_disk: None };
    let devices: Vec<_> =
        config.devices.iter().map(|device| board::open(device, &mut opening)).collect::<Result<_>>()?;
    let payload = Payload::or_by_disk(payload, config, &devices, link.is_some())?;
    Ok(Open { host, payload, devices, taken: opening.taken })
}

/// Runs the machine's thread: builds the machine and runs it, and again after each reset. Everything that may wait for something is done
/// here.
fn live(args: &MachineArgs, config: &VmConfig, given: Given, link: &Link, launch: Launch) -> Result<u8> {
    let Given { words, folder, snapshot, incoming } = given;
    let mut peer = None;
    let restored = match (snapshot, incoming) {
        (Some(snapshot), _) => Some(snapshot.open(args.snapshot.restore_memory)?),
        (None, Some(incoming)) => {
            let (restored, other) = incoming.receive(config, &args.kvm, &|| link.end_is_asked())?;
            peer = Some(other);
            Some(restored)
        }
        (None, None) => None,
    };
    let ended = live_on(args, config, (&words, &folder), restored, &mut peer, link, launch);
    if let (Err(error), Some(peer)) = (&ended, peer) {
        // This side has closed everything that it had opened.
        peer.refuse(&format!("{error:#}"));
    }
    ended
}

/// The same, for a machine that continues if it is `restored`. Until the machine is taken over, it belongs to the `peer`.
fn live_on(
    args: &MachineArgs,
    config: &VmConfig,
    (words, folder): (&[OsString], &Path),
    mut restored: Option<Restored>,
    peer: &mut Option<Peer>,
    link: &Link,
    launch: Launch,
) -> Result<u8> {
    let other_folder =
        restored.as_ref().and_then(|restored| restored.other_folder(folder)).map(Path::to_owned);
    let files = snapshot::input_files(config);
    let opened = open(args, config, Some(link)).map_err(|error| match &other_folder {
        Some(folder) => error.context(format!(
            "the machine was saved in {}, where relative paths of its options begin",
            folder.printable()
        )),
        None => error,
    });
    let Open { mut host, payload, devices, mut taken } = opened?;
    if let Some(restored) = &restored {
        restored.check(config, &payload, &devices, &files)?;
        restored.check_host(&host.cpu)?;
        // The guest's CPU stays the same, even after a reset.
        host.make_cpu_of(restored.cpu_host());
        if let Some(memory) = restored.memory_path() {
            taken.add("--restore", memory);
        }
    }
    let origin =
        Origin { words, folder, host: &host, config, payload: &payload, devices: &devices, files: &files };
    taken.check_standard()?;
    // Before the guest runs, so that an error isn't found only at the end.
    let stats_file = args.stats.as_deref().map(|path| taken.create("--stats", path)).transpose()?;
    let log = args.log_file.as_deref().map(|path| taken.append_regular("--log-file", path)).transpose()?;
    let mut debugger = match &config.gdb {
        Some(address) => Debugger::listen(address, &host, config.topology.vcpus(), link)?,
        None => Debugger::default(),
    };
    link.wait_for_peers();
    // The user may have ended it meanwhile. Check before anything is written.
    if let Some(exit) = link.gone() {
        let status = status(exit);
        debugger.ended(status);
        return Ok(status);
    }
    let waits = if restored.is_some() { "where it was saved" } else { "before its first instruction" };
    if config.paused {
        link.start_stopped();
    }
    let count = args.stats.is_some() || log::log_enabled!(log::Level::Info);
    let mut launch = Some(launch);
    let mut reboots = Reboots::new(config.on_reboot, config.on_panic);
    let mut nesting = None;
    loop {
        let machine = Machine::build(&host, config, &payload, &devices, restored.take().as_ref())?;
        if log::log_enabled!(log::Level::Info) {
            // Read for the first machine, while files can be opened: a reset changes nothing.
            nesting.get_or_insert_with(|| host::describe_nesting(machine.cpu.nesting()));
        }
        if let Some(launch) = launch.take() {
            tell_unmet(config, &machine);
            let confined = launch.confine(config)?;
            // Nothing can be refused any more.
            taken.empty()?;
            if config.paused {
                log::warn!("the machine waits {waits}: gdb's continue, Ctrl-A p or QMP's cont lets it run");
            }
            confined.done(log.as_ref())?;
            if let Some(peer) = peer.take() {
                if peer.paused {
                    link.start_stopped();
                }
                peer.take_over(&|| link.end_is_asked())?;
            }
        }
        if let Some(nesting) = &nesting {
            log::info!("nesting: {nesting}");
        }
        let (exit, stats) = machine.run(link, &mut reboots, &mut debugger, &taken, &origin, count)?;
        if let Some(stats) = &stats {
            log::info!("KVM counted {stats}");
        }
        let Some(exit) = exit.or_else(|| link.gone()) else { continue };
        payload.finish();
        let totals = devices.iter().filter_map(|device| device.host_side()?.totals());
        totals.for_each(|totals| log::info!("{totals}"));
        let status = status(exit);
        if let (Some(file), Some(path)) = (stats_file, &args.stats) {
            write_stats(&file, stats).with_context(|| format!("--stats {}", path.display()))?;
        }
        debugger.ended(status);
        return Ok(status);
    }
}

/// The usual limit of 1024 exists because of `select`. vCPUs, the queues of disks, and images of many files may need more.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        log::info!("the limit of open files stays as it is: {error}");
    }
}

/// Warns about features that the guest should have and lacks.
fn tell_unmet(config: &VmConfig, machine: &Machine) {
    let unmet: Vec<_> = machine.cpu.unmet().iter().map(ToString::to_string).collect();
    if !unmet.is_empty() {
        log::warn!(
            "--cpu {}: the guest starts without what this host cannot give: {}",
            config.cpu,
            unmet.join(", ")
        );
    }
    if machine.cpu.hides_topology() {
        log::warn!(
            "--smp: Linux finds threads and dies of AMD's CPUs by topoext alone; add +topoext to --cpu"
        );
    }
}

fn write_stats(mut file: &File, stats: Option<Stats>) -> io::Result<()> {
    let stats = stats.unwrap_or_else(|| {
        log::warn!("--stats: this KVM tells no counts; that of Linux 5.14 and later has them");
        Stats::default()
    });
    file.write_all((serde_json::to_string_pretty(&stats)? + "\n").as_bytes())
}

/// Prints the description.
fn print(description: &Description, json: bool) -> io::Result<()> {
    let text = if json { serde_json::to_string_pretty(description)? + "\n" } else { description.to_string() };
    print_text(&text)
}

/// Prints to stdout. A reader that has gone is no error.
fn print_text(text: &str) -> io::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}
