#![no_main]

fuzz::target!(qemu_words of vmm);
