#![no_main]

fuzz::json_target!(snapshot_state of vmm);
