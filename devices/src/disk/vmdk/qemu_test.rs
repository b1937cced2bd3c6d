//! Images that qemu-img makes, and how it reads those made by hand.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::PathBuf,
    process::Command,
};

use tempfile::TempDir;

use super::{
    super::Disk,
    Vmdk,
    testing::{Sparse, descriptor, pattern, read},
};

const MIB: u64 = 1 << 20;
const SUBFORMATS: [&str; 5] =
    ["monolithicSparse", "monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat", "streamOptimized"];

/// A directory for qemu-img.
struct Bench(TempDir);

impl Bench {
    /// None, with a message, if there is no qemu-img.
    fn new() -> Option<Self> {
        if Command::new("qemu-img").arg("--version").output().is_err() {
            eprintln!("skipped: qemu-img (qemu-utils) is not installed");
            return None;
        }
        Some(Self(TempDir::new().unwrap()))
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, program: &str, args: &[&str]) {
        let output = Command::new(program).args(args).current_dir(&self.0).output().unwrap();
        assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn qemu_img(&self, args: &str) {
        self.run("qemu-img", &args.split_whitespace().collect::<Vec<_>>());
    }

    fn open(&self, name: &str) -> Vmdk {
        Vmdk::open(&self.at(name), &[]).unwrap()
    }

    /// A raw file of `size` bytes with data at some places, and holes.
    fn raw(&self, size: u64, places: &[u64]) {
        let file = File::create(self.at("raw")).unwrap();
        file.set_len(size).unwrap();
        for (&place, len) in places.iter().zip([700_000, 512, 65_536, 3 << 20, 100_352].into_iter().cycle()) {
            let len = u64::min(len, size - place);
            file.write_all_at(&pattern(place, usize::try_from(len).unwrap()), place).unwrap();
        }
    }

    /// Compares `name` with qemu-img's conversion of it: the whole, and random places.
    fn compare(&self, name: &str) {
        self.qemu_img(&format!("convert -f vmdk -O raw {name} converted"));
        let disk = self.open(name);
        let converted = File::open(self.at("converted")).unwrap();
        assert_eq!(disk.size(), converted.metadata().unwrap().len(), "{name}");
        let same = |offset: u64, len: u64| {
            let len = usize::try_from(len.min(disk.size() - offset)).unwrap();
            let mut expected = vec![0; len];
            converted.read_exact_at(&mut expected, offset).unwrap();
            assert!(read(&disk, offset, len).unwrap() == expected, "{name}: {len} bytes at {offset}");
        };
        for offset in (0..disk.size()).step_by(8 << 20) {
            same(offset, 8 * MIB);
        }
        for place in pattern(1, 1600).chunks_exact(16) {
            let (offset, len) = place.split_at(8);
            let number = |bytes: &[u8]| {
                u64::from_le_bytes(bytes.try_into().unwrap()).wrapping_mul(0x9e37_79b9_7f4a_7c15)
            };
            same(number(offset) % disk.size(), 1 + number(len) % 300_000);
        }
    }

    /// The CID of `name`.
    fn cid(&self, name: &str) -> u32 {
        let bytes = fs::read(self.at(name)).unwrap();
        let start = bytes.windows(5).position(|it| it == b"\nCID=").unwrap() + 5;
        let len = bytes[start..].iter().position(|&byte| byte == b'\n').unwrap();
        u32::from_str_radix(str::from_utf8(&bytes[start..start + len]).unwrap(), 16).unwrap()
    }
}

#[test]
fn every_subformat_reads_as_qemu_img_does() {
    let Some(bench) = Bench::new() else { return };
    bench.raw(48 * MIB + 512, &[0, 5 * MIB + 512, 9 * MIB, 20 * MIB, 33 * MIB - 512, 48 * MIB - 65_536]);
    for subformat in SUBFORMATS {
        bench.qemu_img(&format!("convert -f raw -O vmdk -o subformat={subformat} raw {subformat}.vmdk"));
        bench.compare(&format!("{subformat}.vmdk"));
        bench.qemu_img(&format!("create -f vmdk -o subformat={subformat} empty.vmdk 3M"));
        bench.compare("empty.vmdk");
    }
    bench.qemu_img("convert -f raw -O vmdk -o zeroed_grain=on,subformat=monolithicSparse raw zeroed.vmdk");
    bench.compare("zeroed.vmdk");
}

#[test]
fn extents_of_two_gigabytes() {
    let Some(bench) = Bench::new() else { return };
    bench.raw(2 * 1024 * MIB + 40 * MIB, &[0, 1023 * MIB, 2048 * MIB - 512, 2047 * MIB - 1024, 2087 * MIB]);
    for subformat in ["twoGbMaxExtentSparse", "twoGbMaxExtentFlat"] {
        bench.qemu_img(&format!("convert -f raw -O vmdk -o subformat={subformat} raw big.vmdk"));
        bench.compare("big.vmdk");
    }
}

#[test]
fn children_read_as_qemu_img_does() {
    let Some(bench) = Bench::new() else { return };
    let grain = |seed| Some(pattern(seed, 128 * 512));
    for (base, kind) in
        SUBFORMATS.iter().zip(["monolithicSparse", "twoGbMaxExtentSparse"].into_iter().cycle())
    {
        bench.raw(32 * MIB, &[0, 3 * MIB, 12 * MIB, 31 * MIB]);
        bench.qemu_img(&format!("convert -f raw -O vmdk -o subformat={base} raw base.vmdk"));
        let parent = (bench.cid("base.vmdk"), "base.vmdk");
        let mut child = Sparse::new(32 * MIB / 512);
        child.grains.extend([(1, grain(1)), (2, None), (3, grain(3)), (70, grain(4)), (511, grain(5))]);
        if kind == "monolithicSparse" {
            child.descriptor = Some(descriptor(kind, 7, Some(parent), "RW 65536 SPARSE \"child.vmdk\""));
            fs::write(bench.at("child.vmdk"), child.plain()).unwrap();
        } else {
            fs::write(bench.at("child-s001.vmdk"), child.plain()).unwrap();
            let extents = "RW 65536 SPARSE \"child-s001.vmdk\"";
            fs::write(bench.at("child.vmdk"), descriptor(kind, 7, Some(parent), extents)).unwrap();
        }
        bench.compare("child.vmdk");

        // And a child of the child, by qemu-img.
        bench.qemu_img("create -f vmdk -b child.vmdk -F vmdk top.vmdk");
        bench.run(
            "qemu-io",
            &["-f", "vmdk", "-c", "write -P 0x5a 100k 200k", "-c", "write -P 0xa5 31M 4k", "top.vmdk"],
        );
        bench.compare("top.vmdk");
        let mut expected = child.content(&fs::read(bench.at("raw")).unwrap());
        expected[100 << 10..300 << 10].fill(0x5a);
        expected[31 << 20..(31 << 20) + 4096].fill(0xa5);
        assert!(read(&bench.open("top.vmdk"), 0, expected.len()).unwrap() == expected, "{base}, {kind}");
    }
}

/// A stream made by the tests is also valid for qemu-img.
#[test]
fn streams_read_as_qemu_img_does() {
    let Some(bench) = Bench::new() else { return };
    let mut stream = Sparse::new(128 * 600 + 64);
    stream.descriptor = Some(descriptor("streamOptimized", 1, None, "RW 76864 SPARSE \"s.vmdk\""));
    for number in [0, 1, 5, 511, 512, 600] {
        stream.grains.insert(number, Some(pattern(number, 128 * 512)));
    }
    fs::write(bench.at("s.vmdk"), stream.stream()).unwrap();
    bench.compare("s.vmdk");
    let content = stream.content(&[]);
    assert!(read(&bench.open("s.vmdk"), 0, content.len()).unwrap() == content);
}
