//! Reads and writes files directly into and out of guest memory.

#![expect(unsafe_code, reason = "the kernel reads and writes guest memory through raw pointers")]

use std::{
    fs::File,
    io,
    os::fd::{AsFd, AsRawFd},
    ptr,
};

use libc::{c_int, iovec, off_t};
use smallvec::SmallVec;
use vm_memory::VolatileSlice;

use crate::disk::Direction;

/// The most buffers that one call takes.
pub(crate) const IOV_MAX: usize = libc::UIO_MAXIOV as usize;

/// Reads at `offset` until `buffers` are full or the file ends. Returns the bytes read.
pub(crate) fn read(file: &File, buffers: &[VolatileSlice<'_>], offset: u64) -> io::Result<u64> {
    transfer(buffers, offset, |iovecs, count, offset| {
        if let [iovec] = iovecs {
            // SAFETY: the buffer is mapped guest memory, which the kernel may write to.
            return unsafe { libc::pread(file.as_raw_fd(), iovec.iov_base, iovec.iov_len, offset) };
        }
        // SAFETY: the `count` buffers of `iovecs` are mapped guest memory, which the kernel may write to.
        unsafe { libc::preadv(file.as_raw_fd(), iovecs.as_ptr(), count, offset) }
    })
}

/// Writes all of `buffers` at `offset`.
pub(crate) fn write(file: &File, buffers: &[VolatileSlice<'_>], offset: u64) -> io::Result<()> {
    let written = transfer(buffers, offset, |iovecs, count, offset| {
        if let [iovec] = iovecs {
            // SAFETY: the buffer is mapped guest memory, which the kernel only reads.
            return unsafe { libc::pwrite(file.as_raw_fd(), iovec.iov_base, iovec.iov_len, offset) };
        }
        // SAFETY: the `count` buffers of `iovecs` are mapped guest memory, which the kernel only reads.
        unsafe { libc::pwritev(file.as_raw_fd(), iovecs.as_ptr(), count, offset) }
    })?;
    if written < total(buffers) {
        return Err(io::ErrorKind::WriteZero.into());
    }
    Ok(())
}

/// Moves the bytes that can be moved at `offset` without waiting for storage. Returns the number of bytes moved.
///
/// # Errors
///
/// `WouldBlock` if no byte can be. `Unsupported` if the file system does not support such calls.
pub(crate) fn now(
    file: &File,
    direction: Direction,
    buffers: &[VolatileSlice<'_>],
    offset: u64,
) -> io::Result<usize> {
    let iovecs = iovecs(buffers);
    let count = c_int::try_from(iovecs.len().min(IOV_MAX)).map_err(io::Error::other)?;
    let offset = off_t::try_from(offset).map_err(io::Error::other)?;
    let (fd, iovecs) = (file.as_raw_fd(), iovecs.as_ptr());
    let moved = match direction {
        // SAFETY: the `count` buffers of `iovecs` are mapped guest memory, which the kernel may write to.
        Direction::Read => unsafe { libc::preadv2(fd, iovecs, count, offset, libc::RWF_NOWAIT) },
        // SAFETY: the `count` buffers of `iovecs` are mapped guest memory, which the kernel only reads.
        Direction::Write => unsafe { libc::pwritev2(fd, iovecs, count, offset, libc::RWF_NOWAIT) },
    };
    usize::try_from(moved).map_err(|_| io::Error::last_os_error())
}

/// Reads a frame, or what one call returns, into `buffers`. Only the first [`IOV_MAX`] buffers are used, where adjacent ones count as one.
/// Returns the number of bytes read.
pub(crate) fn receive(fd: impl AsFd, buffers: &[VolatileSlice<'_>]) -> io::Result<usize> {
    let iovecs = iovecs(buffers);
    let count = c_int::try_from(iovecs.len().min(IOV_MAX)).map_err(io::Error::other)?;
    let fd = fd.as_fd().as_raw_fd();
    let read = if let [iovec] = iovecs[..] {
        // A list takes the kernel longer, even if it has one entry.
        // SAFETY: the buffer is mapped guest memory, which the kernel may write to.
        unsafe { libc::read(fd, iovec.iov_base, iovec.iov_len) }
    } else {
        // SAFETY: the `count` buffers of `iovecs` are mapped guest memory, which the kernel may write to.
        unsafe { libc::readv(fd, iovecs.as_ptr(), count) }
    };
    usize::try_from(read).map_err(|_| io::Error::last_os_error())
}

/// Writes all of `buffers` as one frame, in one call. Returns the number of bytes written.
///
/// # Errors
///
/// `InvalidInput` if there are more than [`IOV_MAX`] buffers, where adjacent ones count as one.
pub(crate) fn send(fd: impl AsFd, buffers: &[VolatileSlice<'_>]) -> io::Result<usize> {
    let iovecs = iovecs(buffers);
    if iovecs.len() > IOV_MAX {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let count = c_int::try_from(iovecs.len()).map_err(io::Error::other)?;
    let fd = fd.as_fd().as_raw_fd();
    let written = if let [iovec] = iovecs[..] {
        // A list takes the kernel longer, even if it has one entry.
        // SAFETY: the buffer is mapped guest memory, which the kernel only reads.
        unsafe { libc::write(fd, iovec.iov_base, iovec.iov_len) }
    } else {
        // SAFETY: the `count` buffers of `iovecs` are mapped guest memory, which the kernel only reads.
        unsafe { libc::writev(fd, iovecs.as_ptr(), count) }
    };
    usize::try_from(written).map_err(|_| io::Error::last_os_error())
}

/// Sends as much as a stream socket accepts at once of the first [`IOV_MAX`] of `buffers`. Returns the number of bytes sent. If the peer
/// has gone, that is an error, and no signal.
pub(crate) fn send_now(socket: impl AsFd, buffers: &[VolatileSlice<'_>]) -> io::Result<usize> {
    let mut iovecs = iovecs(buffers);
    let message = libc::msghdr {
        msg_name: ptr::null_mut(),
        msg_namelen: 0,
        msg_iov: iovecs.as_mut_ptr(),
        msg_iovlen: iovecs.len().min(IOV_MAX),
        msg_control: ptr::null_mut(),
        msg_controllen: 0,
        msg_flags: 0,
    };
    let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
    // SAFETY: the message is the buffers of `iovecs`, mapped guest memory, which the kernel only reads.
    let sent = unsafe { libc::sendmsg(socket.as_fd().as_raw_fd(), &raw const message, flags) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// The number of bytes in `buffers`.
pub(crate) fn total(buffers: &[VolatileSlice<'_>]) -> u64 {
    buffers.iter().map(|buffer| buffer.len() as u64).sum()
}

/// Repeats `call` until it has moved all of `buffers`, or moves nothing. Returns the bytes moved.
fn transfer(
    buffers: &[VolatileSlice<'_>],
    offset: u64,
    call: impl Fn(&[iovec], c_int, off_t) -> isize,
) -> io::Result<u64> {
    let mut iovecs = iovecs(buffers);
    let mut left = iovecs.as_mut_slice();
    let mut done = 0;
    loop {
        left = skip_empty(left);
        if left.is_empty() {
            return Ok(done);
        }
        let at = offset.checked_add(done).and_then(|at| off_t::try_from(at).ok());
        let at = at.ok_or(io::ErrorKind::InvalidInput)?;
        let batch = &left[..left.len().min(IOV_MAX)];
        let count = c_int::try_from(batch.len()).map_err(io::Error::other)?;
        match usize::try_from(call(batch, count, at)) {
            Ok(0) => return Ok(done),
            Ok(moved) => {
                done += moved as u64;
                advance(left, moved);
            }
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
}

/// `buffers` in the kernel's form: mostly few, for which nothing is allocated. Adjacent ones are merged, as each costs the kernel time, and
/// drivers often cut theirs from one piece of memory.
fn iovecs(buffers: &[VolatileSlice<'_>]) -> SmallVec<[iovec; 4]> {
    let mut iovecs = SmallVec::<[iovec; 4]>::new();
    for buffer in buffers {
        let (iov_base, iov_len) = (buffer.ptr_guard_mut().as_ptr(), buffer.len());
        match iovecs.last_mut() {
            Some(last) if last.iov_base.wrapping_byte_add(last.iov_len) == iov_base.cast() => {
                last.iov_len += iov_len;
            }
            _ => iovecs.push(iovec { iov_base: iov_base.cast(), iov_len }),
        }
    }
    iovecs
}

fn skip_empty(iovecs: &mut [iovec]) -> &mut [iovec] {
    let first = iovecs.iter().position(|iovec| iovec.iov_len > 0).unwrap_or(iovecs.len());
    &mut iovecs[first..]
}

/// Removes `count` bytes from the front of `iovecs`.
fn advance(iovecs: &mut [iovec], mut count: usize) {
    for iovec in iovecs {
        let part = count.min(iovec.iov_len);
        iovec.iov_base = iovec.iov_base.wrapping_byte_add(part);
        iovec.iov_len -= part;
        count -= part;
        if count == 0 {
            return;
        }
    }
}

#[cfg(test)]
#[path = "vectored_test.rs"]
mod tests;
