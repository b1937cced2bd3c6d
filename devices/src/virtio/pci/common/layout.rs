use std::mem::offset_of;

use zerocopy::{Immutable, IntoBytes};

/// virtio 1.3, "Common configuration structure layout", without fields of features that are not offered.
#[repr(C)]
#[derive(IntoBytes, Immutable)]
pub(in super::super) struct CommonConfig {
    pub(super) device_feature_select: u32,
    pub(super) device_feature: u32,
    pub(super) driver_feature_select: u32,
    pub(super) driver_feature: u32,
    pub(super) config_msix_vector: u16,
    pub(super) num_queues: u16,
    pub(super) device_status: u8,
    pub(super) config_generation: u8,
    pub(super) queue_select: u16,
    pub(super) queue_size: u16,
    pub(super) queue_msix_vector: u16,
    pub(super) queue_enable: u16,
    pub(super) queue_notify_off: u16,
    pub(super) queue_desc: u64,
    pub(super) queue_driver: u64,
    pub(super) queue_device: u64,
}

pub(super) const DEVICE_FEATURE_SELECT: usize = offset_of!(CommonConfig, device_feature_select);
pub(super) const DRIVER_FEATURE_SELECT: usize = offset_of!(CommonConfig, driver_feature_select);
pub(super) const DRIVER_FEATURE: usize = offset_of!(CommonConfig, driver_feature);
pub(super) const CONFIG_MSIX_VECTOR: usize = offset_of!(CommonConfig, config_msix_vector);
pub(super) const DEVICE_STATUS: usize = offset_of!(CommonConfig, device_status);
pub(super) const QUEUE_SELECT: usize = offset_of!(CommonConfig, queue_select);
pub(super) const QUEUE_SIZE: usize = offset_of!(CommonConfig, queue_size);
pub(super) const QUEUE_MSIX_VECTOR: usize = offset_of!(CommonConfig, queue_msix_vector);
pub(super) const QUEUE_ENABLE: usize = offset_of!(CommonConfig, queue_enable);
pub(super) const QUEUE_DESC: usize = offset_of!(CommonConfig, queue_desc);
pub(super) const QUEUE_DESC_HIGH: usize = QUEUE_DESC + 4;
pub(super) const QUEUE_DRIVER: usize = offset_of!(CommonConfig, queue_driver);
pub(super) const QUEUE_DRIVER_HIGH: usize = QUEUE_DRIVER + 4;
pub(super) const QUEUE_DEVICE: usize = offset_of!(CommonConfig, queue_device);
pub(super) const QUEUE_DEVICE_HIGH: usize = QUEUE_DEVICE + 4;
