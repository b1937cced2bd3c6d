use std::sync::{Arc, atomic::Ordering};

use proptest::prelude::*;
use virtio_bindings::virtio_blk::{
    VIRTIO_BLK_F_FLUSH, VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_FLUSH, VIRTIO_BLK_T_GET_ID, VIRTIO_BLK_T_IN,
    VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_WRITE_ZEROES,
};

use super::*;
use crate::{
    block::{
        BlockOptions, CacheMode, Executor, Job, Lasting, Total, Totals, WriteCache, test_disk::TestDisk,
    },
    disk::{
        Direction, Disk,
        raw::{DiskOptions, RawDisk},
    },
    testing::said_by,
    virtio::queue::test_driver::{Driver, FREE, SEAM, WRITE, any_table},
    worker::Stop,
};

const OK: u8 = 0;
const IOERR: u8 = 1;
const UNSUPP: u8 = 2;
/// The value that the driver finds where the device has written nothing.
const UNTOUCHED: u8 = 0xcc;

const SERIAL: &[u8; 20] = b"serial number 1\0\0\0\0\0";

/// The features of a driver that accepts everything, optionally without flushes.
fn executor(disk: &Arc<TestDisk>, driver_flushes: bool) -> Device {
    let flush = if driver_flushes { bit(VIRTIO_BLK_F_FLUSH) } else { 0 };
    let features = flush | bit(VIRTIO_BLK_F_DISCARD) | bit(VIRTIO_BLK_F_WRITE_ZEROES);
    executor_with(disk, features, &BlockOptions::default())
}

fn executor_with<D: Disk + 'static>(disk: &Arc<D>, features: u64, options: &BlockOptions) -> Device {
    let options = BlockOptions { serial: "serial number 1".parse().unwrap(), ..options.clone() };
    lasting_executor(disk, features, &options.into())
}

fn lasting_executor<D: Disk + 'static>(disk: &Arc<D>, features: u64, lasting: &Lasting) -> Device {
    let cache = Arc::new(WriteCache::new(lasting.options.cache));
    cache.agree(features & bit(VIRTIO_BLK_F_FLUSH) != 0);
    let terms = Terms { features, serial: lasting.options.serial };
    let (disk, stop) = (Arc::<D>::clone(disk), Stop::default());
    let executor = Executor::new(0, disk, lasting.clone(), Arc::clone(&cache), stop);
    Device { executor, cache, terms }
}

/// Carries out a driver's request.
struct Device {
    executor: Executor,
    cache: Arc<WriteCache>,
    terms: Terms,
}

impl Device {
    fn request<'m>(&self, chain: Chain<'m>) -> Result<block::Request<'m, Answer<'m>>, RequestError> {
        Ok(Request::parse(chain)?.on_disk(self.terms, self.executor.disk().size()))
    }

    fn execute(&self, chain: Chain<'_>) -> Result<(u16, u32), RequestError> {
        Ok(self.executor.execute(self.request(chain)?).unwrap())
    }
}

/// A driver's layout of a request.
#[derive(Clone, Debug, Default)]
struct Layout {
    /// The lengths of successive pieces, for as long as there is data.
    pieces: Vec<usize>,
    indirect: bool,
}

/// Executes a request of `readable` bytes, with space for `writable` bytes. Returns the contents of that space, and the used length.
fn execute(
    executor: &Device,
    readable: &[u8],
    writable: usize,
    layout: &Layout,
) -> Result<(Vec<u8>, u32), RequestError> {
    let mut driver = Driver::new(256);
    let mut sizes = layout.pieces.iter().copied();
    let mut address = SEAM - 100;
    let mut cut = |mut len: usize, flags| {
        let mut pieces = Vec::new();
        while len > 0 {
            let size = sizes.next().unwrap_or(len).clamp(1, len);
            pieces.push((address, u32::try_from(size).unwrap(), flags));
            address += size as u64 + 13;
            len -= size;
        }
        pieces
    };
    let (out, room) = (cut(readable.len(), 0), cut(writable, WRITE));
    let mut rest = readable;
    for &(address, len, _) in &out {
        driver.write(address, rest.split_off(..usize::try_from(len).unwrap()).unwrap());
    }
    for &(address, len, _) in &room {
        driver.write(address, &vec![UNTOUCHED; usize::try_from(len).unwrap()]);
    }
    let chain = [out, room.clone()].concat();
    let head = if layout.indirect { driver.indirect_chain(FREE, &chain) } else { driver.chain(&chain) };

    let chain = driver.rings(&driver.memory).pop().unwrap().unwrap();
    let (used, len) = executor.execute(chain)?;
    assert_eq!(used, head);
    let room = room.iter().flat_map(|&(address, len, _)| driver.read(address, usize::try_from(len).unwrap()));
    Ok((room.collect(), len))
}

