use std::{fs, process::Command};

use proptest::{
    prelude::*,
    test_runner::{RngAlgorithm, TestRng},
};

use super::{
    super::{
        super::{Disk, guard::Header, raw::DiskOptions},
        Qcow2Disk, Qcow2Error, Qcow2Options,
        testing::*,
    },
    *,
};

const SECTOR: usize = 512;

impl Images {
    /// Checks that an image has no fault except for lost space.
    #[track_caller]
    fn assert_sound(&self, image: &str, when: &str) {
        let checked = Command::new("qemu-img")
            .args(["check", "-q", "-U", "-f", "qcow2", image])
            .current_dir(self.0.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&checked.stdout) + String::from_utf8_lossy(&checked.stderr);
        // 3: space is lost.
        assert!(matches!(checked.status.code(), Some(0 | 3)), "{when}: {said}");
    }
}

/// A guest's write to a disk: the number of the file's events before it, its offset, and the data before it.
struct Change {
    after: usize,
    offset: usize,
    bytes: Vec<u8>,
}

/// The events of a disk and of its file.
#[derive(Default)]
struct History {
    before: Vec<u8>,
    events: Vec<Event>,
    changes: Vec<Change>,
    /// The number of events after which a flush had ended, and the disk's contents at that time.
    flushes: Vec<(usize, Vec<u8>)>,
}

impl History {
    /// Performs a guest's operations on a disk that holds `twin`.
    fn of(images: &Images, name: &str, twin: &mut [u8], random: &mut TestRng, rounds: usize) -> Self {
        let disk = images.open(name, &Qcow2Options::default());
        let log = &disk.top.order.as_ref().unwrap().log;
        let mut history = Self { before: fs::read(images.path(name)).unwrap(), ..Self::default() };
        history.flushes.push((0, twin.to_vec()));
        log.start();
        for _ in 0..rounds {
            let (offset, len) = sectors(random, twin.len(), 100);
            let after = log.events().len();
            let range = offset as u64..(offset + len) as u64;
            match random.random_range(0..10) {
                0 => disk.discard(range).unwrap(),
                1 => disk.write_zeroes(range, random.random()).unwrap(),
                2 | 3 => {
                    disk.flush().unwrap();
                    history.flushes.push((log.events().len(), twin.to_vec()));
                    continue;
                }
                _ => {
                    let mut bytes = vec![0; len];
                    bytes.chunks_mut(SECTOR).for_each(|sector| sector.fill(random.random()));
                    write(&disk, offset, &bytes).unwrap();
                }
            }
            let bytes = read(&disk, offset, len).unwrap();
            twin[offset..offset + len].copy_from_slice(&bytes);
            history.changes.push(Change { after, offset, bytes });
        }
        history.events = log.events();
        drop(disk);
        history
    }

    /// The data on the medium if the host stops after `count` events: everything that was synced, and of the rest the part that `kept`
    /// selects.
    fn crash(&self, count: usize, kept: f64, random: &mut TestRng) -> Vec<u8> {
        let synced = self.events[..count].iter().rposition(|event| matches!(event, Event::Sync)).unwrap_or(0);
        let mut file = self.before.clone();
        for (number, event) in self.events[..count].iter().enumerate() {
            let Event::Write(offset, bytes) = event else { continue };
            let mut at = usize::try_from(*offset).unwrap();
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let (sector, behind) = rest.split_at(rest.len().min(SECTOR - at % SECTOR));
                if number < synced || random.random_bool(kept) {
                    file.resize(file.len().max(at + sector.len()), 0);
                    file[at..at + sector.len()].copy_from_slice(sector);
                }
                at += sector.len();
                rest = behind;
            }
        }
        file
    }

    /// Checks that a disk that stopped after this many events has all flushed data, and otherwise data written since.
    #[track_caller]
    fn check(&self, count: usize, disk: &Qcow2Disk) {
        let (flushed, wanted) = self.flushes.iter().rfind(|(after, _)| *after <= count).unwrap();
        let found = read(disk, 0, wanted.len()).unwrap();
        let changes: Vec<_> =
            self.changes.iter().filter(|change| (*flushed..=count).contains(&change.after)).collect();
        for at in (0..found.len()).step_by(SECTOR) {
            let sector = &found[at..at + SECTOR];
            let is_written = || {
                changes.iter().any(|change| {
                    let start = at.checked_sub(change.offset);
                    start.and_then(|start| change.bytes.get(start..start + SECTOR)) == Some(sector)
                })
            };
            assert!(
                sector == &wanted[at..at + SECTOR] || is_written(),
                "after {count} of {} events, at {at}: {:?}, not {:?}",
                self.events.len(),
                &sector[..2],
                &wanted[at..at + 2],
            );
        }
    }

    /// Checks an image that may stop at any time.
    #[track_caller]
    fn check_crashes(&self, images: &Images, random: &mut TestRng, crashes: usize) {
        for _ in 0..crashes {
            let mut count = random.random_range(0..=self.events.len());
            if random.random() {
                // Just before a barrier, when the most data can be lost.
                let next = self.events[count..].iter().position(|event| matches!(event, Event::Sync));
                count = next.map_or(self.events.len(), |next| count + next);
            }
            let kept = [0.0, 0.1, 0.5, 0.9, 1.0][random.random_range(0..5)];
            fs::write(images.path("crashed"), self.crash(count, kept, random)).unwrap();
            images.assert_sound("crashed", &format!("after {count} events"));
            self.check(count, &images.open("crashed", &READ_ONLY));
        }
    }
}

