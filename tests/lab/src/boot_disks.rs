//! Whole disks with Debian's system and its boot loader, for machines that start by firmware. They are made once, and kept in target/lab,
//! by programs that need neither loop devices nor mounts.
//!
//! ```text
//! mbr.img   MBR  boot.img  core.img (GRUB)        root: ext4   by BIOS
//! gpt.img   GPT  ESP: EFI/BOOT/BOOTX64.EFI (GRUB) root: ext4   by UEFI
//! gpt.qcow2  the same, compressed, for a host that has it in memory
//! delta.vmdk --> base.vmdk: the first as VMware has a disk with a snapshot
//! jiaoshiji.qcow2 --> mbr.img: the first with GRUB and a login on the screen
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::apt;
use crate::build;
use crate::system::{self, ACCOUNT, EXCLUDED};

/// The Debian packages that make them.
pub(crate) const PACKAGES: &[&str] = &[
    "e2fsprogs",
    "fdisk",
    "genext2fs",
    "grub-common",
    "grub-efi-amd64-bin",
    "grub-pc-bin",
    "mmdebstrap",
    "mtools",
    "ovmf",
    "qemu-utils",
    "seabios",
    "xorriso",
];

/// The Debian packages in the system, besides the essential ones. The kernel for virtual machines has no AHCI driver.
const INCLUDED: &str = "linux-image-amd64,initramfs-tools,zstd,systemd-sysv,udev,dbus,kmod,cloud-init";
/// Parts of the kernel, and other files, that are not used there.
const UNUSED: [&str; 5] = [
    "/lib/modules/*/kernel/drivers/*",
    "/lib/modules/*/kernel/net/*",
    "/lib/modules/*/kernel/sound/*",
    "/lib/udev/hwdb.d/*",
    "/usr/share/i18n/*",
];
/// The exceptions: drivers that are needed. AMD's KVM needs that of the secure processor.
const DRIVERS: [&str; 9] = [
    "ata",
    "block/virtio*",
    "char/hw_random",
    "cdrom",
    "crypto/ccp",
    "firmware/qemu_fw_cfg*",
    "input/evdev*",
    "scsi/s*",
    "virtio",
];
/// The modules in its initramfs.
const MODULES: [&str; 5] = ["virtio_pci", "virtio_blk", "ahci", "sd_mod", "ext4"];
/// Units that only take time: an emulated host needs a second for each.
const MASKED: &str = "apt-daily.timer apt-daily-upgrade.timer cloud-config.service cloud-final.service cryptsetup.target dbus.service \
                      dbus.socket dev-hugepages.mount dev-mqueue.mount dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
                      fstrim.timer integritysetup.target kmod-static-nodes.service modprobe@configfs.service \
                      modprobe@dm_mod.service modprobe@drm.service modprobe@efi_pstore.service modprobe@fuse.service \
                      modprobe@loop.service networking.service proc-sys-fs-binfmt_misc.automount remote-fs.target \
                      sys-fs-fuse-connections.mount sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount \
                      systemd-ask-password-console.path systemd-ask-password-wall.path systemd-binfmt.service \
                      systemd-journal-flush.service systemd-logind.service systemd-modules-load.service systemd-pstore.service \
                      systemd-random-seed.service systemd-remount-fs.service systemd-sysctl.service systemd-sysusers.service \
                      systemd-tmpfiles-clean.timer systemd-update-utmp.service systemd-update-utmp-runlevel.service \
                      veritysetup.target";
/// The devices for which udev must run again after the initramfs: the login waits for the serial port.
const TRIGGER: &str = "[Service]\nExecStart=\nExecStart=udevadm trigger --action=add --subsystem-match=block\n\
                       ExecStart=udevadm trigger --action=add --name-match=/dev/ttyS0\n";

/// The host name of the system, and the label of its root.
const HOSTNAME: &str = "lab";
const LABEL: &str = "lab";

