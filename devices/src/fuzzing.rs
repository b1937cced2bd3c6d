//! The entry points for `tests/fuzz`: parsers of data from images and guests, called with any bytes.
//!
//! Each function returns for any input: a panic is a bug, and so is a long time or a lot of memory.

pub use crate::{
    ahci::fuzzing::ahci_commands,
    disk::{
        fuzzing::{qcow2_header, qcow2_image},
        vmdk::fuzzing::{vmdk_descriptor, vmdk_sparse, vmdk_stream},
    },
    display::vga::fuzzing::vga,
    pci::fuzzing::pci,
    platform::{flash::fuzzing::flash, fuzzing::ports, fw_cfg::fuzzing::fw_cfg, i8042::fuzzing::i8042},
    state::fuzzing::device_states,
    virtio::{
        block::fuzzing::block_request,
        net::fuzzing::{net_control, net_transmit},
        pci::fuzzing::virtio_pci,
        queue::fuzzing::queue,
        vsock::fuzzing::vsock,
    },
};

#[cfg(test)]
#[path = "fuzzing_test.rs"]
mod tests;
