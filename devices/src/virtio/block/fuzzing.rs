//! Fuzzes requests, in chains of any shape.

use std::{
    io,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use arch::memory::GuestRam;
use virtio_bindings::virtio_blk::{VIRTIO_BLK_F_DISCARD, VIRTIO_BLK_F_FLUSH, VIRTIO_BLK_F_WRITE_ZEROES};
use vm_memory::{Bytes, GuestAddress, VolatileSlice};

use super::{
    bit,
    request::{Operation, Request, Terms},
};
use crate::{
    block::{BlockOptions, CacheMode, Executor, Job, WriteCache},
    disk::{BlockSize, Disk, Extent, SECTOR_SIZE},
    virtio::queue::{
        Chain, Rings,
        fuzzing::{QUEUE_SIZE, bytes, everything, lay_out, memory, new_queue},
    },
    worker::Stop,
};

/// The length of the disk in bytes.
const DISK_LEN: usize = 64 << 9;

bitflags::bitflags! {
    /// The options of the device: the first byte.
    #[derive(Clone, Copy, Debug)]
    struct Setup: u8 {
        const READ_ONLY = 1 << 0;
        const FAILS = 1 << 1;
        const WRITETHROUGH = 1 << 2;
        const UNSAFE = 1 << 3;
        const FLUSH = 1 << 4;
        const DISCARD = 1 << 5;
        const WRITE_ZEROES = 1 << 6;
        const KEEPS_SPACE = 1 << 7;
    }
}

/// Requests on a disk in memory.
pub fn block_request(data: &[u8]) {
    let Some((&setup, data)) = data.split_first() else { return };
    let setup = Setup::from_bits_retain(setup);
    let disk = Arc::new(MemoryDisk::new(setup));
    let (executor, terms) = executor(&disk, setup);
    let memory = memory();
    lay_out(&memory, data);
    let mut rings = Rings::new(new_queue(QUEUE_SIZE), &memory).expect("the rings are in memory");
    while let Ok(Some(chain)) = rings.pop() {
        let Some((head, written)) = carry_out(&executor, terms, chain, &memory, &disk) else { break };
        if rings.push(head, written).is_err() {
            break;
        }
    }
}

fn executor(disk: &Arc<MemoryDisk>, setup: Setup) -> (Executor, Terms) {
    let features = [
        (Setup::FLUSH, VIRTIO_BLK_F_FLUSH),
        (Setup::DISCARD, VIRTIO_BLK_F_DISCARD),
        (Setup::WRITE_ZEROES, VIRTIO_BLK_F_WRITE_ZEROES),
    ];
    let features = features.into_iter().filter(|(flag, _)| setup.contains(*flag));
    let mut features = features.fold(0, |all, (_, feature)| all | bit(feature));
    if disk.is_read_only() {
        features &= bit(VIRTIO_BLK_F_FLUSH);
    }
    let cache = match setup {
        _ if setup.contains(Setup::WRITETHROUGH) => CacheMode::Writethrough,
        _ if setup.contains(Setup::UNSAFE) => CacheMode::Unsafe,
        _ => CacheMode::Writeback,
    };
    let options =
        BlockOptions { cache, discard: !setup.contains(Setup::KEEPS_SPACE), ..BlockOptions::default() };
    let cache = WriteCache::new(cache);
    cache.agree(features & bit(VIRTIO_BLK_F_FLUSH) != 0);
    let (disk, cache) = (Arc::<MemoryDisk>::clone(disk), Arc::new(cache));
    let terms = Terms { features, serial: options.serial };
    (Executor::new(0, disk, options.into(), cache, Stop::default()), terms)
}

/// Carries out the request in `chain`, and checks the effects. Returns how to return the chain; `None` if it is no request.
fn carry_out(
    executor: &Executor,
    terms: Terms,
    chain: Chain<'_>,
    memory: &GuestRam,
    disk: &MemoryDisk,
) -> Option<(u16, u32)> {
    let (head, room) = (chain.head, chain.writable.len());
    let writable = chain.writable.as_slice().to_vec();
    let before: Vec<Vec<u8>> = writable.iter().map(bytes).collect();
    let (memory_before, disk_before) = (everything(memory), disk.bytes());

    let request = Request::parse(chain).ok()?;
    let operation = request.operation;
    let request = request.on_disk(terms, disk.size());
    assert!(matches!(executor.job(&request), None | Some(Job::Sync)), "the kernel can't reach this disk");
    let (used, written) = executor.execute(request).expect("nobody tells it to stop");

    assert_eq!(used, head);
    assert!(written as usize <= room, "{written} bytes in room for {room}");
    let status = writable.last().and_then(|last| bytes(last).pop());
    assert!(matches!(status, Some(0..=2)), "{status:?}");
    let is_write = matches!(operation, Operation::Out | Operation::WriteZeroes);
    if !is_write || status != Some(0) && disk.setup.contains(Setup::FAILS) {
        assert!(disk.bytes() == disk_before, "{operation:?} wrote to the disk");
    }
    // If the writable memory is as before, all memory must be.
    let memory_after = everything(memory);
    for (buffer, before) in writable.iter().zip(&before) {
        buffer.copy_from(before);
    }
    assert!(everything(memory) == memory_before, "{operation:?} wrote past its buffers");
    memory.write_slice(&memory_after, GuestAddress(0)).expect("it is memory");
    Some((used, written))
}

/// A disk for other fuzz targets: the lowest two bits of `setup` make it read-only, and make it fail.
pub(crate) fn memory_disk(setup: u8) -> Arc<dyn Disk> {
    let setup = Setup::from_bits_retain(setup) & (Setup::READ_ONLY | Setup::FAILS);
    Arc::new(MemoryDisk::new(setup))
}

/// A disk that only permitted requests may reach.
#[derive(Debug)]
struct MemoryDisk {
    setup: Setup,
    bytes: Mutex<Vec<u8>>,
}

impl MemoryDisk {
    fn new(setup: Setup) -> Self {
        Self { setup, bytes: Mutex::new(vec![0xd5; DISK_LEN]) }
    }

    fn bytes(&self) -> Vec<u8> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Calls `call` with the disk's bytes at `range`.
    fn with(&self, range: Range<u64>, call: impl FnOnce(&mut [u8])) -> io::Result<()> {
        let sectors = range.start.is_multiple_of(SECTOR_SIZE) && range.end.is_multiple_of(SECTOR_SIZE);
        assert!(sectors, "{range:?} is not sectors");
        assert!(range.start <= range.end && range.end <= self.size(), "{range:?} is not on the disk");
        if self.setup.contains(Setup::FAILS) {
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        let index = |at| usize::try_from(at).expect("it is on the disk");
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        call(&mut bytes[index(range.start)..index(range.end)]);
        Ok(())
    }

    fn change(&self, range: Range<u64>, call: impl FnOnce(&mut [u8])) -> io::Result<()> {
        assert!(!self.is_read_only(), "the disk is only to be read");
        self.with(range, call)
    }
}

impl Disk for MemoryDisk {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn size(&self) -> u64 {
        DISK_LEN as u64
    }

    fn is_read_only(&self) -> bool {
        self.setup.contains(Setup::READ_ONLY)
    }

    fn block_size(&self) -> BlockSize {
        BlockSize { logical: 512, physical: 4096, optimal: 0, discard: 4096 }
    }

    fn read_at(&self, buffers: &[VolatileSlice<'_>], offset: u64) -> io::Result<()> {
        let len: usize = buffers.iter().map(VolatileSlice::len).sum();
        self.with(offset..offset + len as u64, |mut bytes| {
            for buffer in buffers {
                let (now, later) = bytes.split_at_mut(buffer.len());
                buffer.copy_from(now);
                bytes = later;
            }
        })
    }

    fn write_at(&self, buffers: &[VolatileSlice<'_>], offset: u64) -> io::Result<()> {
        let len: usize = buffers.iter().map(VolatileSlice::len).sum();
        self.change(offset..offset + len as u64, |mut bytes| {
            for buffer in buffers {
                let (now, later) = bytes.split_at_mut(buffer.len());
                buffer.copy_to(now);
                bytes = later;
            }
        })
    }

    fn write_zeroes(&self, range: Range<u64>, unmap: bool) -> io::Result<()> {
        assert!(!(unmap && self.setup.contains(Setup::KEEPS_SPACE)), "the space is to be kept");
        self.change(range, |bytes| bytes.fill(0))
    }

    fn discard(&self, range: Range<u64>) -> io::Result<()> {
        self.change(range, |_| {})
    }

    fn flush(&self) -> io::Result<()> {
        self.with(0..0, |_| {})
    }

    fn extent_at(&self, _: u64, len: u64) -> io::Result<Extent> {
        Ok(Extent { len, is_zero: false })
    }
}