fn header(kind: u32, sector: u64) -> Vec<u8> {
    [&kind.to_le_bytes()[..], &[0x5a; 4], &sector.to_le_bytes()].concat()
}

/// `execute` in the simplest layout.
fn request(executor: &Device, kind: u32, sector: u64, data_out: &[u8], data_in: usize) -> (Vec<u8>, u8, u32) {
    let readable = [&header(kind, sector), data_out].concat();
    let (mut room, len) = execute(executor, &readable, data_in + 1, &Layout::default()).unwrap();
    let status = room.pop().unwrap();
    (room, status, len)
}

#[test]
fn reads_and_writes() {
    let disk = Arc::new(TestDisk::new(8));
    let executor = executor(&disk, true);
    let (data, status, len) = request(&executor, VIRTIO_BLK_T_IN, 3, &[], 1024);
    assert_eq!((status, len), (OK, 1025));
    assert_eq!(data, disk.bytes.lock().unwrap()[3 * 512..5 * 512]);
    assert_eq!(request(&executor, VIRTIO_BLK_T_OUT, 7, &[9; 512], 0), (vec![], OK, 1));
    assert_eq!(disk.bytes.lock().unwrap()[7 * 512..], [9; 512]);
    // Space that a write doesn't need stays unchanged, and isn't reported as written.
    assert_eq!(request(&executor, VIRTIO_BLK_T_OUT, 7, &[8; 512], 5), (vec![UNTOUCHED; 5], OK, 0));
    // Of no bytes.
    assert_eq!(request(&executor, VIRTIO_BLK_T_IN, 8, &[], 0), (vec![], OK, 1));
}

#[test]
fn refuses_what_is_not_on_the_disk() {
    let disk = Arc::new(TestDisk::new(8));
    let executor = executor(&disk, true);
    let before = disk.bytes.lock().unwrap().clone();
    for (sector, len) in [
        (8, 512),
        (7, 1024),
        (0, 4608),
        (0, 511),
        (0, 1),
        (0, 513),
        (9, 0),
        (1 << 55, 512),
        (u64::MAX, 512),
        (u64::MAX, 0),
    ] {
        let expected = (vec![UNTOUCHED; len], IOERR, u32::from(len == 0));
        assert_eq!(request(&executor, VIRTIO_BLK_T_IN, sector, &[], len), expected, "{len} at {sector}");
        let out = vec![1; len];
        assert_eq!(
            request(&executor, VIRTIO_BLK_T_OUT, sector, &out, 0),
            (vec![], IOERR, 1),
            "{len} at {sector}"
        );
    }
    assert_eq!(*disk.bytes.lock().unwrap(), before);
}

#[test]
fn a_read_only_disk_is_only_read() {
    let disk = Arc::new(TestDisk { read_only: true, ..TestDisk::new(8) });
    for driver_flushes in [true, false] {
        let executor = executor(&disk, driver_flushes);
        assert_eq!(request(&executor, VIRTIO_BLK_T_OUT, 0, &[1; 512], 0), (vec![], IOERR, 1));
        assert_eq!(request(&executor, VIRTIO_BLK_T_IN, 0, &[], 512).1, OK);
        assert_eq!(request(&executor, VIRTIO_BLK_T_FLUSH, 0, &[], 0).1, OK);
    }
}

#[test]
fn flushes() {
    let disk = Arc::new(TestDisk::new(8));
    let flushes = || disk.flushes.load(Ordering::Relaxed);
    request(&executor(&disk, true), VIRTIO_BLK_T_OUT, 0, &[1; 512], 0);
    assert_eq!(flushes(), 0);
    assert_eq!(request(&executor(&disk, true), VIRTIO_BLK_T_FLUSH, 0, &[], 0), (vec![], OK, 1));
    assert_eq!(flushes(), 1);
    // Without flushes, a driver's writes are on stable storage when they are complete.
    request(&executor(&disk, false), VIRTIO_BLK_T_OUT, 0, &[1; 512], 0);
    assert_eq!(flushes(), 2);
    request(&executor(&disk, false), VIRTIO_BLK_T_IN, 0, &[], 512);
    assert_eq!(flushes(), 2);
    let zeroes = segment((0, 1, 0));
    assert_eq!(request(&executor(&disk, false), VIRTIO_BLK_T_WRITE_ZEROES, 0, &zeroes, 0).1, OK);
    assert_eq!(flushes(), 3);
    // A discard is not a write.
    assert_eq!(request(&executor(&disk, false), VIRTIO_BLK_T_DISCARD, 0, &zeroes, 0).1, OK);
    assert_eq!(flushes(), 3);
}

