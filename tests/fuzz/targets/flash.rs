#![no_main]

fuzz::target!(flash);
