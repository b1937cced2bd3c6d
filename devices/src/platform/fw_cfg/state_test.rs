use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use arch::memory::GuestRam;
use vm_memory::GuestAddress;

use super::{super::Content, *};
use crate::{
    bus::BusDevice,
    state::{
        SaveState,
        testing::{carry_over, damage},
    },
};

const DIRECTORY: u16 = 0x19;
const BYTES: u16 = 0x20;
const MADE: u16 = 0x21;

/// A device with a file of bytes, and one that is generated, with the number of times that it was.
fn new() -> (FwCfg, Arc<AtomicU32>) {
    let mut device = FwCfg::new(GuestRam::from_ranges(&[(GuestAddress(0), 0x1000)]).unwrap());
    let made = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&made);
    let make = move || {
        count.fetch_add(1, Ordering::Relaxed);
        Ok(b"made".to_vec())
    };
    device.add_file("bytes", Content::Bytes(b"abcdef".to_vec())).unwrap();
    device.add_file("made", Content::Made { len: 9, make: Box::new(make) }).unwrap();
    (device, made)
}

fn select(device: &mut FwCfg, key: u16) {
    let _ = device.write(0, &key.to_le_bytes());
}

fn read(device: &mut FwCfg, len: usize) -> Vec<u8> {
    let byte = |_| {
        let mut byte = [0x55];
        device.read(1, &mut byte);
        byte[0]
    };
    (0..len).map(byte).collect()
}

#[test]
fn firmware_reads_on_in_the_same_item() {
    for (key, expected) in
        [(BYTES, b"cdef\0"), (MADE, b"de\0\0\0"), (BYTES | 0x4000, b"cdef\0"), (0x77, &[0; 5])]
    {
        let ((mut first, _), (mut second, made)) = (new(), new());
        select(&mut first, key);
        read(&mut first, 2);
        carry_over(&first, &mut second);
        assert_eq!(read(&mut second, 5), expected, "{key:#x}");
        assert_eq!(made.load(Ordering::Relaxed), u32::from(key == MADE));
        for key in [DIRECTORY, BYTES, MADE] {
            select(&mut first, key);
            select(&mut second, key);
            assert_eq!(read(&mut first, 200), read(&mut second, 200));
        }
    }
}

#[test]
fn half_of_an_address_is_not_forgotten() {
    let ((mut first, _), (mut second, _)) = (new(), new());
    let _ = first.write(4, &1_u32.to_be_bytes());
    carry_over(&first, &mut second);
    assert_eq!(second.dma_high, 1);
    // There is no memory at 4 GiB, so the descriptor at 100H is not used in its place.
    for device in [&mut first, &mut second] {
        let _ = device.write(8, &0x100_u32.to_be_bytes());
        assert_eq!(device.dma_high, 0);
    }
}

#[test]
fn damaged_states_do_no_harm() {
    let (mut device, _) = new();
    select(&mut device, BYTES);
    read(&mut device, 3);
    damage(
        &device.save_state().unwrap(),
        || new().0,
        |device| {
            read(device, 100);
            let _ = device.write(8, &[0xff; 4]);
            let _ = device.write(4, &[0; 4]);
            // A descriptor of zeros, and one that skips.
            let _ = device.write(8, &[0; 4]);
        },
    );
}
