//! What imago finds the bytes of images in: files, and vmdks, which it reads as if they were raw.

#![expect(unsafe_code, reason = "imago's interface to storage is of unsafe functions")]

use std::{
    fmt::{self, Display, Formatter},
    io,
};

use imago::{
    Storage,
    file::File,
    io_buffers::{IoVector, IoVectorMut},
    storage::{PreallocateMode, drivers::CommonStorageHelper},
};
use vm_memory::VolatileSlice;

use super::{
    super::{Disk, vmdk::Vmdk},
    references::References,
};

/// The storage of one image.
#[derive(Debug)]
pub(super) enum Store {
    /// A file.
    File(File),
    /// A qcow2 image's file that is written to.
    Image(File, References),
    /// A disk that is only read.
    Vmdk(Box<Vmdk>, CommonStorageHelper),
}

impl From<File> for Store {
    fn from(file: File) -> Self {
        Self::File(file)
    }
}

impl From<Box<Vmdk>> for Store {
    fn from(vmdk: Box<Vmdk>) -> Self {
        Self::Vmdk(vmdk, CommonStorageHelper::default())
    }
}

impl Storage for Store {
    fn mem_align(&self) -> usize {
        match self {
            Self::File(file) | Self::Image(file, _) => file.mem_align(),
            Self::Vmdk(..) => 1,
        }
    }

    fn req_align(&self) -> usize {
        match self {
            Self::File(file) | Self::Image(file, _) => file.req_align(),
            Self::Vmdk(..) => 1,
        }
    }

    fn zero_align(&self) -> usize {
        match self {
            Self::File(file) | Self::Image(file, _) => file.zero_align(),
            Self::Vmdk(..) => 1,
        }
    }

    fn discard_align(&self) -> usize {
        match self {
            Self::File(file) | Self::Image(file, _) => file.discard_align(),
            Self::Vmdk(..) => 1,
        }
    }

    fn size(&self) -> io::Result<u64> {
        match self {
            Self::File(file) | Self::Image(file, _) => file.size(),
            Self::Vmdk(vmdk, _) => Ok(vmdk.size()),
        }
    }

    unsafe fn pure_readv(&self, buffers: IoVectorMut<'_>, offset: u64) -> io::Result<()> {
        match self {
            // SAFETY: What it asks of its caller is what was asked of ours.
            Self::File(file) | Self::Image(file, _) => unsafe { file.pure_readv(buffers, offset) },
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
        match self {
            // SAFETY: What it asks of its caller is what was asked of ours.
            Self::File(file) => unsafe { file.pure_writev(buffers, offset) },
            Self::Image(file, references) => {
                references.write(buffers, offset, file.mem_align().max(file.req_align()), |buffers| {
                    // SAFETY: These are the same bytes for the same place, aligned as imago aligns its own.
                    unsafe { file.pure_writev(buffers, offset) }
                })
            }
            Self::Vmdk(..) => Err(never_written()),
        }
    }

    unsafe fn pure_write_zeroes(&self, offset: u64, length: u64) -> io::Result<()> {
        match self {
            // SAFETY: What it asks of its caller is what was asked of ours.
            Self::File(file) | Self::Image(file, _) => unsafe { file.pure_write_zeroes(offset, length) },
            Self::Vmdk(..) => Err(never_written()),
        }
    }

    unsafe fn pure_write_allocated_zeroes(&self, offset: u64, length: u64) -> io::Result<()> {
        match self {
            // SAFETY: What it asks of its caller is what was asked of ours.
            Self::File(file) | Self::Image(file, _) => unsafe {
                file.pure_write_allocated_zeroes(offset, length)
            },
            Self::Vmdk(..) => Err(never_written()),
        }
    }

    unsafe fn pure_discard(&self, offset: u64, length: u64) -> io::Result<()> {
        match self {
            // SAFETY: What it asks of its caller is what was asked of ours.
            Self::File(file) | Self::Image(file, _) => unsafe { file.pure_discard(offset, length) },
            Self::Vmdk(..) => Err(never_written()),
        }
    }

    fn flush(&self) -> io::Result<()> {
        match self {
            Self::File(file) => file.flush(),
            Self::Image(file, references) => references.settle().and_then(|()| file.flush()),
            Self::Vmdk(..) => Ok(()),
        }
    }

    fn sync(&self) -> io::Result<()> {
        match self {
            Self::File(file) | Self::Image(file, _) => file.sync(),
            Self::Vmdk(..) => Ok(()),
        }
    }

    unsafe fn invalidate_cache(&self) -> io::Result<()> {
        match self {
            // SAFETY: What it asks of its caller is what was asked of ours.
            Self::File(file) | Self::Image(file, _) => unsafe { file.invalidate_cache() },
            Self::Vmdk(..) => Ok(()),
        }
    }

    fn get_storage_helper(&self) -> &CommonStorageHelper {
        match self {
            Self::File(file) | Self::Image(file, _) => file.get_storage_helper(),
            Self::Vmdk(_, helper) => helper,
        }
    }

    fn resize(&self, new_size: u64, mode: PreallocateMode) -> io::Result<()> {
        match self {
            Self::File(file) | Self::Image(file, _) => file.resize(new_size, mode),
            Self::Vmdk(..) => Err(never_written()),
        }
    }
}

impl Display for Store {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) | Self::Image(file, _) => file.fmt(f),
            Self::Vmdk(vmdk, _) => f.write_str(vmdk.name()),
        }
    }
}

fn never_written() -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, "a vmdk is never written to")
}
