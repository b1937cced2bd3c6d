use super::*;
use crate::pci::ClassCode;

#[derive(Debug)]
struct Function(ConfigSpace);

impl PciFunction for Function {
    fn config(&self) -> &ConfigSpace {
        &self.0
    }

    fn config_mut(&mut self) -> &mut ConfigSpace {
        &mut self.0
    }
}

pub(in crate::pci) fn function(device_id: u16, bar: u32) -> SharedFunction {
    let mut config = ConfigSpace::new(Identity {
        name: "test",
        vendor_id: 0x1af4,
        device_id,
        revision_id: 0,
        class: ClassCode { base: 0xff, sub: 0, interface: 0 },
        subsystem_vendor_id: 0,
        subsystem_id: 0,
    });
    config.set_bar(Bar::new(bar, 0x1000).unwrap());
    Arc::new(Mutex::new(Function(config)))
}

#[test]
fn slots_are_few_and_taken_once() {
    let root = PciRoot::new();
    assert_eq!(root.insert(0, function(1, 0)), Err(SlotError::Taken(0)));
    assert_eq!(root.insert(32, function(1, 0)), Err(SlotError::NoSuchSlot(32)));
    for slot in 1..32 {
        root.insert(slot, function(u16::from(slot), 0)).unwrap();
    }
    assert_eq!(root.insert(31, function(1, 0)), Err(SlotError::Taken(31)));
    assert_eq!(SlotError::NoSuchSlot(32).to_string(), "pci bus 0 has no slot 32: its slots are 1 to 31");
    let slots: Vec<_> = root.functions().map(|info| info.slot).collect();
    assert_eq!(slots, (0..32).collect::<Vec<_>>());
}

#[test]
fn what_is_there_can_be_listed() {
    let root = PciRoot::new();
    root.insert(3, function(0x1042, 0xc000_0000)).unwrap();
    let functions: Vec<_> = root.functions().collect();
    assert_eq!(functions[0].identity.to_string(), "host bridge [1b36:0008]");
    assert_eq!(functions[0].bar, None);
    assert_eq!(functions[1].slot, 3);
    assert_eq!(functions[1].bar, Bar::new(0xc000_0000, 0x1000));
}

#[test]
fn the_function_that_was_moved_is_told() {
    let root = PciRoot::new();
    root.insert(1, function(1, 0x1000)).unwrap();
    root.insert(2, function(2, 0x2000)).unwrap();
    let Effect::Remap(remap) = root.write(2, 0, 0x10, &0x5000_u32.to_le_bytes()) else {
        panic!("decode is on");
    };
    root.moved(remap);
    let bars: Vec<_> = root.functions().filter_map(|info| info.bar).map(|bar| bar.mapped()).collect();
    assert_eq!(bars, [0x1000, 0x5000]);
}
