#![no_main]

fuzz::target!(ports);