/// Whenever the host stops, and whichever unsynced data is lost, an image is consistent and has all flushed data.
#[test]
fn an_image_outlives_the_host() {
    let Some(images) = Images::new() else { return };
    let len = 3 << 20;
    let before = contents(len);
    fs::write(images.path("base"), &before).unwrap();
    for (seed, how) in (0..).zip([
        &["create -f qcow2 -o cluster_size=4k image {len}"][..],
        // New refcount blocks and a larger refcount table.
        &["create -f qcow2 -o cluster_size=512 image {len}"],
        &["create -f qcow2 -o cluster_size=512,refcount_bits=64 image {len}"],
        &["create -f qcow2 -o cluster_size=4k,refcount_bits=1 image {len}"],
        // Clusters that are only partly written.
        &["create -f qcow2 -o cluster_size=64k -b base -F raw image"],
        &["create -f qcow2 -o cluster_size=4k,compat=0.10 -b base -F raw image"],
        // Clusters that are freed by writes.
        &["convert -f raw -O qcow2 -c -o cluster_size=4k base image"],
        &["convert -f raw -O qcow2 -c -o cluster_size=512,compat=0.10 base image"],
        // Shared tables.
        &["convert -f raw -O qcow2 -o cluster_size=4k base image", "snapshot -c old image"],
    ]) {
        for step in how {
            images.qemu_img(&step.replace("{len}", &len.to_string()));
        }
        let mut random = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
        let mut twin = if how.join(" ").contains("base") { before.clone() } else { vec![0; len] };
        let history = History::of(&images, "image", &mut twin, &mut random, 110);
        images.check("image", &twin);
        history.check_crashes(&images, &mut random, 24);
    }
}

/// A new table takes the place of clusters that were just freed, while the file may still say that they are data.
#[test]
fn a_table_comes_after_what_made_room_for_it() {
    let Some(images) = Images::new() else { return };
    for how in ["", ",compat=0.10", ",refcount_bits=1"] {
        images.qemu_img(&format!("create -f qcow2 -o cluster_size=4k{how} image 8M"));
        let disk = images.open("image", &Qcow2Options::default());
        let log = &disk.top.order.as_ref().unwrap().log;
        write(&disk, 0, &[1; 65536]).unwrap();
        disk.flush().unwrap();
        let before = fs::read(images.path("image")).unwrap();
        log.start();
        disk.discard(0..65536).unwrap();
        for table in 1..4 {
            write(&disk, table << 21, &[2; 4096]).unwrap();
        }
        let mut history = History { before, events: log.events(), ..History::default() };
        history.flushes.push((0, [vec![1; 65536], vec![0; (8 << 20) - 65536]].concat()));
        history.changes.push(Change { after: 0, offset: 0, bytes: vec![0; 65536] });
        for table in 1..4 {
            history.changes.push(Change { after: 0, offset: table << 21, bytes: vec![2; 4096] });
        }
        // Killed at any time, and stopped with everything unsynced.
        for count in 0..=history.events.len() {
            for kept in [0.0, 1.0] {
                let mut random = TestRng::from_seed(RngAlgorithm::ChaCha, &[0; 32]);
                fs::write(images.path("crashed"), history.crash(count, kept, &mut random)).unwrap();
                images.assert_sound("crashed", &format!("after {count} events"));
                history.check(count, &images.open("crashed", &READ_ONLY));
            }
        }
    }
}

