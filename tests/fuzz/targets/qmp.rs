#![no_main]

fuzz::target!(qmp of vmm);
