use std::sync::Mutex;

use vm_memory::Bytes;

use super::*;

const LEN: usize = 3 * BLOCK;

/// A store that records everything.
#[derive(Debug, Default)]
struct FakeStore(Mutex<Vec<Vec<u8>>>);

impl Store for FakeStore {
    fn save(&self, contents: Vec<u8>) {
        self.0.lock().unwrap().push(contents);
    }
}

impl FakeStore {
    fn take(&self) -> Vec<Vec<u8>> {
        mem::take(&mut self.0.lock().unwrap())
    }
}

/// A chip whose bytes are 0, 1, 2 ... repeatedly.
fn chip() -> (Flash, Arc<FakeStore>, Vec<u8>) {
    let contents: Vec<u8> = (0..=255).cycle().take(LEN).collect();
    let store = Arc::new(FakeStore::default());
    (Flash::new(Arc::new(Rom::new(&contents).unwrap()), store.clone()), store, contents)
}

/// The guest's view: by the mapping if there is one, else by the registers. Both must then be equal.
fn read(flash: &mut Flash, offset: usize, len: usize) -> Vec<u8> {
    let mut data = vec![0x55; len];
    flash.read(offset as u64, &mut data);
    if let Some(chip) = flash.mapped() {
        let mut mapped = vec![0; len];
        chip.as_volatile_slice().read_slice(&mut mapped, offset).unwrap();
        assert_eq!(data, mapped);
    }
    data
}

/// Writes, and checks that the buses are notified of a change.
fn write(flash: &mut Flash, offset: usize, data: &[u8]) {
    let before = flash.mapped().is_some();
    let effect = flash.write(offset as u64, data);
    let expected = if before == flash.mapped().is_some() { Effect::None } else { Effect::Decode };
    assert_eq!(effect, expected);
}

#[test]
fn ovmf_finds_out_that_it_is_flash() {
    let (mut flash, store, contents) = chip();
    // QemuFlashDetected: a byte other than the values that it may read below.
    let at = 1;
    write(&mut flash, at, &[0x50]);
    assert_eq!(read(&mut flash, at, 1), [1], "not RAM");
    write(&mut flash, at, &[0x70]);
    assert!(flash.mapped().is_none());
    assert_eq!(read(&mut flash, at, 1), [0], "neither ROM nor RAM");
    write(&mut flash, at, &[0xff]);
    assert_eq!(read(&mut flash, 0, LEN), contents);
    assert_eq!(store.take(), Vec::<Vec<u8>>::new());
}

#[test]
fn ovmf_writes_a_variable() {
    let (mut flash, store, mut contents) = chip();
    // QemuFlashWrite: a command before each byte, and one at the end.
    let (at, variable) = (0x123, b"a variable");
    for (at, byte) in (at..).zip(variable) {
        write(&mut flash, at, &[0x10]);
        assert_eq!(read(&mut flash, at, 1).len(), 1);
        write(&mut flash, at, &[*byte]);
        assert!(flash.mapped().is_none());
    }
    assert_eq!(read(&mut flash, at, 1), [0x80], "it is ready, without an error");
    assert_eq!(store.take(), Vec::<Vec<u8>>::new(), "it is not all yet");
    write(&mut flash, at + variable.len() - 1, &[0xff]);
    contents[at..at + variable.len()].copy_from_slice(variable);
    assert_eq!(read(&mut flash, 0, LEN), contents);
    assert_eq!(store.take(), [contents]);
    // Further reads change nothing.
    write(&mut flash, 0, &[0xff]);
    assert_eq!(store.take(), Vec::<Vec<u8>>::new());
}

