//! Frames between a port and its drive: Serial ATA 3.0, "FIS types".

use serde::{Deserialize, Serialize};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, little_endian::U32};

use super::registers::{Error, Status};

/// AHCI 1.3.1, "Received FIS Structure": the offsets at which a port stores what it receives.
pub(super) const RECEIVED_PIO_SETUP: u64 = 0x20;
pub(super) const RECEIVED_D2H_REGISTER: u64 = 0x40;
pub(super) const RECEIVED_SET_DEVICE_BITS: u64 = 0x58;

const H2D_REGISTER: u8 = 0x27;
const D2H_REGISTER: u8 = 0x34;
const PIO_SETUP: u8 = 0x5f;
const SET_DEVICE_BITS: u8 = 0xa1;

/// The interrupt bit of frames to the host, and the bit for data that goes to the host.
const INTERRUPT: u8 = 1 << 6;
const TO_HOST: u8 = 1 << 5;

/// "Register - Host to Device".
#[derive(Clone, Copy, Debug, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub(super) struct CommandFis {
    kind: u8,
    /// The port multiplier's port, and [`CommandFis::COMMAND`].
    flags: u8,
    pub(super) command: u8,
    features_low: u8,
    lba_low: [u8; 3],
    pub(super) device: u8,
    lba_high: [u8; 3],
    features_high: u8,
    pub(super) count_low: u8,
    count_high: u8,
    icc: u8,
    pub(super) control: u8,
    _reserved: [u8; 4],
}

impl CommandFis {
    /// The frame is a command. Without this flag it only sets the control register.
    const COMMAND: u8 = 1 << 7;
    const PORT: u8 = 0xf;

    /// Returns true if this is a "Register - Host to Device" frame for the drive itself.
    pub(super) fn is_for_drive(&self) -> bool {
        self.kind == H2D_REGISTER && self.flags & Self::PORT == 0
    }

    pub(super) fn is_command(&self) -> bool {
        self.flags & Self::COMMAND != 0
    }

    /// Returns the control register's bit for a software reset.
    pub(super) fn resets(&self) -> bool {
        self.control & 1 << 2 != 0
    }

    pub(super) fn features(&self) -> u16 {
        u16::from_le_bytes([self.features_low, self.features_high])
    }

    pub(super) fn count(&self) -> u16 {
        u16::from_le_bytes([self.count_low, self.count_high])
    }

    /// The 48 bits of the address.
    pub(super) fn lba(&self) -> u64 {
        let [a, b, c] = self.lba_low;
        let [d, e, f] = self.lba_high;
        u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
    }
}

/// The drive's registers at the end of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TaskFile {
    pub(super) status: Status,
    pub(super) error: u8,
    pub(super) lba: u64,
    pub(super) device: u8,
    pub(super) count: u16,
}

impl TaskFile {
    /// The registers of a drive that waits for commands.
    pub(super) const READY: Self =
        Self { status: Status::READY.union(Status::SEEK_COMPLETE), error: 0, lba: 0, device: 0, count: 0 };

    /// The registers after `fis`, a command that succeeded.
    pub(super) fn done(fis: &CommandFis) -> Self {
        Self { lba: fis.lba(), device: fis.device, count: fis.count(), ..Self::READY }
    }

    /// The registers after `fis`, a command that failed.
    pub(super) fn failed(fis: &CommandFis, error: Error) -> Self {
        let done = Self::done(fis);
        Self { status: done.status | Status::ERROR, error: error.bits(), ..done }
    }

    /// Returns the value of the port's register.
    pub(super) fn to_register(self) -> u32 {
        u32::from(self.error) << 8 | u32::from(self.status.bits())
    }

    /// ATA8-ACS, "Device Signatures for Normal Output", in the form of the port's register.
    pub(super) fn signature(self) -> u32 {
        let [low, middle, high, ..] = self.lba.to_le_bytes();
        u32::from_le_bytes([self.count.to_le_bytes()[0], low, middle, high])
    }

    /// "Register - Device to Host".
    pub(super) fn to_register_fis(self, interrupt: bool) -> [u8; 20] {
        let [a, b, c, d, e, f, ..] = self.lba.to_le_bytes();
        let [low, high] = self.count.to_le_bytes();
        let flags = if interrupt { INTERRUPT } else { 0 };
        let status = self.status.bits();
        let registers =
            [D2H_REGISTER, flags, status, self.error, a, b, c, self.device, d, e, f, 0, low, high];
        let mut fis = [0; 20];
        fis[..registers.len()].copy_from_slice(&registers);
        fis
    }

    /// "PIO Setup - Device to Host", which comes before `bytes` bytes of data. The status is the one after them.
    pub(super) fn to_pio_setup_fis(self, bytes: u16) -> [u8; 20] {
        let mut fis = self.to_register_fis(true);
        fis[0] = PIO_SETUP;
        fis[1] |= TO_HOST;
        fis[2] = (Status::READY | Status::SEEK_COMPLETE | Status::DATA_REQUEST).bits();
        fis[15] = self.status.bits();
        fis[16..18].copy_from_slice(&bytes.to_le_bytes());
        fis
    }
}

/// The registers as they are saved in a file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TaskFileState {
    status: u8,
    error: u8,
    lba: u64,
    device: u8,
    count: u16,
}

impl From<TaskFile> for TaskFileState {
    fn from(TaskFile { status, error, lba, device, count }: TaskFile) -> Self {
        Self { status: status.bits(), error, lba, device, count }
    }
}

impl From<TaskFileState> for TaskFile {
    fn from(TaskFileState { status, error, lba, device, count }: TaskFileState) -> Self {
        Self { status: Status::from_bits_retain(status), error, lba, device, count }
    }
}

/// "Set Device Bits - Device to Host".
#[derive(Debug, FromZeros, Immutable, IntoBytes)]
#[repr(C)]
pub(super) struct SetDeviceBitsFis {
    kind: u8,
    flags: u8,
    status: u8,
    error: u8,
    /// The slots whose commands are complete.
    active: U32,
}

impl SetDeviceBitsFis {
    pub(super) fn new(status: Status, error: Error, active: u32) -> Self {
        // The frame has neither the busy bit nor the data request bit.
        let status = status.bits() & 0x77;
        Self { kind: SET_DEVICE_BITS, flags: INTERRUPT, status, error: error.bits(), active: active.into() }
    }
}
