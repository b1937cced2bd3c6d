use std::{fs, process::Command, thread, time::Duration};

use proptest::{prelude::*, test_runner::TestRng};
use tempfile::TempDir;

use super::*;

const READ_ONLY: Qcow2Options =
    Qcow2Options { disk: DiskOptions { read_only: true, direct: false }, backing_root: None };

/// A folder of images, in which qemu-img works.
struct Images(TempDir);

impl Images {
    /// Says that a test is skipped, and why, where there is no qemu-img.
    fn new() -> Option<Self> {
        match Command::new("qemu-img").arg("--version").output() {
            Ok(_) => Some(Self(TempDir::new().unwrap())),
            Err(error) => {
                eprintln!("skipped: qemu-img: {error}");
                None
            }
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The disk in an image, as qemu-img reads it.
    #[track_caller]
    fn raw(&self, image: &str) -> Vec<u8> {
        self.qemu_img(&format!("convert -t unsafe -f qcow2 -O raw {image} raw-of-{image}"));
        fs::read(self.path(&format!("raw-of-{image}"))).unwrap()
    }

    #[track_caller]
    fn open(&self, image: &str, options: &Qcow2Options) -> Qcow2Disk {
        let open = || Qcow2Disk::open(&self.path(image), options).map_err(|error| format!("{error:?}"));
        when_unlocked(open).unwrap()
    }

    /// The whole of what is said when an image is refused.
    #[track_caller]
    fn refusal(&self, image: &str, options: &Qcow2Options) -> String {
        let error = Qcow2Disk::open(&self.path(image), options).unwrap_err();
        let mut error: &dyn std::error::Error = &error;
        let mut said = error.to_string();
        while let Some(source) = error.source() {
            said = format!("{said}: {source}");
            error = source;
        }
        said.replace(&format!("{}/", self.0.path().display()), "")
    }

    /// Runs qemu-img with `words` between blanks.
    #[track_caller]
    fn qemu_img(&self, words: &str) -> String {
        when_unlocked(|| {
            let output = Command::new("qemu-img").args(words.split(' ')).current_dir(self.0.path()).output();
            let output = output.unwrap();
            let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
            if output.status.success() {
                Ok(said.into_owned())
            } else {
                Err(format!("qemu-img {words}: {said}"))
            }
        })
        .unwrap()
    }

    /// Writes `len` times the byte `value` into an image.
    #[track_caller]
    fn qemu_write(&self, image: &str, value: usize, at: usize, len: usize) {
        let write = format!("write -P {value} {at} {len}");
        let qemu_io = Command::new("qemu-io")
            .args(["-f", "qcow2", "-c", &write, image])
            .current_dir(self.0.path())
            .output();
        assert!(qemu_io.unwrap().status.success(), "{write} to {image}");
    }

    /// qemu-img's opinion of an image that was written to, and of what is in it.
    #[track_caller]
    fn check(&self, image: &str, contents: &[u8]) {
        let said = self.qemu_img(&format!("check -f qcow2 {image}"));
        assert!(said.contains("No errors were found on the image"), "{said}");
        fs::write(self.path("twin"), contents).unwrap();
        self.qemu_img(&format!("compare -f qcow2 -F raw {image} twin"));
    }
}

/// Does `call` until no lock is in its way: a process that another test is about to start has, until it runs, all files
/// open that this one had.
fn when_unlocked<T>(call: impl Fn() -> Result<T, String>) -> Result<T, String> {
    for _ in 0..100 {
        match call() {
            Err(error) if error.contains("lock") || error.contains("InUse") => {
                thread::sleep(Duration::from_millis(20));
            }
            result => return result,
        }
    }
    call()
}

/// Data that compresses, data that does not, and holes.
fn contents(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    let mut state = 1_u32;
    for (number, part) in bytes.chunks_mut(24 << 10).enumerate() {
        for byte in part {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            *byte = match number % 4 {
                0 => 0,
                1 => state.to_le_bytes()[0],
                _ => state.to_le_bytes()[0] & 1,
            };
        }
    }
    bytes
}

fn read(disk: &Qcow2Disk, offset: usize, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0xee; len];
    disk.read_at(&[VolatileSlice::from(bytes.as_mut_slice())], offset as u64)?;
    Ok(bytes)
}

fn write(disk: &Qcow2Disk, offset: usize, bytes: &[u8]) -> io::Result<()> {
    disk.write_at(&[VolatileSlice::from(bytes.to_vec().as_mut_slice())], offset as u64)
}

/// Some sectors of a disk of `len` bytes: where they begin, and how many bytes.
fn sectors(random: &mut TestRng, len: usize, most: usize) -> (usize, usize) {
    let all = len / 512;
    let first = random.random_range(0..all);
    (first * 512, random.random_range(1..=most.min(all - first)) * 512)
}

#[track_caller]
fn assert_reads(disk: &Qcow2Disk, wanted: &[u8]) {
    assert_eq!(disk.size(), wanted.len() as u64);
    assert!(read(disk, 0, wanted.len()).unwrap() == wanted, "{}", disk.name());
    let mut random = TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha);
    for _ in 0..40 {
        let (offset, len) = sectors(&mut random, wanted.len(), 600);
        // In three parts of any length.
        let cuts = [random.random_range(0..len), random.random_range(0..len)];
        let (low, high) = (cuts[0].min(cuts[1]), cuts[0].max(cuts[1]));
        let mut parts = [vec![1; low], vec![1; high - low], vec![1; len - high]];
        let slices: Vec<_> = parts.iter_mut().map(|part| VolatileSlice::from(part.as_mut_slice())).collect();
        disk.read_at(&slices, offset as u64).unwrap();
        assert!(parts.concat() == wanted[offset..offset + len], "{}: {len} at {offset}", disk.name());
    }
}

