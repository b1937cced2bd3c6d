//! Emulated hosts: machines in software whose CPU has VMX or SVM, for hosts that lack both.
//!
//! Level 0 is then the emulated machine. It boots the same image as every other level.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::{self, Command, Stdio};

use anyhow::{Context, bail};
use arch::cpu::nesting::Virtualization;
use serde_json::json;

use super::breakage;
use super::child::Child;
use super::image::{Manifest, Memfd, Pace};
use super::level::{host_memory_mib, kernel_parameters};
use super::one_processor::on_one_processor;

/// The name of the emulator of a machine with `virt`.
pub fn name(virt: Virtualization) -> &'static str {
    match virt {
        Virtualization::Svm => "QEMU TCG",
        Virtualization::Vmx => "Bochs",
    }
}

/// Kernel parameters for every level if time is emulated. The kernel's self-tests of its ciphers would take half of the boot.
pub fn parameters(virt: Virtualization) -> &'static str {
    match virt {
        Virtualization::Svm => "mitigations=off nokaslr cryptomgr.notests",
        // Bochs' PIT and TSC run at different rates.
        Virtualization::Vmx => "mitigations=off nokaslr cryptomgr.notests no_timer_check tsc=reliable",
    }
}

/// Kernel parameters that slow down level 1's clock, and with it the clocks of all levels above, which depend on it.
///
/// A timer interrupt of level 3 costs thousands of exits of level 1. An emulated machine can't do that in the 4 ms between two interrupts,
/// so nothing else would run. If level 1 believes that the TSC is about ten times faster than it is, the machine seems fast enough.
/// `nosoftlockup` is needed as kvm-clock still has the real time, by which a busy processor seems stuck.
#[must_use]
pub fn first_parameters(virt: Virtualization) -> &'static str {
    match virt {
        // QEMU's TSC is the host's.
        Virtualization::Svm => "clocksource=tsc tsc=reliable tsc_early_khz=20000000 nosoftlockup",
        // Bochs' TSC counts instructions, with `ips` of them in a second.
        Virtualization::Vmx => "clocksource=tsc tsc_early_khz=2000000 nosoftlockup",
    }
}

/// The time limits for levels, by the emulator's clock. Their own clocks run slower than the host's because of [`first_parameters`], and
/// Bochs' level 0 is as much slower as Bochs is below its `ips`.
#[must_use]
pub fn pace(virt: Virtualization, limit: Option<u64>) -> Pace {
    match virt {
        Virtualization::Svm => Pace { limit: limit.unwrap_or(300), alone: true },
        Virtualization::Vmx => Pace { limit: limit.unwrap_or(1800), alone: true },
    }
}

/// A virtio disk of a machine with SVM, which is read-only.
#[derive(Clone, Copy, Debug)]
pub struct EmulatedDisk<'a> {
    /// The serial number.
    pub serial: &'a str,
    /// The image, which is raw.
    pub image: &'a Path,
}

