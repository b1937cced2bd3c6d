//! virtio 1.3, "Virtio Structure PCI Capabilities".

use std::{mem::offset_of, ops::Range};

use zerocopy::{FromZeros, Immutable, IntoBytes};

/// The identifier of a vendor-specific capability.
const VENDOR_SPECIFIC: u8 = 0x09;

/// The subject of a capability: `cfg_type`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Structure {
    /// `VIRTIO_PCI_CAP_COMMON_CFG`.
    Common = 1,
    /// `VIRTIO_PCI_CAP_NOTIFY_CFG`.
    Notify = 2,
    /// `VIRTIO_PCI_CAP_ISR_CFG`.
    Isr = 3,
    /// `VIRTIO_PCI_CAP_DEVICE_CFG`.
    Device = 4,
    /// `VIRTIO_PCI_CAP_PCI_CFG`.
    ConfigAccess = 5,
}

/// `struct virtio_pci_cap`: a structure is at `offset` of BAR `bar`.
#[repr(C)]
#[derive(Debug, IntoBytes, FromZeros, Immutable)]
pub(super) struct Capability {
    id: u8,
    next: u8,
    len: u8,
    cfg_type: u8,
    bar: u8,
    /// Tells capabilities of the same type apart. Here, all types differ.
    instance: u8,
    padding: [u8; 2],
    offset: u32,
    length: u32,
}

impl Capability {
    pub(super) const fn new(structure: Structure, bar: u8, offset: u32, length: u32) -> Self {
        Self::with_len(size_of::<Self>(), structure, bar, offset, length)
    }

    #[expect(clippy::cast_possible_truncation, reason = "the longest of these structures has 20 bytes")]
    const fn with_len(len: usize, structure: Structure, bar: u8, offset: u32, length: u32) -> Self {
        Self {
            id: VENDOR_SPECIFIC,
            next: 0,
            len: len as u8,
            cfg_type: structure as u8,
            bar,
            instance: 0,
            padding: [0; 2],
            offset,
            length,
        }
    }
}

/// `struct virtio_pci_notify_cap`: queue `n` is notified at `n * notify_off_multiplier`.
#[repr(C)]
#[derive(Debug, IntoBytes, FromZeros, Immutable)]
pub(super) struct NotifyCapability {
    capability: Capability,
    notify_off_multiplier: u32,
}

impl NotifyCapability {
    pub(super) const fn new(bar: u8, offset: u32, length: u32, notify_off_multiplier: u32) -> Self {
        Self {
            capability: Capability::with_len(size_of::<Self>(), Structure::Notify, bar, offset, length),
            notify_off_multiplier,
        }
    }
}

/// `struct virtio_pci_cfg_cap`: a window to the BAR for guests that can only access configuration space. Each access to `pci_cfg_data`
/// accesses the `length` bytes at `offset`.
#[repr(C)]
#[derive(Debug, IntoBytes, FromZeros, Immutable)]
pub(super) struct ConfigAccessCapability {
    capability: Capability,
    pci_cfg_data: [u8; 4],
}

impl ConfigAccessCapability {
    /// The offset of `pci_cfg_data`.
    pub(super) const DATA: Range<usize> =
        offset_of!(Self, pci_cfg_data)..offset_of!(Self, pci_cfg_data) + size_of::<[u8; 4]>();
    /// The offset of `cap.bar`.
    pub(super) const BAR: usize = offset_of!(Self, capability.bar);
    /// The offset of `cap.offset`.
    pub(super) const OFFSET: usize = offset_of!(Self, capability.offset);
    /// The offset of `cap.length`.
    pub(super) const LENGTH: usize = offset_of!(Self, capability.length);

    pub(super) const fn new() -> Self {
        Self {
            capability: Capability::with_len(size_of::<Self>(), Structure::ConfigAccess, 0, 0, 0),
            pci_cfg_data: [0; 4],
        }
    }

    /// The capability's bits that a guest may write.
    pub(super) fn writable() -> Self {
        Self {
            capability: Capability {
                bar: 0xff,
                offset: u32::MAX,
                length: u32::MAX,
                ..Capability::new_zeroed()
            },
            pci_cfg_data: [0xff; 4],
        }
    }
}
