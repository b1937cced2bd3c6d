//! Level 1 from whole disks made by other programs: from SeaBIOS and GRUB to Debian's login, with nvmm's script at the serial port. The
//! host makes the disks (`tests/lab/src/boot_disks.rs`).

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use rustix::mount::{MountFlags, mount};
use vmm::expect::plain::Plain;
use vmm::nest::child::Child;
use vmm::nest::console::relay;
use vmm::nest::image;
use vmm::nest::pid1::Pid1;
use vmm::nest::report::{Line, Said};

use crate::command_line;
use crate::level0::{NVMM, disk_of, say};
use crate::wanted::Wanted;

/// The serial number and the label of the file system that has the disks.
pub(crate) const DISK: &str = "boot-disks";
/// SeaBIOS in level 0's image.
pub(crate) const FIRMWARE: &str = "bios.bin";
pub(crate) const FIRMWARE_PATH: &str = "/bios.bin";

const VIRTIO: &str = "L1 by SeaBIOS and GRUB from a raw disk, six times, with cloud-init's seed";
const QCOW2: &str =
    "L1 by SeaBIOS and GRUB's menu from a qcow2 image, with legacy virtio, and its L2 by SeaBIOS and GRUB";
const VMDK: &str = "L1 by SeaBIOS and GRUB from a vmdk image with a delta, twice, on SATA beside a CD-ROM, with 3 GiB and two vCPUs";
/// The tests.
pub(crate) const NAMES: [&str; 3] = [VIRTIO, QCOW2, VMDK];

/// The mount point of the file system in level 0, and level 1's options for it.
const FOLDER: &str = "/boot-disks";
const OVERLAY: &str = "/var/tmp/boot.qcow2";
const KEY: &str = "/var/tmp/key.pub";
const WISHES: &str = "/var/tmp/wishes";

/// A public key without a known private key.
const PUBLIC_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f lab-key\n";
const USER_DATA: &str = "#cloud-config\nwrite_files:\n- path: /run/wish\n  content: granted\n";

/// Lines of level 1's console to show with a failure.
const TAIL: usize = 15;

/// GRUB's menu waits for a second; the key that starts its first entry ends the wait.
pub(crate) const MENU: [&str; 4] = ["--expect", "as far as its root", "--send", ""];
pub(crate) const LOGIN: [&str; 8] =
    ["--expect", "login: ", "--send", "root", "--expect", "Password: ", "--send", "lab"];
pub(crate) const PROMPT: [&str; 2] = ["--expect", "re:^root@.*# $"];

/// Commands with which level 1 shows, after its first boot and its second, that cloud-init did its work, and only once.
const LOOK: &str = "echo $(hostname) $(cut -d' ' -f3 /home/*/.ssh/authorized_keys) $(cat /run/wish)";
const LOOK_AGAIN: &str =
    "echo $(hostname) $(ls -d /var/lib/cloud/instances/* | wc -l) $(ls /run/wish 2> /dev/null | wc -l)";
/// cloud-init then has nothing left to do, but would take as long for that as the rest of the boot.
pub(crate) const NO_MORE: &str = "touch /etc/cloud/cloud-init.disabled";
pub(crate) const REBOOTS: usize = 5;

/// The features of virtio devices that level 1's Linux drives, by their first bit of the second word: 0 is legacy.
const FEATURES: &str = "cut -c33 /sys/bus/virtio/devices/virtio*/features | sort -u";
/// Starts level 2 in level 1, from the same file system.
const LEVEL_2: &str = "modprobe kvm_amd; mount -o ro LABEL=boot-disks /mnt; \
                       /mnt/nvmm --firmware /mnt/bios.bin --memory 256M --disk path=/mnt/mbr.img,format=raw,overlay=temp \
                       --expect-timeout 0 --expect 'as far as its root' --send 'r\\\\c' --expect 'Linux has its root' < /dev/null; echo $?";
