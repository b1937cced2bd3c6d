#![no_main]

fuzz::target!(ahci_commands);
