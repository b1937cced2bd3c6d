use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use super::*;
use crate::testing::said_by;

const MIB: usize = 1 << 20;
/// The start of a hole in memory, which continues at 4 GiB.
const LOW_END: u64 = MIB as u64;
const HIGH: u64 = 4 << 30;
const DESCRIPTOR: u64 = 0x1000;
const BUFFER: u64 = 0x2000;

const ERROR: u32 = 1 << 0;
const READ: u32 = 1 << 1;
const SKIP: u32 = 1 << 2;
const SELECT: u32 = 1 << 3;
const WRITE: u32 = 1 << 4;

/// A guest's view of the device.
struct Guest {
    device: FwCfg,
    memory: GuestRam,
}

impl Guest {
    fn new() -> Self {
        let memory = GuestRam::from_ranges(&[(GuestAddress(0), MIB), (GuestAddress(HIGH), MIB)]).unwrap();
        Self { device: FwCfg::new(memory.clone()), memory }
    }

    fn select(&mut self, key: u16) {
        assert_eq!(self.device.write(0, &key.to_le_bytes()), Effect::None);
    }

    /// Reads the data port.
    fn data(&mut self, len: usize) -> Vec<u8> {
        let byte = |_| {
            let mut byte = [0x55];
            self.device.read(1, &mut byte);
            byte[0]
        };
        (0..len).map(byte).collect()
    }

    fn item(&mut self, key: u16, len: usize) -> Vec<u8> {
        self.select(key);
        self.data(len)
    }

    fn start(&mut self, descriptor: u64) {
        let [a, b, c, d, rest @ ..] = descriptor.to_be_bytes();
        assert_eq!(self.device.write(4, &[a, b, c, d]), Effect::None);
        assert_eq!(self.device.write(8, &rest), Effect::None);
    }

    /// Makes the device execute the descriptor at `at`, and returns the control field that it leaves there.
    fn dma_at(&mut self, at: u64, control: u32, len: u32, address: u64) -> u32 {
        let access = DmaAccess { control: control.into(), len: len.into(), address: address.into() };
        self.memory.write_slice(access.as_bytes(), GuestAddress(at)).unwrap();
        self.start(at);
        u32::from_be_bytes(self.memory.read_obj(GuestAddress(at)).unwrap())
    }

    fn dma(&mut self, control: u32, len: u32, address: u64) -> u32 {
        self.dma_at(DESCRIPTOR, control, len, address)
    }

    fn memory_at(&self, address: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.memory.read_slice(&mut bytes, GuestAddress(address)).unwrap();
        bytes
    }

    fn fill(&self, address: u64, len: usize) {
        self.memory.write_slice(&vec![0xaa; len], GuestAddress(address)).unwrap();
    }
}

fn bytes(count: u8) -> Vec<u8> {
    (1..=count).collect()
}

fn selector(key: u16) -> u32 {
    u32::from(key) << 16 | SELECT
}

#[test]
fn the_device_identifies_itself() {
    let mut guest = Guest::new();
    assert_eq!(guest.item(0, 6), b"QEMU\0\0");
    assert_eq!(guest.item(1, 6), [3, 0, 0, 0, 0, 0]);
    // With any access width that the guest's driver may use.
    for width in [1, 2, 4, 8] {
        let mut found = [0; 8];
        for (offset, part) in (4..).step_by(width).zip(found.chunks_mut(width)) {
            guest.device.read(offset, part);
        }
        assert_eq!(&found, b"QEMU CFG");
    }
}