/// The processors, more than 2.9 million KiB of memory, the driver of level 1's disk, the CD-ROM's file, and fw_cfg's.
const LOOK_AT_SATA: &str = "modprobe -a sr_mod isofs qemu_fw_cfg; mount -o ro /dev/sr0 /mnt; \
                            echo $(nproc) $(awk '/MemTotal/{print ($2 > 2900000)}' /proc/meminfo) \
                            $(basename $(readlink /sys/block/sda/device/../../../../driver)) $(cat /mnt/word) \
                            $(cat /sys/firmware/qemu_fw_cfg/by_name/opt/lab/word/raw)";

/// Level 0: runs the wanted tests.
pub(crate) fn run(pid1: &mut Pid1, wanted: &Wanted) {
    if !wanted.any(&NAMES) && !wanted.has(command_line::NAME) {
        return;
    }
    let disk = match prepare() {
        Ok(disk) => disk,
        Err(error) => return say(pid1, VIRTIO, Err(error)),
    };
    if wanted.has(command_line::NAME) {
        let done = command_line::run(pid1, Path::new(FOLDER));
        say(pid1, command_line::NAME, done);
    }
    if wanted.has(VIRTIO) {
        let done = raw(pid1);
        say(pid1, VIRTIO, done);
    }
    if wanted.has(QCOW2) {
        let done = qcow2(pid1, &disk);
        say(pid1, QCOW2, done);
    }
    if wanted.has(VMDK) {
        let done = vmdk(pid1);
        say(pid1, VMDK, done);
    }
}

/// Mounts the file system with the disks, and returns its own disk.
fn prepare() -> anyhow::Result<PathBuf> {
    let disk = disk_of(DISK)?;
    fs::create_dir_all(FOLDER).context("making a folder")?;
    fs::create_dir_all("/var/tmp").context("making /var/tmp")?;
    mount(&disk, FOLDER, "ext4", MountFlags::RDONLY, None)
        .with_context(|| format!("mounting {}", disk.display()))?;
    fs::write(KEY, PUBLIC_KEY).context("writing a key")?;
    fs::write(WISHES, USER_DATA).context("writing user-data")?;
    Ok(disk)
}

fn raw(pid1: &mut Pid1) -> anyhow::Result<()> {
    let mut nvmm = machine(&["path=/boot-disks/mbr.img,format=raw,overlay=temp"]);
    nvmm.args(["--memory", "768M", "--hostname", "web1.example.org", "--ssh-key", KEY]);
    nvmm.args(["--cloud-init", &format!("user-data={WISHES}")]);
    nvmm.args(MENU).args(LOGIN);
    look(&mut nvmm, LOOK, "web1 lab-key granted");
    for reboot in 1..=REBOOTS {
        nvmm.args(PROMPT).args(["--send", "systemctl reboot"]).args(MENU).args(LOGIN);
        if reboot == 1 {
            look(&mut nvmm, LOOK_AGAIN, "web1 1 0");
            nvmm.args(PROMPT).args(["--send", NO_MORE]);
        }
    }
    power_off(pid1, nvmm)
}

fn qcow2(pid1: &mut Pid1, tools: &Path) -> anyhow::Result<()> {
    let create = ["disk", "create", "-f", "qcow2", "-b", "/boot-disks/mbr.img", "-F", "raw", OVERLAY];
    let output = Command::new(image::in_root(NVMM)).args(create).output().context("starting nvmm")?;
    ensure!(output.status.success(), "nvmm disk create: {}", String::from_utf8_lossy(&output.stderr));
    let tools = format!("path={},format=raw,readonly=on,legacy=on", tools.display());
    let mut nvmm = machine(&[&format!("path={OVERLAY},backing-root=/boot-disks,legacy=on"), &tools]);
    nvmm.args(["--memory", "768M", "--rng", "off"]);
    nvmm.args(["--expect", "driver of legacy virtio", "--send", "l\\c"]);
    nvmm.args(LOGIN);
    look(&mut nvmm, FEATURES, "0");
    look(&mut nvmm, LEVEL_2, "0");
    let done = power_off(pid1, nvmm);
    fs::remove_file(OVERLAY).context("removing the overlay")?;
    done
}

