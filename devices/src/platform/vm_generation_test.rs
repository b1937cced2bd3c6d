use vm_memory::GuestMemoryBackend;

use super::*;
use crate::{
    state::{
        SaveState,
        testing::{carry_over, damage},
    },
    testing::FakeLine,
};

const ID: GenerationId = *b"0123456789abcdef";
const NEXT: GenerationId = *b"fedcba9876543210";
const AT: u32 = 0x2000;
const LEN: usize = 0x4000;

struct Pc(VmGeneration, GuestRam, Arc<FakeLine>);

impl Pc {
    fn new() -> Self {
        let memory = GuestRam::from_ranges(&[(GuestAddress(0), LEN)]).unwrap();
        let line = Arc::new(FakeLine::default());
        Self(VmGeneration::new(ID, memory.clone(), line.clone()), memory, line)
    }

    fn tell(&mut self, address: u32) {
        assert_eq!(self.0.write(0, &address.to_le_bytes()), Effect::None);
    }

    fn told(&mut self) -> u32 {
        let mut data = [0; 4];
        self.0.read(0, &mut data);
        u32::from_le_bytes(data)
    }

    fn seen(&self) -> GenerationId {
        self.1.read_obj(GuestAddress(AT.into())).unwrap()
    }
}

#[test]
fn the_number_is_where_the_guest_wants_it() {
    let mut pc = Pc::new();
    assert_eq!((pc.told(), pc.seen()), (0, [0; 16]));
    pc.tell(AT);
    assert_eq!((pc.told(), pc.seen(), pc.2.take_edges()), (AT, ID, 0));
    pc.0.change(NEXT);
    assert_eq!((pc.seen(), pc.2.take_edges(), pc.2.high()), (NEXT, 1, false));
}

/// A guest without a driver gets no interrupt, as nothing would serve it.
#[test]
fn a_guest_that_has_not_asked_is_not_notified() {
    let mut pc = Pc::new();
    pc.0.change(NEXT);
    assert_eq!((pc.2.take_edges(), pc.seen()), (0, [0; 16]));
    pc.tell(AT);
    assert_eq!(pc.seen(), NEXT);
}

#[test]
fn addresses_outside_memory_do_no_harm() {
    let mut pc = Pc::new();
    for address in [0, u32::try_from(LEN).unwrap() - 15, u32::MAX] {
        pc.tell(address);
        pc.0.change(NEXT);
        assert_eq!(pc.2.take_edges(), 0, "{address:#x}");
    }
    // Other widths are not its register.
    let _ = pc.0.write(0, &[0, 0x20]);
    let _ = pc.0.write(1, &[0; 4]);
    assert_eq!(pc.told(), u32::MAX);
}

/// A machine that is moved keeps its identity.
#[test]
fn the_number_stays_with_the_state() {
    let (mut first, mut second) = (Pc::new(), Pc::new());
    first.tell(AT);
    first.0.change(NEXT);
    carry_over(&first.0, &mut second.0);
    assert_eq!((second.told(), second.2.take_edges()), (AT, 0));
    second.tell(AT);
    assert_eq!(second.seen(), NEXT);
    damage(
        &first.0.save_state().unwrap(),
        || Pc::new().0,
        |device| {
            device.change(ID);
            device.read(0, &mut [0; 4]);
        },
    );
    assert!(!format!("{:?}", first.0).contains("fedc"), "it is a seed");
    assert!(first.1.check_range(GuestAddress(0), LEN));
}