#[test]
fn a_block_is_erased_once_that_is_confirmed() {
    let (mut flash, store, mut contents) = chip();
    let at = BLOCK + 17;
    for other in [0xff, 0x10, 0x20, 0x00] {
        write(&mut flash, at, &[0x20]);
        write(&mut flash, at, &[other]);
        assert_eq!(read(&mut flash, 0, LEN), contents, "{other:#x}");
    }
    write(&mut flash, at, &[0x20]);
    write(&mut flash, at, &[0xd0]);
    assert_eq!(read(&mut flash, at, 1), [0x80]);
    write(&mut flash, at, &[0x70]);
    assert_eq!(read(&mut flash, at, 4), [0x80, 0, 0x80, 0]);
    write(&mut flash, at, &[0x50]);
    contents[BLOCK..2 * BLOCK].fill(0xff);
    assert_eq!(read(&mut flash, 0, LEN), contents);
    assert_eq!(store.take(), [contents]);
    // Clearing has left the status mode.
    write(&mut flash, at, &[0x70]);
    assert_eq!(read(&mut flash, at, 1), [0]);
}

#[test]
fn data_may_look_like_a_command_and_be_several_bytes_wide() {
    let (mut flash, _, mut contents) = chip();
    for (at, data) in [(8, &[0xff][..]), (10, &[0x20, 0xd0]), (12, &[0x50; 4]), (16, &[0x70; 8])] {
        write(&mut flash, at, &[0x40]);
        write(&mut flash, at, data);
        contents[at..at + data.len()].copy_from_slice(data);
    }
    write(&mut flash, 0, &[0xff]);
    assert_eq!(read(&mut flash, 0, LEN), contents);
}

#[test]
fn commands_beyond_the_chip_set_an_error_status() {
    let (mut flash, store, contents) = chip();
    for (at, error) in [(LEN, 0x90), (LEN - 1, 0x90), (usize::MAX, 0x90)] {
        write(&mut flash, at, &[0x10]);
        write(&mut flash, at, &[1, 2]);
        assert_eq!(read(&mut flash, 0, 1), [error], "{at:#x}");
        write(&mut flash, 0, &[0x50]);
    }
    write(&mut flash, LEN, &[0x20]);
    write(&mut flash, LEN, &[0xd0]);
    assert_eq!(read(&mut flash, 0, 1), [0xa0]);
    write(&mut flash, 0, &[0xff]);
    assert_eq!(read(&mut flash, 0, LEN), contents);
    let mut data = [0; 2];
    flash.read(LEN as u64 - 1, &mut data);
    assert_eq!(data, [0xff; 2]);
    assert_eq!(store.take(), Vec::<Vec<u8>>::new());
}

#[test]
fn an_unknown_command_shows_the_contents() {
    let (mut flash, _, contents) = chip();
    for command in (0..=255).filter(|command| ![0x10, 0x20, 0x40, 0x70].contains(command)) {
        for first in [0x70, 0xff] {
            write(&mut flash, 0, &[first]);
            write(&mut flash, 0, &[command]);
            assert_eq!(read(&mut flash, 0, LEN), contents, "{command:#x}");
        }
    }
    assert_eq!(flash.write(0, &[]), Effect::None);
}

#[test]
fn a_machine_that_ends_between_two_commands_loses_nothing() {
    let (mut flash, store, mut contents) = chip();
    write(&mut flash, 5, &[0x10]);
    write(&mut flash, 5, &[0xaa]);
    write(&mut flash, 6, &[0x10]);
    drop(flash);
    contents[5] = 0xaa;
    assert_eq!(store.take(), [contents]);
    drop(chip().0);
    assert_eq!(store.take(), Vec::<Vec<u8>>::new());
}

/// A command copies the chip at most once, and never if no byte has changed since.
#[test]
fn an_access_copies_the_chip_once_at_most() {
    let values = [0x00, 0x10, 0x20, 0x40, 0x50, 0x70, 0xd0, 0xff];
    let mut saves = 0;
    for first in values {
        for second in values {
            for third in values {
                let (mut flash, store, _) = chip();
                for (at, value) in [first, second, third, 0xff, 0xff].into_iter().enumerate() {
                    write(&mut flash, at * BLOCK / 2, &[value]);
                    read(&mut flash, 0, 1);
                    let copies = store.take();
                    assert!(copies.len() <= 1, "{first:#x} {second:#x} {third:#x}");
                    saves += copies.iter().inspect(|copy| assert_eq!(copy.len(), LEN)).count();
                }
            }
        }
    }
    assert!(saves > 0);
}