/// The driver turns the write cache off and on while the device works.
#[test]
fn writes_are_stable_while_there_is_no_cache() {
    let disk = Arc::new(TestDisk::new(8));
    let executor = executor(&disk, true);
    let flushes = || disk.flushes.swap(0, Ordering::Relaxed);
    for (writeback, expected) in [(true, 0), (false, 1), (false, 1), (true, 0)] {
        executor.cache.set_writeback(writeback);
        assert_eq!(request(&executor, VIRTIO_BLK_T_OUT, 0, &[1; 512], 0).1, OK);
        assert_eq!(flushes(), expected);
        assert_eq!(request(&executor, VIRTIO_BLK_T_FLUSH, 0, &[], 0).1, OK);
        assert_eq!(flushes(), 1);
    }
    // A write that can't be synced has failed.
    executor.cache.set_writeback(false);
    disk.flush_errno.store(libc::EIO, Ordering::Relaxed);
    assert_eq!(request(&executor, VIRTIO_BLK_T_OUT, 0, &[1; 512], 0).1, IOERR);
    assert_eq!(request(&executor, VIRTIO_BLK_T_WRITE_ZEROES, 0, &segment((0, 1, 0)), 0).1, IOERR);
}

#[test]
fn unsafe_is_never_stable() {
    for features in [0, bit(VIRTIO_BLK_F_FLUSH)] {
        let disk = Arc::new(TestDisk::new(8));
        let options = BlockOptions { cache: CacheMode::Unsafe, ..BlockOptions::default() };
        let executor = executor_with(&disk, features, &options);
        disk.flush_errno.store(libc::EIO, Ordering::Relaxed);
        for writeback in [true, false] {
            executor.cache.set_writeback(writeback);
            assert_eq!(request(&executor, VIRTIO_BLK_T_OUT, 3, &[1; 512], 0).1, OK);
            assert_eq!(request(&executor, VIRTIO_BLK_T_FLUSH, 0, &[], 0), (vec![], OK, 1));
        }
        assert_eq!(disk.flushes.load(Ordering::Relaxed), 0);
        assert_eq!(disk.bytes.lock().unwrap()[3 * 512..4 * 512], [1; 512]);
    }
}

/// The kernel's own transfers follow the write cache just as well.
#[test]
fn jobs_follow_the_write_cache() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(4096).unwrap();
    let disk = Arc::new(RawDisk::open(file.path(), &DiskOptions::default()).unwrap());
    let job = |executor: &Device, kind, data: &[(u64, u32, u16)]| {
        let mut driver = Driver::new(16);
        driver.write(FREE, &header(kind, 0));
        driver.chain(&[&[(FREE, 16, 0)], data, &[(FREE + 0x1000, 1, WRITE)]].concat());
        let chain = driver.rings(&driver.memory).pop().unwrap().unwrap();
        executor.executor.job(&executor.request(chain).unwrap())
    };
    for cache in [CacheMode::Writeback, CacheMode::Writethrough, CacheMode::Unsafe] {
        let options = BlockOptions { cache, ..BlockOptions::default() };
        let features = bit(VIRTIO_BLK_F_FLUSH) | bit(VIRTIO_BLK_F_DISCARD) | bit(VIRTIO_BLK_F_WRITE_ZEROES);
        let executor = executor_with(&disk, features, &options);
        for writeback in [true, false] {
            executor.cache.set_writeback(writeback);
            let transfer = |direction, stable| Job::Transfer { direction, file: 0, offset: 0, stable };
            let stable = !writeback && cache != CacheMode::Unsafe;
            let write = transfer(Direction::Write, stable);
            assert_eq!(job(&executor, VIRTIO_BLK_T_OUT, &[(FREE, 512, 0)]), Some(write));
            let read = transfer(Direction::Read, false);
            assert_eq!(job(&executor, VIRTIO_BLK_T_IN, &[(FREE, 512, WRITE)]), Some(read));
            let flush = (cache != CacheMode::Unsafe).then_some(Job::Sync);
            assert_eq!(job(&executor, VIRTIO_BLK_T_FLUSH, &[]), flush);
            for kind in [VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES] {
                assert_eq!(job(&executor, kind, &[(FREE, 16, 0)]), None);
            }
        }
    }
}