/// cloud-init's settings: only the modules that the scenarios check, and few messages. Debian's own list includes packages, time zones and
/// the like.
const CLOUD: &str = "cloud_init_modules: [write-files, set_hostname, users-groups, ssh]\nssh_genkeytypes: []\n\
     output: {all: '>> /var/log/cloud-init-output.log'}\n";

/// GRUB's menu, with a key for each entry. Links in Debian's root directory lead to its kernel.
const MENU: &str = r#"if [ -z "$console" ]; then
  set timeout=1
  set console=console=ttyS0
fi
set params="root=LABEL=lab rw $console quiet mitigations=off cryptomgr.notests"
menuentry 'Debian on the lab disk' --hotkey=d {
  linux /vmlinuz $params
  initrd /initrd.img
}
menuentry 'Debian as a driver of legacy virtio' --hotkey=l {
  linux /vmlinuz $params virtio_pci.force_legacy=1
  initrd /initrd.img
}
menuentry 'Debian as far as its root' --hotkey=r {
  linux /vmlinuz $params init=/sbin/lab-init
  initrd /initrd.img
}
menuentry 'Debian as a shell on its root' --hotkey=s {
  linux /vmlinuz $params init=/bin/sh
  initrd /initrd.img
}
"#;
/// The program of the third entry.
const INIT: &str = "#!/bin/sh\necho 'Linux has its root'\nexec poweroff -ff\n";
/// A program in root's home for the scenario with a screen: it prints the processors, the memory and the tablet, and then the tablet's
/// first event.
const LOOK: &str = "modprobe -a evdev virtio_input\nnproc\ncat /sys/*/system/cpu/cpu3/*/ph*_id\nhead -1 /proc/meminfo\n\
                    cd /sys/class/input\nevent=$(grep -l Tablet event*/device/name)\ncat ${event:-no-tablet}\n\
                    exec 3< /dev/input/${event%%/*}\necho 'move the pointer'\nhead -c 24 <&3 | od -An -tu2 -j16 -N6\n";
/// The first commands of all GRUBs: load the menu, on whatever disk the root is.
const EARLY: &str = "search --no-floppy --label lab --set=root\nset prefix=($root)/boot/grub\nnormal\n";
/// The first commands for BIOS: only the serial port. For UEFI, GRUB itself uses UEFI's console.
const SERIAL: &str = "serial --unit=0 --speed=115200\nterminal_input serial\nterminal_output serial\n";
/// The first commands for BIOS with a screen, where Linux also has its console and a login. A viewer may be slow.
const SCREEN: &str = "set timeout=60\nset console='console=tty0 systemd.wants=getty@tty1.service'\n";
/// GRUB's modules in all cases: those for SERIAL, EARLY and MENU, and for its command line.
const GRUB: [&str; 14] = [
    "ext2",
    "normal",
    "configfile",
    "linux",
    "serial",
    "terminal",
    "search",
    "search_label",
    "echo",
    "ls",
    "cat",
    "test",
    "halt",
    "reboot",
];

/// GRUB's additional modules for BIOS.
const BIOS_MODULES: [&str; 2] = ["biosdisk", "part_msdos"];

/// qemu-img's arguments to make the compressed image. GRUB reads in small pieces, for each of which a cluster of 64 KiB would have to be
/// decompressed.
const PACK: [&str; 5] = ["convert", "-c", "-o", "cluster_size=4k", "-Oqcow2"];

/// SeaBIOS, at Debian's path.
pub(crate) const SEABIOS: &str = "/usr/share/seabios/bios-256k.bin";
/// SeaBIOS's option ROM that loads a kernel, at Debian's path.
pub(crate) const LINUXBOOT: &str = "/usr/share/qemu/linuxboot_dma.bin";
/// SeaBIOS's option ROM for the VGA, at Debian's path.
pub(crate) const VGA_ROM: &str = "/usr/share/seabios/vgabios-stdvga.bin";
/// OVMF, and its template for variables, at Debian's paths.
pub(crate) const OVMF: [&str; 2] = ["/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"];
/// GRUB's file for BIOS, at Debian's path.
const BOOT_IMG: &str = "/usr/lib/grub/i386-pc/boot.img";

