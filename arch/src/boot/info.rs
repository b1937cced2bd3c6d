//! What a kernel is told.

use std::ops::Range;

use super::memory_map::MemoryMap;

/// What both boot protocols tell the kernel. Command line and initramfs are in memory already.
#[derive(Clone, Debug)]
pub struct BootInfo<'a> {
    /// Guest memory.
    pub map: &'a MemoryMap,
    /// Where the initramfs lies.
    pub initrd: Option<Range<u64>>,
    /// Where the ACPI RSDP is.
    pub rsdp: u64,
}
