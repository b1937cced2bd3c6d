use std::sync::atomic::Ordering;

use proptest::prelude::*;
use virtio_bindings::virtio_blk::{
    VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_FLUSH, VIRTIO_BLK_T_GET_ID, VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT,
};

use super::*;
use crate::virtio::{
    block::{request::RequestError, test_disk::TestDisk},
    queue::{
        self,
        test_driver::{Driver, FREE, SEAM, WRITE, any_table},
    },
};

const OK: u8 = 0;
const IOERR: u8 = 1;
const UNSUPP: u8 = 2;
/// What the driver finds where the device has written nothing.
const UNTOUCHED: u8 = 0xcc;

const SERIAL: &[u8; 20] = b"serial number 1\0\0\0\0\0";

fn executor(disk: &Arc<TestDisk>, driver_flushes: bool) -> Executor {
    let serial = "serial number 1".parse().unwrap();
    Executor::new(Arc::clone(disk) as Arc<dyn Disk>, serial, driver_flushes, Arc::default())
}

/// How a driver lays a request out.
#[derive(Clone, Debug, Default)]
struct Layout {
    /// Lengths of the pieces, for as long as there is more.
    pieces: Vec<usize>,
    indirect: bool,
}

/// Executes a request of `readable` bytes, with `writable` bytes of room. Returns what that room then holds, and the
/// used length.
fn execute(
    executor: &Executor,
    readable: &[u8],
    writable: usize,
    layout: &Layout,
) -> Result<(Vec<u8>, u32), RequestError> {
    let mut driver = Driver::new(256);
    let mut queue = driver.queue();
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

    let chain = queue::pop(&mut queue, &driver.memory).unwrap().unwrap();
    let (used, len) = executor.execute(Request::parse(chain)?);
    assert_eq!(used, head);
    let room = room.iter().flat_map(|&(address, len, _)| driver.read(address, usize::try_from(len).unwrap()));
    Ok((room.collect(), len))
}

fn header(kind: u32, sector: u64) -> Vec<u8> {
    [&kind.to_le_bytes()[..], &[0x5a; 4], &sector.to_le_bytes()].concat()
}

/// `execute` in the simplest layout.
fn request(
    executor: &Executor,
    kind: u32,
    sector: u64,
    data_out: &[u8],
    data_in: usize,
) -> (Vec<u8>, u8, u32) {
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
    // Room that a write doesn't need stays as it is, and isn't said to be written.
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
    // A driver that doesn't know of flushes has its writes on stable storage once they are complete.
    request(&executor(&disk, false), VIRTIO_BLK_T_OUT, 0, &[1; 512], 0);
    assert_eq!(flushes(), 2);
    request(&executor(&disk, false), VIRTIO_BLK_T_IN, 0, &[], 512);
    assert_eq!(flushes(), 2);
}

#[test]
fn tells_its_serial_number() {
    let executor = executor(&Arc::new(TestDisk::new(8)), true);
    assert_eq!(request(&executor, VIRTIO_BLK_T_GET_ID, 0, &[], 20), (SERIAL.to_vec(), OK, 21));
    assert_eq!(request(&executor, VIRTIO_BLK_T_GET_ID, 0, &[], 3), (SERIAL[..3].to_vec(), OK, 4));
    let (data, status, len) = request(&executor, VIRTIO_BLK_T_GET_ID, 0, &[], 25);
    assert_eq!((data, status, len), ([&SERIAL[..], &[UNTOUCHED; 5]].concat(), OK, 20));
}

#[test]
fn does_not_support_everything() {
    let executor = executor(&Arc::new(TestDisk::new(8)), true);
    for kind in [2, 3, 5, 9, 10, VIRTIO_BLK_T_DISCARD, 13, 14, 1 << 31, u32::MAX] {
        assert_eq!(request(&executor, kind, 0, &[0; 16], 0), (vec![], UNSUPP, 1));
        assert_eq!(request(&executor, kind, 0, &[], 512), (vec![UNTOUCHED; 512], UNSUPP, 0));
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
    /// virtio 1.x, "Message Framing": how the driver cuts a request up means nothing.
    #[test]
    fn framing_means_nothing(
        kind in prop_oneof![Just(0_u32), Just(1), Just(4), Just(8), Just(11)],
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

proptest! {
    // One in five is good enough to be served.
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Whatever the rings and all of memory hold, a queue is served to its end or to an error.
    #[test]
    fn hostile_drivers(
        table in any_table(16),
        heads in prop::collection::vec(0_u16..16, 16),
        kind in 0_u8..12,
    ) {
        let executor = executor(&Arc::new(TestDisk::new(8)), false);
        let mut driver = Driver::new(16);
        let mut queue = driver.queue();
        let headers: Vec<u8> = (0..16).flat_map(|sector| header(kind.into(), sector)).collect();
        driver.write(FREE, &headers.repeat(0x100));
        for (index, &descriptor) in (0..).zip(&table) {
            driver.describe_own(index, descriptor);
        }
        heads.iter().for_each(|&head| driver.offer(head));
        let mut served = 0;
        while let Ok(Some(chain)) = queue::pop(&mut queue, &driver.memory) {
            let Ok(request) = Request::parse(chain) else { break };
            let (head, len) = executor.execute(request);
            if queue::push(&mut queue, &driver.memory, head, len).is_err() {
                break;
            }
            served += 1;
        }
        prop_assert!(served <= 16);
    }
}
