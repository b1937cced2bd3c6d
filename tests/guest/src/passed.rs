//! Level 1's kernel and initramfs by firmware: nvmm passes them to it, like QEMU's `-kernel`.

use anyhow::ensure;
use vmm::nest::image::{Manifest, Memfd};

use crate::boot;
use crate::judge;
use crate::level0::Guest;

/// The test.
pub(crate) const NAME: &str = "L1's kernel and initramfs are loaded by SeaBIOS";

/// SeaBIOS's option ROM for that, in level 0's image.
pub(crate) const LOADER: &str = "linuxboot_dma.bin";
/// The path where nvmm looks for it.
const LOADER_PATH: &str = "/usr/share/qemu/linuxboot_dma.bin";

/// The loader number that QEMU's way of loading reports: Linux, "The Linux/x86 Boot Protocol", `type_of_loader`.
const QEMU: u32 = 0xb0;
/// The loader number of the kernel's own EFI stub.
const EFI_STUB: u32 = 0x21;

/// Level 0: lets SeaBIOS load them.
pub(crate) fn by_seabios(manifest: &Manifest, image: &Memfd) -> anyhow::Result<()> {
    boot::place(LOADER, LOADER_PATH)?;
    by(&["--firmware", boot::FIRMWARE_PATH], QEMU, manifest, image)
}

/// Level 0: lets OVMF load them.
pub(crate) fn by_ovmf(firmware: &'static str, manifest: &Manifest, image: &Memfd) -> anyhow::Result<()> {
    by(&["--firmware", firmware], EFI_STUB, manifest, image)
}

fn by(options: &[&'static str], loader: u32, manifest: &Manifest, image: &Memfd) -> anyhow::Result<()> {
    let guest = Guest { options: options.to_vec(), ..Guest::default() };
    let (_, facts) = guest.run(manifest, image)?;
    ensure!(facts.loader == loader, "the kernel's loader is {:#x}, not {loader:#x}", facts.loader);
    judge::smbios(&facts)
}
