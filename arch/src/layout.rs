//! The layout of the guest's physical address space, its I/O ports and its interrupt lines.
//!
//! ```text
//! 0x0000_0000  RAM: boot structures below 640 KiB, the kernel from 1 MiB
//! 0x000C_0000  SMBIOS structures (RAM, reserved in the memory map)
//! 0x000E_0000  ACPI tables (as well)
//! 0x000F_E000  VM generation ID (as well)
//! 0x000F_F000  SMBIOS entry point (as well)
//! 0xC000_0000  PCI BARs
//! 0xE000_0000  PCI configuration space (ECAM), bus 0
//! 0xFEC0_0000  IOAPIC;  0xFEE0_0000 local APIC
//! 0xFEFF_C000  KVM's own pages (identity map, TSS; VMX hosts without unrestricted guest need them)
//! 0x1_0000_0000  the rest of RAM, then the window for 64-bit PCI BARs at the next multiple of 64 GiB
//! ```
//!
//! In a machine that firmware starts, it says what else is where:
//!
//! ```text
//! 0x0000_0000  RAM, up to 2 GiB of it
//! 0x000E_0000  a copy of firmware's last 128 KiB (RAM)
//! 0x8000_0000  free for PCI BARs and ECAM, which the host bridge moves
//! 0xFEC0_0000  IOAPIC;  0xFEE0_0000 local APIC
//! 0xFEFF_C000  KVM's own pages
//! 0xFF00_0000  firmware, as far as it reaches down from 4 GiB
//! 0x1_0000_0000  the rest of RAM, then the window for 64-bit PCI BARs
//! ```

use std::ops::Range;

/// The size of the processor's pages.
pub const PAGE: u64 = 4 << 10;
/// The size of the page that one page-directory entry maps.
pub const HUGE_PAGE: u64 = 2 << 20;

/// GDT used at entry.
pub const BOOT_GDT: u64 = 0x500;
/// PVH `hvm_start_info` with its module list and memory map.
pub const PVH_START_INFO: u64 = 0x6000;
/// Linux `boot_params`, "the zero page".
pub const ZERO_PAGE: u64 = 0x7000;
/// Initial stack pointer; the stack grows down from here.
pub const BOOT_STACK: u64 = 0x8ff0;
/// Initial page tables: PML4, then PDPT, then four page directories.
pub const PML4: u64 = 0x9000;
/// The real-mode part of a kernel that firmware loads, with its stack and heap, up to [`CMDLINE`].
pub const KERNEL_SETUP: u64 = 0x1_0000;
/// Kernel command line.
pub const CMDLINE: u64 = 0x2_0000;
/// Longest command line in bytes, its final NUL included; the loader also honours the kernel's own limit.
pub const CMDLINE_MAX: usize = 0x1_0000;
/// End of conventional memory.
pub const LOW_RAM_END: u64 = 0xa_0000;
/// The first byte of a VGA's window into its memory: fonts begin here, and characters 96 KiB higher. Every machine has RAM there, with or without a screen.
pub const VIDEO_MEMORY: u64 = LOW_RAM_END;
/// SMBIOS structures.
pub const SMBIOS_TABLES: u64 = 0xc_0000;
/// Room for SMBIOS structures.
pub const SMBIOS_TABLES_LEN: u64 = ACPI_TABLES - SMBIOS_TABLES;
/// ACPI tables, starting with the RSDP, where ACPI 6.5, "Finding the RSDP on IA-PC Systems" has the OS look.
pub const ACPI_TABLES: u64 = 0xe_0000;
/// Room for ACPI tables: enough for the 4096 vCPUs that KVM allows at most.
pub const ACPI_TABLES_LEN: u64 = VM_GENERATION_ID - ACPI_TABLES;
/// The VM generation ID, 16 bytes in a page of its own.
pub const VM_GENERATION_ID: u64 = SMBIOS_ENTRY - PAGE;
/// SMBIOS entry point, where DSP0134, "Table structure entry point" has the OS look: on a 16-byte boundary of the last 64 KiB.
pub const SMBIOS_ENTRY: u64 = 0xf_f000;
/// The address at which kernels are loaded.
pub const HIGH_RAM: u64 = 0x10_0000;

