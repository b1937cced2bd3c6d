//! The host's part: the image, the emulated machine, and the report of the outcomes.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use arch::cpu::nesting::Virtualization;
use vmm::nest::clock::Clock;
use vmm::nest::console;
use vmm::nest::emulator::{self, EmulatedDisk};
use vmm::nest::image::{self, First, Manifest};
use vmm::nest::kernel::Kernel;
use vmm::nest::modules::Modules;
use vmm::nest::report::Said;

use crate::balloon;
use crate::boot::{self, FIRMWARE};
use crate::command_line;
use crate::kept;
use crate::legacy;
use crate::level0::{NVMM, VMLINUX};
use crate::outcome::{self, Outcome};
use crate::passed;
use crate::pictures::Pictures;
use crate::screen;
use crate::snapshot;
use crate::sockets;
use crate::ssh;
use crate::system;
use crate::systems;
use crate::uefi;
use crate::vhost;
use crate::vmlinux;
use crate::wanted::{self, Wanted};

/// The number of lines of all consoles to show with a failure.
const TAIL: usize = 20;

/// Run nvmm's scenarios in an emulated machine; prints a line of JSON for each outcome
#[derive(Debug, clap::Parser)]
pub(crate) struct Args {
    /// The machine's kind of nesting
    #[arg(long)]
    emulated: Virtualization,

    /// Kernel of every level
    #[arg(long, value_name = "FILE")]
    kernel: PathBuf,

    /// The nvmm under test
    #[arg(long, value_name = "FILE")]
    nvmm: PathBuf,

    /// Disk image of Debian's system, to be run as level 1 too, on a machine with SVM
    #[arg(long, value_name = "FILE")]
    system: Option<PathBuf>,

    /// File system with whole disks, to be started by firmware as level 1 too, on a machine with SVM
    #[arg(long, value_name = "FILE", requires = "firmware")]
    boot_disks: Option<PathBuf>,

    /// CD-ROM with other systems than Linux, to be started by firmware as level 1 too, on a machine with SVM
    #[arg(long, value_name = "FILE", requires = "firmware")]
    systems: Option<PathBuf>,

    /// SeaBIOS for these two
    #[arg(long, value_name = "FILE")]
    firmware: Option<PathBuf>,

    /// SeaBIOS's option ROM that loads a kernel, to be tried as level 1 too, on a machine with SVM
    #[arg(long, value_name = "FILE", requires = "firmware")]
    loader: Option<PathBuf>,

    /// SeaBIOS's option ROM for the VGA, for a disk with a login on the screen
    #[arg(long, value_name = "FILE", requires = "boot_disks")]
    vga_rom: Option<PathBuf>,

    /// Disk image to be started by UEFI as level 1 too, on a machine with VMX
    #[arg(long, value_name = "FILE", requires_all = ["uefi_code", "uefi_variables"])]
    uefi_disk: Option<PathBuf>,

    /// OVMF for it
    #[arg(long, value_name = "FILE")]
    uefi_code: Option<PathBuf>,

    /// OVMF's template for variables
    #[arg(long, value_name = "FILE")]
    uefi_variables: Option<PathBuf>,

    /// Folder with ssh's programs and their libraries, for the network, on a machine with VMX
    #[arg(long, value_name = "FOLDER")]
    ssh: Option<PathBuf>,

    /// Run only the tests whose names have this in them, and those too that are too long for every run
    #[arg(long, value_name = "WORDS")]
    only: Option<String>,

    /// Give up after this many seconds, without those in which the emulator waited for a processor
    #[arg(long, value_name = "S", default_value_t = 2400)]
    timeout: u64,

    /// Folder for pictures of screens, as PNG
    #[arg(long, value_name = "FOLDER")]
    pictures: Option<PathBuf>,

    /// Show what the consoles show
    #[arg(long)]
    console: bool,
}

