//! The files in which imago finds the bytes of images, and vmdks, which it reads as if they were raw.

#![expect(unsafe_code, reason = "imago's interface to storage is of unsafe functions")]

use std::{
    fmt::{self, Display, Formatter},
    io::{self, IoSliceMut},
    sync::Arc,
};

use imago::{
    Storage,
    file::File,
    io_buffers::{IoBuffer, IoVector, IoVectorMut},
    storage::{PreallocateMode, drivers::CommonStorageHelper},
};
use vm_memory::VolatileSlice;

use super::{
    super::{Disk, Extent, guard::View, vmdk::Vmdk},
    order::Order,
};

/// The storage of one image, for imago.
#[derive(Debug)]
pub(super) enum Store {
    /// A file that is only read, or that needs no order of writes. The view changes its header.
    File(File, View),
    /// A file that is written to in order. The view changes its header.
    Ordered(File, Arc<Order>, View),
    /// The data file of an image that has one.
    Data(File, Arc<Order>),
    /// A vmdk, which is only read.
    Vmdk(Box<Vmdk>, CommonStorageHelper),
}

impl Store {
    /// The run of `len` bytes or fewer at `offset` that is all zeros, or all unknown.
    pub(super) fn extent_at(&self, offset: u64, len: u64) -> io::Result<Extent> {
        match self {
            Self::Vmdk(vmdk, _) if offset < vmdk.size() => {
                vmdk.extent_at(offset, len.min(vmdk.size() - offset))
            }
            _ => Ok(Extent { len, is_zero: false }),
        }
    }

    /// The file, if it is one.
    fn file(&self) -> Option<&File> {
        match self {
            Self::File(file, _) | Self::Ordered(file, ..) | Self::Data(file, _) => Some(file),
            Self::Vmdk(..) => None,
        }
    }

    /// The view of the header, if there is one.
    fn view(&self) -> Option<&View> {
        match self {
            Self::File(_, view) | Self::Ordered(_, _, view) => Some(view),
            Self::Data(..) | Self::Vmdk(..) => None,
        }
    }

    fn writable(&self) -> io::Result<&File> {
        self.file()
            .ok_or_else(|| io::Error::new(io::ErrorKind::PermissionDenied, "a vmdk is never written to"))
    }

    /// Calls `write`, which does not write to known tables, when the order permits it.
    fn in_order(&self, write: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        match self {
            Self::Ordered(_, order, _) | Self::Data(_, order) => order.write_data(write),
            Self::File(..) | Self::Vmdk(..) => write(),
        }
    }
}

impl From<File> for Store {
    fn from(file: File) -> Self {
        Self::File(file, View::default())
    }
}

impl From<Box<Vmdk>> for Store {
    fn from(vmdk: Box<Vmdk>) -> Self {
        Self::Vmdk(vmdk, CommonStorageHelper::default())
    }
}

impl Storage for Store {
    fn mem_align(&self) -> usize {
        self.file().map_or(1, Storage::mem_align)
    }

    fn req_align(&self) -> usize {
        self.file().map_or(1, Storage::req_align)
    }

    fn zero_align(&self) -> usize {
        self.file().map_or(1, Storage::zero_align)
    }

    fn discard_align(&self) -> usize {
        self.file().map_or(1, Storage::discard_align)
    }

    fn size(&self) -> io::Result<u64> {
        match self {
            Self::File(file, _) | Self::Ordered(file, ..) | Self::Data(file, _) => file.size(),
            Self::Vmdk(vmdk, _) => Ok(vmdk.size()),
        }
    }

    unsafe fn pure_readv(&self, buffers: IoVectorMut<'_>, offset: u64) -> io::Result<()> {
        match self {
            Self::File(file, _) | Self::Ordered(file, ..) | Self::Data(file, _) => {
                // SAFETY: our caller keeps the promises that this function asks for.
                let read = |buffers: IoVectorMut<'_>| unsafe { file.pure_readv(buffers, offset) };
                match self.view().filter(|view| view.covers(offset)) {
                    Some(view) => view.read(buffers, offset, read),
                    None => read(buffers),
                }
            }
            Self::Vmdk(vmdk, _) => {
                let (inside, mut past) = buffers.split_at(vmdk.size().saturating_sub(offset));
                past.fill(0);
                let mut buffers = inside.into_inner();
                let slices: Vec<_> =
                    buffers.iter_mut().map(|buffer| VolatileSlice::from(&mut buffer[..])).collect();
                vmdk.read_at(&slices, offset)
            }
        }
    }