/// A request as a driver writes it.
fn segment((sector, num_sectors, flags): (u64, u32, u32)) -> Vec<u8> {
    [&sector.to_le_bytes()[..], &num_sectors.to_le_bytes(), &flags.to_le_bytes()].concat()
}

#[test]
fn discards_and_writes_zeroes() {
    let disk = Arc::new(TestDisk::new(8));
    let executor = executor(&disk, true);
    let before = disk.bytes.lock().unwrap().clone();
    let segments = [(6, 2, 0), (8, 0, 0), (1, 1, 0)].map(segment).concat();
    assert_eq!(request(&executor, VIRTIO_BLK_T_DISCARD, 0, &segments, 0), (vec![], OK, 1));
    assert_eq!(*disk.bytes.lock().unwrap(), before);
    assert_eq!(*disk.unmapped.lock().unwrap(), [0xc00..0x1000, 0x200..0x400]);
    disk.unmapped.lock().unwrap().clear();

    let segments = [(5, 2, 0), (0, 1, 1), (4, 1, 1)].map(segment).concat();
    assert_eq!(request(&executor, VIRTIO_BLK_T_WRITE_ZEROES, 0, &segments, 0), (vec![], OK, 1));
    let bytes = disk.bytes.lock().unwrap().clone();
    assert!(bytes[..512].iter().chain(&bytes[4 * 512..7 * 512]).all(|&byte| byte == 0));
    assert_eq!(bytes[512..4 * 512], before[512..4 * 512]);
    assert_eq!(bytes[7 * 512..], before[7 * 512..]);
    assert_eq!(*disk.unmapped.lock().unwrap(), [0..512, 0x800..0xa00]);

    disk.errno.store(libc::EIO, Ordering::Relaxed);
    for kind in [VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES] {
        assert_eq!(request(&executor, kind, 0, &segment((1, 1, 0)), 0).1, IOERR);
    }
}

/// With discards off, no space is freed; a driver that permits it anyway makes no error.
#[test]
fn keeps_its_space_if_so_wished() {
    let disk = Arc::new(TestDisk::new(8));
    let options = BlockOptions { discard: false, ..BlockOptions::default() };
    let executor = executor_with(&disk, bit(VIRTIO_BLK_F_WRITE_ZEROES), &options);
    assert_eq!(request(&executor, VIRTIO_BLK_T_WRITE_ZEROES, 0, &segment((1, 1, 1)), 0).1, OK);
    assert_eq!(disk.bytes.lock().unwrap()[512..1024], [0; 512]);
    assert_eq!(request(&executor, VIRTIO_BLK_T_DISCARD, 0, &segment((1, 1, 0)), 0).1, UNSUPP);
    assert_eq!(*disk.unmapped.lock().unwrap(), []);
}

#[test]
fn the_device_returns_its_serial_number() {
    let executor = executor(&Arc::new(TestDisk::new(8)), true);
    assert_eq!(request(&executor, VIRTIO_BLK_T_GET_ID, 0, &[], 20), (SERIAL.to_vec(), OK, 21));
    assert_eq!(request(&executor, VIRTIO_BLK_T_GET_ID, 0, &[], 3), (SERIAL[..3].to_vec(), OK, 4));
    let (data, status, len) = request(&executor, VIRTIO_BLK_T_GET_ID, 0, &[], 25);
    assert_eq!((data, status, len), ([&SERIAL[..], &[UNTOUCHED; 5]].concat(), OK, 20));
}

#[test]
fn does_not_support_everything() {
    let executor = executor(&Arc::new(TestDisk::new(8)), true);
    for kind in [2, 3, 5, 9, 10, 12, 14, 1 << 31, u32::MAX] {
        assert_eq!(request(&executor, kind, 0, &[0; 16], 0), (vec![], UNSUPP, 1));
        assert_eq!(request(&executor, kind, 0, &[], 512), (vec![UNTOUCHED; 512], UNSUPP, 0));
    }
    // Nor anything that the driver has not negotiated.
    let executor = executor_with(&Arc::new(TestDisk::new(8)), 0, &BlockOptions::default());
    for kind in [VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES] {
        assert_eq!(request(&executor, kind, 0, &segment((0, 1, 0)), 0), (vec![], UNSUPP, 1));
    }
}

