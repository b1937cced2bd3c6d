//! Tests of inputs that fuzzing has found or tried.

use std::{fs, path::Path};

use super::*;

/// Runs a target on all files of its corpus.
fn replay(corpus: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus").join(corpus);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{corpus}");
    for file in files {
        // Names the file in case it fails.
        println!("{}", file.display());
        target(&fs::read(file).unwrap());
    }
}

#[test]
fn ahci_command_lists() {
    replay("ahci_commands", ahci_commands);
}

#[test]
fn block_requests() {
    replay("block_request", block_request);
}

#[test]
fn states_of_devices() {
    replay("device_states", device_states);
}

#[test]
fn firmware_configuration() {
    replay("fw_cfg", fw_cfg);
}

#[test]
fn flash_commands() {
    replay("flash", flash);
}

#[test]
fn keyboard_registers() {
    replay("i8042", i8042);
}

#[test]
fn net_commands() {
    replay("net_control", net_control);
}

#[test]
fn net_transmissions() {
    replay("net_transmit", net_transmit);
}

#[test]
fn pci_accesses() {
    replay("pci", pci);
}

#[test]
fn port_accesses() {
    replay("ports", ports);
}

#[test]
fn qcow2_headers() {
    replay("qcow2_header", qcow2_header);
}

#[test]
fn qcow2_images() {
    replay("qcow2_image", qcow2_image);
}

#[test]
fn queues() {
    replay("queue", queue);
}

#[test]
fn vga_registers() {
    replay("vga", vga);
}

#[test]
fn virtio_registers() {
    replay("virtio_pci", virtio_pci);
}

#[test]
fn vmdk_descriptors() {
    replay("vmdk_descriptor", vmdk_descriptor);
}

#[test]
fn vmdk_sparse_extents() {
    replay("vmdk_sparse", vmdk_sparse);
}

#[test]
fn vmdk_streams() {
    replay("vmdk_stream", vmdk_stream);
}

#[test]
fn vsocks() {
    replay("vsock", vsock);
}