#[test]
fn every_item_is_read_by_port_and_by_dma_with_zeros_after_its_end() {
    let mut guest = Guest::new();
    let keys = [
        Key::NoGraphic,
        Key::NbCpus,
        Key::KernelAddr,
        Key::KernelSize,
        Key::InitrdAddr,
        Key::InitrdSize,
        Key::BootMenu,
        Key::MaxCpus,
        Key::KernelData,
        Key::InitrdData,
        Key::CmdlineAddr,
        Key::CmdlineSize,
        Key::CmdlineData,
        Key::SetupAddr,
        Key::SetupSize,
        Key::SetupData,
    ];
    for (len, key) in (1..).zip(keys) {
        guest.device.set(key, bytes(len));
    }
    for (len, key) in (1..).zip(keys) {
        let mut expected = bytes(len);
        expected.resize(20, 0);
        assert_eq!(guest.item(key as u16, 20), expected, "{key:?}");
        // The bit with which older QEMUs marked writes.
        assert_eq!(guest.item(key as u16 | 0x4000, 20), expected, "{key:?}");
        guest.fill(BUFFER, 24);
        assert_eq!(guest.dma(selector(key as u16) | READ, 20, BUFFER), 0, "{key:?}");
        expected.resize(24, 0xaa);
        assert_eq!(guest.memory_at(BUFFER, 24), expected, "{key:?}");
    }
}

#[test]
fn an_unknown_item_reads_as_zeros() {
    let mut guest = Guest::new();
    for key in [0x02, 0x05, 0x19, 0x20, 0x3ffe, 0x3fff, 0x8000, 0x8003, 0xffff] {
        assert_eq!(guest.item(key, 3), [0; 3], "{key:#x}");
        guest.fill(BUFFER, 5);
        assert_eq!(guest.dma(selector(key) | READ, 4, BUFFER), 0);
        assert_eq!(guest.memory_at(BUFFER, 5), [0, 0, 0, 0, 0xaa], "{key:#x}");
    }
}

#[test]
fn a_transfer_goes_on_where_the_last_ended() {
    let mut guest = Guest::new();
    guest.device.set(Key::CmdlineData, bytes(12));
    assert_eq!(guest.dma(selector(0x15), 0, 0), 0);
    assert_eq!(guest.data(2), [1, 2]);
    assert_eq!(guest.dma(READ, 3, BUFFER), 0);
    assert_eq!(guest.memory_at(BUFFER, 3), [3, 4, 5]);
    assert_eq!(guest.dma(SKIP, 2, 0), 0);
    // Neither bit: nothing moves.
    assert_eq!(guest.dma(0, 100, 0), 0);
    // Reading comes before skipping.
    assert_eq!(guest.dma(READ | SKIP, 1, HIGH), 0);
    assert_eq!(guest.memory_at(HIGH, 1), [8]);
    assert_eq!(guest.data(1), [9]);
    assert_eq!(guest.dma(SKIP, u32::MAX, 0), 0);
    assert_eq!(guest.data(1), [0]);
    assert_eq!(guest.dma(selector(0x15) | SKIP, 11, 0), 0);
    assert_eq!(guest.data(2), [12, 0]);
}

#[test]
fn no_item_can_be_written() {
    let mut guest = Guest::new();
    guest.device.set(Key::CmdlineData, bytes(4));
    guest.fill(BUFFER, 4);
    assert_eq!(guest.dma(selector(0x15) | WRITE, 4, BUFFER), ERROR);
    // The data port neither.
    guest.select(0x15);
    assert_eq!(guest.device.write(1, &[7]), Effect::None);
    assert_eq!(guest.data(4), bytes(4));
}

#[test]
fn a_transfer_that_is_not_wholly_in_memory_moves_nothing() {
    let mut guest = Guest::new();
    guest.device.set(Key::CmdlineData, bytes(8));
    guest.fill(LOW_END - 4, 4);
    guest.fill(HIGH, 4);
    for (len, address) in [
        (5, LOW_END - 4),
        (1, LOW_END),
        (4, HIGH - 2),
        (8, HIGH + LOW_END - 4),
        (2, u64::MAX),
        (u32::MAX, u64::MAX - 7),
        (u32::MAX, 0),
        // It covers all of the memory at 4 GiB, and more.
        (u32::MAX, HIGH),
    ] {
        assert_eq!(guest.dma(selector(0x15) | READ, len, address), ERROR, "{len:#x} at {address:#x}");
    }
    assert_eq!(guest.memory_at(LOW_END - 4, 4), [0xaa; 4]);
    assert_eq!(guest.memory_at(HIGH, 4), [0xaa; 4]);
    // The next request succeeds.
    assert_eq!(guest.dma(READ, 4, LOW_END - 4), 0);
    assert_eq!(guest.memory_at(LOW_END - 4, 4), bytes(4));
}

