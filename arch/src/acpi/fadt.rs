//! ACPI 6.5, "Fixed ACPI Description Table (FADT)".

use std::mem::offset_of;

use acpi_tables::{
    fadt::{FADT, FADTBuilder, Flags},
    gas::{AccessSize, AddressSpace, GAS},
};
use bitflags::bitflags;

use super::{
    hardware::AcpiHardware,
    oem::{OEM_ID, OEM_REVISION, OEM_TABLE_ID},
    unplaced::POINTER_LEN,
};
use crate::layout;

const PM1_EVENT_LEN: u8 = 4;
const PM1_CONTROL_LEN: u8 = 2;
const PM_TIMER_LEN: u8 = 4;
/// The value for the reset register: a hard reset.
const RESET_VALUE: u8 = 0x06;
/// Worst-case latencies in microseconds: more than 100 means that there is no C2 state, more than 1000 that there is no C3.
const NO_C2: u16 = 101;
const NO_C3: u16 = 1001;

#[expect(clippy::cast_possible_truncation, reason = "an ISA interrupt")]
const SCI: u16 = layout::SCI_GSI as u16;

bitflags! {
    /// ACPI 6.5, "IA-PC Boot Architecture Flags". The flag for broken MSIs is left out.
    struct BootArch: u16 {
        /// Devices on an ISA bus that users see, such as serial ports.
        const LEGACY_DEVICES = 1 << 0;
        /// `8042`: a keyboard controller.
        const I8042 = 1 << 1;
        const VGA_NOT_PRESENT = 1 << 2;
        const CMOS_RTC_NOT_PRESENT = 1 << 5;
    }
}

/// The fields that point to the FACS and the DSDT, by offset and length.
pub(super) const POINTERS: [(usize, u8); 3] = [
    (offset_of!(FADTBuilder, firmware_ctrl), 4),
    (offset_of!(FADTBuilder, dsdt), 4),
    (offset_of!(FADTBuilder, x_dsdt), POINTER_LEN),
];

/// The FADT of a machine, given the offsets of the FACS and the DSDT.
pub(super) fn fadt(facs: u32, dsdt: u32, hardware: &AcpiHardware) -> FADT {
    let mut fadt = FADTBuilder::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION)
        // WBINVD works: every x86-64 machine has to set this.
        .flag(Flags::Wbinvd)
        .flag(Flags::ProcC1)
        // The power button is a fixed one (PwrButton is clear). There is no sleep button, and no sleep state that an RTC alarm could end.
        .flag(Flags::SlpButton)
        .flag(Flags::FixRtc)
        .flag(Flags::ResetRegSup);
    if !hardware.vga {
        fadt = fadt.flag(Flags::Headless);
    }
    fadt.firmware_ctrl = facs.into();
    fadt.dsdt = dsdt.into();
    fadt.x_dsdt = u64::from(dsdt).into();
    fadt.sci_int = SCI.into();
    fadt.pm1a_evt_blk = u32::from(layout::PM1A_EVENT).into();
    fadt.pm1a_cnt_blk = u32::from(layout::PM1A_CONTROL).into();
    fadt.pm1_evt_len = PM1_EVENT_LEN;
    fadt.pm1_cnt_len = PM1_CONTROL_LEN;
    fadt.x_pm1a_evt_blk = io(layout::PM1A_EVENT, PM1_EVENT_LEN, AccessSize::WordAccess);
    fadt.x_pm1a_cnt_blk = io(layout::PM1A_CONTROL, PM1_CONTROL_LEN, AccessSize::WordAccess);
    fadt.p_lvl2_lat = NO_C2.into();
    fadt.p_lvl3_lat = NO_C3.into();
    if hardware.pm_timer {
        fadt = fadt.flag(Flags::TmrValExt);
        fadt.pm_tmr_blk = u32::from(layout::PM_TIMER).into();
        fadt.pm_tmr_len = PM_TIMER_LEN;
        fadt.x_pm_tmr_blk = io(layout::PM_TIMER, PM_TIMER_LEN, AccessSize::DwordAccess);
    }
    let mut boot_arch = BootArch::empty();
    boot_arch.set(BootArch::VGA_NOT_PRESENT, !hardware.vga);
    boot_arch.set(BootArch::LEGACY_DEVICES, hardware.has_legacy_devices());
    boot_arch.set(BootArch::I8042, hardware.has_keyboard());
    if hardware.has_rtc() {
        fadt.century = layout::CMOS_CENTURY;
    } else {
        boot_arch |= BootArch::CMOS_RTC_NOT_PRESENT;
    }
    fadt.iapc_boot_arch = boot_arch.bits().into();
    fadt.reset_reg = io(layout::RESET_CONTROL, 1, AccessSize::ByteAccess);
    fadt.reset_value = RESET_VALUE;
    fadt.hypervisor_vendor_identity = u64::from_le_bytes(OEM_TABLE_ID).into();
    fadt.finalize()
}

fn io(port: u16, len: u8, access: AccessSize) -> GAS {
    GAS::new(AddressSpace::SystemIo, len * 8, 0, access, port.into())
}
