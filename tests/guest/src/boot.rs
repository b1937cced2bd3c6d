//! Level 1 from whole disks, as other programs made them: by SeaBIOS and GRUB to Debian's login, with nvmm's script at the serial port.
//! The host makes the disks (`tests/lab/src/boot_disks.rs`).

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, ensure};
use rustix::mount::{MountFlags, mount};
use vmm::nest::image;

use crate::level0::NVMM;

/// The serial number and the label of the file system that has the disks.
pub(crate) const DISK: &str = "boot-disks";
/// SeaBIOS in level 0's image.
pub(crate) const FIRMWARE: &str = "bios.bin";

const VIRTIO: &str =
    "L1 by SeaBIOS and GRUB from a raw disk, six times, with 3 GiB, two vCPUs and cloud-init's seed";
const QCOW2: &str =
    "L1 by SeaBIOS and GRUB's menu from a qcow2 image, with legacy virtio, and its L2 by SeaBIOS and GRUB";
const VMDK: &str = "L1 by SeaBIOS and GRUB from a vmdk image with a delta";
/// The tests.
pub(crate) const NAMES: [&str; 3] = [VIRTIO, QCOW2, VMDK];

/// Where level 0 has the file system, and level 1's options for it.
const FOLDER: &str = "/boot-disks";
const OVERLAY: &str = "/var/tmp/boot.qcow2";
const KEY: &str = "/var/tmp/key.pub";
const WISHES: &str = "/var/tmp/wishes";

/// A public key that nobody has the private one of.
const PUBLIC_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f lab-key\n";
const USER_DATA: &str = "#cloud-config\nwrite_files:\n- path: /run/wish\n  content: granted\n";

/// Seconds for each step while level 1 runs. The slowest is from SeaBIOS to the login, with cloud-init in between.
const PATIENCE: &str = "900";
/// Lines of the console to show with a failure.
const TAIL: usize = 15;

const LOGIN: [&str; 8] = ["--expect", "login: ", "--send", "root", "--expect", "Password: ", "--send", "lab"];
const PROMPT: [&str; 2] = ["--expect", "re:^root@.*# $"];

/// What level 1 says of itself after its first boot, and after its last: that cloud-init did its work, and once.
const LOOK: &str = r#"echo $(hostname) $(nproc) $(awk '/MemTotal/{print ($2 > 2900000)}' /proc/meminfo) $(cut -d' ' -f3 /home/*/.ssh/authorized_keys) $(cat /run/wish)"#;
const FIRST_LOOK: &str = "re:^web1 2 1 lab-key granted$";
const LOOK_AGAIN: &str =
    "echo $(hostname) $(ls -d /var/lib/cloud/instances/* | wc -l) $(ls /run/wish 2> /dev/null | wc -l)";
const SECOND_LOOK: &str = "re:^web1 1 0$";
const REBOOTS: usize = 5;

/// The features of virtio devices that level 1's Linux drives, by their first bit of the second word: 0 is legacy.
const FEATURES: &str = "echo legacy: $(cut -c33 /sys/bus/virtio/devices/virtio*/features | sort -u)";
/// Level 1's level 2, from the same file system.
const LEVEL_2: &str = "modprobe kvm_amd; mount -o ro LABEL=boot-disks /mnt; \
                       /mnt/nvmm --firmware /mnt/bios.bin --memory 256M --disk path=/mnt/mbr.img,format=raw,overlay=temp \
                       --expect 'as far as its root' --send 'r\\\\c' --expect 'Linux has its root'; echo \"level 2: $?\"";

/// Level 0: runs the tests with the file system on `disk`.
pub(crate) fn run(disk: &Path, mut say: impl FnMut(&str, anyhow::Result<()>)) {
    if let Err(error) = prepare(disk) {
        return say(VIRTIO, Err(error));
    }
    say(VIRTIO, raw());
    say(QCOW2, qcow2(disk));
    say(VMDK, vmdk());
}

