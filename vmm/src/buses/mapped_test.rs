use std::sync::{Mutex, PoisonError};

use arch::layout;
use devices::{
    bus::Effect,
    pci::{Bar, BarError, BarSpace, SharedFunction},
};
use vm_memory::Bytes;
use vmm_sys_util::eventfd::EventFd;

use super::*;
use crate::buses::{
    Buses, IoEvents, Write,
    testing::{self, BAR0, COMMAND, TestFunction},
};

const RAM: usize = 8 << 20;

const BAR2: u64 = 0x18;
const BAR4: u64 = 0x20;

/// The first function has registers in BAR 0 and, of less than a page, in BAR 2.
const REGISTERS: u64 = 0xc100_0000;
const FEW_REGISTERS: u64 = 0xc200_0000;
/// The second function has memory in BAR 0, in BAR 2, which is wide, and, of less than a page, in BAR 4.
const MEMORY: u64 = 0xc000_0000;
const MEMORY_LEN: u64 = 0x1_0000;
const WIDE: u64 = 0x10_0000_0000;
const WIDE_LEN: u64 = 16 << 20;
const LITTLE: u64 = 0xc300_0000;

/// A function with these BARs at their addresses, each with or without memory.
fn function(bars: &[(Bar, u64)], has_memory: bool) -> TestFunction {
    let mut function = TestFunction::new(&bars.iter().map(|(bar, _)| *bar).collect::<Vec<_>>(), has_memory);
    let address = |bar| bars.iter().find(|(other, _)| *other == bar).unwrap().1;
    function.config.place_bars(|bar| Ok::<_, BarError>(address(bar))).unwrap();
    function
}

/// A KVM that has room for `most` slots, and records its requests.
#[derive(Debug)]
struct FakeKvm {
    most: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    slots: BTreeMap<u32, (u64, Range<u64>)>,
    calls: Vec<&'static str>,
}

impl MemorySlots for FakeKvm {
    fn create(&self, address: u64, memory: &Arc<BarMemory>, range: &Range<u64>) -> io::Result<u32> {
        let mut state = self.state.lock().unwrap();
        state.calls.push("create");
        let len = range.end - range.start;
        for number in [address, range.start, range.end] {
            assert!(number.is_multiple_of(PAGE), "{address:#x} {range:x?}");
        }
        assert!(len > 0 && range.end <= memory.as_volatile_slice().len() as u64, "{range:x?}");
        for (other, theirs) in state.slots.values() {
            let apart = address + len <= *other || other + (theirs.end - theirs.start) <= address;
            assert!(apart, "{address:#x} {range:x?} overlaps {other:#x} {theirs:x?}");
        }
        if state.slots.len() == self.most {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let number = (5..).find(|number| !state.slots.contains_key(number)).unwrap();
        state.slots.insert(number, (address, range.clone()));
        Ok(number)
    }

    fn create_read_only(&self, address: u64, _chip: &Arc<Rom>) -> io::Result<u32> {
        panic!("{address:#x}");
    }

    fn delete(&self, slot: u32) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        state.calls.push("delete");
        state.slots.remove(&slot).map(|_| ()).ok_or(io::ErrorKind::NotFound.into())
    }
}

impl IoEvents for FakeKvm {
    fn register(&self, write: Write, _event: &EventFd) -> io::Result<()> {
        panic!("{write:?}");
    }

    fn unregister(&self, write: Write, _event: &EventFd) -> io::Result<()> {
        panic!("{write:?}");
    }
}

/// A machine of 8 MiB with both functions, at 00:01.0 and 00:02.0.
struct Machine {
    buses: Buses,
    kvm: Arc<FakeKvm>,
    memory: BTreeMap<u8, Arc<BarMemory>>,
}

impl Machine {
    fn new(most: usize) -> Self {
        let bar = |index, space, size| Bar::new(index, space, size).unwrap();
        let few = bar(2, BarSpace::Memory32, 0x100);
        let first = function(&[(bar(0, BarSpace::Memory32, 0x1000), REGISTERS), (few, FEW_REGISTERS)], false);
        let wide = bar(2, BarSpace::Memory64, WIDE_LEN).prefetchable();
        let little = bar(4, BarSpace::Memory32, 0x100);
        let second = function(
            &[(bar(0, BarSpace::Memory32, MEMORY_LEN), MEMORY), (wide, WIDE), (little, LITTLE)],
            true,
        );
        let memory = second.memory.clone();
        let kvm = Arc::new(FakeKvm { most, state: Mutex::default() });
        let functions = [first, second].map(|function| Arc::new(Mutex::new(function)) as SharedFunction);
        let machine = Self { buses: testing::buses(RAM, functions, &kvm), kvm, memory };
        machine.calls();
        machine
    }

    fn configure(&self, device: u64, register: u64, value: u64) {
        testing::configure(&self.buses, device, register, value);
    }

    fn read(&self, address: u64) -> u8 {
        testing::read(&self.buses, address)
    }

    /// The slots: their addresses, and offsets in the BAR.
    fn slots(&self) -> Vec<(u64, Range<u64>)> {
        let state = self.kvm.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut slots: Vec<_> = state.slots.values().cloned().collect();
        slots.sort_by_key(|(at, _)| *at);
        slots
    }

    /// The requests to KVM since the last call.
    fn calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.kvm.state.lock().unwrap().calls)
    }

    fn fill(&self, bar: u8, offset: usize, value: u8) {
        self.memory[&bar].as_volatile_slice().write_obj(value, offset).unwrap();
    }
}

