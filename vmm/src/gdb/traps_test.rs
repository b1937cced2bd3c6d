use super::*;

fn traps(registers: &[(usize, Watched)]) -> Traps {
    let mut traps = Traps::default();
    registers.iter().for_each(|&(number, watched)| traps.registers[number] = Some(watched));
    traps
}

fn watched(address: u64, len: u8, access: Access) -> Watched {
    Watched { address, len, access }
}

fn exit(exception: u32, dr6: u64) -> kvm_debug_exit_arch {
    // The bits that are always set.
    kvm_debug_exit_arch { exception, dr6: dr6 | 0xffff_0ff0, ..Default::default() }
}

#[test]
fn without_traps_kvm_has_no_guest_debugging() {
    assert_eq!(Traps::default().control(true), kvm_guest_debug::default());
}

#[test]
fn each_trap_has_its_switch() {
    let step = Traps { step: true, ..Traps::default() };
    assert_eq!(step.control(false).control, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP);
    assert_eq!(
        step.control(true).control,
        KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_BLOCKIRQ
    );
    let patched = Traps { patched: [0x1000].into(), ..Traps::default() };
    assert_eq!(patched.control(true).control, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP);
    let execute = traps(&[(0, watched(0x1000, 1, Access::Execute))]);
    assert_eq!(execute.control(true).control, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP);
}

#[test]
fn debug_registers_are_as_the_manual_has_them() {
    let traps = traps(&[
        (0, watched(0xffff_ffff_8100_0000, 1, Access::Execute)),
        (1, watched(0x2002, 2, Access::Write)),
        (2, watched(0x3000, 4, Access::ReadWrite)),
        (3, watched(0x4008, 8, Access::Write)),
    ]);
    let registers = traps.control(false).arch.debugreg;
    assert_eq!(registers[..4], [0xffff_ffff_8100_0000, 0x2002, 0x3000, 0x4008]);
    // From the top: LEN3 R/W3, LEN2 R/W2, LEN1 R/W1, LEN0 R/W0.
    let fields = 0b1001_1111_0101_0000;
    assert_eq!(registers[7], fields << 16 | 0x600 | 0b1010_1010);
}

#[test]
fn a_trap_is_ours_only_if_we_set_it() {
    let mut traps = traps(&[(2, watched(0x3000, 4, Access::Write))]);
    traps.patched.insert(0x1000);
    assert_eq!(traps.judge(&exit(BREAKPOINT, 0), Some(0x1000)), Some(Trap::Patch));
    assert_eq!(traps.judge(&exit(BREAKPOINT, 0), Some(0x1001)), None);
    assert_eq!(traps.judge(&exit(BREAKPOINT, 0), None), None);
    assert_eq!(traps.judge(&exit(DEBUG, 1 << 2), None), Some(Trap::Register(2)));
    assert_eq!(traps.judge(&exit(DEBUG, 1 << 1), None), None);
    // The guest's own single step.
    assert_eq!(traps.judge(&exit(DEBUG, SINGLE_STEP), None), None);
    traps.step = true;
    assert_eq!(traps.judge(&exit(DEBUG, SINGLE_STEP), None), Some(Trap::Step));
    // A watched write by the instruction that was stepped over.
    assert_eq!(traps.judge(&exit(DEBUG, SINGLE_STEP | 1 << 2), None), Some(Trap::Register(2)));
}

#[test]
fn each_step_is_set_anew() {
    let breakpoints = Traps { patched: [0x1000].into(), ..Traps::default() };
    let step = Traps { step: true, ..breakpoints.clone() };
    assert!(step.need_setting(&step), "the guest may have cleared the trap flag");
    assert!(step.need_setting(&breakpoints) && breakpoints.need_setting(&step));
    assert!(!breakpoints.need_setting(&breakpoints));
}