/// Barriers are expensive, so their number is checked.
#[test]
fn writing_in_place_needs_one_barrier() {
    let Some(images) = Images::new() else { return };
    images.qemu_img("create -f qcow2 -o cluster_size=64k image 4M");
    let disk = images.open("image", &Qcow2Options::default());
    let log = &disk.top.order.as_ref().unwrap().log;
    let barriers = || log.events().iter().filter(|event| matches!(event, Event::Sync)).count();
    write(&disk, 0, &[1; 1 << 20]).unwrap();
    disk.flush().unwrap();
    log.start();
    write(&disk, 4096, &[2; 4096]).unwrap();
    disk.flush().unwrap();
    assert_eq!(barriers(), 1);
    disk.flush().unwrap();
    assert_eq!(barriers(), 1);
    // Data and counts, the references to them, and nothing else.
    write(&disk, 2 << 20, &[3; 4096]).unwrap();
    disk.flush().unwrap();
    assert_eq!(barriers(), 3);
}

/// Whichever writes fail, and for however long, the guest sees the errors, and can repeat the writes successfully afterwards.
#[test]
fn a_failed_write_breaks_nothing() {
    let Some(images) = Images::new() else { return };
    let len = 3 << 20;
    let before = contents(len);
    fs::write(images.path("base"), &before).unwrap();
    for (seed, how) in (0..).zip([
        // It grows beyond the range of its refcount table.
        "create -f qcow2 -o cluster_size=512,refcount_bits=64 image {len}",
        "create -f qcow2 -o cluster_size=4k -b base -F raw image",
        "convert -f raw -O qcow2 -c -o cluster_size=4k base image",
    ]) {
        images.qemu_img(&how.replace("{len}", &len.to_string()));
        let mut twin = if how.contains("base") { before.clone() } else { vec![0; len] };
        if how.contains("=64") {
            images.qemu_write("image", 7, 0, 1_900_000);
            twin[..1_900_000].fill(7);
        }
        let first = (fs::read(images.path("image")).unwrap(), twin);
        for after in 0.. {
            let count = [1, 5][after % 2];
            let mut twin = first.1.clone();
            fs::write(images.path("image"), &first.0).unwrap();
            let disk = images.open("image", &Qcow2Options::default());
            let log = &disk.top.order.as_ref().unwrap().log;
            log.fail(after, count);
            let mut random = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
            for round in 0..6 {
                let (offset, len) = sectors(&mut random, len, 100);
                let bytes = vec![random.random(); len];
                let range = offset as u64..(offset + len) as u64;
                until_done(|| write(&disk, offset, &bytes));
                twin[offset..offset + len].copy_from_slice(&bytes);
                if round % 4 == 1 {
                    until_done(|| disk.write_zeroes(range.clone(), true));
                    twin[offset..offset + len].fill(0);
                }
                if round % 4 == 2 {
                    until_done(|| disk.flush());
                }
            }
            let is_over = log.has_failures_left();
            log.fail(0, 0);
            assert!(read(&disk, 0, len).unwrap() == twin, "{how}: {count} after {after}");
            drop(disk);
            images.assert_sound("image", &format!("{how}: {count} after {after}"));
            assert!(
                read(&images.open("image", &READ_ONLY), 0, len).unwrap() == twin,
                "{how}: {count} after {after}"
            );
            if is_over {
                break;
            }
        }
    }
}

fn until_done(call: impl Fn() -> io::Result<()>) {
    for _ in 0..100 {
        match call() {
            Err(error) => assert!(error.to_string().contains("no storage space"), "{error}"),
            Ok(()) => return,
        }
    }
    panic!("still not done");
}

/// The features by which the order of writes differs between images.
const CREATE: [(&str, usize); 5] = [
    ("cluster_size=512,refcount_bits=64", 8 << 20),
    ("cluster_size=512", 8 << 20),
    ("cluster_size=4k,refcount_bits=1", 64 << 20),
    ("cluster_size=4k,compat=0.10", 64 << 20),
    ("cluster_size=64k", 4 << 30),
];

