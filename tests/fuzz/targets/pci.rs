#![no_main]

fuzz::target!(pci);
