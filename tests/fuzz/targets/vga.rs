#![no_main]

fuzz::target!(vga);
