//! Prints its tablet's description, and each event's type, code and value; the release of the right button ends it.
#![no_std]
#![no_main]

mod rt;
mod virtio;

use rt::pci;
use virtio::{Device, QUEUE_SIZE, WRITE, descriptor};

/// virtio 1.3, "PCI Device Discovery": an input device.
const INPUT: u32 = 0x1052_1af4;
const SLOTS: u8 = 32;

/// Device-specific configuration: the fields.
const SUBSEL: u64 = 1;
const SIZE: u64 = 2;
const PAYLOAD: u64 = 8;
const ID_NAME: u8 = 1;
const ABS_INFO: u8 = 0x12;
/// The greatest value of an axis.
const MAX: u64 = 4;

const BUFFERS: u64 = 0x50_0000;
const STATUS: u64 = 0x50_1000;
const EVENT_LEN: u32 = 8;

const EV_KEY: u16 = 1;
const BTN_RIGHT: u16 = 0x111;

extern "C" fn guest_main() -> u32 {
    let Some(slot) = (0..SLOTS).find(|&slot| rt::read::<u32>(pci::config(slot, 0)) == INPUT) else {
        print!("no tablet\n");
        return 1;
    };
    let config = virtio::structure(slot, 4);
    rt::write(config, ID_NAME);
    rt::write(config + SUBSEL, 0_u8);
    print!("slot ", slot, " class ", rt::read::<u32>(pci::config(slot, 8)) >> 8, " name ");
    for at in 0..u64::from(rt::read::<u8>(config + SIZE)) {
        rt::outb(rt::COM1, rt::read(config + PAYLOAD + at));
    }
    rt::write(config, ABS_INFO);
    print!(" to ", rt::read::<u32>(config + PAYLOAD + MAX), "\n");

    let [events, statuses] = [0, 1].map(|queue| Device::find_queue(slot, queue));
    events.begin(0);
    [&events, &statuses].iter().for_each(|queue| queue.enable(QUEUE_SIZE));
    events.end();
    // Set a light, which it doesn't have.
    rt::write(STATUS, [0x11_u16, 0, 1, 0]);
    statuses.push(descriptor(STATUS, EVENT_LEN, 0, 0), 1);
    statuses.next_used(0);
    print!("ready\n");

    let post = |number: u16| {
        let address = BUFFERS + u64::from(number % QUEUE_SIZE) * u64::from(EVENT_LEN);
        events.push(descriptor(address, EVENT_LEN, WRITE, 0), number + 1);
    };
    (0..QUEUE_SIZE).for_each(post);
    for number in 0.. {
        let (head, len) = events.next_used(number);
        let at = BUFFERS + u64::from(head) * u64::from(EVENT_LEN);
        let [kind, code] = rt::read::<[u16; 2]>(at);
        let value = rt::read::<u32>(at + 4);
        print!(kind, " ", code, " ", value, "\n");
        if len != EVENT_LEN {
            return 2;
        }
        if (kind, code, value) == (EV_KEY, BTN_RIGHT, 0) {
            return 0;
        }
        post(number + QUEUE_SIZE);
    }
    3
}
