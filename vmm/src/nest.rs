//! `nvmm nest`: boots Linux under nvmm, and in it nvmm and Linux again, and shows that each level works.
//!
//! ```text
//! host:     nvmm nest          makes the image and the disk, starts level 1, compares its disk, prints the table
//! level 1:  Linux, /init=nvmm  checks its disk, loads KVM, makes the image and the disk, starts level 2, ...
//! level 2:  Linux, /init=nvmm  checks its disk, powers off
//! ```
//!
//! With an emulated host, level 0 is an emulator's machine whose /init is nvmm too, in the host's part.

pub mod child;
mod cpio;
mod disk;
pub mod emulator;
pub mod facts;
pub mod image;
pub mod init;
pub mod kernel;
pub mod level;
pub mod modules;
pub mod pid1;
pub mod record;
pub mod report;
mod run;
pub mod show;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use facts::{Facts, Virt};
use image::{Manifest, Memfd};
use kernel::Kernel;
use level::Level;
use modules::Modules;
use report::{Line, Said};
use run::Run;

/// Boot Linux in Linux under nvmm, and check every level
#[derive(Debug, clap::Args)]
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

    /// Run all of it in an emulated machine with this kind of nesting: Bochs for vmx, QEMU TCG for svm
    #[arg(long, value_name = "vmx|svm")]
    emulated: Option<Virt>,

    /// Further kernel parameters for every level
    #[arg(long, value_name = "TEXT", default_value = "")]
    cmdline: String,

    /// Show what every level prints on its console
    #[arg(long)]
    console: bool,

    /// Give up after this many seconds [default: 300, emulated 1800]
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(1..))]
    timeout: Option<u64>,
}

/// Runs the levels; the exit status is 0 if all of them passed.
///
/// Progress goes to stderr, the table to stdout.
///
/// # Errors
///
/// What keeps the first level from being started: no kernel, no modules, no emulator.
pub fn run(args: &NestArgs) -> anyhow::Result<u8> {
    let start = Instant::now();
    let limit = Duration::from_secs(args.timeout.unwrap_or(if args.emulated.is_some() { 1800 } else { 300 }));
    let kernel = Kernel::find(args.kernel.as_deref())?;
    let virt = match args.emulated.or_else(Virt::of_this_machine) {
        Some(virt) => virt,
        None => bail!("this machine's CPU shows neither VMX nor SVM: use --emulated svm, or vmx"),
    };
    let (manifest, image) = prepare(args, virt, &kernel)?;

    let mut run = Run::new(args.levels, args.emulated.map(emulator::name));
    let mut say = |line: &Line| {
        let now = start.elapsed();
        if let Some(progress) = run.take(line, now) {
            eprintln!("{:7.1} s  {progress}", now.as_secs_f64());
        } else if let (true, Said::Text(text)) = (args.console, &line.said) {
            eprintln!("{:7.1} s  {} | {}", now.as_secs_f64(), line.level, run::printable(text));
        }
    };
    let deadline = Some(start + limit);
    let ended = if args.emulated.is_some() {
        eprintln!("The host is emulated ({}): its speed is not that of a real one.", emulator::name(virt));
        say(&Line { level: 0, said: Said::Start });
        let mut machine = emulator::start(virt, &kernel.path, &image, &manifest)?;
        level::relay(&mut machine, 0, deadline, &mut say)?
    } else {
        say(&Line { level: 0, said: Said::Up(Facts::gather()) });
        let nvmm = std::env::current_exe().context("finding nvmm itself")?;
        let first =
            Level { number: 1, manifest: &manifest, nvmm: &nvmm, kernel: &kernel.path, image: &image };
        first.run(deadline, &mut say)?
    };
    if ended {
        run.end();
    } else {
        run.time_out(limit);
    }

    print!("{}", run.table());
    if let Some(failure) = run.failure() {
        eprintln!("{failure}");
    }
    let verdict = if run.passed() { "passed" } else { "FAILED" };
    println!("nest: {} levels {verdict} in {:.1} s", args.levels, start.elapsed().as_secs_f64());
    Ok(u8::from(!run.passed()))
}

/// Gathers what every level needs.
fn prepare(args: &NestArgs, virt: Virt, kernel: &Kernel) -> anyhow::Result<(Manifest, Memfd)> {
    let [virtio, kvm] = match &args.modules {
        Some(none) if none.as_os_str() == "none" => [vec![], vec![]],
        dir => {
            let dir = dir.clone().map_or_else(|| kernel.modules(), Ok)?;
            let modules = Modules::open(&dir)?;
            let resolve = |wanted: &[&str]| modules.resolve(wanted, kernel.release.as_deref());
            [resolve(&["virtio_pci", "virtio_blk"])?, resolve(&[virt.module()])?]
        }
    };
    let names = |list: &[modules::Module]| list.iter().map(|module| module.name.clone()).collect();
    let manifest = Manifest {
        levels: args.levels,
        cmdline: format!("{} {}", args.emulated.map_or("", emulator::parameters), args.cmdline)
            .trim()
            .to_owned(),
        first_cmdline: args.emulated.map(emulator::first_parameters).unwrap_or_default().to_owned(),
        files: vec![],
        virtio: names(&virtio),
        kvm: names(&kvm),
    };
    let image = image::pack(&manifest, |name| match name {
        image::INIT => std::fs::read("/proc/self/exe").context("reading nvmm itself"),
        image::KERNEL => Ok(kernel.image.clone()),
        name => {
            let module = virtio.iter().chain(&kvm).find(|module| Manifest::module(&module.name) == name);
            Ok(module.with_context(|| format!("no {name}"))?.image.clone())
        }
    })?;
    Ok((manifest, image))
}