/// The size of a sector, and the offsets of partitions, in bytes.
const SECTOR: u64 = 512;
const MIB: u64 = 1 << 20;
/// The number of the root's blocks of 4 KiB, and its size.
const ROOT_BLOCKS: &str = "131072";
const ROOT_MIB: u64 = 512;
/// The EFI system partition's size.
const ESP_MIB: u64 = 8;

/// The disks.
#[derive(Debug)]
pub(crate) struct BootDisks {
    /// The one for BIOS.
    pub(crate) mbr: PathBuf,
    /// The one for UEFI.
    pub(crate) gpt: PathBuf,
}

/// The disk images for the emulated hosts.
#[derive(Debug)]
pub(crate) struct Images {
    /// A file system with those for BIOS.
    pub(crate) file_system: PathBuf,
    /// The one for UEFI.
    pub(crate) gpt: PathBuf,
}

impl BootDisks {
    /// The disks, made now or before: this machine's release of Debian, from the mirror that the machine uses.
    pub(crate) fn make_or_find() -> Result<Self> {
        let dir = build::lab_dir().join("boot-disks");
        fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
        let disks = Self { mbr: dir.join("mbr.img"), gpt: dir.join("gpt.img") };
        let arguments = arguments(&apt::here()?, &dir);
        let recipe = format!(
            "{}\n{}{SERIAL}{SCREEN}{EARLY}{} {}",
            arguments.join("\n"),
            TEXTS.map(|(_, text)| text).concat(),
            GRUB.join(" "),
            PACK.join(" ")
        );
        let others = [dir.join(DELTA), dir.join(WITH_SCREEN), disks.packed_gpt()];
        system::made_once(&[&disks.mbr, &disks.gpt, &others[0], &others[1], &others[2]], &recipe, || {
            eprintln!("lab: making disks that start by firmware");
            disks.make(&arguments, &dir)
        })?;
        Ok(disks)
    }

    /// The disk for UEFI as a compressed qcow2 image.
    fn packed_gpt(&self) -> PathBuf {
        self.gpt.with_extension("qcow2")
    }

    /// The images for the emulated hosts, with nvmm.
    pub(crate) fn images(&self, nvmm: &Path) -> Result<Images> {
        Ok(Images { file_system: self.file_system(nvmm)?, gpt: self.packed_gpt() })
    }

    /// A file system with the disks for BIOS, SeaBIOS and nvmm: level 0 has it as a disk, and so does a level 1 that starts a level 2.
    fn file_system(&self, nvmm: &Path) -> Result<PathBuf> {
        let dir = self.mbr.parent().unwrap_or(Path::new("."));
        let (folder, image) = (dir.join("folder"), dir.join("boot-disks.ext4"));
        for path in [&folder, &image].into_iter().filter(|path| path.exists()) {
            apt::run(Command::new("rm").arg("-r").arg(path))?;
        }
        fs::create_dir(&folder).with_context(|| format!("making {}", folder.display()))?;
        let disks = ["mbr.img", BASE, DELTA, WITH_SCREEN].map(|name| (dir.join(name), name));
        let others =
            [(Path::new(SEABIOS), "bios.bin"), (nvmm, "nvmm")].map(|(path, name)| (path.to_owned(), name));
        for (path, name) in disks.iter().chain(&others) {
            apt::run(Command::new("cp").arg("--sparse=always").arg(path).arg(folder.join(name)))?;
        }
        make_cd(dir, &folder.join("cd.iso"))?;
        let mut command = Command::new("mke2fs");
        command.args(["-q", "-t", "ext4", "-L", "boot-disks", "-d"]).arg(&folder).arg(&image).arg("2G");
        apt::run(&mut command)?;
        fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
        Ok(image)
    }

