//! Level 1 by UEFI from a whole disk: OVMF, GRUB's menu, and Debian's kernel up to a shell on its root, with nvmm's script at the serial
//! port. Bochs is slow: repeated boots up to Debian's login are a separate test that runs only when it is named. The host makes the disk
//! (`tests/lab/src/boot_disks.rs`), and level 0 has it in memory, since Bochs has no virtio disks.

use std::fs;
use std::process::Command;

use anyhow::{Context, ensure};
use vmm::nest::image::{self, Memfd};
use vmm::nest::pid1::Pid1;

use crate::boot::{self, run_script};
use crate::level0::{NVMM, say};
use crate::passed;
use crate::screen::{self, Picture};
use crate::wanted::Wanted;

/// The disk, OVMF and its template for variables in level 0's image. nvmm finds the template by its name.
pub(crate) const DISK: &str = "gpt.qcow2";
pub(crate) const CODE: &str = "OVMF_CODE_4M.fd";
const CODE_PATH: &str = "/OVMF_CODE_4M.fd";
pub(crate) const TEMPLATE: &str = "OVMF_VARS_4M.fd";

/// The test.
pub(crate) const NAME: &str =
    "L1 by OVMF and GRUB from a GPT disk to a shell on Debian's root, with a variable that outlives it";

const KERNEL: &str = "L1's kernel and initramfs are loaded by OVMF";
const SCREEN: &str = "OVMF and GRUB draw on L1's screen";
const LOGIN: &str = "L1 by OVMF and GRUB from a GPT disk to Debian's login, six times";
/// The tests that are too long for every run.
pub(crate) const LONG: [&str; 3] = [KERNEL, SCREEN, LOGIN];

/// The file of variables.
const VARIABLES: &str = "/var/tmp/variables.fd";

/// OVMF's line about its boot option: its console is on COM1.
const OVMF_STARTS: [&str; 2] = ["--expect", "BdsDxe: starting Boot"];
/// GRUB's entry, with its key.
const ENTRY: &str = "Debian as a shell on its root";
const SHELL: [&str; 4] = ["--expect", ENTRY, "--send", "s\\c"];
/// GRUB's command line instead of an entry.
const GRUB_POWERS_OFF: [&str; 8] =
    ["--expect", ENTRY, "--send", "c\\c", "--expect", "grub> ", "--send", "halt"];
const PROMPT: [&str; 2] = ["--expect", "re:^# $"];
/// GRUB's words on its command line's screen.
const DRAWN: &str = "drawn by GRUB";

/// Shows the variable without the four bytes of its attributes. The quotes distinguish the echo from the output, and the pipe is needed
/// because efivarfs can't seek.
const LOOK: &str = "cd /sys/firmware/efi/efivars && mount -t efivarfs efivarfs . && cd . && \
                    echo variable':' $(cat Lab-* | tail -c +5)";
const NONE: &str = "re:^variable:$";
const KEPT: &str = "re:^variable: kept$";
/// Creates the variable: non-volatile, accessible to the boot loader and the system.
const WRITE: &str =
    r"printf '\\007\\000\\000\\000kept' > Lab-6c0e5a52-3f3c-4d7e-9d0b-5f6d1f0b7a11; echo written':' $?";
const WRITTEN: &str = "re:^written: 0$";

/// Level 0: runs the wanted tests.
pub(crate) fn run(pid1: &mut Pid1, wanted: &Wanted, image: &Memfd) {
    if wanted.has(NAME) {
        let done = shell(pid1);
        say(pid1, NAME, done);
    }
    if wanted.has(KERNEL) {
        say(pid1, KERNEL, passed::by_ovmf(CODE_PATH, &pid1.manifest, image));
    }
    if wanted.has(SCREEN) {
        let done = screen(pid1);
        say(pid1, SCREEN, done);
    }
    if wanted.has(LOGIN) {
        let done = login(pid1);
        say(pid1, LOGIN, done);
    }
}

/// Takes a picture when OVMF starts GRUB, and another of GRUB's command line, and then ends the machine.
fn screen(pid1: &mut Pid1) -> anyhow::Result<()> {
    let mut nvmm = machine()?;
    nvmm.args(screen::OPTIONS).args(["--expect", ENTRY, "--send", "c\\c"]);
    nvmm.args(["--expect", "grub> ", "--send", &format!("echo {DRAWN}")]);
    let mut pictures = Vec::new();
    boot::hear_script(pid1, nvmm, &mut |line| {
        if line.contains(OVMF_STARTS[1]) {
            pictures.push(Picture::take("ovmf.png")?);
        } else if line.trim() == DRAWN {
            pictures.push(Picture::take("grub.png")?);
            screen::quit()?;
        }
        Ok(())
    })?;
    pictures.iter().for_each(|picture| picture.show(pid1));
    ensure!(pictures.len() == 2, "there are {} pictures", pictures.len());
    for picture in &pictures {
        ensure!(!picture.pixels()?.is_blank(), "there is nothing on the screen");
    }
    Ok(())
}

/// Logs in and reboots, several times.
fn login(pid1: &mut Pid1) -> anyhow::Result<()> {
    let mut nvmm = machine()?;
    nvmm.args(OVMF_STARTS).args(boot::MENU).args(boot::LOGIN);
    nvmm.args(boot::PROMPT).args(["--send", boot::NO_MORE]);
    for _ in 0..boot::REBOOTS {
        nvmm.args(boot::PROMPT).args(["--send", "systemctl reboot"]);
        nvmm.args(OVMF_STARTS).args(boot::MENU).args(boot::LOGIN);
    }
    boot::power_off(pid1, nvmm)
}

/// Makes level 1 write the variable and reboot, powers it off by GRUB, and then starts another level 1 with the same variables.
fn shell(pid1: &mut Pid1) -> anyhow::Result<()> {
    let mut first = machine()?;
    first.args(OVMF_STARTS).args(SHELL).args(PROMPT).args(["--send", LOOK, "--expect", NONE]);
    first.args(PROMPT).args(["--send", WRITE, "--expect", WRITTEN]);
    first.args(PROMPT).args(["--send", "reboot -ff"]);
    first.args(GRUB_POWERS_OFF);
    run_script(pid1, first).context("the first level 1")?;
    let mut second = machine()?;
    second.args(SHELL).args(PROMPT).args(["--send", LOOK, "--expect", KEPT]);
    second.args(PROMPT).args(["--send", "poweroff -ff"]);
    run_script(pid1, second).context("the second level 1")
}

fn machine() -> anyhow::Result<Command> {
    fs::create_dir_all("/var/tmp").context("making /var/tmp")?;
    let mut nvmm = Command::new(image::in_root(NVMM));
    nvmm.args(["--memory", "512M"]);
    nvmm.args(["--firmware", &format!("{CODE_PATH},vars={VARIABLES}")]);
    nvmm.args(["--disk", &format!("path={},overlay=temp", image::in_root(DISK).display())]);
    Ok(nvmm)
}