/// The structures below [`HIGH_RAM`] when a kernel is entered, and their places.
pub const BOOT_STRUCTURES: [(&str, Range<u64>); 7] = [
    ("GDT", BOOT_GDT..BOOT_GDT + 0x30),
    ("PVH start info", PVH_START_INFO..PVH_START_INFO + 0x1000),
    ("zero page", ZERO_PAGE..ZERO_PAGE + 0x1000),
    ("stack", BOOT_STACK - 0xff0..BOOT_STACK),
    ("page tables", PML4..PML4 + 0x6000),
    ("command line", CMDLINE..CMDLINE + CMDLINE_MAX as u64),
    ("video memory, the SMBIOS and the ACPI tables", LOW_RAM_END..HIGH_RAM),
];

/// I/O ports of the PICs, the PIT and its speaker, which are KVM's own: no other device sees an access to them.
pub const KVM_PORTS: [Range<u16>; 5] = [0x20..0x22, 0x40..0x44, 0x61..0x62, 0xa0..0xa2, 0x4d0..0x4d2];

/// End of RAM below 4 GiB, and start of the window for 32-bit BARs.
pub const PCI_MMIO: u64 = 0xc000_0000;
/// Length of the window for 32-bit BARs.
pub const PCI_MMIO_LEN: u64 = ECAM - PCI_MMIO;
/// PCI Express Enhanced Configuration Access Mechanism, bus 0.
pub const ECAM: u64 = 0xe000_0000;
/// One bus: 32 devices, 8 functions, 4 KiB each.
pub const ECAM_LEN: u64 = 0x10_0000;
/// IOAPIC registers, a page.
pub const IOAPIC: u64 = 0xfec0_0000;
/// Local APIC registers, a page.
pub const LAPIC: u64 = 0xfee0_0000;
/// `KVM_SET_IDENTITY_MAP_ADDR`: one page, where QEMU has it, below the largest firmware.
pub const KVM_IDENTITY_MAP: u64 = 0xfeff_c000;
/// `KVM_SET_TSS_ADDR`: three pages.
pub const KVM_TSS: u64 = 0xfeff_d000;
/// KVM's own pages.
pub const KVM_PAGES: Range<u64> = KVM_IDENTITY_MAP..KVM_TSS + 3 * PAGE;
/// Registers that KVM emulates: no other device sees an access to them. ACPI describes them; the memory map does not.
pub const KVM_REGISTERS: [(&str, Range<u64>); 2] =
    [("IOAPIC", IOAPIC..IOAPIC + PAGE), ("local APIC", LAPIC..LAPIC + PAGE)];
/// The start of RAM above 4 GiB.
pub const RAM_ABOVE_4G: u64 = 0x1_0000_0000;
/// Length of the window for 64-bit BARs.
pub const PCI_MMIO64_LEN: u64 = 64 << 30;

/// The window for 64-bit BARs above RAM, which ends at `ram_end`. There is none if physical addresses of `width` bits do not reach it, as
/// with 36 bits.
///
/// The window begins at the lowest multiple of its length, as in QEMU, so that one BAR can fill it.
#[must_use]
pub fn pci_mmio64(ram_end: u64, width: u32) -> Option<Range<u64>> {
    let start = ram_end.max(RAM_ABOVE_4G).checked_next_multiple_of(PCI_MMIO64_LEN)?;
    let end = start.checked_add(PCI_MMIO64_LEN)?;
    (end <= 1_u64.checked_shl(width)?).then_some(start..end)
}

/// The end of RAM below 4 GiB in a machine that firmware starts. Above it are ECAM, from B0000000H or E0000000H on, and 32-bit BARs,
/// wherever SeaBIOS and the versions of OVMF put them.
pub const FIRMWARE_RAM_END: u64 = 0x8000_0000;
/// The end of firmware, whose last 16 bytes contain the processor's first instruction.
pub const FIRMWARE_END: u64 = RAM_ABOVE_4G;
/// The smallest firmware in bytes, the size of early PCs' BIOSes.
pub const FIRMWARE_MIN: u64 = 64 << 10;
/// The largest firmware: from the end of KVM's own pages to 4 GiB.
pub const FIRMWARE_MAX: u64 = FIRMWARE_END - KVM_PAGES.end;
/// Length of the copy of firmware's last bytes at the end of the first megabyte. A PC's chipset has it: the BIOS is linked to run there.
pub const BIOS_LEN: u64 = HIGH_RAM - BIOS;
/// The start of the copy of firmware's last bytes.
pub const BIOS: u64 = 0xe_0000;

/// First port for I/O BARs, which may use all ports from here on: those below have belonged to devices since ISA.
pub const PCI_IO: u16 = 0xc000;

