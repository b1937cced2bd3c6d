//! A vCPU's state, converted between KVM's and gdb's forms.

use gdbstub_arch::x86::reg::{X86_64CoreRegs, X86SegmentRegs, X87FpuInternalRegs};
use kvm_bindings::{kvm_regs, kvm_sregs};

use super::registers::{Registers, SystemRegisters};
use crate::xsave::LEGACY;

/// The offsets of FXSAVE's fields. SDM 1, "Non-64-Bit-Mode Format of the FXSAVE Area".
const FCW: usize = 0;
const FSW: usize = 2;
const FTW: usize = 4;
const FOP: usize = 6;
const FIP: usize = 8;
const FCS: usize = 12;
const FDP: usize = 16;
const FDS: usize = 20;
const MXCSR: usize = 24;
const ST: usize = 32;
const XMM: usize = 160;

/// A vCPU's state in KVM's form.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct State {
    /// The general registers.
    pub(crate) regs: kvm_regs,
    /// The segment and control registers.
    pub(crate) sregs: kvm_sregs,
    /// IA32_KERNEL_GS_BASE.
    pub(crate) kernel_gs_base: u64,
    /// The x87's and SSE's registers, in FXSAVE's form.
    pub(crate) fxsave: [u8; LEGACY],
}

impl State {
    /// Converts to gdb's form.
    pub(crate) fn registers(&self) -> Registers {
        let Self { regs, sregs, kernel_gs_base, .. } = self;
        let segments = [sregs.cs, sregs.ss, sregs.ds, sregs.es, sregs.fs, sregs.gs];
        let [cs, ss, ds, es, fs, gs] = segments.map(|segment| u32::from(segment.selector));
        let core = X86_64CoreRegs {
            regs: [
                regs.rax, regs.rbx, regs.rcx, regs.rdx, regs.rsi, regs.rdi, regs.rbp, regs.rsp, regs.r8,
                regs.r9, regs.r10, regs.r11, regs.r12, regs.r13, regs.r14, regs.r15,
            ],
            // The upper half is reserved.
            eflags: low(regs.rflags),
            rip: regs.rip,
            segments: X86SegmentRegs { cs, ss, ds, es, fs, gs },
            st: std::array::from_fn(|number| self.bytes(ST + 16 * number)),
            fpu: X87FpuInternalRegs {
                fctrl: self.u16(FCW),
                fstat: self.u16(FSW),
                ftag: self.full_tag_word(),
                fiseg: self.u16(FCS),
                fioff: self.u32(FIP),
                foseg: self.u16(FDS),
                fooff: self.u32(FDP),
                fop: self.u16(FOP),
            },
            xmm: std::array::from_fn(|number| u128::from_le_bytes(self.bytes(XMM + 16 * number))),
            mxcsr: self.u32(MXCSR),
        };
        let system = SystemRegisters {
            fs_base: sregs.fs.base,
            gs_base: sregs.gs.base,
            k_gs_base: *kernel_gs_base,
            cr0: sregs.cr0,
            cr2: sregs.cr2,
            cr3: sregs.cr3,
            cr4: sregs.cr4,
            cr8: sregs.cr8,
            efer: sregs.efer,
        };
        Registers { core, system }
    }

    /// The state after a debugger has changed registers. None if it sets another segment: only the guest can load one, because a descriptor
    /// belongs to it.
    pub(crate) fn with(&self, registers: &Registers) -> Option<Self> {
        let Registers { core, system } = registers;
        if core.segments != self.registers().core.segments {
            return None;
        }
        let mut new = self.clone();
        let regs = &mut new.regs;
        [
            regs.rax, regs.rbx, regs.rcx, regs.rdx, regs.rsi, regs.rdi, regs.rbp, regs.rsp, regs.r8, regs.r9,
            regs.r10, regs.r11, regs.r12, regs.r13, regs.r14, regs.r15,
        ] = core.regs;
        (regs.rflags, regs.rip) = (core.eflags.into(), core.rip);
        (new.sregs.fs.base, new.sregs.gs.base) = (system.fs_base, system.gs_base);
        new.kernel_gs_base = system.k_gs_base;
        (new.sregs.cr0, new.sregs.cr2, new.sregs.cr3) = (system.cr0, system.cr2, system.cr3);
        (new.sregs.cr4, new.sregs.cr8, new.sregs.efer) = (system.cr4, system.cr8, system.efer);
        for (number, st) in core.st.iter().enumerate() {
            new.put(ST + 16 * number, st);
        }
        let fpu = &core.fpu;
        for (offset, value) in
            [(FCW, fpu.fctrl), (FSW, fpu.fstat), (FCS, fpu.fiseg), (FDS, fpu.foseg), (FOP, fpu.fop)]
        {
            new.put(offset, &value.to_le_bytes()[..2]);
        }
        new.put(FTW, &[abridged_tag_word(fpu.ftag)]);
        new.put(FIP, &fpu.fioff.to_le_bytes());
        new.put(FDP, &fpu.fooff.to_le_bytes());
        new.put(MXCSR, &core.mxcsr.to_le_bytes());
        for (number, xmm) in core.xmm.iter().enumerate() {
            new.put(XMM + 16 * number, &xmm.to_le_bytes());
        }
        Some(new)
    }

    /// The x87's tag word with two bits for each physical register. FXSAVE has one bit: empty or not. SDM 1, "Recreating FSAVE Format".
    fn full_tag_word(&self) -> u32 {
        const VALID: u32 = 0;
        const ZERO: u32 = 1;
        const SPECIAL: u32 = 2;
        const EMPTY: u32 = 3;
        let top = usize::from(self.fxsave[FSW + 1] >> 3 & 7);
        (0..8).fold(0, |tags, physical| {
            // TOP in the status word is the number of the physical register that is ST0.
            let st = (physical + 8 - top) % 8;
            let [mantissa @ .., low, high] = self.bytes::<10>(ST + 16 * st);
            let (exponent, mantissa) =
                (u16::from_le_bytes([low, high]) & 0x7fff, u64::from_le_bytes(mantissa));
            let tag = match (exponent, mantissa >> 63) {
                _ if self.fxsave[FTW] >> physical & 1 == 0 => EMPTY,
                (0, 0) if mantissa == 0 => ZERO,
                (1..0x7fff, 1) => VALID,
                _ => SPECIAL,
            };
            tags | tag << (2 * physical)
        })
    }

    fn bytes<const N: usize>(&self, offset: usize) -> [u8; N] {
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.fxsave[offset..offset + N]);
        bytes
    }

    fn u16(&self, offset: usize) -> u32 {
        u16::from_le_bytes(self.bytes(offset)).into()
    }

    fn u32(&self, offset: usize) -> u32 {
        u32::from_le_bytes(self.bytes(offset))
    }

    fn put(&mut self, offset: usize, bytes: &[u8]) {
        self.fxsave[offset..offset + bytes.len()].copy_from_slice(bytes);
    }
}

/// FXSAVE's tag word: a bit for each physical register, set if it is not empty.
fn abridged_tag_word(tags: u32) -> u8 {
    (0..8).filter(|physical| tags >> (2 * physical) & 3 != 3).fold(0, |word, physical| word | 1 << physical)
}

/// The lower half.
fn low(value: u64) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is asked for")]
    {
        value as u32
    }
}

#[cfg(test)]
#[path = "state_test.rs"]
mod tests;