#[test]
fn zeros_fill_all_of_memory_if_they_fit() {
    let mut guest = Guest::new();
    guest.device.set(Key::CmdlineData, bytes(3));
    guest.fill(HIGH, MIB);
    let len = u32::try_from(MIB).unwrap();
    assert_eq!(guest.dma(selector(0x15) | READ, len, HIGH), 0);
    let memory = guest.memory_at(HIGH, MIB);
    assert_eq!(memory[..3], bytes(3));
    assert!(memory[3..].iter().all(|&byte| byte == 0));
}

#[test]
fn a_descriptor_outside_memory_is_refused() {
    let mut guest = Guest::new();
    guest.device.set(Key::CmdlineData, bytes(8));
    guest.select(0x15);
    // Its first twelve bytes are in memory: control, length, and half of the address.
    let at = LOW_END - 12;
    let [control, len] = [READ, 4].map(u32::to_be_bytes);
    guest.memory.write_slice(&[control, len, [0; 4]].concat(), GuestAddress(at)).unwrap();
    guest.start(at);
    assert_eq!(guest.memory_at(at, 12), [&ERROR.to_be_bytes()[..], &len, &[0; 4]].concat());
    guest.fill(LOW_END - 2, 2);
    guest.start(LOW_END - 2);
    assert_eq!(guest.memory_at(LOW_END - 2, 2), [0xaa; 2]);
    for nowhere in [LOW_END, HIGH - 8, HIGH + LOW_END - 1, u64::MAX, u64::MAX - 15] {
        guest.start(nowhere);
    }
    assert_eq!(guest.data(8), bytes(8));
}

#[test]
fn a_transfer_over_its_own_descriptor_is_refused() {
    let mut guest = Guest::new();
    guest.device.set(Key::CmdlineData, bytes(32));
    guest.select(0x15);
    for (len, address) in [(16, DESCRIPTOR), (1, DESCRIPTOR + 15), (2, DESCRIPTOR - 1), (64, DESCRIPTOR - 32)]
    {
        assert_eq!(guest.dma(READ, len, address), ERROR, "{len} at {address:#x}");
    }
    // Next to the descriptor is fine.
    assert_eq!(guest.dma(READ, 4, DESCRIPTOR + 16), 0);
    assert_eq!(guest.dma(READ, 4, DESCRIPTOR - 4), 0);
    assert_eq!(guest.memory_at(DESCRIPTOR + 16, 4), [1, 2, 3, 4]);
    assert_eq!(guest.memory_at(DESCRIPTOR - 4, 4), [5, 6, 7, 8]);
    // Nothing is read, so nothing is overwritten.
    assert_eq!(guest.dma(READ, 0, DESCRIPTOR), 0);
}

#[test]
fn the_address_register_takes_whole_doublewords_only() {
    let mut guest = Guest::new();
    guest.device.set(Key::CmdlineData, bytes(8));
    guest.select(0x15);
    let access = DmaAccess { control: READ.into(), len: 4.into(), address: BUFFER.into() };
    guest.memory.write_slice(access.as_bytes(), GuestAddress(DESCRIPTOR)).unwrap();
    let address = DESCRIPTOR.to_be_bytes();
    for width in [1, 2] {
        for (offset, part) in (4..).step_by(width).zip(address.chunks(width)) {
            assert_eq!(guest.device.write(offset, part), Effect::None);
        }
    }
    for offset in [5, 6, 7, 9, 10] {
        assert_eq!(guest.device.write(offset, &address[4..]), Effect::None);
    }
    assert_eq!(guest.memory_at(DESCRIPTOR, 4), READ.to_be_bytes());
    // The lower half starts the transfer, and the upper half is 0 afterwards.
    assert_eq!(guest.device.write(4, &1_u32.to_be_bytes()), Effect::None);
    guest.start(DESCRIPTOR);
    assert_eq!(guest.memory_at(DESCRIPTOR, 4), [0; 4]);
    guest.memory.write_slice(access.as_bytes(), GuestAddress(HIGH)).unwrap();
    guest.start(HIGH);
    assert_eq!(guest.memory_at(HIGH, 4), [0; 4]);
    guest.memory.write_slice(access.as_bytes(), GuestAddress(DESCRIPTOR)).unwrap();
    assert_eq!(guest.device.write(8, &address[4..]), Effect::None);
    assert_eq!(guest.memory_at(DESCRIPTOR, 4), [0; 4]);
}

