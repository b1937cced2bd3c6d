//! A PCI function and buses to test with.

use std::{collections::BTreeMap, sync::Arc};

use arch::{layout, memory::GuestRam};
use devices::{
    bus::{Bus, Effect},
    pci::{
        Bar, BarMemory, ClassCode, ConfigSpace, ConfigState, Identity, PciFunction, PciRoot, SharedFunction,
    },
    state::{StateError, Stateful},
};
use vm_memory::GuestAddress;

use super::{Buses, IoEvents, mapped::MemorySlots, reserve};

/// The command register.
pub(crate) const COMMAND: u64 = 4;
/// The first BAR's register.
pub(crate) const BAR0: u64 = 0x10;

/// A function whose BARs are memory, or read as [`TestFunction::REGISTER`].
#[derive(Debug)]
pub(crate) struct TestFunction {
    pub(crate) config: ConfigSpace,
    /// The memory of BARs, by their indices.
    pub(crate) memory: BTreeMap<u8, Arc<BarMemory>>,
}

impl TestFunction {
    /// A byte of a register.
    pub(crate) const REGISTER: u8 = 0x77;

    /// A function with these BARs, which have memory or not.
    pub(crate) fn new(bars: &[Bar], has_memory: bool) -> Self {
        let mut config = config(1);
        bars.iter().for_each(|bar| config.add_bar(*bar).unwrap());
        let memory = bars.iter().filter(|_| has_memory);
        let memory = memory.map(|bar| (bar.index(), Arc::new(BarMemory::new(bar).unwrap()))).collect();
        Self { config, memory }
    }
}

impl Stateful for TestFunction {
    type State = ConfigState;

    fn save(&self) -> Result<ConfigState, StateError> {
        Ok(self.config.save())
    }

    fn load(&mut self, state: ConfigState) -> Result<(), StateError> {
        self.config.load(&state)
    }
}

impl PciFunction for TestFunction {
    fn config(&self) -> &ConfigSpace {
        &self.config
    }

    fn config_mut(&mut self) -> &mut ConfigSpace {
        &mut self.config
    }

    fn bar_memory(&self, bar: u8) -> Option<&Arc<BarMemory>> {
        self.memory.get(&bar)
    }

    fn bar_read(&mut self, _bar: u8, _offset: u64, data: &mut [u8]) {
        data.fill(Self::REGISTER);
    }
}

/// The configuration space of a function of no class, without BARs.
pub(crate) fn config(device_id: u16) -> ConfigSpace {
    ConfigSpace::new(Identity {
        name: "test",
        vendor_id: 0x1234,
        device_id,
        revision_id: 0,
        class: ClassCode { base: 0xff, sub: 0, interface: 0 },
        subsystem_vendor_id: 0,
        subsystem_id: 0,
    })
}

/// The buses of a machine with so much RAM and these functions, from 00:01.0 on.
pub(super) fn buses<K: IoEvents + MemorySlots + 'static>(
    ram: usize,
    functions: impl IntoIterator<Item = SharedFunction>,
    kvm: &Arc<K>,
) -> Buses {
    let (pio, mmio, pci) = (Bus::default(), Bus::default(), Arc::new(PciRoot::new()));
    reserve(&pio, &mmio, &GuestRam::from_ranges(&[(GuestAddress(0), ram)]).unwrap()).unwrap();
    for function in functions {
        pci.insert(pci.next_address().unwrap(), function).unwrap();
    }
    Buses::new(pio, mmio, pci, kvm.clone(), kvm.clone())
}

/// Writes to configuration space as a vCPU does.
pub(super) fn configure(buses: &Buses, device: u64, register: u64, value: u64) {
    let data = value.to_le_bytes();
    let len = if register == COMMAND { 2 } else { 4 };
    match buses.mmio.view().write(layout::ECAM + (device << 15) + register, &data[..len]) {
        Effect::None => {}
        Effect::Decode => buses.follow(),
        effect => panic!("{effect:?}"),
    }
}

/// Reads a byte by an exit.
pub(super) fn read(buses: &Buses, address: u64) -> u8 {
    let mut data = [0];
    buses.mmio.view().read(address, &mut data);
    data[0]
}
