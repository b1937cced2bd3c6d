//! A vCPU's registers, with gdb's names, numbers and format.

use std::num::NonZeroUsize;

use gdbstub::arch::{Arch, RegId};
use gdbstub_arch::x86::reg::X86_64CoreRegs;

/// The architecture for gdbstub: x86-64 with SSE, and the system registers that a kernel's debugger needs.
#[derive(Debug)]
pub(crate) enum X86 {}

impl Arch for X86 {
    type Usize = u64;
    type Registers = Registers;
    type BreakpointKind = usize;
    type RegId = Place;

    fn target_description_xml() -> Option<&'static str> {
        Some(TARGET)
    }
}

/// The registers of a vCPU.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Registers {
    /// The general, segment, x87 and SSE registers.
    pub(crate) core: X86_64CoreRegs,
    /// The bases of segments, and the registers that only a kernel can access.
    pub(crate) system: SystemRegisters,
}

/// The registers that follow gdb's own in [`TARGET`], with QEMU's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SystemRegisters {
    pub(crate) fs_base: u64,
    pub(crate) gs_base: u64,
    /// IA32_KERNEL_GS_BASE.
    pub(crate) k_gs_base: u64,
    pub(crate) cr0: u64,
    pub(crate) cr2: u64,
    pub(crate) cr3: u64,
    pub(crate) cr4: u64,
    pub(crate) cr8: u64,
    pub(crate) efer: u64,
}

impl SystemRegisters {
    fn to_array(self) -> [u64; SYSTEM] {
        let Self { fs_base, gs_base, k_gs_base, cr0, cr2, cr3, cr4, cr8, efer } = self;
        [fs_base, gs_base, k_gs_base, cr0, cr2, cr3, cr4, cr8, efer]
    }

    fn from_array([fs_base, gs_base, k_gs_base, cr0, cr2, cr3, cr4, cr8, efer]: [u64; SYSTEM]) -> Self {
        Self { fs_base, gs_base, k_gs_base, cr0, cr2, cr3, cr4, cr8, efer }
    }
}

/// The number of [`SystemRegisters`].
const SYSTEM: usize = 9;
/// The number of bytes before them in gdb's `g` packet.
const CORE_LEN: usize = 0x218;

impl Registers {
    /// The bytes of gdb's `g` packet.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(CORE_LEN + 8 * SYSTEM);
        gdbstub::arch::Registers::gdb_serialize(self, |byte| bytes.push(byte.unwrap_or_default()));
        bytes
    }

    /// Changes a register.
    ///
    /// # Errors
    ///
    /// The value has the wrong size.
    pub(crate) fn set(&mut self, Place { offset, len }: Place, value: &[u8]) -> Result<(), ()> {
        if value.len() != len {
            return Err(());
        }
        let mut bytes = self.to_bytes();
        bytes[offset..offset + len].copy_from_slice(value);
        gdbstub::arch::Registers::gdb_deserialize(self, &bytes)
    }
}

impl gdbstub::arch::Registers for Registers {
    type ProgramCounter = u64;

    fn pc(&self) -> u64 {
        self.core.rip
    }

    fn gdb_serialize(&self, mut write_byte: impl FnMut(Option<u8>)) {
        self.core.gdb_serialize(&mut write_byte);
        self.system.to_array().iter().flat_map(|value| value.to_le_bytes()).map(Some).for_each(write_byte);
    }

    fn gdb_deserialize(&mut self, bytes: &[u8]) -> Result<(), ()> {
        let (core, system) = bytes.split_at_checked(CORE_LEN).ok_or(())?;
        let (values, []) = system.as_chunks() else { return Err(()) };
        let values: Vec<_> = values.iter().copied().map(u64::from_le_bytes).collect();
        self.system = SystemRegisters::from_array(values.try_into().map_err(drop)?);
        self.core.gdb_deserialize(core)
    }
}

/// A register, given by its bytes in the `g` packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The first byte.
    pub(crate) offset: usize,
    /// The number of bytes.
    pub(crate) len: usize,
}

