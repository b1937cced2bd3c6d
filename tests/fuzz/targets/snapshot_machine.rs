#![no_main]

fuzz::json_target!(snapshot_machine of vmm);
