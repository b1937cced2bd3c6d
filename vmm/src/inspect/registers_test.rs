use kvm_bindings::{kvm_debugregs, kvm_mp_state};

use super::{
    super::test_machine::{CODE, TestMachine},
    *,
};

/// A different value for each general register, so that none is confused with another.
fn numbered() -> kvm_regs {
    kvm_regs {
        rax: 0x10,
        rbx: 0x11,
        rcx: 0x12,
        rdx: 0x13,
        rsi: 0x14,
        rdi: 0x15,
        rsp: 0x16,
        rbp: 0x17,
        r8: 0x18,
        r9: 0x19,
        r10: 0x1a,
        r11: 0x1b,
        r12: 0x1c,
        r13: 0x1d,
        r14: 0x1e,
        r15: 0xffff_ffff_8100_001f,
        rip: CODE,
        rflags: 0x46,
    }
}

#[test]
fn registers_are_as_they_were_set() {
    let Some(machine) = TestMachine::new(2) else { return };
    let [first, second] = &machine.vcpus[..] else { panic!("two vCPUs") };
    // UD2, at the address that RIP has.
    machine.write_code(&[0x0f, 0x0b]);
    first.fd().set_regs(&numbered()).unwrap();
    let debug = kvm_debugregs { db: [1, 2, 3, 4], dr6: 0xffff_0ff0, dr7: 0x400, ..Default::default() };
    first.fd().set_debug_regs(&debug).unwrap();
    let json = machine.halted().to_json(None).unwrap();
    let vcpu = &json["vcpus"][0];
    assert_eq!(vcpu["cpu-index"], 0);
    assert_eq!(vcpu["state"], "running");
    let mut general = vcpu["general"].clone();
    assert_eq!(general["rip"], "0x100000");
    assert_eq!(general["rflags"], "0x46");
    let names = [
        "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rsp", "rbp", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
    ];
    for (number, name) in (0x10..).zip(names) {
        assert_eq!(general[name].take(), format!("{number:#x}"), "{name}");
    }
    assert_eq!(general["r15"], "0xffffffff8100001f");
    assert_eq!(vcpu["segments"]["cs"]["l"], true);
    assert_eq!(vcpu["segments"]["cs"]["selector"], "0x10");
    assert_eq!(vcpu["control"]["cr3"], text(arch::layout::PML4));
    assert_eq!(vcpu["control"]["efer"], "0x500");
    assert_eq!(vcpu["debug"]["dr3"], "0x4");
    assert_eq!(vcpu["msrs"]["IA32_EFER"], "0x500");
    assert_eq!(vcpu["events"]["nmi"]["pending"], false);
    assert!(vcpu["code"].as_str().unwrap().starts_with("0f 0b 00"), "{}", vcpu["code"]);
    assert_eq!(vcpu["lapic"]["id"], 0);
    assert_eq!(vcpu["lapic"]["lvt"]["lint1"]["delivery-mode"], "NMI");
    assert_eq!(json["ioapic"]["pins"].as_array().unwrap().len(), 24);
    assert_eq!(json["pics"].as_array().unwrap().len(), 2);
    // The second waits for INIT.
    assert_eq!(json["vcpus"][1]["state"], "uninitialized");
    second.fd().set_mp_state(kvm_mp_state { mp_state: KVM_MP_STATE_HALTED }).unwrap();
    let json = machine.halted().to_json(Some(1)).unwrap();
    assert_eq!(json["vcpus"].as_array().unwrap().len(), 1);
    assert_eq!(json["vcpus"][0]["state"], "halted");
    assert_eq!(json["vcpus"][0]["lapic"]["id"], 1);
    let error = machine.halted().to_json(Some(2)).unwrap_err();
    assert_eq!(error.to_string(), "there is no vCPU 2: there are 2, numbered from 0");
}

#[test]
fn pending_events_are_shown() {
    let Some(machine) = TestMachine::new(1) else { return };
    let fd = machine.vcpus[0].fd();
    let mut set = fd.get_vcpu_events().unwrap();
    set.exception.injected = 1;
    set.exception.nr = 14;
    set.exception.has_error_code = 1;
    set.exception.error_code = 2;
    set.nmi.masked = 1;
    fd.set_vcpu_events(&set).unwrap();
    let registers = Registers::read(fd, &machine.memory).unwrap();
    let json = registers.to_json();
    assert_eq!(json["events"]["exception"]["vector"], 14);
    assert_eq!(json["events"]["exception"]["error-code"], "0x2");
    assert_eq!(json["events"]["nmi"]["masked"], true);
    assert_eq!(json["events"]["interrupt"]["vector"], Value::Null);
}

#[test]
fn every_state_has_a_name() {
    let names = [0, 1, 2, 3, 4, 9].map(state);
    assert_eq!(
        names,
        ["running", "uninitialized", "init-received", "halted", "sipi-received", "ap-reset-hold"]
    );
    assert_eq!(state(77), "unknown");
}