#[test]
fn registers_have_the_widths_of_qemus() {
    let mut guest = Guest::new();
    for (offset, width) in [(0, 1), (0, 2), (0, 4), (1, 2), (1, 4), (2, 1), (3, 1)] {
        let mut data = [0x55; 4];
        guest.device.read(offset, &mut data[..width]);
        assert_eq!(data[..width], [0xff; 4][..width], "{width} at {offset}");
    }
    // A single byte does not select.
    guest.device.set(Key::CmdlineData, bytes(4));
    guest.select(0x15);
    for data in [&[1][..], &[1, 0, 0, 0]] {
        assert_eq!(guest.device.write(0, data), Effect::None);
    }
    assert_eq!(guest.data(1), [1]);
}

#[test]
fn the_directory_lists_the_files() {
    let mut guest = Guest::new();
    let files: [(&str, &[u8]); 3] =
        [("etc/e820", b"map"), ("bootorder", b"/pci@i0cf8/*@1\0"), ("empty", b"")];
    for (name, content) in files {
        guest.device.add_file(name, Content::Bytes(content.to_vec())).unwrap();
    }
    let directory = guest.item(0x19, 4 + 3 * 64 + 4);
    assert_eq!(directory[..4], [0, 0, 0, 3]);
    assert_eq!(directory[4 + 3 * 64..], [0; 4]);
    for (entry, (name, content)) in directory[4..].chunks(64).zip(files) {
        let len = u32::from_be_bytes(entry[..4].try_into().unwrap());
        let key = u16::from_be_bytes(entry[4..6].try_into().unwrap());
        assert_eq!(entry[6..8], [0; 2]);
        assert_eq!(usize::try_from(len).unwrap(), content.len());
        assert_eq!(entry[8..8 + name.len()], *name.as_bytes());
        assert!(entry[8 + name.len()..].iter().all(|&byte| byte == 0));
        assert!(key >= 0x20, "{key:#x}");
        assert_eq!(guest.item(key, content.len()), content);
    }
}

#[test]
fn a_file_without_a_place_is_refused() {
    let mut guest = Guest::new();
    let mut add = |name: &str| guest.device.add_file(name, Content::Bytes(Vec::new()));
    add(&"x".repeat(55)).unwrap();
    for name in ["", "a\0b", &"x".repeat(56)] {
        assert_eq!(add(name), Err(FileError::Name(name.to_owned())));
    }
    add("one").unwrap();
    assert_eq!(add("one"), Err(FileError::Twice("one".to_owned())));
    let most = (2..).map(|file| add(&format!("file {file}"))).take_while(Result::is_ok).count() + 2;
    assert_eq!(most, 256);
    assert_eq!(add("another"), Err(FileError::TooMany));
    assert_eq!(guest.item(0x19, 4), u32::try_from(most).unwrap().to_be_bytes());
}

/// A file that counts how often it was generated.
fn counted(len: u32, bytes: Result<Vec<u8>, ()>) -> (Content, Arc<AtomicU32>) {
    let count = Arc::new(AtomicU32::new(0));
    let made = Arc::clone(&count);
    let make = move || {
        made.fetch_add(1, Ordering::Relaxed);
        bytes.clone().map_err(|()| io::Error::other("the reason"))
    };
    (Content::Made { len, make: Box::new(make) }, count)
}

