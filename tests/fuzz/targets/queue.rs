#![no_main]

fuzz::target!(queue);
