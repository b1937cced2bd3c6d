use super::{super::test_machine::TestMachine, *};

/// The vCPUs that have an NMI on its way.
fn pending(machine: &TestMachine) -> Vec<u32> {
    let pending = machine.vcpus.iter().filter(|vcpu| {
        let nmi = vcpu.fd().get_vcpu_events().unwrap().nmi;
        nmi.pending != 0 || nmi.injected != 0
    });
    pending.map(|vcpu| vcpu.id).collect()
}

/// Enables a local APIC and opens its LINT1 to NMIs, as a kernel does.
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
fn who_listens_on_lint1_gets_it() {
    let Some(machine) = TestMachine::new(3) else { return };
    [0, 2].into_iter().for_each(|vcpu| listen(&machine, vcpu));
    assert_eq!(pending(&machine), [0; 0]);
    inject(&machine.halted()).unwrap();
    assert_eq!(pending(&machine), [0, 2]);
}

#[test]
fn an_nmi_that_nobody_takes_is_an_error() {
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
