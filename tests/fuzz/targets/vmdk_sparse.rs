#![no_main]

fuzz::target!(vmdk_sparse);
