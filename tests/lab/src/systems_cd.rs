//! A CD-ROM with systems other than Linux, for a machine that starts by BIOS. It is made once, and kept in target/lab.
//!
//! ```text
//! isolinux ──┬── memtest86+   tests memory
//!            ├── iPXE         fetches a script by HTTP and runs it
//!            ├── hdt          lists hardware: CPU, PCI, DMI
//!            └── GRUB         its command line
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::apt;
use crate::build;
use crate::system;

/// The Debian packages that make it.
pub(crate) const PACKAGES: &[&str] =
    &["grub-common", "grub-pc-bin", "isolinux", "seabios", "syslinux-common", "xorriso"];

/// Packages to unpack only, with their files: if installed, they would add themselves to this machine's boot menu.
const UNPACKED: [(&str, &str, &str); 2] =
    [("memtest86+", "boot/memtest86+x64.bin", "memtest.bin"), ("ipxe", "boot/ipxe.lkrn", "ipxe.krn")];
/// isolinux, and hdt with the libraries that it needs, at Debian's paths.
const ISOLINUX: &str = "/usr/lib/ISOLINUX/isolinux.bin";
const MODULES: &str = "/usr/lib/syslinux/modules/bios";
const HDT: [&str; 6] = ["ldlinux.c32", "hdt.c32", "libcom32.c32", "libgpl.c32", "libmenu.c32", "libutil.c32"];
/// GRUB's beginning for loaders of Linux, at Debian's path, and its modules.
const LNXBOOT: &str = "/usr/lib/grub/i386-pc/lnxboot.img";
const GRUB: [&str; 3] = ["normal", "lspci", "halt"];

/// isolinux's configuration. It has no `SERIAL`, since SeaBIOS already sends the screen to COM1. The addresses are level 0's in
/// `tests/guest/src/legacy.rs`, and the machine's next to it.
const CONFIG: &str = "PROMPT 1\nTIMEOUT 0\n\
                      LABEL memtest\n LINUX memtest.bin\n APPEND console=ttyS0,115200\n\
                      LABEL ipxe\n LINUX ipxe.krn\n APPEND ifstat && set net0/ip 10.99.0.2 && \
                      set net0/netmask 255.255.255.0 && ifopen net0 && chain http://10.99.0.1/script\n\
                      LABEL hdt\n COM32 hdt.c32\n APPEND nomenu quiet\n\
                      LABEL grub\n LINUX grub.krn\n";

/// The image, made now or before.
pub(crate) fn image() -> Result<PathBuf> {
    let image = build::lab_dir().join("systems.iso");
    let recipe = format!("{CONFIG}{UNPACKED:?}{HDT:?}{GRUB:?}");
    system::made_once(&[&image], &recipe, || {
        eprintln!("lab: making a CD-ROM of other systems");
        make(&image)
    })?;
    Ok(image)
}

fn make(image: &Path) -> Result<()> {
    let folder = image.with_extension("folder");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
    }
    fs::create_dir(&folder).with_context(|| format!("making {}", folder.display()))?;
    let copy = |from: &Path, name: &str| -> Result<()> {
        fs::copy(from, folder.join(name)).with_context(|| format!("copying {}", from.display()))?;
        Ok(())
    };
    for (package, file, name) in UNPACKED {
        copy(&apt::fetch(package)?.join(file), name)?;
    }
    copy(Path::new(ISOLINUX), "isolinux.bin")?;
    HDT.iter().try_for_each(|module| copy(&Path::new(MODULES).join(module), module))?;
    write(&folder.join("isolinux.cfg"), CONFIG.as_bytes())?;
    write(&folder.join("grub.krn"), &grub(&image.with_extension("core"))?)?;

    let part = image.with_extension("part");
    let mut command = Command::new("xorriso");
    command.args(["-as", "mkisofs", "-quiet", "-b", "isolinux.bin", "-c", "boot.cat", "-no-emul-boot"]);
    command.args(["-boot-load-size", "4", "-boot-info-table", "-o"]).arg(&part).arg(&folder);
    apt::run(&mut command)?;
    fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
    fs::rename(&part, image).with_context(|| format!("making {}", image.display()))
}

/// GRUB as a file that a boot loader for Linux can start.
fn grub(core: &Path) -> Result<Vec<u8>> {
    let mut command = Command::new("grub-mkimage");
    command.args(["--format", "i386-pc", "--prefix", "/boot/grub", "--output"]).arg(core);
    apt::run(command.args(GRUB))?;
    let mut grub = fs::read(LNXBOOT).with_context(|| format!("reading {LNXBOOT}"))?;
    grub.extend(fs::read(core).with_context(|| format!("reading {}", core.display()))?);
    fs::remove_file(core).with_context(|| format!("removing {}", core.display()))?;
    Ok(grub)
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
#[path = "systems_cd_test.rs"]
mod tests;
