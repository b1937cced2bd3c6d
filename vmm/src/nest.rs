//! `nvmm nest`: boots Linux under nvmm, and in it nvmm and Linux again, and shows that each level works.
//!
//! ```text
//! host:     nvmm nest          makes the image and the disk, starts level 1, compares its disk, tells how it went
//! level 1:  Linux, /init=nvmm  compares its CPU, checks its disk, loads KVM, runs the check, starts level 2, ...
//! level 2:  Linux, /init=nvmm  compares its CPU, checks its disk, powers off
//! ```
//!
//! With an emulated host, level 0 is an emulator's machine. Its /init is nvmm too, which then does the host's part.

mod breakage;
mod checked;
pub mod child;
pub mod clock;
pub mod console;
mod cpio;
pub mod disk;
pub mod emulator;
pub mod exec;
pub mod explain;
pub mod facts;
mod heard;
pub mod image;
pub mod init;
mod joined;
mod keep;
mod kept;
pub mod kernel;
pub mod level;
pub mod modules;
mod one_processor;
pub mod pid1;
mod plain;
mod prepare;
mod progress;
mod promise;
pub mod record;
pub mod report;
mod reports;
mod run;
pub mod show;
mod tsc;
mod unfit;
mod unpacked;
mod watch;

use std::env;
use std::ffi::OsString;
use std::num::NonZero;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use arch::cpu::nesting::Virtualization;
use devices::printable::ToPrintable;

use crate::args::seconds;
use crate::one_of::one_of;
use crate::output::Taken;
use clock::Clock;
use exec::{ExecArgs, Plan, parcel, program::Program};
use explain::tidy;
use facts::Facts;
use image::{First, Manifest, Pace};
use keep::Keep;
use kept::Kept;
use kernel::Kernel;
use level::Level;
use prepare::{Files, prepare};
use progress::{Progress, Stream};
use record::{FailureKind, Verdict};
use report::{Line, Said};
use reports::{REPORTS, ReportArgs};
use run::Run;
use unfit::{Unfit, nesting_host};
use watch::Watch;

/// The exit statuses in `nvmm nest --help`.
const STATUS: &str = "\
Exit status:
  0     every level passed
  1     nvmm could not do it: no kernel, no modules, no emulator
  2     the command line is wrong
  10+N  level N failed, or the program of --exec in it; 10 is the host, also
        if this user may not open its /dev/kvm
  77    this host can't nest, or the program of --exec ended with 77: skipped";

/// The most levels.
const MOST: u32 = 8;

/// The groups of options in the help.
const FIRST: &str = "Level 1";
const KEPT: &str = "Levels that are kept";

/// Reads `--levels`.
fn levels(text: &str) -> Result<u32, String> {
    let levels = text.parse().ok().filter(|levels| (1..=MOST).contains(levels));
    levels.ok_or_else(|| format!("give 1 to {MOST}"))
}

/// Boot Linux in Linux under nvmm, and check every level
#[derive(Debug, clap::Args)]
#[command(after_help = STATUS)]
pub struct NestArgs {
    /// Levels, each in the one before
    ///
    /// Levels of guests to boot, each in the one before
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = levels)]
    levels: u32,

    /// Kernel of all levels [default: the running one]
    ///
    /// Kernel to boot at every level [default: the running one]
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,

    /// Its modules, or none [default: near the kernel]
    ///
    /// Its modules, or `none` if KVM and virtio are built in [default: lib/modules/RELEASE near the kernel]
    #[arg(long, value_name = "DIR")]
    modules: Option<PathBuf>,

    /// Its CPU, as a machine's --cpu has it
    ///
    /// CPU of level 1, as a machine's --cpu has it; those above have all that theirs offers [default: host-passthrough]
    #[arg(long, help_heading = FIRST, value_name = "SPEC")]
    cpu: Option<String>,

    /// Its vCPUs [default: 2, emulated 1]
    ///
    /// vCPUs of level 1, as a machine's --smp has them; those above have one [default: 2, emulated 1]
    #[arg(long, help_heading = FIRST, value_name = "N")]
    smp: Option<String>,

    /// Its memory [default: what the levels need]
    ///
    /// Memory of level 1, as a machine's --memory has it [default: what the levels above it need]
    #[arg(long, short, help_heading = FIRST, value_name = "SIZE")]
    memory: Option<String>,

    /// A disk that it only reads; repeatable
    ///
    /// A further disk for level 1, as a machine's --disk has it; repeatable. It is not written to
    #[arg(long, help_heading = FIRST, value_name = "DISK", conflicts_with = "emulated")]
    disk: Vec<OsString>,

    /// Nest in an emulated machine, without KVM
    ///
    /// Run all of it in an emulated machine with this kind of nesting: Bochs for vmx, QEMU TCG for svm
    #[arg(long, value_name = "vmx|svm", hide_possible_values = true, value_parser = one_of::<Virtualization, _>(Virtualization::ALL.map(Virtualization::name)))]
    emulated: Option<Virtualization>,

    /// Further kernel parameters for every level
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    cmdline: String,

    /// Count the exits that one exit becomes
    ///
    /// Have the last level make exits of known kinds, and tell how many of each level below they become, and why
    #[arg(long, help_heading = REPORTS)]
    explain: bool,

    /// Show what every level prints on its console
    #[arg(long, help_heading = REPORTS)]
    console: bool,

    /// Seconds that a step may take [default: 120]
    ///
    /// Give a level up when it has taken this many seconds to start the next one, or to end; emulated, without those in which the emulator
    /// waited for a processor [default: 120, emulated svm 300, vmx 1800]
    #[arg(long, value_name = "S", value_parser = |text: &str| seconds::<NonZero<u64>>(text).map(u64::from))]
    timeout: Option<u64>,

    #[command(flatten)]
    reports: ReportArgs,

    /// Save the levels in DIR, for --from
    ///
    /// Save the levels in DIR when the last one would run a program, for --from; none is run
    #[arg(long, help_heading = KEPT, value_name = "DIR", conflicts_with_all = ["exec", "add", "explain"])]
    keep: Option<PathBuf>,

    /// Run --exec in a copy of them, without a boot
    ///
    /// Run --exec in a copy of the levels that --keep saved in DIR, which takes no boot; as often as you like, also at the same time
    #[arg(long, help_heading = KEPT, value_name = "DIR", requires = "exec", conflicts_with_all = [
        "levels", "kernel", "modules", "cpu", "smp", "memory", "disk", "cmdline", "explain", "keep",
    ])]
    from: Option<PathBuf>,

    #[command(flatten)]
    exec: ExecArgs,
}

