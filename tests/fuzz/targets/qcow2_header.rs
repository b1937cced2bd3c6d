#![no_main]

fuzz::target!(qcow2_header);
