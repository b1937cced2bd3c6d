#![no_main]

fuzz::target!(domain_xml of vmm);