#[test]
fn an_image_is_sound_between_any_two_writes() {
    let Some(images) = Images::new() else { return };
    let mut random = TestRng::from_seed(RngAlgorithm::ChaCha, &[1; 32]);
    for (options, size) in CREATE {
        images.qemu_img(&format!("create -q -f qcow2 -o {options} image {size}"));
        for direct in [false, true] {
            let disk = DiskOptions { read_only: false, direct };
            let disk =
                match Qcow2Disk::open(&images.path("image"), &Qcow2Options { disk, backing_root: None }) {
                    Err(Qcow2Error::File(error)) if direct => {
                        eprintln!("skipped: direct: {error}");
                        continue;
                    }
                    opened => opened.unwrap(),
                };
            for number in 0..12 {
                let (offset, len) = sectors(&mut random, size, 200);
                write(&disk, offset, &vec![1; len]).unwrap();
                // The state after a kill.
                let copied = Command::new("cp")
                    .arg("--sparse=always")
                    .args([images.path("image"), images.path("crashed")])
                    .status();
                assert!(copied.unwrap().success());
                images.assert_sound("crashed", &format!("{options}, direct={direct}, write {number}"));
                if number % 5 == 4 {
                    disk.flush().unwrap();
                }
            }
            drop(disk);
            images.assert_sound("image", options);
        }
    }
}

/// The order of writes to an image of 4 KiB clusters, whose eighth one is free.
fn order(images: &Images) -> (Order, Layout) {
    images.qemu_img("create -q -f qcow2 -o cluster_size=4k image 16M");
    let file = File::options().read(true).write(true).open(images.path("image")).unwrap();
    let len = file.metadata().unwrap().len();
    let layout = Header::read(&file, len, true).unwrap().unwrap().layout;
    (Order::new(file, None, layout).unwrap(), layout)
}

const CLUSTER: u64 = 7;

fn block(order: &Order) -> u64 {
    order.tables.read().unwrap().refcounts(0).unwrap()
}

fn count(order: &Order) -> u16 {
    let mut bytes = [0; 2];
    order.file.read_exact_at(&mut bytes, block(order) + 2 * CLUSTER).unwrap();
    u16::from_be_bytes(bytes)
}

fn entry(order: &Order, at: u64) -> u64 {
    let mut bytes = [0; 8];
    order.file.read_exact_at(&mut bytes, at).unwrap();
    u64::from_be_bytes(bytes)
}

fn put(order: &Order, at: u64, bytes: &[u8], works: bool) -> io::Result<()> {
    let touched = order.touched(at, bytes.len() as u64);
    assert!(!touched.is_data());
    let mut buffer = IoBuffer::new(bytes.len(), 1).unwrap();
    buffer.as_mut().into_slice().copy_from_slice(bytes);
    order.write_tables(&touched, at, buffer, |bytes| match works {
        true => order.file.write_all_at(bytes.as_ref().into_slice(), at),
        false => Err(io::ErrorKind::StorageFull.into()),
    })
}

fn name(order: &Order, at: u64, cluster: u64, works: bool) -> io::Result<()> {
    put(order, at, &(cluster << 12 | 1 << 63).to_be_bytes(), works)
}

#[test]
fn references_are_counted_before_they_are_written() {
    let Some(images) = Images::new() else { return };
    let (order, layout) = order(&images);
    assert_eq!(count(&order), 0);
    order.log.start();
    name(&order, layout.l1_offset, CLUSTER, true).unwrap();
    assert_eq!((count(&order), entry(&order, layout.l1_offset)), (1, CLUSTER << 12 | 1 << 63));
    let at = block(&order) + 2 * CLUSTER;
    assert!(matches!(&order.log.events()[..], [Event::Write(offset, _), Event::Sync] if *offset == at));
    assert!(order.maps(&(0..2 << 20)) && !order.maps(&(0..4 << 20)));

    // No refcount block covers it yet.
    let error = name(&order, layout.l1_offset + 8, 1 << 28, true).unwrap_err();
    assert_eq!(error.to_string(), "nothing counts the uses of cluster 268435456");
}

#[test]
fn earlier_writes_of_imago_undo_nothing() {
    let Some(images) = Images::new() else { return };
    let (order, layout) = order(&images);
    let at = block(&order);
    let mut before = vec![0; 4096];
    order.file.read_exact_at(&mut before, at).unwrap();
    name(&order, layout.l1_offset, CLUSTER, true).unwrap();
    put(&order, at, &before, true).unwrap();
    assert_eq!(count(&order), 1);
    let mut after = before.clone();
    after[15] = 1;
    put(&order, at, &after, true).unwrap();
    put(&order, at, &before, true).unwrap();
    assert_eq!(count(&order), 0, "imago knew it, and then gave it back");

    name(&order, layout.l1_offset + 8, CLUSTER, true).unwrap();
    order.at_rest();
    put(&order, at, &before, true).unwrap();
    assert_eq!(count(&order), 0, "nothing was on its way");
}