/// The registers before [`SystemRegisters`]: the number of successive ones with the same size, and the size.
const SIZES: [(usize, usize); 7] = [
    // RAX to R15, and RIP.
    (17, 8),
    // EFLAGS, CS, SS, DS, ES, FS and GS.
    (7, 4),
    // ST0 to ST7.
    (8, 10),
    // The x87's control, status and tag words, and the place of its last instruction.
    (8, 4),
    // XMM0 to XMM15.
    (16, 16),
    // MXCSR.
    (1, 4),
    (SYSTEM, 8),
];

impl RegId for Place {
    fn from_raw_id(number: usize) -> Option<(Self, Option<NonZeroUsize>)> {
        let (mut first, mut offset) = (0, 0);
        for (count, len) in SIZES {
            if number < first + count {
                let place = Self { offset: offset + (number - first) * len, len };
                return Some((place, NonZeroUsize::new(len)));
            }
            first += count;
            offset += count * len;
        }
        None
    }
}

/// gdb's own features, in which it expects every name, and one of nvmm's with the registers that QEMU adds to gdb's first feature.
const TARGET: &str = r#"<?xml version="1.0"?>
<!DOCTYPE target SYSTEM "gdb-target.dtd">
<target version="1.0">
<architecture>i386:x86-64</architecture>
<feature name="org.gnu.gdb.i386.core">
<flags id="i386_eflags" size="4">
<field name="" start="22" end="31"/><field name="ID" start="21" end="21"/><field name="VIP" start="20" end="20"/>
<field name="VIF" start="19" end="19"/><field name="AC" start="18" end="18"/><field name="VM" start="17" end="17"/>
<field name="RF" start="16" end="16"/><field name="" start="15" end="15"/><field name="NT" start="14" end="14"/>
<field name="IOPL" start="12" end="13"/><field name="OF" start="11" end="11"/><field name="DF" start="10" end="10"/>
<field name="IF" start="9" end="9"/><field name="TF" start="8" end="8"/><field name="SF" start="7" end="7"/>
<field name="ZF" start="6" end="6"/><field name="" start="5" end="5"/><field name="AF" start="4" end="4"/>
<field name="" start="3" end="3"/><field name="PF" start="2" end="2"/><field name="" start="1" end="1"/>
<field name="CF" start="0" end="0"/>
</flags>
<reg name="rax" bitsize="64" type="int64" regnum="0"/>
<reg name="rbx" bitsize="64" type="int64"/>
<reg name="rcx" bitsize="64" type="int64"/>
<reg name="rdx" bitsize="64" type="int64"/>
<reg name="rsi" bitsize="64" type="int64"/>
<reg name="rdi" bitsize="64" type="int64"/>
<reg name="rbp" bitsize="64" type="data_ptr"/>
<reg name="rsp" bitsize="64" type="data_ptr"/>
<reg name="r8" bitsize="64" type="int64"/>
<reg name="r9" bitsize="64" type="int64"/>
<reg name="r10" bitsize="64" type="int64"/>
<reg name="r11" bitsize="64" type="int64"/>
<reg name="r12" bitsize="64" type="int64"/>
<reg name="r13" bitsize="64" type="int64"/>
<reg name="r14" bitsize="64" type="int64"/>
<reg name="r15" bitsize="64" type="int64"/>
<reg name="rip" bitsize="64" type="code_ptr"/>
<reg name="eflags" bitsize="32" type="i386_eflags"/>
<reg name="cs" bitsize="32" type="int32"/>
<reg name="ss" bitsize="32" type="int32"/>
<reg name="ds" bitsize="32" type="int32"/>
<reg name="es" bitsize="32" type="int32"/>
<reg name="fs" bitsize="32" type="int32"/>
<reg name="gs" bitsize="32" type="int32"/>
<reg name="st0" bitsize="80" type="i387_ext"/>
<reg name="st1" bitsize="80" type="i387_ext"/>
<reg name="st2" bitsize="80" type="i387_ext"/>
<reg name="st3" bitsize="80" type="i387_ext"/>
<reg name="st4" bitsize="80" type="i387_ext"/>
<reg name="st5" bitsize="80" type="i387_ext"/>
<reg name="st6" bitsize="80" type="i387_ext"/>
<reg name="st7" bitsize="80" type="i387_ext"/>
<reg name="fctrl" bitsize="32" type="int" group="float"/>
<reg name="fstat" bitsize="32" type="int" group="float"/>
<reg name="ftag" bitsize="32" type="int" group="float"/>
<reg name="fiseg" bitsize="32" type="int" group="float"/>
<reg name="fioff" bitsize="32" type="int" group="float"/>
<reg name="foseg" bitsize="32" type="int" group="float"/>
<reg name="fooff" bitsize="32" type="int" group="float"/>
<reg name="fop" bitsize="32" type="int" group="float"/>
</feature>
<feature name="org.gnu.gdb.i386.sse">
<vector id="v4f" type="ieee_single" count="4"/>
<vector id="v2d" type="ieee_double" count="2"/>
<vector id="v16i8" type="int8" count="16"/>
<vector id="v8i16" type="int16" count="8"/>
<vector id="v4i32" type="int32" count="4"/>
<vector id="v2i64" type="int64" count="2"/>
<union id="vec128">
<field name="v4_float" type="v4f"/><field name="v2_double" type="v2d"/><field name="v16_int8" type="v16i8"/>
<field name="v8_int16" type="v8i16"/><field name="v4_int32" type="v4i32"/><field name="v2_int64" type="v2i64"/>
<field name="uint128" type="uint128"/>
</union>
<flags id="i386_mxcsr" size="4">
<field name="IE" start="0" end="0"/><field name="DE" start="1" end="1"/><field name="ZE" start="2" end="2"/>
<field name="OE" start="3" end="3"/><field name="UE" start="4" end="4"/><field name="PE" start="5" end="5"/>
<field name="DAZ" start="6" end="6"/><field name="IM" start="7" end="7"/><field name="DM" start="8" end="8"/>
<field name="ZM" start="9" end="9"/><field name="OM" start="10" end="10"/><field name="UM" start="11" end="11"/>
<field name="PM" start="12" end="12"/><field name="FZ" start="15" end="15"/>
</flags>
<reg name="xmm0" bitsize="128" type="vec128"/>
<reg name="xmm1" bitsize="128" type="vec128"/>
<reg name="xmm2" bitsize="128" type="vec128"/>
<reg name="xmm3" bitsize="128" type="vec128"/>
<reg name="xmm4" bitsize="128" type="vec128"/>
<reg name="xmm5" bitsize="128" type="vec128"/>
<reg name="xmm6" bitsize="128" type="vec128"/>
<reg name="xmm7" bitsize="128" type="vec128"/>
<reg name="xmm8" bitsize="128" type="vec128"/>
<reg name="xmm9" bitsize="128" type="vec128"/>
<reg name="xmm10" bitsize="128" type="vec128"/>
<reg name="xmm11" bitsize="128" type="vec128"/>
<reg name="xmm12" bitsize="128" type="vec128"/>
<reg name="xmm13" bitsize="128" type="vec128"/>
<reg name="xmm14" bitsize="128" type="vec128"/>
<reg name="xmm15" bitsize="128" type="vec128"/>
<reg name="mxcsr" bitsize="32" type="i386_mxcsr" group="vector"/>
</feature>
<feature name="org.gnu.gdb.i386.segments">
<reg name="fs_base" bitsize="64" type="data_ptr"/>
<reg name="gs_base" bitsize="64" type="data_ptr"/>
</feature>
<feature name="nvmm.i386.system">
<reg name="k_gs_base" bitsize="64" type="data_ptr"/>
<reg name="cr0" bitsize="64" type="int64"/>
<reg name="cr2" bitsize="64" type="data_ptr"/>
<reg name="cr3" bitsize="64" type="int64"/>
<reg name="cr4" bitsize="64" type="int64"/>
<reg name="cr8" bitsize="64" type="int64"/>
<reg name="efer" bitsize="64" type="int64"/>
</feature>
</target>
"#;

#[cfg(test)]
#[path = "registers_test.rs"]
mod tests;
