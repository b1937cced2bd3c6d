#![no_main]

fuzz::target!(option_words of vmm);
