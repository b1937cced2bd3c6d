#![no_main]

fuzz::target!(net_transmit);
