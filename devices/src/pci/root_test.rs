use super::*;
use crate::{
    pci::{Bar, BarError, BarSpace, ClassCode, ConfigSpace, ConfigState},
    state::{StateError, Stateful},
};

#[derive(Debug)]
struct Function(ConfigSpace);

impl Stateful for Function {
    type State = ConfigState;

    fn save(&self) -> Result<ConfigState, StateError> {
        Ok(self.0.save())
    }

    fn load(&mut self, state: ConfigState) -> Result<(), StateError> {
        self.0.load(&state)
    }
}

impl PciFunction for Function {
    fn config(&self) -> &ConfigSpace {
        &self.0
    }

    fn config_mut(&mut self) -> &mut ConfigSpace {
        &mut self.0
    }
}

pub(in crate::pci) fn identity(device_id: u16) -> Identity {
    Identity {
        name: "test",
        vendor_id: 0x1af4,
        device_id,
        revision_id: 0,
        class: ClassCode { base: 0xff, sub: 0, interface: 0 },
        subsystem_vendor_id: 0,
        subsystem_id: 0,
    }
}

pub(in crate::pci) fn function(device_id: u16, bar: u64) -> SharedFunction {
    let mut config = ConfigSpace::new(identity(device_id));
    config.add_bar(Bar::new(0, BarSpace::Memory32, 0x1000).unwrap()).unwrap();
    config.place_bars(|_| Ok::<_, BarError>(bar)).unwrap();
    Arc::new(Mutex::new(Function(config)))
}

fn at(device: u8, function: u8) -> PciAddress {
    PciAddress::new(device, function).unwrap()
}

fn read(root: &PciRoot, address: PciAddress, register: u16) -> u32 {
    let mut data = [0; 4];
    root.read(address, register, &mut data);
    u32::from_le_bytes(data)
}

#[test]
fn addresses_are_given_out_until_none_is_left() {
    let root = PciRoot::new();
    let mut given = Vec::new();
    for id in 0..248 {
        let address = root.next_address().unwrap();
        root.insert(address, function(id, 0)).unwrap();
        given.push(address);
    }
    assert_eq!(given, PciAddress::in_order().collect::<Vec<_>>());
    assert_eq!(root.next_address(), Err(SlotError::Full));
    assert_eq!(SlotError::Full.to_string(), "pci bus 0 is full: it has room for 248 devices");
    for (id, address) in (0..).zip(given) {
        assert_eq!(read(&root, address, 0) >> 16, id, "{address}");
    }
}

#[test]
fn an_address_is_taken_once_and_needs_its_first_function() {
    let root = PciRoot::new();
    assert_eq!(root.insert(PciAddress::HOST_BRIDGE, function(1, 0)), Err(SlotError::Taken(at(0, 0))));
    root.insert(at(3, 0), function(1, 0)).unwrap();
    assert_eq!(root.insert(at(3, 0), function(1, 0)), Err(SlotError::Taken(at(3, 0))));
    let missing = root.insert(at(4, 2), function(1, 0)).unwrap_err();
    assert_eq!(missing.to_string(), "pci address 00:04.2 needs a function at 00:04.0");
}

#[test]
fn function_0_announces_others() {
    let root = PciRoot::new();
    let multi_function = |root: &PciRoot, address| read(root, address, 0xc) >> 16 & 0xff;
    root.insert(at(3, 0), function(0x30, 0)).unwrap();
    root.insert(at(4, 0), function(0x40, 0)).unwrap();
    assert_eq!(multi_function(&root, at(3, 0)), 0);
    root.insert(at(3, 5), function(0x35, 0)).unwrap();
    assert_eq!(multi_function(&root, at(3, 0)), 0x80);
    assert_eq!(multi_function(&root, at(4, 0)), 0);
    assert_eq!(read(&root, at(3, 5), 0), 0x0035_1af4);
    for absent in [at(3, 1), at(3, 7), at(4, 5), at(0, 5), at(9, 0)] {
        assert_eq!(read(&root, absent, 0), u32::MAX, "{absent}");
        assert_eq!(root.write(absent, 4, &[0; 2]), Effect::None);
    }
}

#[test]
fn functions_can_be_listed() {
    let root = PciRoot::new();
    root.insert(at(3, 0), function(0x1042, 0xc000_0000)).unwrap();
    let functions: Vec<_> = root.functions().collect();
    assert_eq!(functions[0].identity.to_string(), "host bridge [1b36:0008]");
    assert_eq!((functions[0].bars.len(), functions[0].interrupt_pin), (0, None));
    assert_eq!(functions[1].address, at(3, 0));
    let bar = Bar::new(0, BarSpace::Memory32, 0x1000).unwrap();
    assert_eq!(functions[1].bars, [Decoded { bar, base: 0xc000_0000 }]);
}
