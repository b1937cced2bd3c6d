#![no_main]

fuzz::json_target!(device_states);
