use std::{collections::BTreeMap, path::Path};

use arch::cpu::{profile::CpuProfile, spec::CpuSpec, topology::Topology};
use kvm_bindings::{
    KVM_MAX_CPUID_ENTRIES, KVM_MP_STATE_HALTED, KVM_VCPUEVENT_VALID_NMI_PENDING, KVM_VCPUEVENT_VALID_PAYLOAD,
    KVM_VCPUEVENT_VALID_SHADOW, KVM_X86_SHADOW_INT_STI, Msrs, kvm_mp_state, kvm_msr_entry, kvm_xcrs,
};
use kvm_ioctls::Cap;
use zerocopy::IntoBytes;

use super::*;
use crate::{host::Host, vcpu::Vcpu, vm::Vm, xsave};

const VCPUS: u32 = 2;
const RAM: usize = 16 << 20;

/// MSRs that a guest may set to any value of this form.
const MSRS: [(u32, u64); 9] = [
    (0x174, 0x1230),
    (0x175, 0xffff_8000_0000_1000),
    (0x277, 0x0007_0406_0007_0406),
    (0x2ff, 0xc06),
    (0x200, 0x1_0000_0006),
    (0xc000_0081, 0x0023_0010_0000_0000),
    (0xc000_0082, 0xffff_ffff_8100_0000),
    (0xc000_0102, 0xffff_8880_0001_0000),
    // The wall clock, which KVM writes to memory each time that this is set.
    (0x4b56_4d00, 0x50_0000),
];

struct Machine {
    host: Host,
    vcpus: Vec<Vcpu>,
    vm: Vm,
    capabilities: BTreeMap<u32, u64>,
    // Dropped last: KVM maps it.
    memory: GuestRam,
}

impl Machine {
    fn new() -> Option<Self> {
        let host = match Host::open(Path::new("/dev/kvm")) {
            Ok(host) => host,
            Err(error) => {
                println!("skipped: {error}");
                return None;
            }
        };
        let memory = GuestRam::from_ranges(&[(GuestAddress(0), RAM)]).unwrap();
        let vm = Vm::new(&host, &memory, None, VCPUS).unwrap();
        let topology = Topology::flat(VCPUS).unwrap();
        let cpu = CpuProfile::resolve(&host.cpu, &CpuSpec::default(), &topology).unwrap();
        let vcpus = (0..VCPUS).map(|id| Vcpu::new(&vm, id, &cpu, None).unwrap()).collect();
        Some(Self { capabilities: cpu.capability_msrs().clone(), host, vcpus, vm, memory })
    }

    fn read(&self) -> KvmState {
        let listed = self.host.listed_msrs().unwrap();
        let around = Around { vm: &self.vm.fd, listed: &listed, capabilities: &self.capabilities };
        KvmState::read(around, self.vcpus.iter().map(Vcpu::fd)).unwrap()
    }

    fn give(&self, state: &KvmState) -> Result<(), StateError> {
        let listed = self.host.listed_msrs().unwrap();
        let around = Around { vm: &self.vm.fd, listed: &listed, capabilities: &self.capabilities };
        state.give(around, self.vcpus.iter().map(Vcpu::fd), &self.memory)
    }

    /// Sets both vCPUs, the controllers and the PIT to values that differ from a fresh machine's.
    fn disturb(&self) {
        for (number, vcpu) in self.vcpus.iter().enumerate() {
            let fd = vcpu.fd();
            let mut regs = fd.get_regs().unwrap();
            (regs.rax, regs.r15, regs.rip) = (0x0123_4567_89ab_cdef, number as u64, 0x1234);
            fd.set_regs(&regs).unwrap();
            let mut sregs = fd.get_sregs().unwrap();
            (sregs.cr2, sregs.cr8, sregs.fs.base) = (0xdead_0000, 5, 0x1_0000_0000);
            fd.set_sregs(&sregs).unwrap();
            let mut debug = fd.get_debug_regs().unwrap();
            debug.db = [0x1000, 0xffff_0000, 0x7fff_ffff_f000, 0xffff_8000_0000_0000];
            (debug.dr6, debug.dr7) = (debug.dr6 | 0x4005, 0xd_0455);
            fd.set_debug_regs(&debug).unwrap();
            let mut lapic = fd.get_lapic().unwrap();
            // The spurious-interrupt vector, the task priority, and a vector in the request register.
            (lapic.regs[0xf0], lapic.regs[0xf1], lapic.regs[0x80], lapic.regs[0x220]) = (-1, 1, 0x50, 0x10);
            fd.set_lapic(&lapic).unwrap();
            self.fill_xsave(fd);
            let entries = MSRS.map(|(index, data)| kvm_msr_entry { index, data, ..Default::default() });
            let set = fd.set_msrs(&Msrs::from_entries(&entries).unwrap()).unwrap();
            assert_eq!(set, MSRS.len(), "MSR {:x?}", MSRS.get(set));
            self.have_events(number, fd);
        }
        let mut pit = self.vm.fd.get_pit2().unwrap();
        // In a mode that needs a trigger, so that no tick occurs meanwhile.
        (pit.channels[0].count, pit.channels[0].mode) = (0x4321, 5);
        self.vm.fd.set_pit2(&pit).unwrap();
        let mut chip = kvm_irqchip { chip_id: KVM_IRQCHIP_PIC_SLAVE, ..Default::default() };
        self.vm.fd.get_irqchip(&mut chip).unwrap();
        // The mask, after two numbers and two bytes.
        chip.as_mut_bytes()[10] = 0x5a;
        self.vm.fd.set_irqchip(&chip).unwrap();
    }
}

