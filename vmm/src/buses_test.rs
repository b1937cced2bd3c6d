use std::{
    ops::Range,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use devices::{
    chipset::Rom,
    pci::{Bar, BarError, BarMemory, ConfigSpace, ConfigState, Doorbell, PciFunction, SharedFunction},
    state::{StateError, Stateful},
};
use vmm_sys_util::eventfd::EFD_NONBLOCK;

use super::{
    testing::{BAR0, COMMAND},
    *,
};

const MEMORY_SIZE: usize = 8 << 20;

const BAR1: u64 = 0x14;
const BAR2: u64 = 0x18;

const MEMORY: u64 = 0xc000_0000;
const PORTS: u64 = 0xc000;
const WIDE: u64 = 0x20_0000_0000;
/// The offset of the doorbell in its BAR.
const DOORBELL: u64 = 0x800;
/// The offset of doorbells by value in their BAR.
const PORT_DOORBELL: u64 = 1;

/// Three BARs, each of which reads as its number and the function's tag; with a doorbell in the first, and optionally some in the second.
#[derive(Debug)]
struct Function {
    config: ConfigSpace,
    tag: u8,
    event: EventFd,
    /// For values from 0 on.
    by_value: Vec<EventFd>,
}

impl Stateful for Function {
    type State = ConfigState;

    fn save(&self) -> Result<ConfigState, StateError> {
        Ok(self.config.save())
    }

    fn load(&mut self, state: ConfigState) -> Result<(), StateError> {
        self.config.load(&state)
    }
}

impl PciFunction for Function {
    fn config(&self) -> &ConfigSpace {
        &self.config
    }

    fn config_mut(&mut self) -> &mut ConfigSpace {
        &mut self.config
    }

    fn bar_read(&mut self, bar: u8, _offset: u64, data: &mut [u8]) {
        data.fill(self.tag << 4 | bar);
    }

    fn doorbells(&self) -> Vec<Doorbell<'_>> {
        let any = Doorbell { bar: 0, offset: DOORBELL, value: None, event: &self.event };
        let by_value = (0..).zip(&self.by_value);
        let by_value = by_value.map(|(value, event)| Doorbell {
            bar: 1,
            offset: PORT_DOORBELL,
            value: Some(value),
            event,
        });
        [any].into_iter().chain(by_value).collect()
    }
}

/// Function `tag` with a 4 KiB memory BAR, a 16-byte I/O BAR and a 64-bit memory BAR of 4 GiB.
fn function(tag: u8) -> SharedFunction {
    function_with(tag, 0)
}

/// The same, with this many doorbells by value.
fn function_with(tag: u8, by_value: usize) -> SharedFunction {
    let event = || EventFd::new(EFD_NONBLOCK).unwrap();
    let mut config = testing::config(tag.into());
    let nth = u64::from(tag - 1);
    let mut addresses = [0; Bar::COUNT];
    for (index, space, size, address) in [
        (0, BarSpace::Memory32, 0x1000, MEMORY + nth * 0x1000),
        (1, BarSpace::Io, 0x10, PORTS + nth * 0x10),
        (2, BarSpace::Memory64, 1 << 32, WIDE + (nth << 32)),
    ] {
        config.add_bar(Bar::new(index, space, size).unwrap()).unwrap();
        addresses[usize::from(index)] = address;
    }
    config.place_bars(|bar| Ok::<_, BarError>(addresses[usize::from(bar.index())])).unwrap();
    let by_value = (0..by_value).map(|_| event()).collect();
    Arc::new(Mutex::new(Function { config, tag, event: event(), by_value }))
}

/// Records the doorbells, and how often one was added or removed. It accepts at most `most`.
#[derive(Debug)]
struct FakeKvm {
    registered: Mutex<Vec<Write>>,
    calls: AtomicUsize,
    most: usize,
}