#[test]
fn no_place_for_an_answer() {
    let executor = executor(&Arc::new(TestDisk::new(8)), true);
    let layout = Layout::default();
    let header = header(VIRTIO_BLK_T_IN, 0);
    assert_eq!(execute(&executor, &header[..15], 513, &layout), Err(RequestError::NoHeader(0)));
    assert_eq!(execute(&executor, &[], 513, &layout), Err(RequestError::NoHeader(0)));
    assert_eq!(execute(&executor, &header, 0, &layout), Err(RequestError::NoStatus(0)));
}

fn any_layout() -> impl Strategy<Value = Layout> {
    let sizes = prop_oneof![Just(1_usize), 1..20_usize, 1..600_usize];
    (prop::collection::vec(sizes, 0..60), any::<bool>())
        .prop_map(|(pieces, indirect)| Layout { pieces, indirect })
}

proptest! {
    /// virtio 1.x, "Message Framing": the division of a request into buffers has no meaning.
    #[test]
    fn framing_means_nothing(
        kind in prop_oneof![Just(0_u32), Just(1), Just(4), Just(8), Just(11), Just(13)],
        sector in 0_u64..10,
        out in prop_oneof![Just(0_usize), Just(512), Just(1024), 0..1500_usize],
        room in prop_oneof![Just(0_usize), Just(512), Just(1024), 0..1500_usize],
        layout in any_layout(),
    ) {
        let readable: Vec<u8> =
            header(kind, sector).into_iter().chain((0..out).map(|n| u8::try_from(n % 255).unwrap())).collect();
        let [plain, cut] = [&Layout::default(), &layout].map(|layout| {
            let disk = Arc::new(TestDisk::new(8));
            let answer = execute(&executor(&disk, true), &readable, room + 1, layout);
            let bytes = disk.bytes.lock().unwrap().clone();
            (answer, bytes)
        });
        prop_assert_eq!(plain, cut);
    }
}