/// Starts the machine. The child's output is its serial port.
///
/// # Errors
///
/// The emulator is missing (the error names the Debian packages that contain it), or it can't be started.
pub fn start(
    virt: Virtualization,
    kernel: &Path,
    image: &Memfd,
    disks: &[EmulatedDisk<'_>],
    manifest: &Manifest,
) -> anyhow::Result<Child> {
    // `reboot=t`: after a panic, the kernel causes a triple fault, which ends the emulator; other ways of rebooting need firmware.
    let parameters = format!("{} reboot=t", kernel_parameters(0, manifest));
    let memory = host_memory_mib(manifest);
    match (virt, disks) {
        (Virtualization::Svm, _) if breakage::misjudges_tsc(0, manifest) => {
            qemu(kernel, image, disks, &format!("{parameters} {MISJUDGED}"), memory, &COUNTED)
        }
        (Virtualization::Svm, _) => qemu(kernel, image, disks, &parameters, memory, &[]),
        (Virtualization::Vmx, []) => bochs(kernel, image, &parameters, memory),
        (Virtualization::Vmx, [disk, ..]) => bail!("{}: Bochs has no virtio disks", disk.image.display()),
    }
}

/// The CPU without features that QEMU 7.2 lacks and would warn about: every version emulates the same machine. Also without `cx16`: 7.2's
/// CMPXCHG16B sometimes leaves junk in RFLAGS, including TF, of which Linux 6.12 dies at any level.
const QEMU_CPU: &str = "EPYC,+vgif,-cx16,-rdseed,-sha-ni,-fxsr-opt,-misalignsse,-3dnowprefetch,-osvw,-topoext,-nrip-save,-xsavec";

/// A clock that counts instructions, one per nanosecond: the TSC has exactly 1 GHz. However busy the host is, /init runs before Linux has
/// measured the rate, which takes a second.
const COUNTED: [&str; 2] = ["-icount", "shift=0,sleep=off"];
/// The same TSC with a rate that is 0.24% too low. KVM tolerates 0.025%, and Linux rejects a measurement that is off by 1%.
const MISJUDGED: &str = "tsc_early_khz=997600";

fn qemu(
    kernel: &Path,
    image: &Memfd,
    disks: &[EmulatedDisk<'_>],
    parameters: &str,
    memory: u32,
    clock: &[&str],
) -> anyhow::Result<Child> {
    let mut command = Command::new("qemu-system-x86_64");
    command.args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio"]);
    command.args(["-accel", "tcg,tb-size=512", "-machine", "q35", "-cpu", QEMU_CPU, "-smp", "1"]);
    command.args(["-m", &memory.to_string(), "-append", parameters]).args(clock);
    command.arg("-kernel").arg(kernel).arg("-initrd").arg(image.path());
    for EmulatedDisk { serial, image } in disks {
        let name = image.display().to_string();
        let file = json!({ "driver": "file", "node-name": serial, "read-only": true, "filename": name });
        command.args(["-blockdev", &file.to_string()]);
        command.args(["-device", &format!("virtio-blk-pci,drive={serial},serial={serial}")]);
    }
    on_one_processor(|| Child::spawn(command))
        .map_err(|error| missing(error, "qemu-system-x86_64", "qemu-system-x86"))
}

const BOCHS_PACKAGES: &str = "bochs bochs-term bochsbios vgabios isolinux syslinux-common xorriso";

/// The files that Bochs and its boot CD-ROM need, at their places in Debian's packages.
const BOCHS_BIOS: &str = "/usr/share/bochs/BIOS-bochs-latest";
const BOCHS_VGABIOS: &str = "/usr/share/vgabios/vgabios.bin";
const ISOLINUX: &str = "/usr/lib/ISOLINUX/isolinux.bin";
const LDLINUX: &str = "/usr/lib/syslinux/modules/bios/ldlinux.c32";

fn bochs(kernel: &Path, image: &Memfd, parameters: &str, memory: u32) -> anyhow::Result<Child> {
    // Files in memory, which Bochs inherits, so that nothing is left behind, however this ends.
    let iso = boot_iso(kernel, image, parameters)?;
    // The serial port is standard error, which is a pipe to this process. `info: report` can deadlock. So can the screen, a terminal that
    // nothing reads: each update writes to it, so updates must be few, and timed by the machine's own slow clock.
    let config = text_file(&format!(
        "display_library: term\n\
         memory: guest={memory}, host={memory}\n\
         romimage: file={BOCHS_BIOS}\n\
         vgaromimage: file={BOCHS_VGABIOS}\n\
         vga: extension=vbe, update_freq=1, realtime=0\n\
         cpu: model=corei7_haswell_4770, count=1, ips=200000000, reset_on_triple_fault=0, ignore_bad_msrs=1\n\
         clock: sync=none, time0=utc\n\
         com1: enabled=1, mode=file, dev=/dev/fd/2\n\
         log: /dev/null\n\
         panic: action=fatal\nerror: action=ignore\ninfo: action=ignore\ndebug: action=ignore\n\
         sound: driver=dummy\n\
         boot: cdrom\n\
         ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14\n\
         ata0-master: type=cdrom, path={}, status=inserted\n",
        iso.path().display()
    ))?;
    let debugger = text_file("c\n")?;
    let mut command = Command::new("bochs");
    // Each update sets the cursor's shape, for which a VT100 has no sequence. Otherwise the terminal's buffer would be full of such
    // sequences after about 1,000 seconds of the machine's clock, which pass in no time when its processor is halted.
    command.env("TERM", "vt100").arg("-q").arg("-f").arg(config.path()).arg("-rc").arg(debugger.path());
    // Its standard output is the machine's screen.
    Child::spawn_for_errors(command).map_err(|error| missing(error, "bochs", BOCHS_PACKAGES))
}

fn text_file(text: &str) -> anyhow::Result<Memfd> {
    let file = Memfd::new(c"bochs").context("making a file")?;
    (&file.0).write_all(text.as_bytes()).context("writing a file")?;
    Ok(file)
}

/// Makes a CD-ROM image that boots the kernel.
fn boot_iso(kernel: &Path, image: &Memfd, parameters: &str) -> anyhow::Result<Memfd> {
    let tree = tempfile::Builder::new().prefix("nvmm-nest-").tempdir().context("making a directory")?;
    let config =
        format!("DEFAULT nest\nLABEL nest\n KERNEL /vmlinuz\n INITRD /initrd\n APPEND {parameters}\n");
    let at = tree.path().join("isolinux.cfg");
    fs::write(&at, config).with_context(|| format!("writing {}", at.display()))?;
    for (from, to) in
        [(Path::new(ISOLINUX), "isolinux.bin"), (Path::new(LDLINUX), "ldlinux.c32"), (kernel, "vmlinuz")]
    {
        copy(from, &tree.path().join(to))?;
    }
    copy(&image.path(), &tree.path().join("initrd"))?;
    let iso = Memfd::new(c"iso").context("making a CD-ROM image")?;
    let mut command = Command::new("xorriso");
    command.args(["-as", "mkisofs", "-quiet", "-b", "isolinux.bin", "-c", "boot.cat", "-no-emul-boot"]);
    command.args(["-boot-load-size", "4", "-boot-info-table"]).arg(tree.path());
    // Without -o, it writes to standard output.
    let stdout = iso.0.try_clone().context("making a CD-ROM image")?;
    let done = command.stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped()).spawn();
    let output = done
        .and_then(process::Child::wait_with_output)
        .map_err(|error| missing(error, "xorriso", BOCHS_PACKAGES))?;
    if !output.status.success() {
        bail!("xorriso {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim_end());
    }
    Ok(iso)
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    match fs::copy(from, to) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            bail!("{} is missing: apt-get install {BOCHS_PACKAGES}", from.display())
        }
        Err(error) => Err(error).with_context(|| format!("copying {}", from.display())),
    }
}

fn missing(error: io::Error, program: &str, packages: &str) -> anyhow::Error {
    if error.kind() == io::ErrorKind::NotFound {
        anyhow::anyhow!("{program} is not installed: apt-get install {packages}")
    } else {
        anyhow::Error::new(error).context(format!("starting {program}"))
    }
}