impl IoEvents for FakeKvm {
    fn register(&self, write: Write, _event: &EventFd) -> io::Result<()> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let mut registered = lock(&self.registered);
        assert!(!registered.contains(&write), "{write:?}");
        if registered.len() == self.most {
            return Err(io::ErrorKind::StorageFull.into());
        }
        registered.push(write);
        Ok(())
    }

    fn unregister(&self, write: Write, _event: &EventFd) -> io::Result<()> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let mut registered = lock(&self.registered);
        let place = registered.iter().position(|other| *other == write).expect("registered");
        registered.remove(place);
        Ok(())
    }
}

/// No function here has memory.
impl MemorySlots for FakeKvm {
    fn create(&self, address: u64, _memory: &Arc<BarMemory>, _range: &Range<u64>) -> io::Result<u32> {
        panic!("{address:#x}");
    }

    fn create_read_only(&self, address: u64, _chip: &Arc<Rom>) -> io::Result<u32> {
        panic!("{address:#x}");
    }

    fn delete(&self, slot: u32) -> io::Result<()> {
        panic!("{slot}");
    }
}

/// A machine of 8 MiB with two such functions, at 00:01.0 and 00:02.0.
struct Machine {
    buses: Buses,
    kvm: Arc<FakeKvm>,
}

impl Machine {
    fn new() -> Self {
        Self::with_doorbells(usize::MAX)
    }

    fn with_doorbells(most: usize) -> Self {
        Self::with_functions([1, 2].map(function), most)
    }

    fn with_functions(functions: impl IntoIterator<Item = SharedFunction>, most: usize) -> Self {
        let kvm = Arc::new(FakeKvm { registered: Mutex::default(), calls: AtomicUsize::new(0), most });
        Self { buses: testing::buses(MEMORY_SIZE, functions, &kvm), kvm }
    }

    fn configure(&self, device: u64, register: u64, value: u32) {
        testing::configure(&self.buses, device, register, value.into());
    }

    fn memory(&self, address: u64) -> u8 {
        testing::read(&self.buses, address)
    }

    fn port(&self, port: u64) -> u8 {
        let mut data = [0];
        self.buses.pio.view().read(port, &mut data);
        data[0]
    }

    /// The addresses of the doorbells in memory.
    fn doorbells(&self) -> Vec<u64> {
        let registered = lock(&self.kvm.registered);
        let in_memory = registered.iter().filter_map(|write| match *write {
            Write { at: BusAddress::Memory(address), value: None } => Some(address),
            _ => None,
        });
        let mut addresses: Vec<_> = in_memory.collect();
        addresses.sort_unstable();
        addresses
    }

    /// The ports and values of the other doorbells.
    fn by_value(&self) -> Vec<(u64, u16)> {
        let registered = lock(&self.kvm.registered);
        let by_value = registered.iter().filter_map(|write| match *write {
            Write { at: BusAddress::Port(port), value: Some(value) } => Some((port, value)),
            _ => None,
        });
        let mut by_value: Vec<_> = by_value.collect();
        by_value.sort_unstable();
        by_value
    }

    fn take_calls(&self) -> usize {
        self.kvm.calls.swap(0, Ordering::SeqCst)
    }
}

#[test]
fn the_command_register_takes_bars_and_doorbells_off_and_puts_them_back() {
    let machine = Machine::new();
    let all = [MEMORY + DOORBELL, MEMORY + 0x1000 + DOORBELL];
    assert_eq!([machine.memory(MEMORY), machine.port(PORTS), machine.memory(WIDE)], [0x10, 0x11, 0x12]);
    assert_eq!(machine.memory(WIDE + (1 << 32)), 0x22, "the second function's");
    assert_eq!(machine.doorbells(), all);
    machine.configure(1, COMMAND, 1);
    assert_eq!([machine.memory(MEMORY), machine.port(PORTS), machine.memory(WIDE)], [0xff, 0x11, 0xff]);
    assert_eq!(machine.doorbells(), all[1..]);
    machine.configure(1, COMMAND, 2);
    assert_eq!([machine.memory(MEMORY), machine.port(PORTS), machine.memory(WIDE)], [0x10, 0xff, 0x12]);
    assert_eq!(machine.doorbells(), all);
    machine.take_calls();
    machine.configure(1, COMMAND, 3);
    assert_eq!(machine.port(PORTS + 0xf), 0x11);
    assert_eq!(machine.take_calls(), 0, "memory was not touched");
}