/// The second boot is short: with two vCPUs, an emulated host, which has one processor, takes half as long again as with one.
fn vmdk(pid1: &mut Pid1) -> anyhow::Result<()> {
    let mut nvmm = machine(&["path=/boot-disks/delta.vmdk,overlay=temp,bus=sata"]);
    nvmm.args(["--cdrom", "/boot-disks/cd.iso", "--memory", "3G", "--smp", "2"]);
    nvmm.args(["--fw-cfg", "name=opt/lab/word,string=and from fw_cfg"]).args(MENU).args(LOGIN);
    look(&mut nvmm, LOOK_AT_SATA, "2 1 ahci read from the CD-ROM and from fw_cfg");
    nvmm.args(PROMPT).args(["--send", "systemctl reboot"]);
    nvmm.args(["--expect", "as far as its root", "--send", "r\\c", "--expect", "Linux has its root"]);
    run_script(pid1, nvmm)
}

/// Puts a file of level 0's image at the path where nvmm looks for it.
pub(crate) fn place(name: &str, path: &str) -> anyhow::Result<()> {
    let folder = Path::new(path).parent().context("a file has a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    fs::copy(image::in_root(name), path).with_context(|| format!("making {path}")).map(drop)
}

/// nvmm with `disks`, the first of which SeaBIOS starts, or the CD-ROM if there is none. The host limits the time.
pub(crate) fn machine(disks: &[&str]) -> Command {
    let mut nvmm = Command::new(image::in_root(NVMM));
    // With XSAVE, Linux warns of mismatched sizes on QEMU's CPU, also on level 0.
    nvmm.args(["--cpu", "host-passthrough,-xsave", "--expect-timeout", "0"]);
    nvmm.args(["--firmware", FIRMWARE_PATH]);
    nvmm.args(disks.iter().flat_map(|disk| ["--disk", disk]));
    nvmm
}

/// Makes the shell that the script has reached run `command`. Unless the last line of its output is `expected`, the machine powers off, and
/// the script fails.
fn look(nvmm: &mut Command, command: &str, expected: &str) {
    let judge = format!("[ \"$(tail -n 1 /run/said)\" = '{expected}' ] || poweroff -ff");
    nvmm.args(PROMPT).args(["--send", &format!("{{ {command}; }} 2>&1 | tee /run/said; {judge}")]);
}

/// Makes the shell that the script has reached power off.
pub(crate) fn power_off(pid1: &mut Pid1, mut nvmm: Command) -> anyhow::Result<()> {
    nvmm.args(PROMPT).args(["--send", "systemctl poweroff"]);
    run_script(pid1, nvmm)
}

/// Runs nvmm, and checks that its script was completed before the machine powered off. Meanwhile it passes nvmm's output to the host: level
/// 1's console and nvmm's own messages.
pub(crate) fn run_script(pid1: &mut Pid1, nvmm: Command) -> anyhow::Result<()> {
    hear_script(pid1, nvmm, &mut |_| Ok(()))
}

/// The same, and calls `hear` for each line. nvmm is killed if that fails.
pub(crate) fn hear_script(
    pid1: &mut Pid1,
    nvmm: Command,
    hear: &mut dyn FnMut(&str) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut heard = Ok(());
    let mut child = Child::spawn(nvmm).context("starting nvmm")?;
    let mut tail = VecDeque::new();
    relay(&mut child, 1, 1, &mut |line| {
        if let Some(Line { said: Said::Text(text), .. }) = line {
            let text = plain(text);
            if !text.trim().is_empty() {
                tail.push_back(format!("\n{text}"));
                tail.drain(..tail.len().saturating_sub(TAIL));
                heard = hear(&text);
                pid1.print(&Line { level: 1, said: Said::Text(text) });
            }
        }
        heard.is_ok()
    })?;
    heard?;
    let status = child.wait().context("waiting for nvmm")?;
    ensure!(status.success(), "nvmm ended with {status}{}", tail.into_iter().collect::<String>());
    Ok(())
}

/// A console line without terminal control sequences.
fn plain(line: &str) -> String {
    let mut plain = Plain::default();
    let text: Vec<u8> = line.bytes().flat_map(|byte| plain.push(byte)).collect();
    String::from_utf8_lossy(&text).replace(char::is_control, " ")
}

#[cfg(test)]
#[path = "boot_test.rs"]
mod tests;
