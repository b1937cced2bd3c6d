use std::{fs, process::Command, thread};

use proptest::{prelude::*, test_runner::TestRng};
use tempfile::TempDir;

use super::{super::image::OpenOptions, testing::*, *};

/// Both versions, with each cluster size, compressed and not.
#[test]
fn reads_what_qemu_img_reads() {
    let Some(images) = Images::new() else { return };
    // Not a multiple of any cluster size.
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

/// Chains of 1, 2 and 8 images, in folders below, over raw and over qcow2, with bases that are shorter.
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

/// Chains over vmdks of each kind, in directories below. All their files must be where backing files are allowed.
#[test]
fn reads_chains_that_end_in_a_vmdk() {
    let Some(images) = Images::new() else { return };
    fs::create_dir(images.path("bases")).unwrap();
    fs::write(images.path("bases/in"), contents((1 << 20) + 512)).unwrap();
    for subformat in [
        "monolithicSparse",
        "monolithicFlat",
        "twoGbMaxExtentSparse",
        "twoGbMaxExtentFlat",
        "streamOptimized",
    ] {
        let base = format!("bases/{subformat}.vmdk");
        images.qemu_img(&format!("convert -f raw -O vmdk -o subformat={subformat} bases/in {base}"));
        let mut below = format!("-b {base} -F vmdk");
        for height in 1..=8 {
            let image = height.to_string();
            images.qemu_img(&format!("create -f qcow2 {below} {image} {}", (1 << 20) + height * 1536));
            images.qemu_write(&image, height, height * 111_616, 70000);
            below = format!("-b {image} -F qcow2");
            if matches!(height, 1 | 2 | 8) {
                let mut twin = images.raw(&image);
                assert_reads(&images.open(&image, &READ_ONLY), &twin);
                let disk = images.open(&image, &Qcow2Options::default());
                write_at_random(&disk, &mut twin, 1);
                drop(disk);
                images.check(&image, &twin);
            }
        }
    }
    // The extent of a descriptor that names it in a place that is not allowed.
    let elsewhere = TempDir::new().unwrap();
    let text = fs::read_to_string(images.path("bases/monolithicFlat.vmdk")).unwrap();
    let flat = elsewhere.path().join("monolithicFlat-flat.vmdk");
    fs::rename(images.path("bases/monolithicFlat-flat.vmdk"), &flat).unwrap();
    let text = text.replace("monolithicFlat-flat.vmdk", &flat.display().to_string());
    fs::write(images.path("bases/monolithicFlat.vmdk"), text).unwrap();
    images.qemu_img("create -f qcow2 -b bases/monolithicFlat.vmdk -F vmdk image");
    let said = images.refusal("image", &READ_ONLY);
    assert!(said.starts_with("disk image needs others: vmdk "), "{said}");
    assert!(said.contains("is outside of") && said.contains("backing-root="), "{said}");
    let root = Some(elsewhere.path().to_owned());
    images.open("image", &Qcow2Options { backing_root: root, ..READ_ONLY });
}

/// QEMU reads the written data, and finds the image consistent.
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

/// Once a flush has returned, the file has all data, even if the process is killed.
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

/// The disk's clusters are in an external data file, in order or not.
#[test]
fn reads_and_writes_data_files() {
    let Some(images) = Images::new() else { return };
    let wanted = contents((1 << 20) + 1536);
    fs::write(images.path("in"), &wanted).unwrap();
    for (seed, how) in (0..).zip(["", ",data_file_raw=on", ",cluster_size=4k"]) {
        images.qemu_img(&format!("convert -f raw -O qcow2 -o data_file=data{how} in image"));
        let mut twin = wanted.clone();
        assert_reads(&images.open("image", &READ_ONLY), &twin);
        for reopened in 0..2 {
            let disk = images.open("image", &Qcow2Options::default());
            assert_reads(&disk, &twin);
            write_at_random(&disk, &mut twin, seed * 2 + reopened);
            disk.discard(65536..131_072).unwrap();
            disk.write_zeroes(262_144..263_168, true).unwrap();
            twin[65536..131_072].fill(0);
            twin[262_144..263_168].fill(0);
            assert_reads(&disk, &twin);
            drop(disk);
            images.check("image", &twin);
        }
        let info = super::super::info::look(&images.path("image"), &OpenOptions::default()).unwrap();
        let len = |name: &str| fs::metadata(images.path(name)).unwrap().len();
        assert!(info.wrong.is_none());
        assert_eq!(info.links[0].len, len("image") + len("data"));
        // With another image below, and below another.
        images.qemu_img("create -f qcow2 -F qcow2 -b image above");
        assert_reads(&images.open("above", &READ_ONLY), &twin);
        images.qemu_img("create -f qcow2 -F qcow2 -b image -o data_file=other above");
        let mut above = twin.clone();
        let disk = images.open("above", &Qcow2Options::default());
        write_at_random(&disk, &mut above, 100 + seed);
        drop(disk);
        images.check("above", &above);
        images.check("image", &twin);
    }
}

/// A file as a loop device, for as long as this exists.
struct Loop(String);

impl Loop {
    fn new(file: &Path) -> Option<Self> {
        let output = Command::new("losetup").args(["--find", "--show"]).arg(file).output();
        let name = output.ok().filter(|output| output.status.success()).map(|output| output.stdout);
        if name.is_none() {
            eprintln!("skipped: losetup can't make a block device");
        }
        Some(Self(String::from_utf8(name?).unwrap().trim_end().to_owned()))
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = Command::new("losetup").args(["--detach", &self.0]).status();
    }
}

#[test]
fn on_a_block_device() {
    let Some(images) = Images::new() else { return };
    File::create(images.path("file")).unwrap().set_len(16 << 20).unwrap();
    let Some(device) = Loop::new(&images.path("file")) else { return };
    images.qemu_img(&format!("create -f qcow2 -o cluster_size=4k {} 4M", device.0));
    let mut twin = vec![0; 4 << 20];
    let disk = Qcow2Disk::open(Path::new(&device.0), &Qcow2Options::default()).unwrap();
    write_at_random(&disk, &mut twin, 1);
    disk.discard(0..1 << 20).unwrap();
    twin[..1 << 20].fill(0);
    assert_reads(&disk, &twin);
    drop(disk);
    images.check(&device.0, &twin);
}

#[test]
fn data_files_that_are_not_opened() {
    let Some(images) = Images::new() else { return };
    let elsewhere = TempDir::new().unwrap();
    fs::write(images.path("base"), [7; 4096]).unwrap();
    fs::create_dir(images.path("folder")).unwrap();
    let outside = elsewhere.path().join("data").display().to_string();
    images.qemu_img("create -f qcow2 -o data_file=data image 1M");
    let good = fs::read(images.path("image")).unwrap();
    let renamed = |name: &str| {
        let mut bytes = good.clone();
        let at = bytes.windows(8).position(|it| it == [0x44, 0x41, 0x54, 0x41, 0, 0, 0, 4]).unwrap();
        bytes[at + 7] = u8::try_from(name.len()).unwrap();
        bytes[at + 8..at + 136].fill(0);
        bytes[at + 8..at + 8 + name.len()].copy_from_slice(name.as_bytes());
        fs::write(images.path("image"), bytes).unwrap();
    };
    fs::write(&outside, [0; 4096]).unwrap();
    for (name, part) in [
        (&outside[..], "is outside of the disk's folder; allow its own with backing-root=DIR"),
        ("../data", "does not exist"),
        ("image", "the data file image of disk image is another part of it too"),
        ("folder", "the data file folder of disk image is no local file"),
        ("nbd://localhost/x", "is no local file"),
    ] {
        renamed(name);
        let said = images.refusal("image", &Qcow2Options::default());
        assert!(said.contains(part), "{name}: {said}");
    }
    renamed(&outside);
    let root = Some(elsewhere.path().to_owned());
    images.open("image", &Qcow2Options { backing_root: root, ..Qcow2Options::default() });
    // Other processes must not write to it, and if it is written to, must not read it either.
    renamed("data");
    let writing = images.open("image", &Qcow2Options::default());
    let said =
        images.said(&super::super::raw::RawDisk::open(&images.path("data"), &READ_ONLY.disk).unwrap_err());
    assert!(said.contains("data is in use by"), "{said}");
    drop(writing);
}

#[test]
fn unsupported_images_give_the_reason() {
    let Some(images) = Images::new() else { return };
    let secret = "--object secret,id=s,data=abc";
    for (how, part) in [
        (
            format!("{secret} -o encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10"),
            "encrypted (LUKS)",
        ),
        ("-o compression_type=zstd".to_owned(), "compressed by zstd"),
        ("-o extended_l2=on".to_owned(), "extended L2 entries"),
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
        ("-F vdi -b base".to_owned(), "is vdi; only qcow2, raw and vmdk can"),
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

    // An image from before the format was recorded: the same, with another type of extension in its place.
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

/// More buffers than one system call accepts.
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

/// Any tables must give an answer, and no other file is accessed.
#[test]
fn any_tables_end_in_an_answer() {
    let Some(images) = Images::new() else { return };
    fs::write(images.path("in"), contents(200 << 10)).unwrap();
    images.qemu_img("convert -t unsafe -f raw -O qcow2 -c -o cluster_size=512 in image");
    let good = fs::read(images.path("image")).unwrap();
    let l1 = usize::try_from(u64::from_be_bytes(good[40..48].try_into().unwrap())).unwrap();
    let refcounts = usize::try_from(u64::from_be_bytes(good[48..56].try_into().unwrap())).unwrap();
    let mut random = TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha);
    for _ in 0..150 {
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

/// Another host may run the machine by now, and use the image.
#[test]
fn an_unlocked_image_is_not_written_to() {
    let Some(images) = Images::new() else { return };
    images.qemu_img("create -f qcow2 base 1M");
    images.qemu_img("create -f qcow2 -F qcow2 -b base image");
    let disk = images.open("image", &Qcow2Options::default());
    write(&disk, 0, &[1; 4096]).unwrap();
    disk.flush().unwrap();
    disk.unlock().unwrap();
    let other = images.open("image", &Qcow2Options::default());
    assert!(disk.lock_again().unwrap().is_some());
    drop(other);
    assert_eq!(disk.lock_again().unwrap(), None);
    assert!(images.refusal("image", &Qcow2Options::default()).contains("disk image is in use by"));

    disk.unlock().unwrap();
    let other = images.open("image", &Qcow2Options::default());
    write(&other, 512 << 10, &[2; 4096]).unwrap();
    drop(other);
    let after = fs::read(images.path("image")).unwrap();
    drop(disk);
    assert!(fs::read(images.path("image")).unwrap() == after);
}