impl Args {
    /// The files that level 0 has besides nvmm, by their names in its image.
    ///
    /// Those of the UEFI disk are there if a test of it is `wanted`: level 0 has its files in memory, and Bochs little of that.
    fn files(&self, wanted: &Wanted) -> anyhow::Result<BTreeMap<String, PathBuf>> {
        let mut files = vec![
            (FIRMWARE, &self.firmware),
            (passed::LOADER, &self.loader),
            (command_line::VGA_ROM, &self.vga_rom),
        ];
        if wanted.has(uefi::NAME) || wanted.any(&uefi::LONG) {
            files.extend([
                (uefi::DISK, &self.uefi_disk),
                (uefi::CODE, &self.uefi_code),
                (uefi::TEMPLATE, &self.uefi_variables),
            ]);
        }
        let files = files.into_iter().filter_map(|(name, path)| Some((name.to_owned(), path.clone()?)));
        let mut files: BTreeMap<_, _> = files.collect();
        if let Some(folder) = &self.ssh {
            let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
            for entry in entries {
                let path = entry.with_context(|| format!("reading {}", folder.display()))?.path();
                let name = path.file_name().and_then(OsStr::to_str).context("a name is no UTF-8")?;
                files.insert(ssh::in_image(name), path);
            }
        }
        Ok(files)
    }

    /// The tests to run, of those that the given files allow.
    fn wanted(&self) -> anyhow::Result<Wanted> {
        let mut planned = outcome::planned(self.emulated);
        planned.extend(self.system.as_ref().map(|_| outcome::SYSTEM.to_owned()));
        planned.extend(self.boot_disks.iter().flat_map(|_| boot::NAMES.map(str::to_owned)));
        planned.extend(self.loader.as_ref().map(|_| passed::NAME.to_owned()));
        planned.extend(self.uefi_disk.as_ref().map(|_| uefi::NAME.to_owned()));
        planned.extend(self.ssh.as_ref().map(|_| ssh::NAME.to_owned()));
        planned.extend(self.systems.as_ref().map(|_| systems::NAME.to_owned()));
        planned.extend(self.vga_rom.as_ref().map(|_| command_line::NAME.to_owned()));
        let mut long = Vec::new();
        long.extend(self.uefi_disk.iter().flat_map(|_| uefi::LONG));
        if self.emulated == Virtualization::Vmx {
            long.extend([snapshot::NAME, snapshot::migration::NAME]);
        }
        let wanted = Wanted::choose(planned.clone(), &long, self.only.as_deref());
        if let (true, Some(words)) = (wanted.is_empty(), &self.only) {
            let names = planned.iter().map(String::as_str).chain(long.iter().copied());
            let names: String = names.map(|name| format!("\n  {name}")).collect();
            bail!("no test has {words:?} in its name; there are{names}");
        }
        Ok(wanted)
    }
}

