/// Reasons why a function can't have a BAR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BarError {
    /// PCI 3.0, "Base Addresses": memory takes at least 16 bytes, I/O 4 to 256.
    #[error("a {space} BAR of {size:#x} bytes")]
    Size {
        /// The address space that it would have.
        space: BarSpace,
        /// The impossible size.
        size: u64,
    },
    /// The header has six registers, and a 64-bit BAR takes two.
    #[error("a {space} BAR in register {index}, which is no free one")]
    Register {
        /// The address space that it would have.
        space: BarSpace,
        /// The register.
        index: u8,
    },
    /// The address is out of its space, or no multiple of its size.
    #[error("a {space} BAR of {size:#x} bytes at {address:#x}, where none can be")]
    Address {
        /// The address space that it would have.
        space: BarSpace,
        /// The size.
        size: u64,
        /// The address.
        address: u64,
    },
}

/// The address space that a BAR decodes, and how many bits its address has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BarSpace {
    /// Memory below 4 GiB.
    Memory32,
    /// Memory anywhere.
    Memory64,
    /// I/O ports.
    Io,
}

impl BarSpace {
    /// The number of the header's BAR registers that a BAR takes.
    pub(super) const fn registers(self) -> u8 {
        match self {
            Self::Memory64 => 2,
            Self::Memory32 | Self::Io => 1,
        }
    }

    /// The last address of the space.
    const fn last_address(self) -> u64 {
        match self {
            Self::Memory32 => u32::MAX as u64,
            Self::Memory64 => u64::MAX,
            Self::Io => u16::MAX as u64,
        }
    }
}

impl std::fmt::Display for BarSpace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Memory32 => "32-bit memory",
            Self::Memory64 => "64-bit memory",
            Self::Io => "I/O",
        })
    }
}

/// A base address register: its place in the header, and what it can decode. The address is in configuration space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bar {
    index: u8,
    space: BarSpace,
    size: u64,
    prefetchable: bool,
}

impl Bar {
    /// The number of BAR registers in a header.
    pub const COUNT: usize = 6;

    /// A BAR of `size` bytes in register `index` of the header, not prefetchable.
    ///
    /// # Errors
    ///
    /// The size is no power of two or impossible in its space, or the header has no such register.
    pub const fn new(index: u8, space: BarSpace, size: u64) -> Result<Self, BarError> {
        let fits = match space {
            BarSpace::Memory32 => size >= 16 && size <= 1 << 31,
            BarSpace::Memory64 => size >= 16,
            BarSpace::Io => size >= 4 && size <= 256,
        };
        if !size.is_power_of_two() || !fits {
            return Err(BarError::Size { space, size });
        }
        if index as usize + space.registers() as usize > Self::COUNT {
            return Err(BarError::Register { space, index });
        }
        Ok(Self { index, space, size, prefetchable: false })
    }

    /// The same BAR, made prefetchable: reads have no side effects, and writes may be merged.
    #[must_use]
    pub const fn prefetchable(self) -> Self {
        Self { prefetchable: true, ..self }
    }

    /// Returns whether reads have no side effects, and writes may be merged.
    #[must_use]
    pub const fn is_prefetchable(&self) -> bool {
        self.prefetchable
    }

    /// The number of its register. A 64-bit BAR also takes the next one.
    #[must_use]
    pub const fn index(&self) -> u8 {
        self.index
    }

    /// The address space that it decodes.
    #[must_use]
    pub const fn space(&self) -> BarSpace {
        self.space
    }

    /// The size in bytes, a power of two.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The low bits of its register, which give its kind: PCI 3.0, "Address Maps".
    pub(super) const fn kind_bits(&self) -> u64 {
        let prefetchable = (self.prefetchable as u64) << 3;
        match self.space {
            BarSpace::Memory32 => prefetchable,
            BarSpace::Memory64 => 0b100 | prefetchable,
            BarSpace::Io => 0b01,
        }
    }

    /// The bits of its registers that hold the address. The others are fixed, by which a guest finds the size.
    pub(super) const fn address_mask(&self) -> u64 {
        !(self.size - 1)
    }

    /// Returns whether it can be placed at `address`.
    pub(super) const fn can_be_at(&self, address: u64) -> bool {
        // Both are multiples of the size, so this is the address of the last byte.
        address.is_multiple_of(self.size) && address | (self.size - 1) <= self.space.last_address()
    }
}

#[cfg(test)]
#[path = "bar_test.rs"]
mod tests;
