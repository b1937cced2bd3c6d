#![no_main]

fuzz::target!(device_states);