    fn make(&self, arguments: &[String], dir: &Path) -> Result<()> {
        for (name, text) in TEXTS {
            fs::write(dir.join(name), text).with_context(|| format!("writing {name}"))?;
        }
        let root = dir.join("root.part");
        system::make(arguments, &root, ROOT_BLOCKS)?;
        let label = ["-O", "has_journal,extents,dir_index", "-L", LABEL];
        apt::run(Command::new("tune2fs").args(label).arg(&root))?;
        self.make_mbr(&root, dir)?;
        make_vmdk(&self.mbr, dir)?;
        self.make_with_screen(dir)?;
        self.make_gpt(&root, dir)?;
        let mut pack = Command::new("qemu-img");
        pack.args(PACK).args(["-f", "raw"]).arg(&self.gpt).arg(self.packed_gpt());
        apt::run(&mut pack)?;
        fs::remove_file(&root).with_context(|| format!("removing {}", root.display()))
    }

    /// Makes a disk with the same root and another core.img.
    fn make_with_screen(&self, dir: &Path) -> Result<()> {
        let core = dir.join("core.img");
        mkimage("i386-pc", &BIOS_MODULES, &format!("{SCREEN}{EARLY}"), dir, &core)?;
        let len = fs::metadata(&core).with_context(|| format!("reading {}", core.display()))?.len();
        let mut create = Command::new("qemu-img");
        create.current_dir(dir).args(["create", "-q", "-f", "qcow2", "-F", "raw", "-b", "mbr.img"]);
        apt::run(create.arg(WITH_SCREEN))?;
        let write = format!("write -q -s core.img {SECTOR} {}", len.next_multiple_of(SECTOR));
        apt::run(Command::new("qemu-io").current_dir(dir).args(["-c", &write, WITH_SCREEN]))?;
        Ok(())
    }

    /// GRUB's manual, "BIOS installation": boot.img, without the partition table, in the first sector, and core.img in the sectors after
    /// it, where boot.img expects it by default.
    fn make_mbr(&self, root: &Path, dir: &Path) -> Result<()> {
        let core = dir.join("core.img");
        mkimage("i386-pc", &BIOS_MODULES, &format!("{SERIAL}{EARLY}"), dir, &core)?;
        let part = self.mbr.with_extension("part");
        let table = format!("start={}, size={}, type=83, bootable\n", MIB / SECTOR, ROOT_MIB * MIB / SECTOR);
        partition(&part, "dos", &table, 1 + ROOT_MIB)?;
        place(Path::new(BOOT_IMG), &part, &["bs=440", "count=1"])?;
        place(&core, &part, &["bs=512", "seek=1"])?;
        place(root, &part, &["bs=1M", "seek=1", "conv=sparse"])?;
        fs::rename(&part, &self.mbr).with_context(|| format!("making {}", self.mbr.display()))
    }

