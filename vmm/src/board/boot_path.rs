use devices::pci::PciAddress;

/// The OpenFirmware path of the device behind a function, as in QEMU.
pub(super) fn boot_path(address: PciAddress, function: &str, behind: &str) -> String {
    let place = match address.function() {
        0 => format!("{:x}", address.device()),
        number => format!("{:x},{number:x}", address.device()),
    };
    format!("/pci@i0cf8/{function}@{place}/{behind}")
}