/// Runs the scenarios. A failed one is an outcome, not an error.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let start = Instant::now();
    let kernel = Kernel::find(Some(&args.kernel))?;
    let modules = Modules::open(&kernel.modules()?)?;
    let virtio = modules.resolve(&["virtio_pci", "virtio_blk"], kernel.release.as_deref())?;
    let kvm = modules.resolve(&[args.emulated.module(), "msr"], kernel.release.as_deref())?;
    let mut files = vec![NVMM.to_owned()];
    // A single host is enough to test a bzImage's unpacked kernel, a balloon, sockets, vhost, and legacy virtio, and another for ssh.
    let mut needed = match args.emulated {
        Virtualization::Svm => {
            [&[balloon::MODULE][..], &sockets::MODULES, &vhost::MODULES, &legacy::MODULES].concat()
        }
        Virtualization::Vmx => ssh::modules(),
    };
    // Not every kernel has it.
    if modules.has(screen::DRIVER) {
        needed.extend(screen::MODULES);
    }
    let mut others = modules.resolve(&needed, kernel.release.as_deref())?;
    // The other modules that they depend on are loaded for the disks anyway.
    others.retain(|module| needed.contains(&module.name.as_str()));
    files.extend(others.iter().map(|module| Manifest::module(&module.name)));
    let wanted = args.wanted()?;
    let given = args.files(&wanted)?;
    files.extend(given.keys().cloned());
    files.push(wanted::FILE.to_owned());
    if wanted.any(&outcome::BY_PVH) {
        files.push(VMLINUX.to_owned());
    }
    let memory = wanted.has(kept::NAME).then(|| kept::LEVEL_0_MEMORY.to_owned());
    let manifest = Manifest {
        levels: 2,
        // Only for level 0: tests give level 1 its own.
        first: First { memory, ..First::default() },
        cmdline: emulator::parameters(args.emulated).to_owned(),
        // Level 2 is tiny or short, so that level 1's clock may be accurate.
        first_cmdline: String::new(),
        files,
        virtio: virtio.iter().map(|module| module.name.clone()).collect(),
        kvm: kvm.iter().map(|module| module.name.clone()).collect(),
        ..Manifest::default()
    };
    let image = image::pack(&manifest, |name| match name {
        image::INIT => fs::read("/proc/self/exe").context("reading /init"),
        image::KERNEL => Ok(kernel.image.clone()),
        NVMM => fs::read(&args.nvmm).with_context(|| format!("reading {}", args.nvmm.display())),
        VMLINUX => vmlinux::extract(&kernel.image),
        wanted::FILE => Ok(wanted.to_file()),
        name if let Some(path) = given.get(name) => {
            fs::read(path).with_context(|| format!("reading {}", path.display()))
        }
        name => {
            let module = virtio
                .iter()
                .chain(&kvm)
                .chain(&others)
                .find(|module| Manifest::module(&module.name) == name);
            Ok(module.with_context(|| format!("no {name}"))?.image.clone())
        }
    })?;

    let mut missing = wanted.into_names();
    let disks =
        [(system::DISK, &args.system), (boot::DISK, &args.boot_disks), (systems::DISK, &args.systems)];
    let disks = disks
        .into_iter()
        .filter_map(|(serial, image)| Some(EmulatedDisk { serial, image: image.as_deref()? }));
    let disks: Vec<_> = disks.collect();
    let mut tail = VecDeque::new();
    let mut pictures = Pictures::default();
    let mut machine = emulator::start(args.emulated, &kernel.path, &image, &disks, &manifest)?;
    let mut clock = Clock::of(machine.id(), emulator::name(args.emulated));
    let limit = Duration::from_secs(args.timeout);
    let ended = console::relay(&mut machine, 0, manifest.levels, &mut |line| {
        let over = clock.now() >= limit;
        if let Some(idle) = clock.idle() {
            tail.push_back(format!("\n{idle}"));
        }
        let Some(line) = line else { return !over };
        let text = match &line.said {
            Said::Text(text) => text.clone(),
            said => format!("{said:?}"),
        };
        if pictures.add(&text) {
            return !over;
        }
        if args.console {
            eprintln!("{:7.1} s  {line}", start.elapsed().as_secs_f64());
        }
        if let Some(outcome) = Outcome::from_line(&text) {
            missing.remove(&outcome.name);
            tell(&outcome, start);
        } else {
            tail.push_back(format!("\n{text}"));
            tail.drain(..tail.len().saturating_sub(TAIL));
        }
        !over
    })?;
    for name in missing {
        let why = if ended { "the machine ended before it" } else { "time was up before it" };
        let tail: String = tail.iter().map(String::as_str).collect();
        tell(&Outcome::new(&name, Err(anyhow::anyhow!("{why}{tail}"))), start);
    }
    args.pictures.as_deref().map_or(Ok(()), |folder| pictures.save(folder))
}

fn tell(outcome: &Outcome, start: Instant) {
    println!(
        "{}",
        serde_json::json!({ "name": outcome.name, "failure": outcome.failure, "seconds": start.elapsed().as_secs_f64() })
    );
}
