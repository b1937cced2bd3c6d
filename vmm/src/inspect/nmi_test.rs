use vm_memory::{Bytes, GuestAddress};

use super::{
    super::test_machine::{CODE, DEBUG_EXIT, TestMachine},
    *,
};
use crate::exit::Exit;

/// The vCPUs with an NMI pending.
fn pending(machine: &TestMachine) -> Vec<u32> {
    let pending = machine.vcpus.iter().filter(|vcpu| {
        let nmi = vcpu.fd().get_vcpu_events().unwrap().nmi;
        nmi.pending != 0 || nmi.injected != 0
    });
    pending.map(|vcpu| vcpu.id).collect()
}

/// Enables a local APIC and unmasks its LINT1 for NMIs, as a kernel does.
fn listen(machine: &TestMachine, vcpu: usize) {
    let fd = machine.vcpus[vcpu].fd();
    let mut lapic = fd.get_lapic().unwrap();
    for (offset, value) in [(0xf0, 0x1ff_u32), (0x360, 0x400)] {
        for (place, byte) in value.to_le_bytes().into_iter().enumerate() {
            lapic.regs[offset + place] = byte.cast_signed();
        }
    }
    fd.set_lapic(&lapic).unwrap();
}

#[test]
fn vcpus_that_accept_lint1_get_the_nmi() {
    let Some(machine) = TestMachine::new(3) else { return };
    [0, 2].into_iter().for_each(|vcpu| listen(&machine, vcpu));
    assert_eq!(pending(&machine), [0; 0]);
    inject(&machine.halted()).unwrap();
    assert_eq!(pending(&machine), [0, 2]);
}

#[test]
fn an_nmi_that_no_vcpu_accepts_is_an_error() {
    let Some(machine) = TestMachine::new(2) else { return };
    assert!(matches!(inject(&machine.halted()), Err(InspectError::NmiMasked)));
    assert_eq!(pending(&machine), [0; 0]);
}

#[test]
fn one_vcpu_gets_it_in_any_case() {
    let Some(machine) = TestMachine::new(2) else { return };
    listen(&machine, 0);
    inject_one(&machine.halted(), 1).unwrap();
    assert_eq!(pending(&machine), [1]);
    assert!(matches!(inject_one(&machine.halted(), 2), Err(InspectError::NoVcpu { given: 2, count: 2 })));
}

/// A guest that hangs with interrupts off, and would wait in HLT forever.
#[test]
fn a_guest_that_hangs_runs_its_handler() {
    const IDT: u64 = 0x20_0000;
    const HANDLER: u64 = CODE + 0x20;
    let Some(mut machine) = TestMachine::new(1) else { return };
    // SDM 3A, "64-Bit IDT Gate Descriptors": an interrupt gate for vector 2.
    let gate = [HANDLER & 0xffff | 0x10 << 16 | 0x8e00 << 32 | (HANDLER >> 16) << 48, 0];
    machine.memory.write_obj(gate, GuestAddress(IDT + 2 * 16)).unwrap();
    // hlt; jmp to it.
    machine.write_code(&[0xf4, 0xeb, 0xfd]);
    // mov $0x1234, %rbx; mov $7, %al; out %al, the port.
    let handler = [0x48, 0xc7, 0xc3, 0x34, 0x12, 0, 0, 0xb0, 7, 0xe6, DEBUG_EXIT];
    machine.memory.write_slice(&handler, GuestAddress(HANDLER)).unwrap();
    let fd = machine.vcpus[0].fd();
    let mut sregs = fd.get_sregs().unwrap();
    (sregs.idt.base, sregs.idt.limit) = (IDT, 0xfff);
    fd.set_sregs(&sregs).unwrap();
    listen(&machine, 0);

    inject(&machine.halted()).unwrap();
    assert!(matches!(machine.run(), Some(Exit::Debug(15))));
    let vcpu = machine.halted().to_json(Some(0)).unwrap()["vcpus"][0].take();
    assert_eq!(vcpu["general"]["rbx"], "0x1234");
    // It has not returned from the handler.
    assert_eq!(vcpu["events"]["nmi"]["masked"], true);
    let rip = u64::from_str_radix(&vcpu["general"]["rip"].as_str().unwrap()[2..], 16).unwrap();
    assert!((HANDLER..=HANDLER + handler.len() as u64).contains(&rip), "{rip:#x}");
}
