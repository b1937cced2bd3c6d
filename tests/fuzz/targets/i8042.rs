#![no_main]

fuzz::target!(i8042);
