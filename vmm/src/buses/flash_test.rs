use std::{io, ops::Range};

use devices::{
    bus::{BusDevice, Effect},
    chipset::Rom,
    pci::BarMemory,
    platform::flash::Store,
};

use super::*;

const ADDRESS: u64 = 0xffc0_0000;

/// A KVM that records its slot, and refuses on request.
#[derive(Debug, Default)]
struct FakeKvm(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    slot: Option<u32>,
    refuses: bool,
    calls: u32,
}

impl FakeKvm {
    fn call(&self, slot: Option<u32>) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.calls += 1;
        if state.refuses {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        assert_ne!(state.slot, slot);
        state.slot = slot;
        Ok(())
    }
}

impl MemorySlots for FakeKvm {
    fn create(&self, address: u64, _memory: &Arc<BarMemory>, _range: &Range<u64>) -> io::Result<u32> {
        panic!("{address:#x}");
    }

    fn create_read_only(&self, address: u64, chip: &Arc<Rom>) -> io::Result<u32> {
        assert_eq!((address, chip.size()), (ADDRESS, 0x1000));
        self.call(Some(7)).map(|()| 7)
    }

    fn delete(&self, slot: u32) -> io::Result<()> {
        assert_eq!(slot, 7);
        self.call(None)
    }
}

#[derive(Debug)]
struct Nowhere;

impl Store for Nowhere {
    fn save(&self, _contents: Vec<u8>) {}
}

fn slot() -> (FlashSlot, Arc<FakeKvm>, impl Fn(u8) -> Effect) {
    let chip = Arc::new(Rom::new(&[0x5a; 0x1000]).unwrap());
    let flash = Arc::new(Mutex::new(Flash::new(chip, Arc::new(Nowhere))));
    let kvm = Arc::new(FakeKvm::default());
    let slot = FlashSlot::new(ADDRESS, flash.clone(), kvm.clone());
    (slot, kvm, move |command| flash.lock().unwrap().write(0, &[command]))
}

#[test]
fn the_slot_is_there_while_the_chip_shows_its_contents() {
    let (mut slot, kvm, write) = slot();
    let there = || kvm.0.lock().unwrap().slot.is_some();
    slot.follow();
    assert!(there());
    for _ in 0..2 {
        for (command, effect, mapped) in [
            (0x50, Effect::None, true),
            (0x70, Effect::Decode, false),
            (0x10, Effect::None, false),
            (0xff, Effect::None, false),
            (0xff, Effect::Decode, true),
        ] {
            assert_eq!(write(command), effect);
            if effect == Effect::Decode {
                slot.follow();
            }
            assert_eq!(there(), mapped, "{command:#x}");
        }
    }
    assert_eq!(kvm.0.lock().unwrap().calls, 5);
}

#[test]
fn slots_that_kvm_refuses_are_tried_again() {
    let (mut slot, kvm, write) = slot();
    let refuse = |refuses| kvm.0.lock().unwrap().refuses = refuses;
    refuse(true);
    slot.follow();
    assert_eq!(slot.slot, None);
    refuse(false);
    slot.follow();
    assert_eq!(slot.slot, Some(7));
    assert_eq!(write(0x70), Effect::Decode);
    refuse(true);
    slot.follow();
    assert_eq!(slot.slot, Some(7), "it is still there");
    refuse(false);
    slot.follow();
    assert_eq!(slot.slot, None);
}
