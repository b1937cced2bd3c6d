//! Zeroing clusters, and giving back their space.
//!
//! Nothing else may use the image meanwhile: imago looks at a cluster and then changes it, and a cluster that is given back is soon another
//! part of the image.

use std::{io, ops::Range};

use imago::ShallowMapping;
use rustix::fs::FallocateFlags;

use super::{
    super::raw::{self, ZEROES},
    Image, Qcow2Disk, Top,
};

impl Qcow2Disk {
    /// Zeroes `range`.
    pub(super) fn zero(&self, range: Range<u64>, unmap: bool) -> io::Result<()> {
        let Top { can_zero, has_backing, .. } = self.top;
        self.by_table(range, |image, range| {
            let can_free = unmap && (can_zero || !has_backing);
            let inner = if can_free { self.punch(image, &range)? } else { range.start..range.start };
            let mut offset = range.start;
            while let Some((run, mapping)) = next_run(image, offset..range.end)? {
                let (start, len) = (run.start, run.end - run.start);
                offset = run.end;
                match mapping {
                    Mapped::Zeros | Mapped::Nowhere => {}
                    _ if !can_zero => {
                        let free = run.start.max(inner.start)..run.end.min(inner.end);
                        if free.is_empty() {
                            write_zeroes(image, run)?;
                            continue;
                        }
                        image.discard_to_backing(free.start, free.end - free.start)?;
                        write_zeroes(image, run.start..free.start)?;
                        write_zeroes(image, free.end..run.end)?;
                    }
                    _ if unmap => image.discard_to_zero(start, len)?,
                    _ => image.write_zeroes(start, len)?,
                }
            }
            Ok(())
        })
    }

    /// Gives back the clusters that lie within `range`. They read as zeros afterwards.
    pub(super) fn release(&self, range: Range<u64>) -> io::Result<()> {
        let Top { can_zero, has_backing, .. } = self.top;
        // Without clusters of zeros, the backing file's data would show again.
        if has_backing && !can_zero {
            return Ok(());
        }
        self.by_table(range, |image, range| {
            let inner = self.punch(image, &range)?;
            let mut offset = inner.start;
            while let Some((run, mapping)) = next_run(image, offset..inner.end)? {
                let (start, len) = (run.start, run.end - run.start);
                offset = run.end;
                match mapping {
                    // The image has no space for these clusters.
                    Mapped::Nowhere | Mapped::Below => {}
                    _ if has_backing => image.discard_to_zero(start, len)?,
                    _ => image.discard_to_backing(start, len)?,
                }
            }
            Ok(())
        })
    }

    /// Calls `call` for each part of `range` that lies within one L2 table.
    fn by_table(
        &self,
        range: Range<u64>,
        mut call: impl FnMut(&mut Image, Range<u64>) -> io::Result<()>,
    ) -> io::Result<()> {
        let covered = self.top.layout.l2_covers();
        let mut offset = range.start;
        while offset < range.end {
            let part = offset..range.end.min(offset - offset % covered + covered);
            offset = part.end;
            self.alone(|image| {
                self.make_room(image, &part)?;
                call(image, part)
            })?;
        }
        Ok(())
    }

    /// Has the file give back the space of those clusters within `range` that belong to it alone, and returns these clusters. They are
    /// zeros then, and stay allocated: if they were freed, others might use them.
    fn punch(&self, image: &Image, range: &Range<u64>) -> io::Result<Range<u64>> {
        let cluster = self.top.layout.cluster_size();
        // Bytes behind the end of the disk belong to its last cluster.
        let end = if range.end == self.size { range.end } else { range.end - range.end % cluster };
        let start = range.start.next_multiple_of(cluster).min(range.end);
        let inner = start..end.max(start);
        let mut offset = inner.start;
        let mut space: Option<Range<u64>> = None;
        while let Some((run, mapping)) = next_run(image, offset..inner.end)? {
            offset = run.end;
            let Mapped::Own(at) = mapping else { continue };
            let end = at + (run.end - run.start);
            match &mut space {
                Some(space) if space.end == at => space.end = end,
                _ => self.punch_file(space.replace(at..end))?,
            }
        }
        self.punch_file(space)?;
        Ok(inner)
    }

    /// Gives back space of the file, if its file system supports that.
    fn punch_file(&self, space: Option<Range<u64>>) -> io::Result<()> {
        let (Some(range), Some(file)) = (space, &self.top.data) else { return Ok(()) };
        let punch = || raw::allocate(file, &range, FallocateFlags::PUNCH_HOLE).map(drop);
        match &self.top.order {
            Some(order) => order.write_data(punch)?,
            None => punch()?,
        }
        #[cfg(test)]
        if let Some(order) = &self.top.order {
            order.log.zero(range.start, range.end - range.start);
        }
        Ok(())
    }
}

/// The place where clusters of the disk are stored.
#[derive(Clone, Copy, Debug)]
enum Mapped {
    /// In the image, at this offset of its file, and not shared.
    Own(u64),
    /// In the image, compressed or shared with a snapshot.
    Shared,
    /// In the backing file.
    Below,
    /// Nowhere: the image marks them as zeros.
    Zeros,
    /// Nowhere: they are zeros, because neither image has them.
    Nowhere,
}

/// The first part of a `range` of the disk that lies in one place, and that place. None if the range is empty.
fn next_run(image: &Image, range: Range<u64>) -> io::Result<Option<(Range<u64>, Mapped)>> {
    if range.is_empty() {
        return Ok(None);
    }
    let (mapping, len) = image.get_shallow_mapping(range.start, range.end - range.start)?;
    let mapped = match mapping {
        ShallowMapping::Raw { offset, writable: true, .. } => Mapped::Own(offset),
        ShallowMapping::Indirect { .. } => Mapped::Below,
        ShallowMapping::Zero { explicit: true, .. } => Mapped::Zeros,
        ShallowMapping::Zero { .. } => Mapped::Nowhere,
        _ => Mapped::Shared,
    };
    let end = range.start + len.min(range.end - range.start);
    Ok(Some((range.start..end, mapped)).filter(|_| len > 0))
}

/// Writes zeros to `range`.
fn write_zeroes(image: &Image, range: Range<u64>) -> io::Result<()> {
    let len = usize::try_from(range.end - range.start).map_or(ZEROES, |len| len.min(ZEROES));
    let zeroes = vec![0; len];
    let mut offset = range.start;
    while offset < range.end {
        let len = (range.end - offset).min(zeroes.len() as u64);
        image.write(zeroes.get(..usize::try_from(len).unwrap_or(0)).unwrap_or_default(), offset)?;
        offset += len;
    }
    Ok(())
}

#[cfg(test)]
#[path = "release_test.rs"]
mod tests;
