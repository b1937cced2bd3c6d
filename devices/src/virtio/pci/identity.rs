use super::super::device::{DeviceKind, VirtioDevice};
use crate::pci::Identity;

/// Red Hat's vendor ID, under which virtio's device IDs are assigned.
const VENDOR_ID: u16 = 0x1af4;
/// The first device ID of modern devices.
const DEVICE_ID_BASE: u16 = 0x1040;
/// Modern devices have a revision of at least 1, and a subsystem ID of at least this, so that no legacy driver uses them.
const MODERN_REVISION_ID: u8 = 1;
const MODERN_SUBSYSTEM_ID: u16 = 0x40;
/// Legacy drivers use only devices with this revision, whose subsystem ID is their type.
const TRANSITIONAL_REVISION_ID: u8 = 0;

/// The identity of `device` as a PCI function: virtio 1.3, "PCI Device Discovery".
pub(super) fn identity(device: &dyn VirtioDevice) -> Identity {
    let DeviceKind { device_type, class, name } = device.kind();
    let (device_id, revision_id, subsystem_id) = match device.transitional_id() {
        Some(id) => (id, TRANSITIONAL_REVISION_ID, device_type),
        None => (DEVICE_ID_BASE.saturating_add(device_type), MODERN_REVISION_ID, MODERN_SUBSYSTEM_ID),
    };
    let (vendor_id, subsystem_vendor_id) = (VENDOR_ID, VENDOR_ID);
    Identity { name, vendor_id, device_id, revision_id, class, subsystem_vendor_id, subsystem_id }
}
