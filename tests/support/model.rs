//! The possible contents of a disk, derived from the reported results of `blk_durable`'s writes.

use std::collections::BTreeMap;

use crate::blk_plan::{self, BLOCKS, Place, Round, SECTORS_OF_BLOCK};

/// A disk, in terms of rounds: each sector has the data that one of them has written. Round 0 is the initial data.
pub(crate) struct Model {
    confirmed: Vec<u64>,
    /// Writes that no flush has confirmed, in order.
    pending: BTreeMap<u64, Vec<Write>>,
    /// The initial data isn't zeros.
    filled: bool,
}

/// A round's write of a sector.
#[derive(Clone, Copy)]
struct Write {
    round: u64,
    /// The write was answered without an error, so that a flush confirms it.
    done: bool,
}

impl Model {
    pub(crate) fn new(filled: bool) -> Self {
        let sectors = usize::try_from(BLOCKS * SECTORS_OF_BLOCK).unwrap();
        Self { confirmed: vec![0; sectors], pending: BTreeMap::new(), filled }
    }

    /// Takes the answers to a round's writes: bit n of `failed` is set if the nth failed.
    pub(crate) fn write(&mut self, round: u64, failed: u64) {
        for write in 0..Round(round).writes() {
            self.add(round, write, failed & 1 << write == 0);
        }
    }

    /// Takes note that a round's first writes may have started.
    pub(crate) fn begin(&mut self, round: u64, writes: u64) {
        (0..writes).for_each(|write| self.add(round, write, false));
    }

    fn add(&mut self, round: u64, write: u64, done: bool) {
        let Place { block, blocks } = Round(round).place(write);
        for sector in block * SECTORS_OF_BLOCK..(block + blocks) * SECTORS_OF_BLOCK {
            self.pending.entry(sector).or_default().push(Write { round, done });
        }
    }

    /// Takes a flush that was answered without an error: earlier writes that succeeded can't be lost any more.
    pub(crate) fn flush(&mut self) {
        for (sector, writes) in &mut self.pending {
            if let Some(last) = writes.iter().rposition(|write| write.done) {
                self.confirmed[usize::try_from(*sector).unwrap()] = writes[last].round;
                writes.drain(..=last);
            }
        }
        self.pending.retain(|_, writes| !writes.is_empty());
    }

    /// Compares a disk with its possible contents. From now on, only these contents are possible.
    pub(crate) fn verify(&mut self, disk: &[u8]) -> Result<(), String> {
        let (sectors, rest) = disk.as_chunks();
        if sectors.len() != self.confirmed.len() || !rest.is_empty() {
            return Err(format!("the disk has {} bytes", disk.len()));
        }
        for (number, (sector, confirmed)) in (0..).zip(sectors.iter().zip(&mut self.confirmed)) {
            let pending = self.pending.get(&number).map_or(&[][..], Vec::as_slice);
            let mut allowed = pending.iter().map(|write| write.round).chain([*confirmed]);
            let Some(round) = allowed.find(|&round| *sector == content(round, number, self.filled)) else {
                let words: Vec<_> =
                    sector.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
                let pending: Vec<_> = pending.iter().map(|write| write.round).collect();
                return Err(format!(
                    "sector {number} is to hold round {confirmed}, or one of {pending:?}, which were not confirmed: \
                     {:#x?} ... {:#x?}",
                    &words[..2],
                    &words[62..]
                ));
            };
            *confirmed = round;
        }
        self.pending.clear();
        Ok(())
    }

    /// The initial data of a disk.
    pub(crate) fn base(filled: bool) -> Vec<u8> {
        (0..BLOCKS * SECTORS_OF_BLOCK).flat_map(|sector| content(0, sector, filled)).collect()
    }
}

/// The data of a sector after it was written in a round.
fn content(round: u64, sector: u64, filled: bool) -> [u8; 512] {
    let mut bytes = [0; 512];
    if round != 0 || filled {
        for (at, word) in blk_plan::content(round, sector) {
            let at = usize::try_from(at).unwrap();
            bytes[at..at + 8].copy_from_slice(&word.to_le_bytes());
        }
    }
    bytes
}

#[cfg(test)]
#[path = "model_test.rs"]
mod tests;