/// A request with a few segments, mostly valid ones.
fn any_segments() -> impl Strategy<Value = Vec<(u64, u32, u32)>> {
    let sector = prop_oneof![30 => 0..8_u64, 1 => 8..10_u64, 1 => any::<u64>()];
    let num_sectors = prop_oneof![30 => 0..2_u32, 10 => 0..9_u32, 1 => any::<u32>()];
    let flags = prop_oneof![30 => Just(0_u32), 10 => Just(1), 1 => any::<u32>()];
    let count = prop_oneof![20 => 0..4_usize, 1 => 30..40_usize];
    count.prop_flat_map(move |count| {
        prop::collection::vec((sector.clone(), num_sectors.clone(), flags.clone()), count)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// A disk is accessed only where a valid request says, and every request is answered.
    #[test]
    fn segments_are_all_good_or_nothing_is_done(
        kind in prop_oneof![Just(VIRTIO_BLK_T_DISCARD), Just(VIRTIO_BLK_T_WRITE_ZEROES)],
        (discard, agreed, read_only) in any::<(bool, bool, bool)>(),
        sector in any::<u64>(),
        segments in any_segments(),
        tail in prop_oneof![20 => Just(0_usize), 1 => 1..16_usize],
        layout in any_layout(),
    ) {
        let disk = Arc::new(TestDisk { read_only, ..TestDisk::new(8) });
        let options = BlockOptions { discard, ..BlockOptions::default() };
        let offered = crate::virtio::block::offered(&*disk, &options);
        let executor = executor_with(&disk, if agreed { offered } else { bit(VIRTIO_BLK_F_FLUSH) }, &options);
        let before = disk.bytes.lock().unwrap().clone();
        let data: Vec<u8> = segments.iter().copied().flat_map(segment).collect();
        let request = [&header(kind, sector), &data[..], &vec![0; tail]].concat();
        let (room, used) = execute(&executor, &request, 1, &layout).unwrap();

        let discards = kind == VIRTIO_BLK_T_DISCARD;
        let known = u32::from(!discards);
        let expected = if !agreed || read_only || discards && !discard {
            UNSUPP
        } else if tail > 0 || !(1..=32).contains(&segments.len()) {
            IOERR
        } else if segments.iter().any(|&(_, _, flags)| flags > known) {
            UNSUPP
        } else if segments.iter().any(|&(sector, count, _)| sector > 8 || u64::from(count) > 8 - sector) {
            IOERR
        } else {
            OK
        };
        prop_assert_eq!((room, used), (vec![expected], 1));
        let (mut bytes, mut unmapped) = (before, Vec::new());
        for &(sector, count, flags) in segments.iter().filter(|_| expected == OK) {
            let range = sector * 512..(sector + u64::from(count)) * 512;
            if !discards {
                bytes[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()].fill(0);
            }
            if count > 0 && discard && (discards || flags == 1) {
                unmapped.push(range);
            }
        }
        prop_assert_eq!(&*disk.bytes.lock().unwrap(), &bytes);
        prop_assert_eq!(&*disk.unmapped.lock().unwrap(), &unmapped);
    }
}

proptest! {
    // One in five is valid enough to be served.
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// For any rings and any memory, a queue is served to its end or to an error.
    #[test]
    fn hostile_drivers(
        table in any_table(16),
        heads in prop::collection::vec(0_u16..16, 16),
        kind in 0_u8..15,
    ) {
        let executor = executor(&Arc::new(TestDisk::new(8)), false);
        let mut driver = Driver::new(16);
        // Every second one is also a valid segment, when read as one.
        let both = |n: u64| [header(kind.into(), n), segment((n % 8, 1, u32::from(kind) % 2))].concat();
        let headers: Vec<u8> = (0..8).flat_map(both).collect();
        driver.write(FREE, &headers.repeat(0x100));
        for (index, &descriptor) in (0..).zip(&table) {
            driver.describe_own(index, descriptor);
        }
        heads.iter().for_each(|&head| driver.offer(head));
        let mut served = 0;
        let mut rings = driver.rings(&driver.memory);
        while let Ok(Some(chain)) = rings.pop() {
            let Ok((head, len)) = executor.execute(chain) else { break };
            if rings.push(head, len).is_err() {
                break;
            }
            served += 1;
        }
        prop_assert!(served <= 16);
    }
}

/// Each request is counted once, by its kind, with the bytes that it moved or named.
#[test]
fn counts_what_was_done() {
    let disk = Arc::new(TestDisk::new(64));
    let lasting = Lasting::from(BlockOptions::default());
    let features = bit(VIRTIO_BLK_F_DISCARD) | bit(VIRTIO_BLK_F_WRITE_ZEROES);
    let executor = lasting_executor(&disk, features, &lasting);
    let layout = Layout::default();
    let request = |kind: u32, sector: u64, data: &[u8], writable: usize| {
        let header = [&kind.to_le_bytes()[..], &[0; 4], &sector.to_le_bytes(), data].concat();
        execute(&executor, &header, writable, &layout).unwrap();
    };
    request(VIRTIO_BLK_T_IN, 0, &[], 1025);
    request(VIRTIO_BLK_T_OUT, 0, &[1; 512], 1);
    request(VIRTIO_BLK_T_OUT, 64, &[1; 512], 1);
    request(VIRTIO_BLK_T_FLUSH, 0, &[], 1);
    request(VIRTIO_BLK_T_GET_ID, 0, &[], 21);
    let segment = |sectors: u32| [&8_u64.to_le_bytes()[..], &sectors.to_le_bytes(), &[0; 4]].concat();
    request(VIRTIO_BLK_T_DISCARD, 0, &[segment(8), segment(16)].concat(), 1);
    request(VIRTIO_BLK_T_WRITE_ZEROES, 0, &segment(4), 1);
    let total = |requests, bytes| Total { requests, bytes };
    let expected = Totals {
        read: total(1, 1024),
        written: total(1, 512),
        flushes: 1,
        discarded: total(1, 24 * 512),
        zeroed: total(1, 4 * 512),
        errors: 1,
    };
    assert_eq!(lasting.counters.total(), expected);
}

/// A guest that reboots forever, and fails in the same way each time, doesn't flood the log.
#[test]
fn an_error_is_logged_once_however_often_the_machine_is_reset() {
    let disk = Arc::new(TestDisk::new(8));
    disk.errno.store(libc::EIO, Ordering::Relaxed);
    let lasting = Lasting::from(BlockOptions::default());
    let said = said_by(|| {
        for _ in 0..10 {
            let executor = lasting_executor(&disk, 0, &lasting);
            let (_, len) = execute(&executor, &[0; 16], 513, &Layout::default()).unwrap();
            assert_eq!(len, 0);
        }
    });
    let once = "disk /images/test.img: read at sector 0 failed: Input/output error (os error 5); \
                the guest gets an I/O error (said once per error)";
    assert_eq!(said, [once]);
}
