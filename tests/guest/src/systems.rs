//! Level 1 without Linux: programs that run on the bare machine, started from one CD-ROM by SeaBIOS and isolinux. Each does its job and
//! resets the machine. The host makes the CD-ROM (`tests/lab/src/systems_cd.rs`).

use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::thread;

use anyhow::Context;
use vmm::nest::pid1::Pid1;

use crate::boot;
use crate::interfaces::configure;
use crate::legacy;

/// The serial number of the disk with the CD-ROM's image.
pub(crate) const DISK: &str = "systems";
/// The test.
pub(crate) const NAME: &str =
    "L1 is memtest86+, iPXE, hdt and GRUB's command line, one after another, from a CD-ROM by SeaBIOS";

/// A memory size that memtest86+ tests quickly, and level 0's tap.
const MACHINE: [&str; 4] = ["--memory", "32M", "--net", "tap=lab0,mac=52:54:00:00:00:02"];

/// isolinux's prompt.
const PROMPT: [&str; 2] = ["--expect", "boot: "];
/// A pass of memtest86+ from 20 per cent on, followed by the per cent of its test, and no errors yet. ESC resets the machine.
const MEMTEST: [&str; 6] = [
    "--send",
    "memtest",
    "--expect",
    r"re:[2-9]\d% #+ +\d+% #* +#\d+ +\[.*Pass:  0 +Errors: 0 ",
    "--send",
    r"\x1b\c",
];
/// iPXE's network device, by virtio-net, and level 0's script, which waits for a key.
const IPXE: [&str; 8] = [
    "--send",
    "ipxe",
    "--expect",
    "net0: 52:54:00:00:00:02 using virtio-net on 0000:00:",
    "--expect",
    "this script is from level 0",
    "--send",
    r"x\c",
];
const SCRIPT: &str = "#!ipxe\nprompt this script is from level 0\nreboot\n";
/// hdt's view of the machine: one processor that supports nesting, five PCI functions (two bridges, network, random numbers and SATA), and
/// a table of DMI, which is SMBIOS.
const HDT: [&str; 22] = [
    "--send",
    "hdt",
    "--expect",
    "hdt> ",
    "--send",
    "show cpu",
    "--expect",
    "CPU (1 logical / 1 phys)",
    "--expect",
    "x86_64 64bit SMP HwVIRT",
    "--expect",
    "hdt> ",
    "--send",
    "show pci",
    "--expect",
    r"re:NB Devices +: 5\n",
    "--send",
    "show dmi",
    "--expect",
    r"re:DMI Table version \d\.\d found",
    "--send",
    "reboot",
];
/// GRUB's list of PCI functions contains the SATA controller, and GRUB powers the machine off by ACPI.
const GRUB: [&str; 10] = [
    "--send",
    "grub",
    "--expect",
    "grub> ",
    "--send",
    "lspci",
    "--expect",
    "8086:2922 [0106]",
    "--send",
    "halt",
];

/// Level 0: runs them with the CD-ROM on `disk`.
pub(crate) fn run(pid1: &mut Pid1, disk: &Path) -> anyhow::Result<()> {
    legacy::load(&pid1.manifest, &[legacy::TUN])?;
    let mut served = false;
    // The tap exists once nvmm runs, which prints the first line.
    boot::hear_script(pid1, machine(disk), &mut |_| {
        if !std::mem::replace(&mut served, true) {
            serve()?;
        }
        Ok(())
    })
}

fn machine(disk: &Path) -> Command {
    let mut nvmm = boot::machine(&[]);
    nvmm.arg("--cdrom").arg(disk).args(MACHINE);
    for system in [&MEMTEST[..], &IPXE, &HDT, &GRUB] {
        nvmm.args(PROMPT).args(system);
    }
    nvmm
}

/// Serves the script by HTTP from now on, for any request.
fn serve() -> anyhow::Result<()> {
    configure(legacy::TAP, legacy::LEVEL_0).context("configuring the tap")?;
    let listener = TcpListener::bind((legacy::LEVEL_0, 80)).context("opening HTTP's port")?;
    thread::spawn(move || -> io::Result<()> {
        loop {
            let (mut stream, _) = listener.accept()?;
            answer(BufReader::new(stream.try_clone()?), &mut stream)?;
        }
    });
    Ok(())
}

/// Answers a request, which ends with an empty line.
fn answer(request: impl BufRead, mut to: impl Write) -> io::Result<()> {
    for line in request.lines() {
        if line?.is_empty() {
            break;
        }
    }
    let len = SCRIPT.len();
    write!(to, "HTTP/1.1 200 OK\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n{SCRIPT}")
}

#[cfg(test)]
#[path = "systems_test.rs"]
mod tests;
