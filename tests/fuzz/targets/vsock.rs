#![no_main]

fuzz::target!(vsock);