/// The CPUID leaf with the features of XCR0, and in each subleaf the size and the offset of a component.
const XSAVE_LEAF: u32 = 0xd;
/// XCR0's first two bits, whose components have no offset of their own, and the first field of XSAVE's header.
const LEGACY_COMPONENTS: u64 = 0b11;
const XSTATE_BV: usize = 512;

impl Machine {
    /// Enables everything that the vCPU's XCR0 can have, and fills a part of each component.
    fn fill_xsave(&self, fd: &VcpuFd) {
        let cpuid = fd.get_cpuid2(KVM_MAX_CPUID_ENTRIES).unwrap();
        let leaf = |index| {
            cpuid.as_slice().iter().find(|leaf| (leaf.function, leaf.index) == (XSAVE_LEAF, index)).copied()
        };
        let mut bytes = xsave::State::of(&self.vm.fd, fd).unwrap().to_bytes();
        // XMM0 and ST0.
        bytes[160..176].copy_from_slice(&[0x5a; 16]);
        bytes[32..40].copy_from_slice(&[0x81; 8]);
        let mut in_use = LEGACY_COMPONENTS;
        if let (Some(first), true) = (leaf(0), self.vm.fd.check_extension(Cap::Xcrs)) {
            let xcr0 = u64::from(first.edx) << 32 | u64::from(first.eax) | 1;
            let mut xcrs = kvm_xcrs { nr_xcrs: 1, ..Default::default() };
            xcrs.xcrs[0].value = xcr0;
            fd.set_xcrs(&xcrs).unwrap();
            for component in (2..63).filter(|component| xcr0 >> component & 1 != 0) {
                let place = leaf(component).unwrap();
                let [start, len] = [place.ebx, place.eax].map(|bytes| usize::try_from(bytes).unwrap());
                // Any bits: only MPX's bounds have reserved ones, and KVM no longer offers it.
                bytes[start..start + len].fill(0x11 + u8::try_from(component).unwrap());
                in_use |= 1 << component;
            }
        }
        bytes[XSTATE_BV..XSTATE_BV + 8].copy_from_slice(&in_use.to_le_bytes());
        xsave::State::from_bytes(&self.vm.fd, &bytes).unwrap().give(fd).unwrap();
        println!("XSAVE components {in_use:#x}");
    }

    /// Puts the first vCPU in the state of injecting an interrupt in the shadow of STI, with an NMI pending and NMIs blocked. The second
    /// one is halted, with a page fault that has not changed CR2 yet, so that a nested guest's hypervisor may still intercept it.
    fn have_events(&self, number: usize, fd: &VcpuFd) {
        let mut events = fd.get_vcpu_events().unwrap();
        events.flags |= KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
        if number == 0 {
            (events.interrupt.injected, events.interrupt.nr) = (1, 0x51);
            events.interrupt.shadow = u8::try_from(KVM_X86_SHADOW_INT_STI).unwrap();
            (events.nmi.pending, events.nmi.masked) = (1, 1);
        } else {
            let halted = kvm_mp_state { mp_state: KVM_MP_STATE_HALTED };
            fd.set_mp_state(halted).unwrap();
            (events.exception.has_error_code, events.exception.error_code) = (1, 2);
            events.exception.nr = 14;
            if events.flags & KVM_VCPUEVENT_VALID_PAYLOAD == 0 {
                events.exception.injected = 1;
            } else {
                events.exception.pending = 1;
                (events.exception_has_payload, events.exception_payload) = (1, 0x1234_5678);
            }
        }
        fd.set_vcpu_events(&events).unwrap();
        let kept = fd.get_vcpu_events().unwrap();
        assert_eq!(
            (kept.interrupt, kept.nmi, kept.exception, kept.exception_payload),
            (events.interrupt, events.nmi, events.exception, events.exception_payload),
            "KVM has them"
        );
    }
}

