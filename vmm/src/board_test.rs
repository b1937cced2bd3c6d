use std::path::Path;

use ::devices::{
    bus::Effect,
    pci::{Bar, BarMemory, DirtyLog},
};
use arch::memory::GuestRam;
use kvm_bindings::{KVM_MAX_CPUID_ENTRIES, kvm_segment};
use kvm_ioctls::{VcpuExit, VcpuFd};
use vm_memory::{Bytes, GuestAddress};

use super::*;
use crate::{
    buses::testing::{BAR0, COMMAND, TestFunction},
    host::Host as KvmHost,
};

const LEN: u64 = layout::HUGE_PAGE;
const RAM: usize = 4 << 20;
const WINDOW: Range<u64> = 64 << 30..128 << 30;
/// The address to which the first BAR is moved.
const MOVED: u64 = 0xd000_0000;

// The guest's page tables and code.
const PML4: u64 = 0x1000;
const PDPT: u64 = 0x2000;
const DIRECTORY: u64 = 0x3000;
const STORE: u64 = 0x4000;
const LOAD: u64 = 0x4100;

/// The guest-physical address for each 2 MiB of the guest's addresses.
const MAP: [u64; 5] = [0, layout::PCI_MMIO, MOVED, layout::ECAM, WINDOW.start];

/// A function with memory in two BARs: writes to the first are logged, and the second is in the window above RAM.
fn memories() -> TestFunction {
    let low = Bar::new(0, BarSpace::Memory32, LEN).unwrap();
    let high = Bar::new(2, BarSpace::Memory64, LEN).unwrap().prefetchable();
    let mut function = TestFunction::new(&[low, high], true);
    function.memory.insert(0, Arc::new(BarMemory::with_dirty_log(&low).unwrap()));
    function
}

/// A vCPU in long mode, and the machine with that function.
struct Guest {
    vcpu: VcpuFd,
    devices: Devices,
    memory: [Arc<BarMemory>; 2],
    log: Arc<dyn DirtyLog>,
    _ram: GuestRam,
}

impl Guest {
    /// None if there is no KVM.
    fn new() -> Option<Self> {
        let host = match KvmHost::open(Path::new("/dev/kvm")) {
            Ok(host) => host,
            Err(error) => {
                println!("skipped: {error}");
                return None;
            }
        };
        let width = host.cpu.physical_address_width();
        if layout::pci_mmio64(RAM as u64, width) != Some(WINDOW) {
            println!("skipped: {width} bits of a physical address do not reach the window above RAM");
            return None;
        }
        let ram = GuestRam::from_ranges(&[(GuestAddress(0), RAM)]).unwrap();
        let put = |at, value: u64| ram.write_obj(value, GuestAddress(at)).unwrap();
        put(PML4, PDPT | 3);
        put(PDPT, DIRECTORY | 3);
        (0..).zip(MAP).for_each(|(entry, at)| put(DIRECTORY + 8 * entry, at | 0x83));
        // mov [rbx], eax; out 0x80, al. mov eax, [rbx]; out 0x80, al.
        ram.write_slice(&[0x89, 0x03, 0xe6, 0x80], GuestAddress(STORE)).unwrap();
        ram.write_slice(&[0x8b, 0x03, 0xe6, 0x80], GuestAddress(LOAD)).unwrap();

        let mut board =
            Board::new(Vm::new(&host, &ram, None, 0).unwrap(), Chipset::Fixed, Some(WINDOW)).unwrap();
        let (address, function) = board.pci(|_, _| Ok(memories())).unwrap();
        assert_eq!(address.to_string(), "00:01.0");
        let memory = [0, 2].map(|bar| Arc::clone(&function.lock().unwrap().memory[&bar]));
        let (vm, devices) = board.close().unwrap();

        let vcpu = vm.fd.create_vcpu(0).unwrap();
        vcpu.set_cpuid2(&host.kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES).unwrap()).unwrap();
        let mut sregs = vcpu.get_sregs().unwrap();
        let segment = kvm_segment { limit: u32::MAX, present: 1, s: 1, g: 1, ..Default::default() };
        sregs.cs = kvm_segment { selector: 8, type_: 11, l: 1, ..segment };
        for data in [&mut sregs.ds, &mut sregs.es, &mut sregs.ss, &mut sregs.fs, &mut sregs.gs] {
            *data = kvm_segment { selector: 16, type_: 3, db: 1, ..segment };
        }
        (sregs.cr0, sregs.cr3, sregs.cr4, sregs.efer) = (0x8000_0011, PML4, 0x20, 0x500);
        vcpu.set_sregs(&sregs).unwrap();
        Some(Self { vcpu, devices, memory, log: vm.dirty_log(), _ram: ram })
    }

    /// Runs the code at `rip` to its end. Returns EAX, and the number of MMIO exits.
    fn run(&mut self, rip: u64, eax: u32, page: u64, offset: u64) -> (u32, u32) {
        let mut regs = self.vcpu.get_regs().unwrap();
        (regs.rip, regs.rax, regs.rbx, regs.rflags) = (rip, eax.into(), page * LEN + offset, 2);
        self.vcpu.set_regs(&regs).unwrap();
        let buses = Arc::clone(self.devices.buses());
        let mut exits = 0;
        loop {
            match self.vcpu.run().unwrap() {
                VcpuExit::MmioRead(at, data) => buses.mmio.view().read(at, data),
                VcpuExit::MmioWrite(at, data) => match buses.mmio.view().write(at, data) {
                    Effect::None => {}
                    Effect::Decode => buses.follow(),
                    effect => panic!("{effect:?}"),
                },
                VcpuExit::IoOut(0x80, _) => break,
                exit => panic!("{exit:?}"),
            }
            exits += 1;
        }
        (u32::try_from(self.vcpu.get_regs().unwrap().rax & 0xffff_ffff).unwrap(), exits)
    }

    fn load(&mut self, page: u64, offset: u64) -> (u32, u32) {
        self.run(LOAD, 0, page, offset)
    }

    /// Writes to memory without an exit.
    fn store(&mut self, page: u64, offset: u64, value: u32) {
        assert_eq!(self.run(STORE, value, page, offset).1, 0, "exits");
    }

    /// Writes to a register of the function's configuration space.
    fn configure(&mut self, register: u64, value: u64) {
        let value = u32::try_from(value).unwrap();
        assert_eq!(self.run(STORE, value, 3, (1 << 15) + register).1, 1, "exits");
    }
}

