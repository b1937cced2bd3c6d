//! The facts that both boot protocols give a kernel.

use std::ops::Range;

use super::memory_map::MemoryMap;

/// A screen that a kernel finds in a linear mode of 32 bits a pixel, `0x00RRGGBB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framebuffer {
    /// The address of the first pixel, below 4 GiB.
    pub base: u32,
    /// Pixels in a row.
    pub width: u16,
    /// Rows.
    pub height: u16,
    /// Bytes from one row to the next.
    pub pitch: u16,
}

/// The facts that the boot parameters contain. The command line and the initramfs are in memory already.
#[derive(Clone, Debug)]
pub struct BootInfo<'a> {
    /// Guest memory.
    pub map: &'a MemoryMap,
    /// The addresses of the initramfs.
    pub initrd: Option<Range<u64>>,
    /// The address of the ACPI RSDP.
    pub rsdp: u64,
    /// The screen, if there is one. PVH has no place for it.
    pub framebuffer: Option<Framebuffer>,
}