#[test]
fn bars_move_each_in_its_space() {
    let machine = Machine::new();
    machine.take_calls();
    machine.configure(1, BAR0, 0xd000_0000);
    machine.configure(1, BAR1, 0xd000);
    machine.configure(1, BAR2 + 4, 0x40);
    assert_eq!([machine.memory(MEMORY), machine.port(PORTS), machine.memory(WIDE)], [0xff; 3]);
    let moved = [machine.memory(0xd000_0fff), machine.port(0xd000), machine.memory(0x40_ffff_ffff)];
    assert_eq!(moved, [0x10, 0x11, 0x12]);
    assert_eq!(machine.doorbells(), [MEMORY + 0x1000 + DOORBELL, 0xd000_0000 + DOORBELL]);
    assert_eq!(machine.take_calls(), 2, "one went, one came");
    machine.configure(2, BAR1, 0x1_0000);
    assert_eq!(machine.port(PORTS + 0x10), 0xff, "no such port");
    machine.configure(2, BAR1, 0x60);
    assert_eq!(
        [machine.port(0x60), machine.port(0x61), machine.port(0x62)],
        [0x21, 0xff, 0x21],
        "61H is KVM's"
    );
}

#[test]
fn of_bars_at_one_address_the_first_functions_answers() {
    let machine = Machine::new();
    machine.configure(2, BAR0, u32::try_from(MEMORY).unwrap());
    assert_eq!((machine.memory(MEMORY), machine.memory(MEMORY + 0x1000)), (0x10, 0xff));
    assert_eq!(machine.doorbells(), [MEMORY + DOORBELL]);
    machine.configure(1, COMMAND, 0);
    assert_eq!(machine.memory(MEMORY), 0x20);
    assert_eq!(machine.doorbells(), [MEMORY + DOORBELL], "now the second's");
    machine.configure(1, COMMAND, 3);
    assert_eq!(machine.memory(MEMORY), 0x10);
    machine.configure(1, BAR0, 0xd000_0000);
    assert_eq!((machine.memory(MEMORY), machine.memory(0xd000_0000)), (0x20, 0x10));
    assert_eq!(machine.doorbells(), [MEMORY + DOORBELL, 0xd000_0000 + DOORBELL]);
}

#[test]
fn addresses_outside_pci_keep_their_devices() {
    let machine = Machine::new();
    let doorbell_of_second = MEMORY + 0x1000 + DOORBELL;
    for there in [
        0,
        0x10_0000,
        (8 << 20) - 0x1000,
        layout::IOAPIC,
        layout::LAPIC,
        layout::KVM_IDENTITY_MAP,
        layout::KVM_TSS + 0x2000,
    ] {
        machine.configure(1, BAR0, u32::try_from(there).unwrap());
        assert_eq!(machine.memory(there), 0xff, "{there:#x}");
        assert_eq!(machine.doorbells(), [doorbell_of_second], "{there:#x}");
    }
    machine.configure(1, BAR0, u32::try_from(layout::ECAM).unwrap());
    assert_eq!(machine.memory(layout::ECAM), 0x36, "the host bridge's vendor");
    assert_eq!(machine.doorbells(), [doorbell_of_second]);
    // Four gigabytes: around the devices below, in the parts that nothing else uses.
    machine.configure(1, BAR2 + 4, 0);
    for (address, expected) in [
        (0x10_0000, 0xff),
        (8 << 20, 0x12),
        (MEMORY + 0x1000, 0x12),
        (layout::ECAM, 0x36),
        (layout::ECAM + layout::ECAM_LEN, 0x12),
        (layout::LAPIC, 0xff),
        (0xffff_ffff, 0x12),
    ] {
        assert_eq!(machine.memory(address), expected, "{address:#x}");
    }
    assert!(machine.doorbells().is_empty(), "the second function comes after the first");
    machine.configure(1, BAR2 + 4, 0x20);
    assert_eq!((machine.memory(MEMORY + 0x1000), machine.memory(8 << 20)), (0x20, 0xff));
    assert_eq!(machine.doorbells(), [doorbell_of_second]);
    machine.configure(1, BAR0, u32::try_from(MEMORY).unwrap());
    assert_eq!((machine.memory(MEMORY), machine.doorbells().len()), (0x10, 2));
}

