//! A test machine with only vCPUs and memory, stopped at a kernel's 64-bit entry.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use arch::{
    boot::{Entry, Protocol},
    cpu::{profile::CpuProfile, spec::CpuSpec, topology::Topology},
    layout,
    memory::GuestRam,
};
use devices::{bus::Bus, pci::PciRoot, platform::DebugExit};
use kvm_bindings::kvm_lapic_state;
use vm_memory::{Bytes, GuestAddress};

use super::halted::Halted;
use crate::{buses::Buses, exit::Exit, host::Host, link::Event, vcpu::Vcpu, vm::Vm};

/// The size of its RAM, which begins at address 0.
pub(super) const RAM: u64 = 16 << 20;
/// The address of the first instruction.
pub(super) const CODE: u64 = 0x10_0000;

/// A port that ends the machine.
pub(super) const DEBUG_EXIT: u8 = 0xf4;

/// vCPUs and their memory.
pub(super) struct TestMachine {
    pub(super) vcpus: Vec<Vcpu>,
    vm: Vm,
    // Dropped last, as KVM maps it.
    pub(super) memory: GuestRam,
}

impl TestMachine {
    /// Makes a machine with `vcpus` vCPUs; none without KVM, which is printed.
    pub(super) fn new(vcpus: u32) -> Option<Self> {
        let host = match Host::open(Path::new("/dev/kvm")) {
            Ok(host) => host,
            Err(error) => {
                println!("skipped: {error}");
                return None;
            }
        };
        let memory = GuestRam::from_ranges(&[(GuestAddress(0), usize::try_from(RAM).unwrap())]).unwrap();
        let vm = Vm::new(&host, &memory, None, vcpus).unwrap();
        let topology = Topology::flat(vcpus).unwrap();
        let profile = CpuProfile::resolve(&host.cpu, &CpuSpec::default(), &topology).unwrap();
        let entry = Entry { protocol: Protocol::Linux64, rip: CODE };
        entry.write_tables(&memory).unwrap();
        let vcpus = (0..vcpus).map(|id| Vcpu::new(&vm, id, &profile, Some(&entry)).unwrap()).collect();
        Some(Self { vcpus, vm, memory })
    }

    /// The machine, for inspection.
    pub(super) fn halted(&self) -> Halted<'_> {
        Halted { vcpus: self.vcpus.iter().map(Vcpu::fd).collect(), memory: &self.memory, vm: &self.vm.fd }
    }

    /// Runs the first vCPU until it ends the machine, by writing to [`DEBUG_EXIT`].
    pub(super) fn run(&mut self) -> Option<Exit> {
        let pio = Bus::default();
        pio.insert(DEBUG_EXIT.into(), DebugExit::LEN, Arc::new(Mutex::new(DebugExit))).unwrap();
        let (vm, pci) = (&self.vm, Arc::new(PciRoot::new()));
        let buses = Buses::new(pio, Bus::default(), pci, vm.fd.clone(), vm.slots());
        match self.vcpus[0].run(&buses) {
            Some(Event::Exit(exit)) => Some(exit),
            _ => None,
        }
    }

    /// Writes machine code to the address at which the first vCPU starts.
    pub(super) fn write_code(&self, code: &[u8]) {
        self.memory.write_slice(code, GuestAddress(CODE)).unwrap();
    }

    /// Maps only the linear addresses from 4 to 6 MiB, to these pages.
    pub(super) fn map_pages(&self, pages: &[(u64, u64)]) {
        const TABLE: u64 = 0x30_0000;
        const PRESENT_WRITABLE: u64 = 0b11;
        let next = |table: u64| self.memory.read_obj::<u64>(GuestAddress(table)).unwrap() & !0xfff;
        let directory = next(next(layout::PML4));
        self.memory.write_obj(TABLE | PRESENT_WRITABLE, GuestAddress(directory + 2 * 8)).unwrap();
        for (linear, physical) in pages {
            let entry = TABLE + (linear - 0x40_0000) / 0x1000 * 8;
            self.memory.write_obj(physical | PRESENT_WRITABLE, GuestAddress(entry)).unwrap();
        }
    }
}

/// A page of a local APIC's registers, made from offsets and values.
pub(super) fn page(registers: &[(usize, u32)]) -> kvm_lapic_state {
    let mut page = kvm_lapic_state::default();
    for &(offset, value) in registers {
        for (place, byte) in value.to_le_bytes().into_iter().enumerate() {
            page.regs[offset + place] = byte.cast_signed();
        }
    }
    page
}