#[test]
fn a_guest_reaches_the_memory_of_a_bar_without_exits_wherever_the_bar_is() {
    const BAR2_UPPER: u64 = 0x1c;
    const NOTHING: (u32, u32) = (u32::MAX, 1);
    let Some(mut guest) = Guest::new() else { return };
    let [low, high] = guest.memory.clone();
    let [low, high] = [low.as_volatile_slice(), high.as_volatile_slice()];

    guest.store(1, 0x12_3450, 0xdead_beef);
    assert_eq!(low.read_obj::<u32>(0x12_3450).unwrap(), 0xdead_beef);
    low.write_obj(0x600d_cafe_u32, 0x1f_fffc).unwrap();
    assert_eq!(guest.load(1, 0x1f_fffc), (0x600d_cafe, 0));
    guest.store(4, 0, 64);
    assert_eq!(high.read_obj::<u32>(0).unwrap(), 64, "above RAM");

    guest.configure(BAR0, MOVED);
    assert_eq!(guest.load(2, 0x12_3450), (0xdead_beef, 0));
    assert_eq!(guest.load(1, 0x12_3450), NOTHING);
    assert_eq!(guest.load(4, 0), (64, 0));

    guest.configure(COMMAND, 0);
    assert_eq!([guest.load(2, 0x12_3450), guest.load(4, 0)], [NOTHING; 2]);
    guest.configure(COMMAND, 2);
    assert_eq!([guest.load(2, 0x12_3450), guest.load(4, 0)], [(0xdead_beef, 0), (64, 0)]);

    // Back and forth: no slot is lost or left over.
    for turn in 0..50 {
        guest.configure(BAR0, layout::PCI_MMIO);
        guest.store(1, 0, turn);
        guest.configure(BAR0, MOVED);
        assert_eq!([guest.load(1, 0), guest.load(2, 0)], [NOTHING, (turn, 0)]);
    }
    // Beyond the processor's addresses, where KVM maps nothing.
    guest.configure(BAR2_UPPER, 0xffff_ffff);
    assert_eq!(guest.load(4, 0), NOTHING);
    guest.configure(BAR2_UPPER, WINDOW.start >> 32);
    assert_eq!(guest.load(4, 0), (64, 0));
}

#[test]
fn writes_to_logged_memory_are_recorded_by_page() {
    let Some(mut guest) = Guest::new() else { return };
    let dirty = |guest: &Guest| {
        guest.log.collect(&guest.memory[0]);
        let words = guest.memory[0].dirty().unwrap().take();
        (0..words.len() * 64).filter(|page| words[page / 64] >> (page % 64) & 1 != 0).collect::<Vec<_>>()
    };
    assert_eq!(dirty(&guest), [0_usize; 0]);
    guest.store(1, 0x12_3450, 1);
    guest.store(1, 0x1f_fffc, 1);
    assert_eq!(dirty(&guest), [0x123, 0x1ff]);
    assert_eq!(dirty(&guest), [0_usize; 0]);
    // A page that was dirty before is logged again.
    guest.store(1, 0x12_3000, 2);
    assert_eq!(dirty(&guest), [0x123]);
    // The log of a slot that is gone reports every page.
    guest.store(1, 0, 3);
    guest.configure(BAR0, MOVED);
    assert_eq!(dirty(&guest).len(), 0x200);
    assert_eq!(dirty(&guest), [0_usize; 0]);
    guest.store(2, 0x5000, 4);
    assert_eq!(dirty(&guest), [5]);
}