#[test]
fn doorbells_that_kvm_does_not_take_cost_an_exit() {
    let machine = Machine::with_doorbells(1);
    assert_eq!(machine.doorbells(), [MEMORY + DOORBELL]);
    assert_eq!(machine.memory(MEMORY + 0x1000 + DOORBELL), 0x20);
    machine.configure(1, COMMAND, 0);
    assert_eq!(machine.doorbells(), [MEMORY + 0x1000 + DOORBELL], "there is room again");
}

#[test]
fn doorbells_by_value_follow_their_ports() {
    let machine = Machine::with_functions([function_with(1, 2), function_with(2, 1)], usize::MAX);
    let [first, second] = [PORTS, PORTS + 0x10].map(|base| base + PORT_DOORBELL);
    assert_eq!(machine.by_value(), [(first, 0), (first, 1), (second, 0)]);
    machine.configure(1, COMMAND, 2);
    assert_eq!(machine.by_value(), [(second, 0)]);
    machine.configure(1, COMMAND, 3);
    machine.take_calls();
    machine.configure(1, BAR1, 0xd000);
    assert_eq!(machine.by_value(), [(second, 0), (0xd001, 0), (0xd001, 1)]);
    assert_eq!(machine.take_calls(), 4, "two went, two came");
    machine.configure(1, BAR1, 0x60);
    assert_eq!((machine.port(0x60), machine.by_value()), (0x11, vec![(second, 0)]), "61H is KVM's");
    machine.configure(1, BAR1, 0xd000);
    machine.configure(2, BAR1, 0xd000);
    assert_eq!(machine.by_value(), [(0xd001, 0), (0xd001, 1)], "the first function's");
    assert_eq!(machine.doorbells().len(), 2, "memory's stay");
}

#[test]
fn several_vcpus_end_with_what_decodes() {
    let machine = Machine::new();
    thread::scope(|scope| {
        for device in [1, 2] {
            let machine = &machine;
            scope.spawn(move || {
                for turn in 0..200 {
                    machine.configure(device, BAR0, 0xd000_0000 + turn % 7 * 0x1000);
                    machine.configure(device, COMMAND, turn & 3);
                }
                machine.configure(device, BAR0, 0xd100_0000 + u32::try_from(device).unwrap() * 0x1000);
                machine.configure(device, COMMAND, 3);
            });
        }
        scope.spawn(|| {
            let mut view = machine.buses.mmio.view();
            for turn in 0..2000 {
                let mut data = [0];
                view.read(0xd000_0000 + turn % 7 * 0x1000, &mut data);
                assert!([0x10, 0x20, 0xff].contains(&data[0]), "{data:x?}");
            }
        });
    });
    assert_eq!([machine.memory(0xd100_1000), machine.memory(0xd100_2000)], [0x10, 0x20]);
    assert_eq!(machine.doorbells(), [0xd100_1000 + DOORBELL, 0xd100_2000 + DOORBELL]);
    for address in (0xd000_0000..0xd000_7000).step_by(0x1000) {
        assert_eq!(machine.memory(address), 0xff);
    }
}