    /// Makes an EFI system partition with the path for removable disks.
    fn make_gpt(&self, root: &Path, dir: &Path) -> Result<()> {
        let (grub, esp) = (dir.join("bootx64.efi"), dir.join("esp.part"));
        mkimage("x86_64-efi", &["part_gpt", "fat"], EARLY, dir, &grub)?;
        let file = fs::File::create(&esp).with_context(|| format!("making {}", esp.display()))?;
        file.set_len(ESP_MIB * MIB).with_context(|| format!("making {}", esp.display()))?;
        let on_esp = |program: &str| {
            let mut command = Command::new(program);
            command.arg("-i").arg(&esp);
            command
        };
        apt::run(on_esp("mformat").args(["-v", "ESP", "::"]))?;
        apt::run(on_esp("mmd").args(["::/EFI", "::/EFI/BOOT"]))?;
        apt::run(on_esp("mcopy").arg(&grub).arg("::/EFI/BOOT/BOOTX64.EFI"))?;
        let part = self.gpt.with_extension("part");
        let in_sectors = |mib: u64| mib * MIB / SECTOR;
        let (first, second, len) = (in_sectors(1), in_sectors(1 + ESP_MIB), in_sectors(ROOT_MIB));
        let table = format!(
            "start={first}, size={}, type=uefi\nstart={second}, size={len}, type=linux\n",
            in_sectors(ESP_MIB)
        );
        // With room for the second table at its end.
        partition(&part, "gpt", &table, 1 + ESP_MIB + ROOT_MIB + 1)?;
        place(&esp, &part, &["bs=1M", "seek=1", "conv=sparse"])?;
        place(root, &part, &["bs=1M", &format!("seek={}", 1 + ESP_MIB), "conv=sparse"])?;
        fs::remove_file(&esp).with_context(|| format!("removing {}", esp.display()))?;
        fs::rename(&part, &self.gpt).with_context(|| format!("making {}", self.gpt.display()))
    }
}

/// Makes the vmdk images of `disk`.
fn make_vmdk(disk: &Path, dir: &Path) -> Result<()> {
    let qemu_img = || {
        let mut command = Command::new("qemu-img");
        command.current_dir(dir);
        command
    };
    apt::run(qemu_img().args(["convert", "-f", "raw", "-O", "vmdk"]).arg(disk).arg(BASE))?;
    apt::run(qemu_img().args(["create", "-q", "-f", "vmdk", "-b", BASE, "-F", "vmdk", DELTA])).map(drop)
}

/// Makes a CD-ROM image with one file.
fn make_cd(dir: &Path, image: &Path) -> Result<()> {
    let word = dir.join("word");
    fs::write(&word, "read from the CD-ROM\n").with_context(|| format!("writing {}", word.display()))?;
    let mut command = Command::new("xorriso");
    apt::run(command.args(["-as", "mkisofs", "-quiet", "-r", "-o"]).arg(image).arg(&word)).map(drop)
}

/// The vmdk images.
const BASE: &str = "base.vmdk";
const DELTA: &str = "delta.vmdk";
/// The one with a login on the screen.
const WITH_SCREEN: &str = "jiaoshiji.qcow2";

/// The files that the system and GRUB are made with.
const CLOUD_CFG: &str = "lab.cfg";
const TRIGGER_CONF: &str = "trigger.conf";
const GRUB_CFG: &str = "grub.cfg";
const EARLY_CFG: &str = "early.cfg";
const LAB_INIT: &str = "lab-init";
const LOOK_SH: &str = "look";
const TEXTS: [(&str, &str); 5] =
    [(CLOUD_CFG, CLOUD), (TRIGGER_CONF, TRIGGER), (GRUB_CFG, MENU), (LAB_INIT, INIT), (LOOK_SH, LOOK)];

