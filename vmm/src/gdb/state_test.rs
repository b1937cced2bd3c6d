use super::*;

/// A state in which each register has a different value.
fn state() -> State {
    let mut state = State {
        regs: kvm_regs::default(),
        sregs: kvm_sregs::default(),
        kernel_gs_base: 0x6600,
        fxsave: std::array::from_fn(|at| at.to_le_bytes()[0]),
    };
    (state.regs.rax, state.regs.rbx, state.regs.rsp, state.regs.r15) = (1, 2, 8, 16);
    (state.regs.rip, state.regs.rflags) = (0x10_0000, 0x202);
    (state.sregs.cs.selector, state.sregs.gs.selector) = (0x10, 0x18);
    (state.sregs.fs.base, state.sregs.gs.base) = (0x4400, 0x5500);
    (state.sregs.cr0, state.sregs.cr3, state.sregs.efer) = (0x8000_0011, 0x9000, 0x500);
    // Each physical register is in use, or empty.
    state.fxsave[FTW] = 0b1010_0101;
    state
}

#[test]
fn registers_have_their_own_values() {
    let Registers { core, system } = state().registers();
    assert_eq!((core.regs[0], core.regs[1], core.regs[7], core.regs[15]), (1, 2, 8, 16));
    assert_eq!((core.rip, core.eflags), (0x10_0000, 0x202));
    assert_eq!((core.segments.cs, core.segments.gs), (0x10, 0x18));
    assert_eq!((system.fs_base, system.gs_base, system.k_gs_base), (0x4400, 0x5500, 0x6600));
    assert_eq!((system.cr0, system.cr3, system.efer), (0x8000_0011, 0x9000, 0x500));
    assert_eq!(core.st[1], [48, 49, 50, 51, 52, 53, 54, 55, 56, 57]);
    assert_eq!(core.xmm[2].to_le_bytes()[0], 192);
    assert_eq!((core.mxcsr, core.fpu.fctrl), (0x1b1a_1918, 0x0100));
}

#[test]
fn an_unchanged_state_stays() {
    let state = state();
    assert_eq!(state.with(&state.registers()), Some(state));
}

#[test]
fn changes_go_where_they_belong() {
    let state = state();
    let mut registers = state.registers();
    registers.core.regs[15] = 99;
    registers.core.xmm[15] = u128::MAX;
    registers.system.cr3 = 0xa000;
    registers.system.k_gs_base = 0x77;
    let new = state.with(&registers).unwrap();
    assert_eq!((new.regs.r15, new.sregs.cr3, new.kernel_gs_base), (99, 0xa000, 0x77));
    assert_eq!(new.fxsave[XMM + 240..XMM + 256], [0xff; 16]);
    assert_eq!(new.registers(), registers);
    assert_eq!(new.regs.rax, 1);
    // A value in a register of the x87 has a tag.
    registers.core.st[7] = [7; 10];
    let new = state.with(&registers).unwrap();
    assert_eq!(new.fxsave[ST + 112..ST + 122], [7; 10]);
    assert_eq!(new.registers().core.st, registers.core.st);
}

#[test]
fn a_segment_can_t_be_changed() {
    let state = state();
    let mut registers = state.registers();
    registers.core.segments.ds = 0x28;
    assert_eq!(state.with(&registers), None);
}

#[test]
fn tags_say_what_a_register_holds() {
    let mut state = state();
    state.fxsave = [0; LEGACY];
    assert_eq!(state.registers().core.fpu.ftag, 0xffff);
    // Physical registers 5, 6 and 7 are ST0, ST1 and ST2: 1.0, zero, and an infinity.
    state.put(FSW, &(5_u16 << 11).to_le_bytes());
    state.put(FTW, &[0b1110_0000]);
    state.put(ST, &[0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0x3f]);
    state.put(ST + 32, &[0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0x7f]);
    let tags = state.registers().core.fpu.ftag;
    assert_eq!(tags, 0b10_01_00_11_11_11_11_11);
    assert_eq!(abridged_tag_word(tags), 0b1110_0000);
}
