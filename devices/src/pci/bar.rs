use crate::bus::Remap;

/// A 32-bit memory BAR, not prefetchable.
///
/// 32 bits because all BARs are below 4 GiB anyway ([`arch::layout::PCI_MMIO`]), and a guest moves such a BAR in one
/// write. Its type bits are then all zero, and its register is the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bar {
    mapped: u32,
    size: u32,
}

impl Bar {
    /// A BAR of `size` bytes at `address`, or `None` if `size` is no power of two, less than a BAR can be, or `address` no
    /// multiple of it.
    #[must_use]
    pub const fn new(address: u32, size: u32) -> Option<Self> {
        if size.is_power_of_two() && size >= 16 && address.is_multiple_of(size) {
            Some(Self { mapped: address, size })
        } else {
            None
        }
    }

    /// Where the machine has mapped it.
    #[must_use]
    pub const fn mapped(&self) -> u32 {
        self.mapped
    }

    /// Its size in bytes, a power of two.
    #[must_use]
    pub const fn size(&self) -> u32 {
        self.size
    }

    /// The bits of its register that are an address. The others read as zero, which is how a guest learns its size.
    pub(super) const fn address_mask(&self) -> u32 {
        !(self.size - 1)
    }

    /// What to do if the guest wants it at `address`.
    pub(super) fn remap_to(&self, address: u32) -> Option<Remap> {
        (address != self.mapped).then(|| Remap { from: u64::from(self.mapped), to: u64::from(address) })
    }

    pub(super) fn moved(&mut self, Remap { from, to }: Remap) {
        if let (true, Ok(to)) = (from == u64::from(self.mapped), u32::try_from(to)) {
            self.mapped = to;
        }
    }
}