fn prepare(disk: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(FOLDER).context("making a folder")?;
    fs::create_dir_all("/var/tmp").context("making /var/tmp")?;
    mount(disk, FOLDER, "ext4", MountFlags::RDONLY, None)
        .with_context(|| format!("mounting {}", disk.display()))?;
    fs::write(KEY, PUBLIC_KEY).context("writing a key")?;
    fs::write(WISHES, USER_DATA).context("writing user-data")
}

fn raw() -> anyhow::Result<()> {
    let mut nvmm = machine(&["path=/boot-disks/mbr.img,format=raw,overlay=temp"]);
    nvmm.args(["--memory", "3G", "--smp", "2", "--hostname", "web1.example.org", "--ssh-key", KEY]);
    nvmm.args(["--cloud-init", &format!("user-data={WISHES}")]);
    nvmm.args(LOGIN).args(PROMPT).args(["--send", LOOK, "--expect", FIRST_LOOK]);
    for _ in 0..REBOOTS {
        nvmm.args(PROMPT).args(["--send", "systemctl reboot"]).args(LOGIN);
    }
    nvmm.args(PROMPT).args(["--send", LOOK_AGAIN, "--expect", SECOND_LOOK]);
    power_off(nvmm)
}

fn qcow2(tools: &Path) -> anyhow::Result<()> {
    let create = ["disk", "create", "-f", "qcow2", "-b", "/boot-disks/mbr.img", "-F", "raw", OVERLAY];
    let output = Command::new(image::in_root(NVMM)).args(create).output().context("starting nvmm")?;
    ensure!(output.status.success(), "nvmm disk create: {}", said(&output));
    let tools = format!("path={},format=raw,readonly=on,legacy=on", tools.display());
    let mut nvmm = machine(&[&format!("path={OVERLAY},backing-root=/boot-disks,legacy=on"), &tools]);
    nvmm.args(["--memory", "768M", "--rng", "off"]);
    nvmm.args(["--expect", "driver of legacy virtio", "--send", "l\\c"]);
    nvmm.args(LOGIN).args(PROMPT).args(["--send", FEATURES, "--expect", "re:^legacy: 0$"]);
    nvmm.args(PROMPT).args(["--send", LEVEL_2, "--expect", "re:^level 2: 0$"]);
    let done = power_off(nvmm);
    fs::remove_file(OVERLAY).context("removing the overlay")?;
    done
}

fn vmdk() -> anyhow::Result<()> {
    let mut nvmm = machine(&["path=/boot-disks/delta.vmdk,overlay=temp"]);
    nvmm.args(LOGIN);
    power_off(nvmm)
}

/// nvmm with `disks`, of which SeaBIOS starts the first.
fn machine(disks: &[&str]) -> Command {
    let mut nvmm = Command::new(image::in_root(NVMM));
    // With XSAVE Linux warns of sizes that don't match on QEMU's CPU, on level 0 as well.
    nvmm.args(["--cpu", "host-passthrough,-xsave", "--expect-timeout", PATIENCE]);
    nvmm.arg("--firmware").arg(image::in_root(FIRMWARE));
    nvmm.args(disks.iter().flat_map(|disk| ["--disk", disk]));
    nvmm
}

/// Has the shell that the script has come to power off, and checks that all of the script was met.
fn power_off(mut nvmm: Command) -> anyhow::Result<()> {
    nvmm.args(PROMPT).args(["--send", "systemctl poweroff"]);
    let output = nvmm.stdin(Stdio::null()).output().context("starting nvmm")?;
    ensure!(output.status.success(), "nvmm ended with {}: {}", output.status, said(&output));
    Ok(())
}

/// nvmm's messages, and the end of the console.
fn said(output: &Output) -> String {
    let [errors, console] = [&output.stderr, &output.stdout].map(|text| String::from_utf8_lossy(text));
    let lines: Vec<_> = console.lines().collect();
    format!("{errors}{}", lines[lines.len().saturating_sub(TAIL)..].join("\n"))
}
