//! Two disks whose INTx pins lead to the same input of the IOAPIC, with MSI-X off: the line stays high until both have been
//! acknowledged.
#![no_std]
#![no_main]

mod rt;
mod virtio;

use rt::pci;
use virtio::{Device, NEXT, WRITE, descriptor};

const SLOTS: [u8; 2] = [1, 9];
const GSI: u32 = 17;

const HEADER: u64 = 0x50_0000;
const DATA: u64 = 0x50_1000;
const STATUS: u64 = 0x50_2000;

/// virtio 1.3, "Virtio Structure PCI Capabilities": `VIRTIO_PCI_CAP_ISR_CFG`.
const ISR: u8 = 3;
/// PCI 3.0, "Device Status": an INTx interrupt is pending.
const INTERRUPT_STATUS: u16 = 1 << 3;

extern "C" fn guest_main() -> u32 {
    // Enable the local APIC, so that it accepts the IOAPIC's interrupts.
    rt::write(LAPIC + 0xf0, 0x1ff_u32);
    let disks = SLOTS.map(Device::find);
    print!("idle ", line(), "\n");
    for disk in &disks {
        request(disk);
    }
    // Both have asserted their pins.
    for slot in SLOTS {
        while rt::read::<u16>(pci::config(slot, 6)) & INTERRUPT_STATUS == 0 {}
    }
    print!("both ", line(), "\n");
    for slot in SLOTS {
        let isr: u8 = rt::read(virtio::structure(slot, ISR));
        print!("slot ", slot, " isr ", isr, " then ", line(), "\n");
    }
    0
}

/// Reads a sector.
fn request(disk: &Device) {
    disk.start();
    rt::write(HEADER, [0_u64; 2]);
    let header = descriptor(HEADER, 16, NEXT, 1);
    let data = descriptor(DATA, 512, NEXT | WRITE, 2);
    disk.submit(&[header, data, descriptor(STATUS, 1, WRITE, 0)], &[0], 1);
    disk.wait(1);
}

const LAPIC: u64 = 0xfee0_0000;
const IOAPIC: u64 = 0xfec0_0000;

/// Bits of an IOAPIC redirection table entry.
const VECTOR: u32 = 0x50;
const REMOTE_IRR: u32 = 1 << 14;
const LEVEL: u32 = 1 << 15;
const MASKED: u32 = 1 << 16;

/// The level of the IOAPIC's input, found by whether it sends an interrupt when it becomes level-triggered. Interrupts are off, so that
/// nothing sends its EOI; as an edge-triggered input it forgets the interrupt.
fn line() -> &'static str {
    let entry = |value: u32| {
        rt::write(IOAPIC, 0x10 + 2 * GSI);
        rt::write(IOAPIC + 0x10, value);
    };
    entry(MASKED | VECTOR);
    entry(LEVEL | VECTOR);
    rt::write(IOAPIC, 0x10 + 2 * GSI);
    let sent = rt::read::<u32>(IOAPIC + 0x10) & REMOTE_IRR != 0;
    if sent { "high" } else { "low" }
}
