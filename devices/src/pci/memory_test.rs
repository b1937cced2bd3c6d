use super::*;
use crate::pci::BarSpace;

#[test]
fn exits_reach_the_memory_that_the_function_sees() {
    let memory = BarMemory::new(&Bar::new(0, BarSpace::Memory32, 0x2000).unwrap()).unwrap();
    let read = |offset, len: usize| {
        let mut data = vec![0x55; len];
        memory.read(offset, &mut data);
        data
    };
    assert_eq!(read(0, 8), [0; 8]);
    assert_eq!(memory.write(0x1ffc, &[1, 2, 3, 4]), Effect::None);
    assert_eq!(memory.as_volatile_slice().read_obj::<u32>(0x1ffc).unwrap(), 0x0403_0201);
    memory.as_volatile_slice().write_obj(7_u8, 0x1fff).unwrap();
    assert_eq!(read(0x1ffe, 2), [3, 7]);

    assert_eq!(memory.write(0x1ffe, &[9; 4]), Effect::None);
    for offset in [0x1ffe, 0x2000, u64::MAX] {
        assert_eq!(read(offset, 4), [0xff; 4], "{offset:#x}");
    }
    assert_eq!(memory.as_volatile_slice().len(), 0x2000);
}

#[test]
fn more_than_the_host_has_is_an_error() {
    assert!(BarMemory::new(&Bar::new(0, BarSpace::Memory64, 1 << 62).unwrap()).is_err());
}

#[test]
fn writes_by_exits_are_logged_if_that_is_asked_for() {
    let bar = Bar::new(0, BarSpace::Memory32, 0x4000).unwrap();
    let memory = BarMemory::with_dirty_log(&bar).unwrap();
    assert_eq!(memory.write(0x1fff, &[1, 2]), Effect::None);
    let dirty = memory.dirty().unwrap();
    assert_eq!([dirty.take(), dirty.take()], [[0b110], [0]]);
    assert_eq!(memory.write(u64::MAX, &[1, 2]), Effect::None);
    assert_eq!(dirty.take(), [0]);
    assert!(BarMemory::new(&bar).unwrap().dirty().is_none());
}