/// Runs the levels, and reports the result. The value is nvmm's exit status.
///
/// Progress goes to stderr. The table goes to stdout, unless something else does.
///
/// # Errors
///
/// The first level can't be started: an option is invalid, or there is no kernel, no modules, or no emulator.
pub fn run(args: &NestArgs) -> anyhow::Result<u8> {
    let start = Instant::now();
    let plan = args.exec.plan()?;
    if let (Some(_), Some(virt)) = (args.keep.as_ref().or(args.from.as_ref()), args.emulated) {
        bail!(
            "--emulated {}: only levels on this machine's own KVM can be kept; what an emulated machine runs ends with it",
            virt.name()
        );
    }
    if let Some(from) = &args.from {
        return run_kept(args, &plan, &Kept::read(from)?, start);
    }
    if args.explain && args.emulated.is_none() {
        tidy::start().context("waiting for signals")?;
    }
    let mut manifest = args.manifest();
    manifest.program = plan.program();
    if args.keep.is_some() {
        // Its level has room for it, and the other levels don't pass it on.
        (manifest.keep, manifest.program) = (true, Some(Program::default()));
    }
    let first = level::config(1, &manifest)?;
    plan.fit(&mut manifest, first.memory.size.0, args.memory.is_some(), exec::machine_memory())?;
    let mut taken = Taken::by_disks(first.disks().cloned().collect());
    first.read.iter().for_each(|(option, path)| taken.add(option, path));
    args.make_outputs(taken)?;
    let mut run = Run::new(args.levels, args.emulated.map(emulator::name));
    if args.keep.is_none() {
        manifest.program.iter().for_each(|program| run.expect(program));
    }
    let host = match args.emulated {
        Some(_) => None,
        None => match nesting_host(args.levels) {
            Ok(host) => Some(host),
            Err(why) => {
                end(&mut run, why);
                return args.reports.tell(&run.record(start.elapsed()));
            }
        },
    };
    let kernel = Kernel::find(args.kernel.as_deref())?;
    let virt = args.emulated.or_else(facts::virtualization);
    let program = plan.pack()?;
    let keep = args.keep.as_deref().map(Keep::new).transpose()?;
    let parcel = parcel::empty().context("making the disk for the program")?;
    let place = keep.as_ref().map(|_| parcel.path());
    // Level 0 can't access the host's files if it is emulated.
    let cpu = args.cpu.as_deref().and_then(|cpu| cpu.strip_prefix("file:"));
    let cpu = cpu.filter(|_| args.emulated.is_some());
    let files = Files { modules: args.modules.as_deref(), cpu, program: &program };
    let next = u32::from(args.emulated.is_none());
    let image = prepare(&files, virt, &kernel, &mut manifest, next)?;

    let progress =
        Progress::new(start, if args.reports.take_stdout() { Stream::Stderr } else { Stream::Stdout });
    let mut say = |line: &Line| hear(args, &mut run, &progress, line, start.elapsed());
    match (host, args.emulated) {
        (Some(host), _) => {
            let facts = Facts::gather();
            let below = facts.features.clone();
            say(&Line { level: 0, said: Said::Up(facts) });
            // Anything missing for this run was reported before.
            let (check, _) = checked::run(args.levels > 1);
            say(&Line { level: 0, said: Said::Check(check) });
            let nvmm = env::current_exe().context("finding nvmm itself")?;
            let first = Level {
                number: 1,
                manifest: &manifest,
                nvmm: &nvmm,
                kernel: &kernel.path,
                image: &image,
                files: &program.path(),
                parcel: place.as_deref(),
                keep: keep.as_ref(),
            };
            first.run(&host, below, &mut say)?;
        }
        (None, Some(virt)) => {
            let name = emulator::name(virt);
            progress.text(format!("The host is emulated ({name}): its speed is not that of a real one."));
            say(&Line { level: 0, said: Said::Start });
            let mut machine = emulator::start(virt, &kernel.path, &image, &[], &manifest)?;
            let mut clock = Clock::of(machine.id(), name);
            let mut watch = Watch::new(0, args.levels, &manifest.pace, clock.now());
            if !level::supervise(&mut machine, &mut clock, &mut watch, &mut say)? {
                let (level, doing) = watch.verdict();
                let idle = clock.is_idle().map(|idle| format!(" ({idle})")).unwrap_or_default();
                say(&Line { level, said: Said::Fail(FailureKind::TimedOut, format!("{doing}{idle}")) });
            }
        }
        (None, None) => {}
    }
    let keep = keep.filter(Keep::is_saved);
    if let Some(keep) = &keep {
        run.stop(start.elapsed());
        progress.text(format!("kept in {}", keep.path().printable()));
    }
    run.end(start.elapsed());
    drop(progress);
    let record = run.record(start.elapsed());
    if let Some(keep) = keep.filter(|_| record.verdict == Verdict::Passed) {
        let last = level::config(manifest.levels, &manifest)?.memory.size.0 >> 20;
        keep.finish(&kernel.path, u32::try_from(last).unwrap_or(u32::MAX), &record)?;
    }
    args.reports.tell(&record)
}