/// The state as JSON, without the guest's clock and its TSCs, which are returned separately.
fn split(state: &KvmState) -> (serde_json::Value, Vec<u64>) {
    let mut json = serde_json::to_value(state).unwrap();
    let clock = json["clock"].take();
    let mut times = vec![clock["nanoseconds"].as_u64().unwrap()];
    for vcpu in json["vcpus"].as_array_mut().unwrap() {
        let tsc = vcpu["msrs"]["0x10"].take();
        times.push(u64::from_str_radix(tsc.as_str().unwrap().strip_prefix("0x").unwrap(), 16).unwrap());
        vcpu["tsc-offset"].take();
    }
    // The time at which it was loaded.
    let pit = json["pit"].take();
    let pit = pit.as_str().unwrap();
    json["pit"] = [&pit[..8], &pit[12..24]].concat().into();
    (json, times)
}

#[test]
fn another_machine_goes_on_with_all_of_it() {
    let (Some(first), Some(second)) = (Machine::new(), Machine::new()) else { return };
    first.disturb();
    let text = serde_json::to_string(&first.read()).unwrap();
    let saved: KvmState = serde_json::from_str(&text).unwrap();
    let kept = [0xa5; WALL_CLOCK];
    second.memory.write_slice(&kept, GuestAddress(0x50_0000)).unwrap();
    assert_ne!(split(&second.read()).0, split(&saved).0, "the machine is not as a new one");
    second.give(&saved).unwrap();
    let restored = second.read();
    let ((saved, then), (restored, now)) = (split(&saved), split(&restored));
    for part in ["pic-master", "pic-slave", "ioapic", "pit"] {
        assert_eq!(restored[part], saved[part], "{part}");
    }
    for (number, saved) in saved["vcpus"].as_array().unwrap().iter().enumerate() {
        for (part, saved) in saved.as_object().unwrap() {
            assert_eq!(restored["vcpus"][number][part], *saved, "{part} of vCPU {number}");
        }
    }
    assert_eq!(restored, saved);
    for (then, now) in then.iter().zip(&now) {
        assert!(now > then, "{now} is not after {then}");
    }
    let mut found = [0; WALL_CLOCK];
    second.memory.read_slice(&mut found, GuestAddress(0x50_0000)).unwrap();
    assert_eq!(found, kept, "KVM has written the time to memory that the guest may use for something else");
}

#[test]
fn tscs_keep_their_distance() {
    let (Some(first), Some(second)) = (Machine::new(), Machine::new()) else { return };
    // As if the second had been created later, and never synchronized.
    let tsc = [kvm_msr_entry { index: 0x10, data: 1 << 40, ..Default::default() }];
    first.vcpus[1].fd().set_msrs(&Msrs::from_entries(&tsc).unwrap()).unwrap();
    let saved = first.read();
    second.give(&saved).unwrap();
    let distance = |state: &KvmState| {
        let offsets: Vec<_> = state.vcpus.iter().map(|vcpu| vcpu.tsc_offset()).collect();
        offsets[1].zip(offsets[0]).map(|(second, first)| second.wrapping_sub(first))
    };
    if distance(&saved).is_none() {
        println!("skipped: this KVM does not tell TSC offsets");
        return;
    }
    assert_eq!(distance(&second.read()), distance(&saved));
}

#[test]
fn states_that_do_not_fit_are_refused() {
    let Some(machine) = Machine::new() else { return };
    let good = serde_json::to_value(machine.read()).unwrap();
    let refused = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut json = good.clone();
        change(&mut json);
        match serde_json::from_value::<KvmState>(json) {
            Ok(state) => machine.give(&state).unwrap_err().to_string(),
            Err(error) => error.to_string(),
        }
    };
    let one = |json: &mut serde_json::Value| drop(json["vcpus"].as_array_mut().unwrap().pop());
    assert_eq!(refused(&one), "the state has another number of vCPUs");
    let swapped = |json: &mut serde_json::Value| json["ioapic"] = json["pic-master"].clone();
    assert_eq!(refused(&swapped), "the state of an interrupt controller is another's");
    let msrs = |json: &mut serde_json::Value| {
        json["vcpus"][0]["msrs"]["0x12345677"] = "0xffffffffffffffff".into();
        json["vcpus"][0]["msrs"]["0x12345678"] = "0x1".into();
    };
    assert_eq!(
        refused(&msrs),
        "KVM refused 0xffffffffffffffff for MSR 0x12345677, 0x1 for MSR 0x12345678",
        "all of them are named"
    );
    let short = |json: &mut serde_json::Value| json["vcpus"][0]["xsave"] = "00".into();
    assert!(refused(&short).starts_with("KVM_SET_XSAVE2"));
    let nested = |json: &mut serde_json::Value| json["vcpus"][0]["nested"] = "00".repeat(100_000).into();
    assert!(refused(&nested).contains("nested"), "{}", refused(&nested));
    let unknown = |json: &mut serde_json::Value| json["more"] = 1.into();
    assert!(refused(&unknown).contains("unknown field `more`"));
}
