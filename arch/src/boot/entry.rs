//! The first vCPU's registers at the kernel's entry point, and the tables they point to.

use bitfield_struct::bitfield;
use kvm_bindings::{kvm_dtable, kvm_regs, kvm_segment, kvm_sregs};
use vm_memory::{Bytes, GuestAddress};

use super::error::BootError;
use crate::{
    layout::{self, HUGE_PAGE, PAGE},
    memory::GuestRam,
};

const CR0_PE: u64 = 1 << 0;
const CR0_ET: u64 = 1 << 4;
const CR0_PG: u64 = 1 << 31;
const CR4_PAE: u64 = 1 << 5;
const EFER_LME: u64 = 1 << 8;
const EFER_LMA: u64 = 1 << 10;
/// Bit 1 always reads as 1.
const RFLAGS_FIXED: u64 = 1 << 1;

const ENTRIES: u64 = 512;
/// The number of page directories. At entry they map everything below 4 GiB to itself.
const PAGE_DIRECTORIES: u64 = 4;
const PTE_PRESENT_WRITABLE: u64 = 0b11;
const PTE_LARGE: u64 = 1 << 7;

/// `__BOOT_CS`, by the Linux boot protocol.
const CODE_SELECTOR: u16 = 0x10;
/// `__BOOT_DS`.
const DATA_SELECTOR: u16 = 0x18;
const TASK_SELECTOR: u16 = 0x20;

/// The way in which a kernel is entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Linux's 64-bit boot protocol: long mode, everything below 4 GiB mapped to itself, RSI at the zero page.
    Linux64,
    /// PVH: 32-bit protected mode without paging, EBX at `hvm_start_info`.
    Pvh,
}

/// The entry point of the first vCPU, and the protocol by which it enters the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The protocol that the kernel expects.
    pub protocol: Protocol,
    /// The address of its first instruction.
    pub rip: u64,
}

/// SDM 3A, "Segment Descriptors".
#[bitfield(u64)]
#[derive(PartialEq, Eq)]
struct SegmentDescriptor {
    limit_low: u16,
    #[bits(24)]
    base_low: u32,
    #[bits(4)]
    kind: u8,
    s: bool,
    #[bits(2)]
    dpl: u8,
    p: bool,
    #[bits(4)]
    limit_high: u8,
    avl: bool,
    l: bool,
    db: bool,
    g: bool,
    base_high: u8,
}

impl Entry {
    /// Writes the GDT, and the page tables if paging is on at entry.
    ///
    /// # Errors
    ///
    /// The tables' addresses are not in guest memory.
    pub fn write_tables(&self, memory: &GuestRam) -> Result<(), BootError> {
        for (at, descriptor) in (layout::BOOT_GDT..).step_by(8).zip(self.gdt()) {
            memory.write_obj(descriptor, GuestAddress(at)).map_err(BootError::writing("GDT"))?;
        }
        match self.protocol {
            Protocol::Linux64 => memory
                .write_slice(&page_tables(), GuestAddress(layout::PML4))
                .map_err(BootError::writing("page tables")),
            Protocol::Pvh => Ok(()),
        }
    }

    /// General registers at entry.
    #[must_use]
    pub fn regs(&self) -> kvm_regs {
        let regs = kvm_regs {
            rip: self.rip,
            rflags: RFLAGS_FIXED,
            rsp: layout::BOOT_STACK,
            rbp: layout::BOOT_STACK,
            ..kvm_regs::default()
        };
        match self.protocol {
            Protocol::Linux64 => kvm_regs { rsi: layout::ZERO_PAGE, ..regs },
            Protocol::Pvh => kvm_regs { rbx: layout::PVH_START_INFO, ..regs },
        }
    }

    /// Sets the segment and control registers for entry; all others keep their reset values.
    pub fn set_sregs(&self, sregs: &mut kvm_sregs) {
        let [_, _, code, data, task, _] = self.gdt().map(SegmentDescriptor::from_bits);
        sregs.gdt = kvm_dtable { base: layout::BOOT_GDT, limit: 6 * 8 - 1, ..kvm_dtable::default() };
        sregs.idt = kvm_dtable::default();
        sregs.cs = code.segment(CODE_SELECTOR);
        for segment in [&mut sregs.ds, &mut sregs.es, &mut sregs.fs, &mut sregs.gs, &mut sregs.ss] {
            *segment = data.segment(DATA_SELECTOR);
        }
        sregs.tr = task.segment(TASK_SELECTOR);
        match self.protocol {
            Protocol::Linux64 => {
                sregs.cr0 = CR0_PE | CR0_ET | CR0_PG;
                sregs.cr3 = layout::PML4;
                sregs.cr4 = CR4_PAE;
                sregs.efer = EFER_LME | EFER_LMA;
            }
            Protocol::Pvh => {
                sregs.cr0 = CR0_PE | CR0_ET;
                sregs.cr3 = 0;
                sregs.cr4 = 0;
                sregs.efer = 0;
            }
        }
    }

    /// Two unused entries, code, data, and a TSS, whose descriptor takes two entries in long mode.
    fn gdt(&self) -> [u64; 6] {
        let long = self.protocol == Protocol::Linux64;
        let flat =
            SegmentDescriptor::new().with_limit_low(0xffff).with_limit_high(0xf).with_g(true).with_p(true);
        // Execute/read, accessed.
        let code = flat.with_kind(0xb).with_s(true).with_l(long).with_db(!long);
        // Read/write, accessed.
        let data = flat.with_kind(0x3).with_s(true).with_db(true);
        // VM entry requires a busy TSS with a limit of at least 67H.
        let task = SegmentDescriptor::new().with_kind(0xb).with_limit_low(0x67).with_p(true);
        [0, 0, code.into_bits(), data.into_bits(), task.into_bits(), 0]
    }
}

impl SegmentDescriptor {
    /// The segment register's contents after this descriptor was loaded.
    fn segment(self, selector: u16) -> kvm_segment {
        let limit = u32::from(self.limit_high()) << 16 | u32::from(self.limit_low());
        kvm_segment {
            base: u64::from(self.base_high()) << 24 | u64::from(self.base_low()),
            limit: if self.g() { limit << 12 | 0xfff } else { limit },
            selector,
            type_: self.kind(),
            present: self.p().into(),
            dpl: self.dpl(),
            db: self.db().into(),
            s: self.s().into(),
            l: self.l().into(),
            g: self.g().into(),
            avl: self.avl().into(),
            ..kvm_segment::default()
        }
    }
}

/// SDM 3A, "4-Level Paging": PML4, PDPT, and page directories of 2 MiB pages. (1 GiB pages are not on every CPU.)
fn page_tables() -> Vec<u8> {
    let pdpt = layout::PML4 + PAGE;
    let directories = pdpt + PAGE;
    let table = |entries: u64, first: u64, step: u64| {
        (0..ENTRIES).map(move |n| if n < entries { first + n * step } else { 0 })
    };
    table(1, pdpt | PTE_PRESENT_WRITABLE, 0)
        .chain(table(PAGE_DIRECTORIES, directories | PTE_PRESENT_WRITABLE, PAGE))
        .chain((0..PAGE_DIRECTORIES * ENTRIES).map(|n| (n * HUGE_PAGE) | PTE_LARGE | PTE_PRESENT_WRITABLE))
        .flat_map(u64::to_le_bytes)
        .collect()
}
