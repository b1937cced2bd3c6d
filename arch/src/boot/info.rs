//! The facts that both boot protocols give a kernel.

use std::ops::Range;

use super::memory_map::MemoryMap;

/// The facts that a kernel is told. Command line and initramfs are in memory already.
#[derive(Clone, Debug)]
pub struct BootInfo<'a> {
    /// Guest memory.
    pub map: &'a MemoryMap,
    /// The addresses of the initramfs.
    pub initrd: Option<Range<u64>>,
    /// The address of the ACPI RSDP.
    pub rsdp: u64,
}
