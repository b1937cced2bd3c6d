//! `nvmm nest`: boots Linux under nvmm, and in it nvmm and Linux again, and shows that each level works.
//!
//! ```text
//! host:     nvmm nest          makes the image and the disk, starts level 1, compares its disk, tells how it went
//! level 1:  Linux, /init=nvmm  compares its CPU, checks its disk, loads KVM, runs the check, starts level 2, ...
//! level 2:  Linux, /init=nvmm  compares its CPU, checks its disk, powers off
//! ```
//!
//! With an emulated host, level 0 is an emulator's machine whose /init is nvmm too, in the host's part.

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
pub mod image;
pub mod init;
mod joined;
pub mod kernel;
pub mod level;
pub mod modules;
mod one_processor;
pub mod pid1;
mod prepare;
mod progress;
mod promise;
pub mod record;
pub mod report;
mod run;
pub mod show;
mod tsc;
mod unpacked;
mod watch;

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::num::NonZero;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Instant;
use std::{env, fs};

use anyhow::Context;
use arch::cpu::{
    nesting::{Nesting, Virtualization},
    profile::CpuProfile,
    spec::CpuSpec,
    topology::Topology,
};
use devices::printable::ToPrintable;

use crate::args::seconds;
use crate::config::VmConfig;
use crate::cpu::text;
use crate::host::{self, Host};
use crate::one_of::one_of;
use crate::output::Taken;
use clock::Clock;
use exec::ExecArgs;
use explain::tidy;
use facts::Facts;
use image::{First, Manifest, Pace};
use kernel::Kernel;
use level::Level;
use prepare::{Files, prepare};
use progress::{Progress, Stream};
use record::{FailureKind, Record, Verdict};
use report::{Line, Said};
use run::Run;
use watch::Watch;

/// The exit statuses in `nvmm nest --help`.
const STATUS: &str = "\
Exit status:
  0     every level passed
  1     nvmm could not do it: no kernel, no modules, no emulator
  2     the command line is wrong
  10+N  level N failed, or the program of --exec in it; 10 is the host
  77    this host can't nest, or the program of --exec ended with 77: skipped";

/// Groups of options in the help.
const FIRST: &str = "Level 1";
const REPORTS: &str = "Reports";
/// The status of a level's failure is this and its number.
const LEVEL_FAILED: u32 = 10;
/// The status for a host that can't nest, as test runners take it for a skip.
const SKIPPED: u8 = 77;

/// Boot Linux in Linux under nvmm, and check every level
#[derive(Debug, clap::Args)]
#[command(after_help = STATUS)]
pub struct NestArgs {
    /// How many levels of guests to boot, each in the one before
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=8))]
    levels: u32,

    /// Kernel to boot at every level [default: the running one]
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,

    /// Its modules, or `none` if KVM and virtio are built in [default: lib/modules/RELEASE near the kernel]
    #[arg(long, value_name = "DIR")]
    modules: Option<PathBuf>,

    /// CPU of level 1, as a machine's --cpu has it; those above have all that theirs offers [default: host-passthrough]
    #[arg(long, help_heading = FIRST, value_name = "SPEC")]
    cpu: Option<String>,

    /// vCPUs of level 1, as a machine's --smp has them; those above have one [default: 2, emulated 1]
    #[arg(long, help_heading = FIRST, value_name = "N")]
    smp: Option<String>,

    /// Memory of level 1, as a machine's --memory has it [default: what the levels above it need]
    #[arg(long, short, help_heading = FIRST, value_name = "SIZE")]
    memory: Option<String>,

    /// A further disk for level 1, as a machine's --disk has it; repeatable. It is not written to
    #[arg(long, help_heading = FIRST, value_name = "DISK", conflicts_with = "emulated")]
    disk: Vec<OsString>,

    /// Run all of it in an emulated machine with this kind of nesting: Bochs for vmx, QEMU TCG for svm
    #[arg(long, value_name = "vmx|svm", value_parser = one_of::<Virtualization, _>(Virtualization::ALL.map(Virtualization::name)))]
    emulated: Option<Virtualization>,

    /// Further kernel parameters for every level
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    cmdline: String,

    /// Have the last level make exits of known kinds, and tell how many of each level below they become, and why
    #[arg(long, help_heading = REPORTS)]
    explain: bool,

    /// Show what every level prints on its console
    #[arg(long, help_heading = REPORTS)]
    console: bool,

    /// Give a level up when it has taken this many seconds to start the next one, or to end; emulated, without those in
    /// which the emulator waited for a processor [default: 120, emulated svm 300, vmx 1800]
    #[arg(long, value_name = "S", value_parser = |text: &str| seconds::<NonZero<u64>>(text).map(u64::from))]
    timeout: Option<u64>,

    /// Write all that the run showed, as JSON; `-` is standard output
    #[arg(long, help_heading = REPORTS, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Write a JUnit report, for CI; `-` is standard output
    #[arg(long, help_heading = REPORTS, value_name = "FILE")]
    junit: Option<PathBuf>,

    /// Write a page that shows the levels as a timeline, and what each lacks that the one below has
    #[arg(long, help_heading = REPORTS, value_name = "FILE")]
    html: Option<PathBuf>,

    #[command(flatten)]
    exec: ExecArgs,
}

