#![no_main]

fuzz::target!(virtio_pci);
