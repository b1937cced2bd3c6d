//! The HBA's registers: AHCI 1.3.1, "HBA Memory Registers".

use bitfield_struct::bitfield;
use bitflags::bitflags;

/// "Generic Host Control": the registers' offsets.
pub(super) mod generic {
    pub(in super::super) const CAP: u64 = 0x00;
    pub(in super::super) const GHC: u64 = 0x04;
    pub(in super::super) const IS: u64 = 0x08;
    pub(in super::super) const PI: u64 = 0x0c;
    pub(in super::super) const VS: u64 = 0x10;
}

/// "Port Registers": the offset of the first port, and the number of bytes for each port.
pub(super) const PORTS: u64 = 0x100;
pub(super) const PORT_LEN: u64 = 0x80;

/// "Port Registers": the registers' offsets in a port.
pub(super) mod port {
    pub(in super::super) const CLB: u64 = 0x00;
    pub(in super::super) const CLBU: u64 = 0x04;
    pub(in super::super) const FB: u64 = 0x08;
    pub(in super::super) const FBU: u64 = 0x0c;
    pub(in super::super) const IS: u64 = 0x10;
    pub(in super::super) const IE: u64 = 0x14;
    pub(in super::super) const CMD: u64 = 0x18;
    pub(in super::super) const TFD: u64 = 0x20;
    pub(in super::super) const SIG: u64 = 0x24;
    pub(in super::super) const SSTS: u64 = 0x28;
    pub(in super::super) const SCTL: u64 = 0x2c;
    pub(in super::super) const SERR: u64 = 0x30;
    pub(in super::super) const SACT: u64 = 0x34;
    pub(in super::super) const CI: u64 = 0x38;
}

/// The number of a port's command slots, and the depth of its drive's queue.
pub(super) const SLOTS: u8 = 32;

/// AHCI 1.3.1.
pub(super) const VERSION: u32 = 0x0001_0301;

/// "HBA Capabilities".
#[bitfield(u32)]
pub(super) struct Capabilities {
    #[bits(5)]
    pub(super) ports_minus_one: u8,
    #[bits(3)]
    __: u8,
    #[bits(5)]
    pub(super) command_slots_minus_one: u8,
    #[bits(5)]
    __: u8,
    pub(super) ahci_only: bool,
    __: bool,
    /// The highest speed: 1 for 1.5 Gbps, 2 for 3, 3 for 6.
    #[bits(4)]
    pub(super) interface_speed: u8,
    pub(super) command_list_override: bool,
    #[bits(5)]
    __: u8,
    pub(super) native_command_queuing: bool,
    pub(super) addresses_64: bool,
}

bitflags! {
    /// "Global HBA Control".
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) struct GlobalControl: u32 {
        const HBA_RESET = 1 << 0;
        const INTERRUPT_ENABLE = 1 << 1;
        const AHCI_ENABLE = 1 << 31;
    }

    /// "Port x Interrupt Status", and the register that enables them.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub(super) struct PortInterrupts: u32 {
        /// The drive sent a Register FIS with the interrupt bit.
        const D2H_REGISTER = 1 << 0;
        const PIO_SETUP = 1 << 1;
        const SET_DEVICE_BITS = 1 << 3;
        /// A copy of [`SataError::EXCHANGED`].
        const CONNECT_CHANGE = 1 << 6;
        const OVERFLOW = 1 << 24;
        /// An address of the driver's is not in memory.
        const HOST_BUS_FATAL = 1 << 29;
        /// The drive's status has its error bit.
        const TASK_FILE_ERROR = 1 << 30;
        /// All that may be enabled.
        const ALL = 0xfdc0_00ff;
    }

    /// "Port x Command and Status", without the number of the current slot.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub(super) struct PortCommand: u32 {
        const START = 1 << 0;
        const SPIN_UP = 1 << 1;
        const POWER_ON = 1 << 2;
        const COMMAND_LIST_OVERRIDE = 1 << 3;
        const FIS_RECEIVE_ENABLE = 1 << 4;
        const FIS_RECEIVE_RUNNING = 1 << 14;
        const COMMAND_LIST_RUNNING = 1 << 15;
        const ATAPI = 1 << 24;
        const DRIVE_LED = 1 << 25;
        /// The bits that keep what is written.
        const KEPT = 1 << 0 | 1 << 4 | 1 << 24 | 1 << 25;
    }

    /// "Port x Serial ATA Error".
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub(super) struct SataError: u32 {
        /// A drive was connected, or reset.
        const EXCHANGED = 1 << 26;
    }

    /// ATA8-ACS, "Status register".
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub(super) struct Status: u8 {
        const ERROR = 1 << 0;
        const DATA_REQUEST = 1 << 3;
        const SEEK_COMPLETE = 1 << 4;
        const DEVICE_FAULT = 1 << 5;
        const READY = 1 << 6;
        const BUSY = 1 << 7;
    }

    /// ATA8-ACS, "Error register".
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub(super) struct Error: u8 {
        const ABORT = 1 << 2;
        const ID_NOT_FOUND = 1 << 4;
        const UNCORRECTABLE = 1 << 6;
    }
}

/// The current command slot in [`PortCommand`]'s register.
pub(super) const CURRENT_SLOT_SHIFT: u32 = 8;

/// "Port x Serial ATA Status" with a drive, at 6 Gbps, active; and without a drive.
pub(super) const SATA_STATUS_UP: u32 = 0x133;
pub(super) const SATA_STATUS_NONE: u32 = 0;
/// "Port x Serial ATA Status" of an interface that the driver has switched off.
pub(super) const SATA_STATUS_OFF: u32 = 4;

/// "Port x Serial ATA Control": the field DET, and its values.
pub(super) const DET: u32 = 0xf;
pub(super) const DET_RESET: u32 = 1;
pub(super) const DET_OFF: u32 = 4;

/// "Port x Task File Data" without a drive, or with one that has not sent its signature yet.
pub(super) const TASK_FILE_NONE: u32 = 0x7f;
/// "Port x Signature" without a drive, or before it has sent its signature.
pub(super) const SIGNATURE_NONE: u32 = u32::MAX;
