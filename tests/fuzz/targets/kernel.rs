#![no_main]

fuzz::target!(kernel of vmm);
