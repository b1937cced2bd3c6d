#![no_main]

fuzz::target!(vnc of vmm);