/// mmdebstrap's arguments to write an archive to its standard output. `dir` has the files for the system.
fn arguments(source: &apt::Here, dir: &Path) -> Vec<String> {
    let mut arguments = vec!["--variant=essential".to_owned(), format!("--include={INCLUDED}")];
    let excluded = EXCLUDED.iter().chain(&UNUSED);
    arguments.extend(excluded.map(|path| format!("--dpkgopt=path-exclude={path}")));
    let drivers = DRIVERS.map(|driver| {
        let path = if driver.ends_with('*') { driver.to_owned() } else { format!("{driver}/*") };
        format!("--dpkgopt=path-include=/lib/modules/*/kernel/drivers/{path}")
    });
    arguments.extend(drivers);
    arguments.extend(
        [
            "mkdir -p \"$1/etc/initramfs-tools/conf.d\"".to_owned(),
            "echo MODULES=list > \"$1/etc/initramfs-tools/conf.d/lab\"".to_owned(),
            format!("printf '%s\\n' {} > \"$1/etc/initramfs-tools/modules\"", MODULES.join(" ")),
        ]
        .map(|hook| format!("--essential-hook={hook}")),
    );
    let upload = |name: &str, to: &str| format!("upload '{}' {to}", dir.join(name).display());
    arguments.extend(
        [
            // With the fastest hash.
            format!("echo {ACCOUNT} | chroot \"$1\" chpasswd --crypt-method SHA256 --sha-rounds 1000"),
            "rm \"$1/etc/motd\"".to_owned(),
            format!("echo {HOSTNAME} > \"$1/etc/hostname\""),
            // Without a machine ID it would be a first boot, for which systemd sets up all units.
            "echo 4e6f7468696e6720746f206465627567 > \"$1/etc/machine-id\"".to_owned(),
            format!("echo LABEL={LABEL} / ext4 noatime 0 0 > \"$1/etc/fstab\""),
            "chroot \"$1\" systemctl --quiet set-default multi-user.target".to_owned(),
            format!("chroot \"$1\" systemctl --quiet mask {MASKED}"),
            // The kernel's command line enables it for the tests that need it.
            "chroot \"$1\" systemctl --quiet disable getty@tty1.service".to_owned(),
            "mkdir -p \"$1/boot/grub\" \"$1/etc/systemd/system/systemd-udev-trigger.service.d\"".to_owned(),
            upload(TRIGGER_CONF, "/etc/systemd/system/systemd-udev-trigger.service.d/lab.conf"),
            upload(GRUB_CFG, "/boot/grub/grub.cfg"),
            upload(CLOUD_CFG, "/etc/cloud/cloud.cfg.d/lab.cfg"),
            upload(LAB_INIT, "/sbin/lab-init"),
            "chmod 755 \"$1/sbin/lab-init\"".to_owned(),
            upload(LOOK_SH, "/root/look"),
        ]
        .map(|hook| format!("--customize-hook={hook}")),
    );
    arguments.extend([source.release.clone(), "-".to_owned(), source.line("")]);
    arguments
}

/// Makes GRUB's program for `platform`, with its first commands in it.
fn mkimage(platform: &str, modules: &[&str], commands: &str, dir: &Path, to: &Path) -> Result<()> {
    let config = dir.join(EARLY_CFG);
    fs::write(&config, commands).with_context(|| format!("writing {EARLY_CFG}"))?;
    let mut command = Command::new("grub-mkimage");
    command.args(["--format", platform, "--prefix", "/boot/grub", "--config"]).arg(config);
    apt::run(command.arg("--output").arg(to).args(modules).args(GRUB)).map(drop)
}

/// Makes a disk of `len` MiB with a partition table.
fn partition(disk: &Path, label: &str, table: &str, len: u64) -> Result<()> {
    let made = fs::File::create(disk).and_then(|file| file.set_len(len * MIB));
    made.with_context(|| format!("making {}", disk.display()))?;
    let script = disk.with_extension("table");
    fs::write(&script, table).with_context(|| format!("writing {}", script.display()))?;
    let input = fs::File::open(&script).with_context(|| format!("reading {}", script.display()))?;
    let mut command = Command::new("sfdisk");
    apt::run(command.args(["--quiet", "--label", label]).arg(disk).stdin(Stdio::from(input)))?;
    fs::remove_file(&script).with_context(|| format!("removing {}", script.display()))
}

/// Writes a file into a disk, with dd's options in `words`.
fn place(file: &Path, disk: &Path, words: &[&str]) -> Result<()> {
    let (mut from, mut to) = (std::ffi::OsString::from("if="), std::ffi::OsString::from("of="));
    from.push(file);
    to.push(disk);
    apt::run(Command::new("dd").arg(from).arg(to).args(words).args(["conv=notrunc", "status=none"])).map(drop)
}

#[cfg(test)]
#[path = "boot_disks_test.rs"]
mod tests;