/// Runs the program in a copy of saved levels.
fn run_kept(args: &NestArgs, plan: &Plan, kept: &Kept, start: Instant) -> anyhow::Result<u8> {
    let program = plan.program().context("--from: give --exec too")?;
    kept.fit(&program)?;
    args.make_outputs(Taken::by_disks(Vec::new()))?;
    let mut run = Run::of_kept(kept.record());
    run.expect(&program);
    if let Err(why) = nesting_host(kept.record().wanted) {
        end(&mut run, why);
        return args.reports.tell(&run.record(start.elapsed()));
    }
    let parcel = plan.parcel()?;
    let progress =
        Progress::new(start, if args.reports.take_stdout() { Stream::Stderr } else { Stream::Stdout });
    let nvmm = env::current_exe().context("finding nvmm itself")?;
    let pace = Pace { limit: args.timeout.unwrap_or(Pace::default().limit), ..Pace::default() };
    kept.run(&nvmm, &parcel, &pace, &mut |line| hear(args, &mut run, &progress, line, start.elapsed()))?;
    if run.has_ended() {
        run.stop(start.elapsed());
    }
    run.end(start.elapsed());
    drop(progress);
    args.reports.tell(&run.record(start.elapsed()))
}

/// Handles a line, and shows its news.
fn hear(args: &NestArgs, run: &mut Run, progress: &Progress, line: &Line, at: Duration) {
    let doing = run.take(line, at);
    let printed = run.printed();
    if !printed.is_empty() {
        progress.output(printed);
    }
    if let Some(doing) = doing {
        // The level prints its own facts.
        progress.level(line.level, doing.printable().to_string());
    } else if let (true, Said::Text(text)) = (args.console, &line.said) {
        progress.text(format!("{} | {}", line.level, plain::printable(text)));
    }
}

/// Ends the run on a host that does not run the levels.
fn end(run: &mut Run, unfit: Unfit) {
    match unfit {
        Unfit::CanNot(why) => run.skip(why),
        Unfit::NoAccess(why) => run.fail(0, FailureKind::NoAccess, why),
    }
}

impl NestArgs {
    /// The manifest for every level, without modules and the files beside the kernel.
    fn manifest(&self) -> Manifest {
        let pace = match self.emulated {
            Some(virt) => emulator::pace(virt, self.timeout),
            None => Pace { limit: self.timeout.unwrap_or(Pace::default().limit), ..Pace::default() },
        };
        let cmdline = format!("{} {}", self.emulated.map_or("", emulator::parameters), self.cmdline);
        Manifest {
            levels: self.levels,
            cmdline: cmdline.trim().to_owned(),
            first_cmdline: self.emulated.map(emulator::first_parameters).unwrap_or_default().to_owned(),
            first: First {
                cpu: self.cpu.clone(),
                // In an emulated machine, a second vCPU costs more time than it saves.
                smp: self.smp.clone().or_else(|| self.emulated.map(|_| "1".to_owned())),
                memory: self.memory.clone(),
                disks: self.disk.clone(),
            },
            pace,
            explain: self.explain,
            ..Manifest::default()
        }
    }

    /// Makes the reports' files. Refuses those that would overwrite files from which the levels are made, or each other.
    fn make_outputs(&self, mut taken: Taken) -> anyhow::Result<()> {
        if let Some(kernel) = &self.kernel {
            taken.add("--kernel", kernel);
        }
        self.exec.files().for_each(|(option, path)| taken.add(option, path));
        self.reports.make(&mut taken)?;
        taken.empty()?;
        Ok(())
    }
}

#[cfg(test)]
#[path = "nest_test.rs"]
mod tests;