/// The number of a PC's serial ports, COM1 to COM4.
pub const SERIAL_PORTS: usize = 4;
/// A VGA's ports when its screen is monochrome.
pub const VGA_MONOCHROME: u16 = 0x3b0;
/// A VGA's ports.
pub const VGA: u16 = 0x3c0;
/// The dispi interface of Bochs' and QEMU's VGA.
pub const DISPI: u16 = 0x1ce;
/// COM1.
pub const COM1: u16 = 0x3f8;
/// COM1's interrupt line.
pub const COM1_GSI: u32 = 4;
/// COM2.
pub const COM2: u16 = 0x2f8;
/// COM2's interrupt line.
pub const COM2_GSI: u32 = 3;
/// COM3, on COM1's interrupt line.
pub const COM3: u16 = 0x3e8;
/// COM4, on COM2's interrupt line.
pub const COM4: u16 = 0x2e8;
/// Keyboard controller: data port; its command port is 4 above.
pub const I8042: u16 = 0x60;
/// The keyboard's interrupt line.
pub const KEYBOARD_GSI: u32 = 1;
/// CMOS memory with its real-time clock: index port; its data port is the next.
pub const CMOS: u16 = 0x70;
/// The real-time clock's interrupt line.
pub const RTC_GSI: u32 = 8;
/// The byte of CMOS memory that has the century.
pub const CMOS_CENTURY: u8 = 0x32;
/// System control port A: fast A20 gate, INIT.
pub const SYSTEM_CONTROL_A: u16 = 0x92;
/// QEMU's and Bochs' port for firmware's messages.
pub const DEBUG_CONSOLE: u16 = 0x402;
/// fw_cfg, where QEMU has it.
pub const FW_CFG: u16 = 0x510;
/// pvpanic, where QEMU has it.
pub const PVPANIC: u16 = 0x505;
/// The register by which nvmm learns the address of the VM generation ID.
pub const VM_GENERATION: u16 = 0x520;
/// Length of that register in bytes.
pub const VM_GENERATION_LEN: u8 = 4;
/// The interrupt line by which the guest learns that the ID has changed.
pub const VM_GENERATION_GSI: u32 = 5;
/// PCI `CONFIG_ADDRESS`; `CONFIG_DATA` is 4 above.
pub const PCI_CONFIG: u16 = 0xcf8;
/// Reset control register: inside `CONFIG_ADDRESS`, told apart by being one byte wide.
pub const RESET_CONTROL: u16 = 0xcf9;
/// ACPI PM1a event block: status (2 bytes), enable (2 bytes).
pub const PM1A_EVENT: u16 = 0x600;
/// ACPI PM1a control block (2 bytes).
pub const PM1A_CONTROL: u16 = 0x604;
/// ACPI PM timer (4 bytes).
pub const PM_TIMER: u16 = 0x608;
/// `SLP_TYP` that powers off, when written to the PM1a control block: the value in the DSDT's `_S5`. It is QEMU's, which SeaBIOS writes
/// without reading the DSDT.
pub const SLP_TYP_S5: u8 = 0;
/// ACPI's interrupt (SCI): level-triggered, active low as on PCs.
pub const SCI_GSI: u32 = 9;
/// First of the eight IOAPIC inputs that PCI INTx pins share: see [`pci_intx_gsi`].
pub const PCI_INTX_GSI: u32 = 16;
/// The number of inputs that PCI INTx pins share.
pub const PCI_INTX_GSIS: u32 = 8;
/// Inputs of the IOAPIC; MSI routes take the GSIs from here on.
pub const IOAPIC_GSIS: u32 = 24;

/// The number of INTx pins, INTA# to INTD#.
pub const PCI_INTX_PINS: u8 = 4;

/// The INTx pin of a function: 0 is INTA#. The first four functions of a device have different pins.
#[must_use]
pub fn pci_intx_pin(function: u8) -> u8 {
    function % PCI_INTX_PINS
}

/// The IOAPIC input of INTx pin `pin` (0 is INTA#) of a device on bus 0. Each device begins with another input, so that the first functions
/// of devices share as few as possible.
#[must_use]
pub fn pci_intx_gsi(device: u8, pin: u8) -> u32 {
    PCI_INTX_GSI + (u32::from(device) + u32::from(pin)) % PCI_INTX_GSIS
}

#[cfg(test)]
#[path = "layout_test.rs"]
mod tests;
