//! The writes of `blk_durable` in each round. The test that starts the guest uses the same source.

pub(crate) const SECTOR: u64 = 512;
pub(crate) const SECTORS_OF_BLOCK: u64 = 8;
/// The size of the disk, in blocks.
pub(crate) const BLOCKS: u64 = 8192;
pub(crate) const MOST_WRITES: u64 = 6;
pub(crate) const MOST_BLOCKS: u64 = 4;

/// The writes of one round don't overlap: each has its own part of any group of blocks.
const GROUP: u64 = 64;
const PART: u64 = 8;
/// Half of the writes go to the first groups, which are rewritten often.
const OFTEN: u64 = 2;

/// A round of writes, which a flush confirms.
#[derive(Clone, Copy)]
pub(crate) struct Round(pub(crate) u64);

/// The place of a write, in blocks.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) block: u64,
    pub(crate) blocks: u64,
}

impl Round {
    /// The number of its writes.
    pub(crate) fn writes(self) -> u64 {
        1 + mix(self.0 << 8) % MOST_WRITES
    }

    /// The number of them that are in flight together with the flush of the round before.
    pub(crate) fn early(self) -> u64 {
        (mix(self.0 << 8) >> 32) % (self.writes() + 1)
    }

    /// The place of a write.
    pub(crate) fn place(self, write: u64) -> Place {
        let random = mix((self.0 << 8) + 1 + write);
        let groups = if random & 1 == 0 { OFTEN } else { BLOCKS / GROUP };
        let group = (random >> 8) % groups;
        let skipped = (random >> 32) % PART;
        let blocks = 1 + (random >> 48) % MOST_BLOCKS.min(PART - skipped);
        Place { block: group * GROUP + write * PART + skipped, blocks }
    }
}

/// The words that a round writes into a sector, with their offsets, between zeros. They are few, as a KVM that emulates the guest is slow.
pub(crate) fn content(round: u64, sector: u64) -> [(u64, u64); 4] {
    [(0, round), (8, sector), (SECTOR - 16, !sector), (SECTOR - 8, !round)]
}

/// The output function of SplitMix64, which turns regular numbers into random-looking ones.
pub(crate) fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
