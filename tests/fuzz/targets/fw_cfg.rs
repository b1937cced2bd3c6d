#![no_main]

fuzz::target!(fw_cfg);