#[test]
fn memory_is_mapped_where_it_decodes_and_can_be_read_by_exits_as_well() {
    let machine = Machine::new(usize::MAX);
    assert_eq!(
        machine.slots(),
        [(MEMORY, 0..MEMORY_LEN), (WIDE, 0..WIDE_LEN)],
        "not what is less than a page"
    );
    machine.fill(0, 0x1234, 1);
    machine.fill(2, 0xff_ffff, 2);
    machine.fill(4, 0x80, 3);
    let there = [MEMORY + 0x1234, WIDE + 0xff_ffff, LITTLE + 0x80];
    assert_eq!(there.map(|at| machine.read(at)), [1, 2, 3]);
    assert_eq!(machine.read(LITTLE + 0x100), 0xff);
    assert_eq!(machine.buses.mmio.view().write(LITTLE + 0x80, &[4]), Effect::None);
    assert_eq!(machine.memory[&4].as_volatile_slice().read_obj::<u8>(0x80).unwrap(), 4);
}

#[test]
fn memory_moves_and_goes_with_the_command_register() {
    let machine = Machine::new(usize::MAX);
    machine.fill(0, 0, 1);
    machine.configure(2, BAR0, 0xd000_0000);
    assert_eq!(machine.slots(), [(0xd000_0000, 0..MEMORY_LEN), (WIDE, 0..WIDE_LEN)]);
    assert_eq!(machine.calls(), ["delete", "create"], "the wide one stays");
    assert_eq!([machine.read(MEMORY), machine.read(0xd000_0000)], [0xff, 1]);

    machine.configure(2, BAR2 + 4, 0x20);
    assert_eq!(machine.slots()[1], (0x20_0000_0000, 0..WIDE_LEN), "the upper half");
    machine.calls();
    machine.configure(2, COMMAND, 0);
    assert_eq!((machine.slots(), machine.calls()), (vec![], vec!["delete"; 2]));
    assert_eq!(machine.read(0xd000_0000), 0xff);
    machine.configure(2, COMMAND, 2);
    assert_eq!(machine.slots(), [(0xd000_0000, 0..MEMORY_LEN), (0x20_0000_0000, 0..WIDE_LEN)]);
    assert_eq!(machine.read(0xd000_0000), 1);

    machine.calls();
    machine.configure(1, BAR0, REGISTERS + 0x1000);
    assert_eq!(machine.calls(), [""; 0], "that was another function's");
}

#[test]
fn pages_over_other_memory_are_left_out() {
    let machine = Machine::new(usize::MAX);
    machine.fill(0, 0x4800, 1);
    machine.fill(0, 0x5000, 2);
    machine.configure(1, BAR0, MEMORY + 0x4000);
    let split = [(MEMORY, 0..0x4000), (MEMORY + 0x5000, 0x5000..MEMORY_LEN)];
    assert_eq!(machine.slots()[..2], split);
    assert_eq!([MEMORY + 0x4800, MEMORY + 0x5000].map(|at| machine.read(at)), [0x77, 2]);
    assert_eq!(machine.calls(), ["delete", "create", "create"]);

    // Registers of less than a page: the page around them is accessible by exits.
    machine.configure(1, BAR0, REGISTERS);
    assert_eq!(machine.slots()[0], (MEMORY, 0..MEMORY_LEN));
    machine.configure(1, BAR2, MEMORY + 0x4700);
    assert_eq!(machine.slots()[..2], split);
    let around = [MEMORY + 0x46ff, MEMORY + 0x4700, MEMORY + 0x47ff, MEMORY + 0x4800];
    assert_eq!(around.map(|at| machine.read(at)), [0, 0x77, 0x77, 1]);

    // The first BAR of a function hides its others, and memory hides memory.
    machine.configure(2, BAR2 + 4, 0);
    machine.configure(2, BAR2, MEMORY);
    let behind = (MEMORY + MEMORY_LEN, MEMORY_LEN..WIDE_LEN);
    assert_eq!(machine.slots(), [split.to_vec(), vec![behind]].concat());
}

#[test]
fn memory_is_not_mapped_over_what_is_not_pcis() {
    let machine = Machine::new(usize::MAX);
    machine.configure(2, BAR2 + 4, 0);
    machine.configure(2, BAR2, 0);
    let (ram, end) = (RAM as u64, WIDE_LEN);
    assert_eq!(machine.slots(), [(ram, ram..end), (MEMORY, 0..MEMORY_LEN)]);
    for there in [0, layout::ECAM] {
        machine.configure(2, BAR0, there);
        assert_eq!(machine.slots(), [(ram, ram..end)], "{there:#x}");
    }
    machine.configure(2, BAR0, layout::KVM_IDENTITY_MAP & !(MEMORY_LEN - 1));
    let free = layout::KVM_IDENTITY_MAP & (MEMORY_LEN - 1);
    let at = layout::KVM_IDENTITY_MAP - free;
    assert_eq!(machine.slots()[1], (at, 0..free), "up to KVM's own pages");
    // The top of the address space, where a driver puts a BAR that learns its size while it decodes.
    machine.configure(2, BAR2, 0xffff_ffff);
    machine.configure(2, BAR2 + 4, 0xffff_ffff);
    assert_eq!(machine.read(u64::MAX - 1), 0);
}

#[test]
fn memory_that_kvm_does_not_map_costs_exits() {
    let machine = Machine::new(1);
    machine.fill(2, 0, 7);
    assert_eq!((machine.slots().len(), machine.read(WIDE)), (1, 7));
    machine.configure(2, BAR0, 0xd000_0000);
    assert_eq!(machine.slots(), [(0xd000_0000, 0..MEMORY_LEN)]);
    // There is room again.
    machine.configure(2, BAR0, 0);
    assert_eq!(machine.slots(), [(WIDE, 0..WIDE_LEN)]);
    // Less than a page is not mapped.
    machine.calls();
    machine.configure(2, BAR4, 0xd000_0000);
    assert_eq!(machine.calls(), [""; 0]);
}