/// Runs the levels, and tells how it went; the value is nvmm's exit status.
///
/// Progress goes to stderr, the table to stdout, if nothing else does.
///
/// # Errors
///
/// The first level can't be started: words that mean nothing, no kernel, no modules, no emulator.
pub fn run(args: &NestArgs) -> anyhow::Result<u8> {
    let start = Instant::now();
    let plan = args.exec.plan()?;
    if args.explain && args.emulated.is_none() {
        tidy::start().context("waiting for signals")?;
    }
    let mut manifest = args.manifest();
    manifest.program = plan.program();
    let first = level::config(1, &manifest)?;
    plan.fit(&mut manifest, first.memory.size.0, args.memory.is_some(), exec::machine_memory())?;
    args.make_outputs(&first)?;
    let mut run = Run::new(args.levels, args.emulated.map(emulator::name));
    manifest.program.iter().for_each(|program| run.expect(program));
    let host = match args.emulated {
        Some(_) => None,
        None => match nesting_host(args.levels) {
            Ok(host) => Some(host),
            Err(why) => {
                run.skip(why);
                return args.tell(&run.record(start.elapsed()));
            }
        },
    };
    let kernel = Kernel::find(args.kernel.as_deref())?;
    let virt = args.emulated.or_else(facts::virtualization);
    let program = plan.pack()?;
    // The host's files are not there in an emulated level 0.
    let cpu = args.cpu.as_deref().and_then(|cpu| cpu.strip_prefix("file:"));
    let cpu = cpu.filter(|_| args.emulated.is_some());
    let files = Files { modules: args.modules.as_deref(), cpu, program: &program };
    let next = u32::from(args.emulated.is_none());
    let image = prepare(&files, virt, &kernel, &mut manifest, next)?;

    let progress = Progress::new(start, if args.stdout_is_taken() { Stream::Stderr } else { Stream::Stdout });
    let mut say = |line: &Line| {
        let doing = run.take(line, start.elapsed());
        let printed = run.printed();
        if !printed.is_empty() {
            progress.output(printed);
        }
        if let Some(doing) = doing {
            // A level says its facts itself.
            progress.level(line.level, doing.printable().to_string());
        } else if let (true, Said::Text(text)) = (args.console, &line.said) {
            progress.text(format!("{} | {}", line.level, run::printable(text)));
        }
    };
    match (host, args.emulated) {
        (Some(host), _) => {
            let facts = Facts::gather();
            let below = facts.features.clone();
            say(&Line { level: 0, said: Said::Up(facts) });
            // Anything that it lacks for this run was seen before.
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
    run.end(start.elapsed());
    drop(progress);
    args.tell(&run.record(start.elapsed()))
}

/// This machine's KVM, if it lets guests have what `levels` need, or what it lacks.
fn nesting_host(levels: u32) -> Result<Host, String> {
    let error = |error: anyhow::Error| format!("{error:#}");
    let host = Host::open(Path::new("/dev/kvm")).map_err(|cause| error(cause.into()))?;
    let all = Topology::flat(1).and_then(|one| CpuProfile::resolve(&host.cpu, &CpuSpec::default(), &one));
    let nesting = *all.map_err(|cause| error(cause.into()))?.nesting();
    if levels > 1 && nesting == Nesting::None {
        return Err(format!(
            "this machine's KVM can't nest: {}; --emulated svm, or vmx, makes a machine that can",
            host::describe_nesting(&nesting)
        ));
    }
    Ok(host)
}

impl NestArgs {
    /// The manifest for every level, except for modules and the files beside the kernel.
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
                // Emulated, a second vCPU takes more time than it gives.
                smp: self.smp.clone().or_else(|| self.emulated.map(|_| "1".to_owned())),
                memory: self.memory.clone(),
                disks: self.disk.clone(),
            },
            pace,
            explain: self.explain,
            ..Manifest::default()
        }
    }

    /// Makes the reports' files. Refuses those that would be written over what the levels are made of, or over each other.
    fn make_outputs(&self, first: &VmConfig) -> anyhow::Result<()> {
        let mut taken = Taken::by_disks(first.disks().cloned().collect());
        if let Some(kernel) = &self.kernel {
            taken.add("--kernel", kernel);
        }
        for (option, path) in &first.read {
            taken.add(option, path);
        }
        self.exec.files().for_each(|(option, path)| taken.add(option, path));
        let reports = [("--json", &self.json), ("--junit", &self.junit), ("--html", &self.html)];
        for (option, path) in reports {
            if let Some(path) = path.as_deref().filter(|path| *path != Path::new("-")) {
                // Made now: a run of minutes should not end with a report that can't be.
                taken.create(option, path)?;
            }
        }
        taken.empty()?;
        Ok(())
    }

    /// Returns whether a report goes to standard output, so that nothing else may.
    fn stdout_is_taken(&self) -> bool {
        [&self.json, &self.junit, &self.html].iter().any(|path| path.as_deref() == Some(Path::new("-")))
    }

    /// Tells how it went, wherever it is to be told; the value is nvmm's exit status.
    fn tell(&self, record: &Record) -> anyhow::Result<u8> {
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
            say(&format!("level {level}: {kind}: {}\n", run::printable(why)));
            if !console.is_empty() {
                say(&format!("the end of level {level}'s console:\n  | {}\n", console.join("\n  | ")));
            }
        }
        // The user's program's output is there alone.
        if self.stdout_is_taken() || record.program.is_some() {
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

/// The table, if there is anything in it, and the run in a line.
fn told(record: &Record, to: &(impl IsTerminal + AsFd)) -> String {
    let terminal = to.is_terminal();
    let width = terminal.then(|| rustix::termios::tcgetwinsize(to).ok()).flatten();
    let width = width.map(|size| usize::from(size.ws_col)).filter(|&columns| columns > 0);
    let colour = terminal && env::var_os("NO_COLOR").is_none();
    let table = match record.verdict {
        Verdict::Skipped { .. } if record.levels.iter().all(|level| level.up.is_none()) => String::new(),
        _ => show::table(record, width, colour),
    };
    format!("{table}nest: {}\n", show::summary(record))
}

/// Writes to stderr. Nobody can be told if this fails, and the run goes on.
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

#[cfg(test)]
#[path = "nest_test.rs"]
mod tests;