/// No flush succeeds before, and what names the rest of the image goes on.
#[test]
fn failed_writes_stay_pending() {
    let Some(images) = Images::new() else { return };
    let (order, layout) = order(&images);
    name(&order, layout.l1_offset, CLUSTER, false).unwrap_err();
    assert_eq!(entry(&order, layout.l1_offset), 0);
    order.sync(|| Ok(())).unwrap();
    assert_eq!((entry(&order, layout.l1_offset), count(&order)), (CLUSTER << 12 | 1 << 63, 1));

    // It is written with the next table.
    name(&order, layout.l1_offset + 8, 8, false).unwrap_err();
    name(&order, layout.l1_offset + 16, 9, true).unwrap();
    assert_eq!(entry(&order, layout.l1_offset + 8), 8 << 12 | 1 << 63);
    // Unless the entry has changed by then.
    name(&order, layout.l1_offset + 24, 10, false).unwrap_err();
    name(&order, layout.l1_offset + 24, 11, true).unwrap();
    order.flush().unwrap();
    assert_eq!(entry(&order, layout.l1_offset + 24), 11 << 12 | 1 << 63);

    // As long as writing fails.
    let full = Order { file: File::open(images.path("image")).unwrap(), ..self::order(&images).0 };
    name(&full, layout.l1_offset, CLUSTER, true).unwrap_err();
    full.sync(|| Ok(())).unwrap_err();
    full.write_data(|| Ok(())).unwrap();
    full.flush().unwrap_err();
}

#[test]
fn counts_of_any_width() {
    for order in 0..=6 {
        let mut block = vec![0; 512];
        for index in [0, 1, 3, 7, 8, 63] {
            let counter = Counter::new(index, order);
            assert!(counter.is_zero(&block), "{index} of {order}");
            counter.set_to_one(&mut block);
            assert!(!counter.is_zero(&block), "{index} of {order}");
            let neighbour = Counter::new(index + 1, order);
            assert!(neighbour.is_zero(&block) || matches!(index, 0 | 7), "{index} of {order}");
        }
    }
    let mut block = vec![0; 16];
    Counter::new(3, 4).set_to_one(&mut block);
    assert_eq!(block[..8], [0, 0, 0, 0, 0, 0, 0, 1]);
    Counter::new(70, 0).set_to_one(&mut block);
    assert_eq!(block[8], 1 << 6);
}

#[test]
fn a_header_that_counts_as_free_is_not_written_near() {
    let Some(images) = Images::new() else { return };
    images.qemu_img("create -q -f qcow2 -o cluster_size=4k image 1M");
    let file = File::options().read(true).write(true).open(images.path("image")).unwrap();
    let layout = Header::read(&file, 1 << 20, true).unwrap().unwrap().layout;
    let table = layout.refcount_table_offset;
    let block = Tables::read(&file, layout, false).unwrap().refcounts(0).unwrap();
    for (at, len) in [(block, 2), (table, 8)] {
        file.write_all_at(&vec![0; len], at).unwrap();
        assert_eq!(
            images.refusal("image", &Qcow2Options::default()),
            "disk image can't be used as qcow2; qemu-img check tells more: its header counts as free"
        );
        images.open("image", &READ_ONLY);
    }
}

#[test]
fn data_of_a_guest_can_not_become_a_header() {
    let Some(images) = Images::new() else { return };
    images.qemu_img("create -q -f qcow2 -o cluster_size=4k image 1M");
    images.qemu_write("image", 1, 0, 8192);
    let file = File::options().read(true).write(true).open(images.path("image")).unwrap();
    let layout = Header::read(&file, 1 << 20, true).unwrap().unwrap().layout;
    let mut entry = [0; 8];
    file.read_exact_at(&mut entry, layout.l1_offset).unwrap();
    let l2 = u64::from_be_bytes(entry) & 0x00ff_ffff_ffff_fe00;
    // The second cluster of the disk is marked as compressed, in a part of the header's cluster, which is then freed.
    file.write_all_at(&(1_u64 << 62 | 256).to_be_bytes(), l2 + 8).unwrap();
    let before = fs::read(images.path("image")).unwrap();

    let disk = images.open("image", &Qcow2Options::default());
    write(&disk, 4096, &[2; 4096]).unwrap();
    disk.flush().unwrap();
    let mut header = before[..4096].to_vec();
    header[8..20].copy_from_slice(&[0, 0, 0, 0, 0, 0, 15, 0, 0, 0, 0, 11]);
    let error = write(&disk, 8192, &header).unwrap_err();
    assert_eq!(error.to_string(), "a cluster of the disk is where the image's header is");
    drop(disk);
    assert!(fs::read(images.path("image")).unwrap()[..4096] == before[..4096]);
}
