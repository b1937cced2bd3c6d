#![no_main]

fuzz::target!(qcow2_image, catches);