#[test]
fn a_file_is_made_when_it_is_selected_first() {
    let mut guest = Guest::new();
    let (content, count) = counted(6, Ok(bytes(4)));
    guest.device.add_file("made", content).unwrap();
    // The directory gives its length before that.
    assert_eq!(guest.item(0x19, 8)[4..], [0, 0, 0, 6]);
    assert_eq!(count.load(Ordering::Relaxed), 0);
    for _ in 0..2 {
        assert_eq!(guest.item(0x20, 6), [1, 2, 3, 4, 0, 0]);
        assert_eq!(guest.dma(selector(0x20) | READ, 4, BUFFER), 0);
        assert_eq!(guest.memory_at(BUFFER, 4), bytes(4));
        assert_eq!(count.load(Ordering::Relaxed), 1);
    }
}

#[test]
fn a_file_that_cannot_be_generated_is_logged_once_and_reads_as_zeros() {
    let mut guest = Guest::new();
    let (fails, _) = counted(4, Err(()));
    let (long, _) = counted(3, Ok(bytes(4)));
    guest.device.add_file("fails", fails).unwrap();
    guest.device.add_file("long", long).unwrap();
    let said = said_by(|| {
        for _ in 0..2 {
            assert_eq!(guest.item(0x20, 4), [0; 4]);
            assert_eq!(guest.item(0x21, 4), [0; 4]);
        }
    });
    assert_eq!(
        said,
        [
            "fails, which the firmware asks for, can't be made: the reason",
            "long, which the firmware asks for, can't be made: it is 4 bytes long, and was to have at most 3",
        ]
    );
}

/// An item of 200,000 bytes that fails to read its last one.
fn file() -> Content {
    let read = |offset: u64, bytes: &mut [u8]| {
        for (byte, at) in bytes.iter_mut().zip(offset..) {
            *byte = at.to_le_bytes()[0] ^ at.to_le_bytes()[1];
            if at == 199_999 {
                return Err(io::Error::other("the disk is away"));
            }
        }
        Ok(())
    };
    Content::Read { len: 200_000, read: Box::new(read) }
}

#[test]
fn a_file_is_read_as_the_guest_reads_it() {
    let mut guest = Guest::new();
    guest.device.set_content(Key::InitrdData, file());
    let expected: Vec<u8> = (0..199_999_u64).map(|at| at.to_le_bytes()[0] ^ at.to_le_bytes()[1]).collect();
    assert_eq!(guest.dma(selector(0x12) | READ, 150_000, HIGH), 0);
    assert_eq!(guest.memory_at(HIGH, 150_000), expected[..150_000]);
    assert_eq!(guest.data(1), expected[150_000..150_001]);
    assert_eq!(guest.dma(READ, 49_998, HIGH), 0);
    assert_eq!(guest.memory_at(HIGH, 49_998), expected[150_001..]);
    let said = said_by(|| {
        assert_eq!(guest.dma(READ, 4, HIGH), ERROR);
        assert_eq!(guest.data(1), [0]);
    });
    assert_eq!(
        said,
        ["item 0x12, which the firmware asks for, can't be read: the disk is away (said once)"],
        "and no more, however often"
    );
    assert_eq!(guest.dma(SKIP, 4, HIGH), 0);
    assert_eq!(guest.dma(READ, 4, HIGH), 0);
    assert_eq!(guest.memory_at(HIGH, 4), [0; 4]);
    guest.device.add_file("file", file()).unwrap();
    assert_eq!(guest.item(0x19, 8)[4..], 200_000_u32.to_be_bytes());
    assert_eq!(guest.item(0x20, 1), expected[..1]);
}

/// Code that copies memory meanwhile must see the device's writes.
#[test]
fn pages_written_by_the_device_are_recorded() {
    let mut guest = Guest::new();
    guest.memory.written().switch_on(HIGH + MIB as u64);
    assert_eq!(guest.dma(selector(0) | READ, 0x1001, 0x2_0fff), 0);
    let noted: Vec<_> = guest.memory.written().take().collect();
    assert_eq!(noted[0], 1 << (DESCRIPTOR >> 12) | 0b11 << 0x20, "{noted:x?}");
    assert!(noted[1..].iter().all(|word| *word == 0));
}