/// Writes at random to an image and to `twin`, with a flush now and then.
fn write_at_random(disk: &Qcow2Disk, twin: &mut [u8], seed: u8) {
    let mut random = TestRng::from_seed(proptest::test_runner::RngAlgorithm::ChaCha, &[seed; 32]);
    for round in 0..60 {
        let (offset, len) = sectors(&mut random, twin.len(), if round % 10 == 0 { 3000 } else { 40 });
        let mut bytes = vec![0; len];
        bytes.chunks_mut(512).for_each(|sector| sector.fill(random.random()));
        write(disk, offset, &bytes).unwrap();
        twin[offset..offset + len].copy_from_slice(&bytes);
        if round % 20 == 0 {
            disk.flush().unwrap();
        }
        let (offset, len) = sectors(&mut random, twin.len(), 600);
        assert!(read(disk, offset, len).unwrap() == twin[offset..offset + len], "{len} at {offset}");
    }
}

/// Both versions, each size of cluster, compressed and not.
#[test]
fn reads_what_qemu_img_reads() {
    let Some(images) = Images::new() else { return };
    // Not whole clusters of any size.
    let wanted = contents((5 << 20) + 1536);
    fs::write(images.path("in"), &wanted).unwrap();
    for compat in ["0.10", "1.1"] {
        for cluster in ["512", "4k", "64k", "2M"] {
            for compress in ["", " -c"] {
                images.qemu_img(&format!(
                    "convert -t unsafe -f raw -O qcow2{compress} -o compat={compat},cluster_size={cluster} in image"
                ));
                assert!(images.raw("image") == wanted);
                assert_reads(&images.open("image", &READ_ONLY), &wanted);
                if cluster != "64k" {
                    continue;
                }
                let direct = DiskOptions { read_only: true, direct: true };
                match Qcow2Disk::open(&images.path("image"), &Qcow2Options { disk: direct, ..READ_ONLY }) {
                    Ok(disk) => assert_reads(&disk, &wanted),
                    Err(Qcow2Error::File(error)) => eprintln!("skipped: direct: {error}"),
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }
}

/// Of 1, 2 and 8 images, in folders below, over raw and over qcow2, with bases that are shorter.
#[test]
fn reads_chains() {
    let Some(images) = Images::new() else { return };
    fs::create_dir(images.path("bases")).unwrap();
    fs::write(images.path("bases/raw"), contents((1 << 20) + 700)).unwrap();
    fs::write(images.path("bases/whole"), contents(1 << 20)).unwrap();
    images.qemu_img("convert -t unsafe -f raw -O qcow2 -c bases/whole bases/qcow2");
    for (base, compat) in [("raw", "0.10"), ("qcow2", "1.1")] {
        let mut below = format!("-b bases/{base} -F {base}");
        for height in 1..=8 {
            let image = format!("{base}{height}");
            let size = (1 << 20) + height * 1536;
            images.qemu_img(&format!(
                "create -f qcow2 -o compat={compat},cluster_size={} {below} {image} {size}",
                512 << height
            ));
            let at = height * 111_616;
            images.qemu_write(&image, height, at, 70000);
            below = format!("-b {image} -F qcow2");
            if matches!(height, 1 | 2 | 8) {
                assert_reads(&images.open(&image, &READ_ONLY), &images.raw(&image));
            }
        }
    }
}

/// What was written is what QEMU reads, and the image is in order.
#[test]
fn writes_what_qemu_img_reads() {
    let Some(images) = Images::new() else { return };
    let before = contents((3 << 20) + 1536);
    fs::write(images.path("base"), &before).unwrap();
    let len = before.len();
    for (seed, how) in (0..).zip([
        &["create -f qcow2 -o compat=0.10 image {len}"][..],
        &["create -f qcow2 -o cluster_size=512 image {len}"],
        &["create -f qcow2 -o cluster_size=2M,refcount_bits=64 image {len}"],
        &["create -f qcow2 -o preallocation=metadata,refcount_bits=1 image {len}"],
        &["convert -t unsafe -f raw -O qcow2 -c -o cluster_size=4k base image"],
        &[
            "convert -t unsafe -f raw -O qcow2 -o compat=0.10,cluster_size=4k base image",
            "snapshot -c old image",
        ],
        &["create -f qcow2 -b base -F raw image", "snapshot -c old image"],
        &["create -f qcow2 -o cluster_size=4k,lazy_refcounts=on -b base -F raw image {len}"],
    ]) {
        for step in how {
            images.qemu_img(&step.replace("{len}", &len.to_string()));
        }
        let mut twin = if how.join(" ").contains("base") { before.clone() } else { vec![0; len] };
        for reopened in 0..2 {
            let disk = images.open("image", &Qcow2Options::default());
            assert_reads(&disk, &twin);
            write_at_random(&disk, &mut twin, seed * 2 + reopened);
            drop(disk);
            images.check("image", &twin);
        }
        assert!(fs::read(images.path("base")).unwrap() == before, "{how:?}");
        if how.len() > 1 {
            images.qemu_img("convert -t unsafe -f qcow2 -O raw -l snapshot.name=old image old");
            assert!(fs::read(images.path("old")).unwrap() == before, "{how:?}");
        }
    }
}

/// Once a flush has returned, the file has it all, whatever becomes of the process.
#[test]
fn a_flush_leaves_nothing_behind() {
    let Some(images) = Images::new() else { return };
    images.qemu_img("create -f qcow2 -o cluster_size=4k image 4M");
    let mut twin = vec![0; 4 << 20];
    let disk = images.open("image", &Qcow2Options::default());
    for seed in 0..4 {
        write_at_random(&disk, &mut twin, seed);
        disk.flush().unwrap();
        fs::copy(images.path("image"), images.path("copy")).unwrap();
        images.check("copy", &twin);
    }
}

#[test]
fn several_threads() {
    let Some(images) = Images::new() else { return };
    images.qemu_img("create -f qcow2 -o cluster_size=4k image 8M");
    let mut twin = vec![0; 8 << 20];
    let disk = images.open("image", &Qcow2Options::default());
    thread::scope(|scope| {
        for (part, seed) in twin.chunks_mut(2 << 20).zip(0..) {
            let disk = &disk;
            scope.spawn(move || {
                let mut random = TestRng::from_seed(proptest::test_runner::RngAlgorithm::ChaCha, &[seed; 32]);
                for round in 0..200 {
                    let (offset, len) = sectors(&mut random, part.len(), 60);
                    part[offset..offset + len].fill(random.random());
                    let at = usize::from(seed) * (2 << 20) + offset;
                    write(disk, at, &part[offset..offset + len]).unwrap();
                    assert!(read(disk, at, len).unwrap() == part[offset..offset + len]);
                    if round % 50 == 0 {
                        disk.flush().unwrap();
                    }
                }
            });
        }
    });
    drop(disk);
    images.check("image", &twin);
}

#[test]
fn what_is_not_read_is_said() {
    let Some(images) = Images::new() else { return };
    let secret = "--object secret,id=s,data=abc";
    for (how, part) in [
        (
            format!("{secret} -o encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10"),
            "encrypted (LUKS)",
        ),
        ("-o compression_type=zstd".to_owned(), "compressed by zstd"),
        ("-o extended_l2=on".to_owned(), "extended L2 entries"),
        ("-o data_file=data".to_owned(), "in another file"),
    ] {
        images.qemu_img(&format!("create -f qcow2 {how} image 1M"));
        for options in [Qcow2Options::default(), READ_ONLY] {
            let said = images.refusal("image", &options);
            assert!(said.starts_with("disk image: the image ") && said.contains(part), "{said}");
        }
    }
    images.qemu_img("create -f qcow2 image 1M");
    images.qemu_img("bitmap --add image bitmap");
    let said = images.refusal("image", &Qcow2Options::default());
    assert!(said.contains("dirty bitmaps") && said.contains("readonly=on"), "{said}");
    images.open("image", &READ_ONLY);
    images.qemu_img("bitmap --remove image bitmap");
    images.open("image", &Qcow2Options::default());
    fs::write(images.path("image"), contents(4096)).unwrap();
    assert!(images.refusal("image", &READ_ONLY).contains("doesn't begin as qcow2"));
}

#[test]
fn backing_files_that_are_not_opened() {
    let Some(images) = Images::new() else { return };
    let elsewhere = TempDir::new().unwrap();
    let outside = elsewhere.path().join("base");
    fs::write(&outside, [0; 4096]).unwrap();
    fs::write(images.path("base"), [7; 4096]).unwrap();
    std::os::unix::fs::symlink(&outside, images.path("link")).unwrap();
    let outside = outside.display().to_string();
    let create = |backing: &str| images.qemu_img(&format!("create -u -f qcow2 {backing} image 4096"));

    for (backing, part) in [
        (
            format!("-F raw -b {outside}"),
            "is outside of the disk's folder; allow its own with backing-root=DIR",
        ),
        ("-F raw -b link".to_owned(), "the backing file link of disk image is outside"),
        (format!("-F raw -b ../../../../../..{outside}"), "outside"),
        ("-F raw -b none".to_owned(), "disk image needs others: disk none does not exist"),
        ("-F raw -b nbd://localhost/x".to_owned(), "nbd://localhost/x of disk image is no local file"),
        ("-F raw -b json:{\"driver\":\"null-co\"}".to_owned(), "is no local file"),
        ("-F vdi -b base".to_owned(), "is vdi; only qcow2 and raw"),
        ("-F qcow2 -b base".to_owned(), "needs others: disk base: the file doesn't begin as qcow2"),
    ] {
        create(&backing);
        let said = images.refusal("image", &READ_ONLY);
        assert!(said.contains(part), "{backing}: {said}");
    }
    create(&format!("-F raw -b {outside}"));
    images.open("image", &Qcow2Options { backing_root: Some(elsewhere.path().into()), ..READ_ONLY });
    create("-F raw -b file:base");
    assert_eq!(read(&images.open("image", &READ_ONLY), 0, 4096).unwrap(), [7; 4096]);

    // An image of a time when no format was recorded: the same, with another type of extension in its place.
    let mut bytes = fs::read(images.path("image")).unwrap();
    let at = bytes.windows(4).position(|it| it == [0xe2, 0x79, 0x2a, 0xca]).unwrap();
    bytes[at] = 0;
    fs::write(images.path("image"), bytes).unwrap();
    let said = images.refusal("image", &READ_ONLY);
    assert!(said.contains("record it: qemu-img rebase -u -F FORMAT -b file:base image"), "{said}");
    images.qemu_img("rebase -u -f qcow2 -F raw -b base image");
    images.open("image", &READ_ONLY);
}

#[test]
fn deep_chains_and_circles() {
    let Some(images) = Images::new() else { return };
    for number in 0..=65 {
        let below = if number == 0 { String::new() } else { format!("-F qcow2 -b {} ", number - 1) };
        images.qemu_img(&format!("create -u -f qcow2 {below}{number} 1M"));
    }
    let said = images.refusal("65", &READ_ONLY);
    assert!(said.starts_with("disk 65 has more than 64 backing files"), "{said}");
    assert_eq!(read(&images.open("64", &READ_ONLY), 0, 1 << 20).unwrap(), vec![0; 1 << 20]);
    images.qemu_img("rebase -u -f qcow2 -F qcow2 -b 9 0");
    let said = images.refusal("9", &Qcow2Options::default());
    assert_eq!(
        said,
        "disk 9 needs others: the backing file 9 of disk 0 is above it too: the chain never ends"
    );
}

#[test]
fn locks_all_of_a_chain() {
    let Some(images) = Images::new() else { return };
    images.qemu_img("create -f qcow2 base 1M");
    images.qemu_img("create -f qcow2 -F qcow2 -b base one");
    images.qemu_img("create -f qcow2 -F qcow2 -b base two");
    let one = images.open("one", &Qcow2Options::default());
    let two = images.open("two", &Qcow2Options::default());
    assert!(images.refusal("one", &READ_ONLY).contains("disk one is in use by"));
    assert!(images.refusal("base", &Qcow2Options::default()).contains("disk base is in use by"));
    images.open("base", &READ_ONLY);
    drop((one, two));
    let _base = images.open("base", &Qcow2Options::default());
    let said = images.refusal("one", &Qcow2Options::default());
    assert!(said.starts_with("disk one needs others: disk base is in use by"), "{said}");
}

#[test]
fn read_only_is_read_only() {
    let Some(images) = Images::new() else { return };
    images.qemu_img("create -f qcow2 image 1M");
    let before = fs::read(images.path("image")).unwrap();
    let disk = images.open("image", &READ_ONLY);
    assert!(disk.is_read_only());
    assert!(write(&disk, 0, &[1; 512]).is_err());
    disk.flush().unwrap();
    drop(disk);
    assert!(fs::read(images.path("image")).unwrap() == before);
}

/// More buffers than one system call takes.
#[test]
fn thousands_of_buffers() {
    let Some(images) = Images::new() else { return };
    images.qemu_img("create -f qcow2 image 4M");
    let disk = images.open("image", &Qcow2Options::default());
    let wanted = contents(3000 * 512);
    let mut parts: Vec<_> = wanted.chunks(512).map(<[u8]>::to_vec).collect();
    let slices: Vec<_> = parts.iter_mut().map(|part| VolatileSlice::from(part.as_mut_slice())).collect();
    disk.write_at(&slices, 1024).unwrap();
    slices.iter().for_each(|slice| slice.copy_from(&[0_u8; 512]));
    disk.read_at(&slices, 1024).unwrap();
    assert!(parts.concat() == wanted);
}

/// Whatever the tables say, there is an answer, and no other file is touched.
#[test]
fn any_tables_end_in_an_answer() {
    let Some(images) = Images::new() else { return };
    fs::write(images.path("in"), contents(200 << 10)).unwrap();
    images.qemu_img("convert -t unsafe -f raw -O qcow2 -c -o cluster_size=512 in image");
    let good = fs::read(images.path("image")).unwrap();
    let l1 = usize::try_from(u64::from_be_bytes(good[40..48].try_into().unwrap())).unwrap();
    let refcounts = usize::try_from(u64::from_be_bytes(good[48..56].try_into().unwrap())).unwrap();
    let mut random = TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha);
    for _ in 0..300 {
        let mut bytes = good.clone();
        for _ in 0..random.random_range(1..6) {
            let start =
                [0, l1, refcounts, random.random_range(0..good.len() - 512)][random.random_range(0..4)];
            bytes[start + random.random_range(0..120)] = random.random();
        }
        fs::write(images.path("bad"), &bytes).unwrap();
        if let Ok(disk) = Qcow2Disk::open(&images.path("bad"), &Qcow2Options::default())
            && disk.size() < 1 << 30
        {
            let size = usize::try_from(disk.size()).unwrap();
            for _ in 0..20 {
                let (offset, len) = sectors(&mut random, size, 100);
                let _ = read(&disk, offset, len);
                let _ = write(&disk, offset, &vec![1; len]);
            }
            let _ = disk.flush();
        }
    }
}