    unsafe fn pure_writev(&self, buffers: IoVector<'_>, offset: u64) -> io::Result<()> {
        let file = self.writable()?;
        #[cfg(test)]
        let bytes = gather(&buffers)?;
        let written = match self {
            Self::Ordered(_, order, _) => {
                let touched = order.touched(offset, buffers.len());
                if touched.is_data() {
                    // SAFETY: our caller keeps the promises that this function asks for.
                    order.write_data(|| unsafe { file.pure_writev(buffers, offset) })
                } else {
                    let bytes = buffers.try_into_owned(file.mem_align())?;
                    // SAFETY: as above, and the copy has the required alignment.
                    let write = |bytes: &IoBuffer| unsafe { file.pure_writev(bytes.into(), offset) };
                    order.write_tables(&touched, offset, bytes, write)
                }
            }
            // SAFETY: our caller keeps the promises that this function asks for.
            _ => self.in_order(|| unsafe { file.pure_writev(buffers, offset) }),
        };
        #[cfg(test)]
        if let (Self::Ordered(_, order, _), Ok(())) = (self, &written) {
            order.log.write(offset, &bytes);
        }
        written
    }

    unsafe fn pure_write_zeroes(&self, offset: u64, length: u64) -> io::Result<()> {
        let file = self.writable()?;
        // SAFETY: our caller keeps the promises that this function asks for.
        self.in_order(|| unsafe { file.pure_write_zeroes(offset, length) })?;
        #[cfg(test)]
        if let Self::Ordered(_, order, _) = self {
            order.log.zero(offset, length);
        }
        Ok(())
    }

    unsafe fn pure_write_allocated_zeroes(&self, offset: u64, length: u64) -> io::Result<()> {
        let file = self.writable()?;
        // SAFETY: our caller keeps the promises that this function asks for.
        self.in_order(|| unsafe { file.pure_write_allocated_zeroes(offset, length) })
    }

    unsafe fn pure_discard(&self, offset: u64, length: u64) -> io::Result<()> {
        let file = self.writable()?;
        // SAFETY: our caller keeps the promises that this function asks for.
        self.in_order(|| unsafe { file.pure_discard(offset, length) })
    }

    fn flush(&self) -> io::Result<()> {
        match self {
            Self::Ordered(_, order, _) => order.flush(),
            Self::File(..) | Self::Data(..) | Self::Vmdk(..) => Ok(()),
        }
    }

    fn sync(&self) -> io::Result<()> {
        match self {
            Self::File(file, _) => file.sync(),
            Self::Ordered(_, order, _) | Self::Data(_, order) => order.sync(|| Ok(())),
            Self::Vmdk(..) => Ok(()),
        }
    }

    // imago calls this when clusters are freed.
    fn settle_writes(&self) -> io::Result<()> {
        if let Self::Ordered(_, order, _) = self {
            order.freeing();
        }
        Ok(())
    }

    unsafe fn invalidate_cache(&self) -> io::Result<()> {
        // The storage has no cache of its own.
        Ok(())
    }

    fn get_storage_helper(&self) -> &CommonStorageHelper {
        match self {
            Self::File(file, _) | Self::Ordered(file, ..) | Self::Data(file, _) => file.get_storage_helper(),
            Self::Vmdk(_, helper) => helper,
        }
    }

    fn resize(&self, new_size: u64, mode: PreallocateMode) -> io::Result<()> {
        let file = self.writable()?;
        self.in_order(|| file.resize(new_size, mode))
    }
}

impl Display for Store {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file, _) | Self::Ordered(file, ..) | Self::Data(file, _) => file.fmt(f),
            Self::Vmdk(vmdk, _) => f.write_str(vmdk.name()),
        }
    }
}

impl View {
    /// Calls `read`, which fills `buffers` with the file's bytes at `offset`, and replaces those that the view shows differently.
    fn read(
        &self,
        buffers: IoVectorMut<'_>,
        offset: u64,
        read: impl FnOnce(IoVectorMut<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut buffers = buffers.into_inner();
        let same: Vec<_> = buffers.iter_mut().map(|buffer| IoSliceMut::new(&mut buffer[..])).collect();
        read(same.into())?;
        let mut start = offset;
        for buffer in &mut buffers {
            let end = start + buffer.len() as u64;
            for (at, bytes) in self.within(start, end) {
                let at = usize::try_from(at).map_err(io::Error::other)?;
                buffer[at..at + bytes.len()].copy_from_slice(bytes);
            }
            start = end;
        }
        Ok(())
    }
}

/// The bytes of `buffers`.
#[cfg(test)]
fn gather(buffers: &IoVector<'_>) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(buffers.len()).map_err(io::Error::other)?];
    buffers.copy_into_slice(&mut bytes);
    Ok(bytes)
}
