use std::{error::Error, fs, os::unix::fs::symlink};

use proptest::prelude::*;
use tempfile::TempDir;

use super::{
    testing::{Sparse, descriptor, pattern, read},
    *,
};

const GRAIN: usize = 128 * 512;

/// A directory for images.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().canonicalize().unwrap().join(name)
    }

    fn put(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        fs::create_dir_all(self.at(name).parent().unwrap()).unwrap();
        fs::write(self.at(name), bytes).unwrap();
        self.at(name)
    }

    fn open(&self, name: &str) -> Result<Vmdk, VmdkError> {
        Vmdk::open(&self.at(name), &[])
    }

    /// The reason why the image called `name` is refused, without the directory.
    fn refusal(&self, name: &str) -> String {
        let error = self.open(name).unwrap_err();
        let source = error.source().map(|source| format!(": {source}")).unwrap_or_default();
        format!("{error}{source}").replace(self.at("").to_str().unwrap(), "")
    }
}

/// A sparse extent of 40 grains, some of which are allocated.
fn some(seed: u64, parent: Option<(u32, &str)>) -> Sparse {
    let mut sparse = Sparse::new(40 * 128);
    for number in [0, 1, 2, 5, 7, 8, 39] {
        sparse.grains.insert(number, Some(pattern(seed + number, GRAIN)));
    }
    let cid = u32::try_from(seed).unwrap();
    sparse.descriptor = Some(descriptor("monolithicSparse", cid, parent, "RW 5120 SPARSE \"renamed.vmdk\""));
    sparse
}

fn all(disk: &Vmdk) -> Vec<u8> {
    read(disk, 0, usize::try_from(disk.size()).unwrap()).unwrap()
}

#[test]
fn sparse_and_streams() {
    let folder = Folder::new();
    let sparse = some(7, None);
    let content = sparse.content(&[]);
    folder.put("plain.vmdk", sparse.plain());
    folder.put("stream.vmdk", sparse.stream());
    for name in ["plain.vmdk", "stream.vmdk"] {
        let disk = folder.open(name).unwrap();
        assert_eq!((disk.size(), disk.is_read_only()), (40 * GRAIN as u64, true));
        assert_eq!(disk.name(), folder.at(name).to_str().unwrap());
        for _ in 0..2 {
            assert!(all(&disk) == content, "{name}");
        }
        for (offset, len) in [(0, 1), (GRAIN - 1, 2), (2 * GRAIN + 511, 6 * GRAIN), (40 * GRAIN - 512, 512)] {
            assert!(
                read(&disk, offset as u64, len).unwrap() == content[offset..offset + len],
                "{name}, {len} at {offset}"
            );
        }
        let mut bytes = [0; 512];
        assert!(disk.write_at(&[VolatileSlice::from(&mut bytes[..])], 0).is_err());
        disk.flush().unwrap();
    }
    assert_eq!(fs::read(folder.at("plain.vmdk")).unwrap(), sparse.plain());
}

/// Unusual grain sizes, shorter tables, and a capacity that ends within a grain.
#[test]
fn odd_geometries() {
    for (grain_size, gtes_per_gt, capacity) in [(1, 1, 7), (8, 3, 1001), (32, 512, 17_000), (2048, 2, 8200)] {
        let mut sparse = Sparse { grain_size, gtes_per_gt, ..Sparse::new(capacity) };
        sparse.descriptor = Some(descriptor("monolithicSparse", 1, None, ""));
        let len = usize::try_from(grain_size * 512).unwrap();
        for number in (0..capacity.div_ceil(grain_size)).filter(|number| number % 64 < 9 && number % 7 != 3) {
            sparse.grains.insert(number, Some(pattern(number, len)));
        }
        let folder = Folder::new();
        folder.put("plain.vmdk", sparse.plain());
        folder.put("stream.vmdk", sparse.stream());
        for name in ["plain.vmdk", "stream.vmdk"] {
            let disk = folder.open(name).unwrap();
            assert!(all(&disk) == sparse.content(&[]), "{name}: {grain_size}, {gtes_per_gt}, {capacity}");
        }
    }
}

#[test]
fn extents_of_every_kind_one_after_another() {
    let folder = Folder::new();
    let sparse = Sparse { descriptor: None, ..some(3, None) };
    let flat = pattern(99, 20 * 512);
    folder.put("parts/a-s001.vmdk", sparse.plain());
    folder.put("a-flat.vmdk", &flat);
    let extents = "RW 7 FLAT \"a-flat.vmdk\" 13\nRW 5000 SPARSE \"parts/a-s001.vmdk\"\r\n\
                   rw 11 ZERO\nRDONLY 2 flat \"a-flat.vmdk\" 0\nRW 20 VMFS \"a-flat.vmdk\"";
    folder.put("a.vmdk", descriptor("custom", 1, None, extents));
    let mut expected = flat[13 * 512..].to_vec();
    expected.extend(&sparse.content(&[])[..5000 * 512]);
    expected.extend([0; 11 * 512]);
    expected.extend(&flat[..2 * 512]);
    expected.extend(&flat);
    let disk = folder.open("a.vmdk").unwrap();
    assert_eq!(disk.size(), expected.len() as u64);
    assert!(all(&disk) == expected);
    for offset in (0..expected.len() - 1500).step_by(9973) {
        assert!(read(&disk, offset as u64, 1500).unwrap() == expected[offset..offset + 1500], "{offset}");
    }
}

#[test]
fn children_over_parents() {
    let folder = Folder::new();
    let flat = pattern(5, 30 * GRAIN);
    folder.put("base-flat.vmdk", &flat);
    folder.put("base.vmdk", descriptor("vmfs", 0xabc, None, "RW 3840 VMFS \"base-flat.vmdk\""));

    // Larger than its parent, with zeros that hide the parent's data.
    let mut middle = some(20, Some((0xabc, "base.vmdk")));
    middle.grains.extend([(3, None), (10, None), (11, None)]);
    folder.put("snapshots/middle.vmdk", middle.plain());
    assert_eq!(
        folder.refusal("snapshots/middle.vmdk"),
        "vmdk snapshots/base.vmdk (named by snapshots/middle.vmdk) does not exist"
    );
    folder.put("middle.vmdk", middle.plain());

    let mut top = Sparse::new(40 * 128);
    top.grains.extend([(4, Some(pattern(30, GRAIN))), (3, Some(pattern(31, GRAIN))), (8, None)]);
    folder.put("top-s001.vmdk", top.plain());
    let name = folder.at("middle.vmdk").display().to_string();
    let text = descriptor("twoGbMaxExtentSparse", 40, Some((20, &name)), "RW 5120 SPARSE \"top-s001.vmdk\"");
    folder.put("top.vmdk", text);

    let expected = middle.content(&flat);
    assert!(all(&folder.open("middle.vmdk").unwrap()) == expected);
    let disk = folder.open("top.vmdk").unwrap();
    assert!(all(&disk) == top.content(&expected));
    assert_eq!(disk.links.len(), 3);
}

#[test]
fn a_parent_that_was_changed_is_refused() {
    let folder = Folder::new();
    folder.put("base.vmdk", some(0x1234, None).plain());
    folder.put("child.vmdk", some(9, Some((0x1235, "base.vmdk"))).plain());
    assert_eq!(
        folder.refusal("child.vmdk"),
        "vmdk base.vmdk (named by child.vmdk) was changed after its child was made from it: its CID is 00001234, \
         the child's parentCID 00001235"
    );
}

#[test]
fn files_are_taken_from_the_images_folder_alone() {
    let (folder, other) = (Folder::new(), Folder::new());
    other.put("base.vmdk", some(1, None).plain());
    folder.put("own/base.vmdk", some(1, None).plain());
    symlink(other.at("base.vmdk"), folder.at("link.vmdk")).unwrap();
    symlink(folder.at("own/base.vmdk"), folder.at("inner.vmdk")).unwrap();
    let outside = other.at("base.vmdk").display().to_string();
    let up = format!(
        "../{}",
        other.at("base.vmdk").strip_prefix(folder.at("").parent().unwrap()).unwrap().display()
    );
    for hint in [outside.as_str(), "link.vmdk", up.as_str()] {
        folder.put("child.vmdk", some(2, Some((1, hint))).plain());
        let message = folder.refusal("child.vmdk");
        assert!(
            message.starts_with(&format!("vmdk {outside} (named by child.vmdk) is outside of ")),
            "{message}"
        );
        let options = [other.at("")];
        assert!(Vmdk::open(&folder.at("child.vmdk"), &options).is_ok(), "{hint}");
    }
    for hint in ["own/base.vmdk", "inner.vmdk", "./own/../inner.vmdk"] {
        folder.put("child.vmdk", some(2, Some((1, hint))).plain());
        assert!(folder.open("child.vmdk").is_ok(), "{hint}");
    }
    folder.put("flat.vmdk", descriptor("monolithicFlat", 1, None, &format!("RW 1 FLAT \"{outside}\" 0")));
    assert!(folder.refusal("flat.vmdk").contains("is outside of "));
    folder.put("flat.vmdk", descriptor("monolithicFlat", 1, None, "RW 1 FLAT \"/dev/zero\" 0"));
    assert!(folder.refusal("flat.vmdk").starts_with("vmdk /dev/zero (named by flat.vmdk) is outside of "));
}

#[test]
fn chains_are_short_and_end() {
    let folder = Folder::new();
    folder.put("0.vmdk", some(1, None).plain());
    for n in 1..65_u32 {
        let parent = format!("{}.vmdk", n - 1);
        let mut link = Sparse::new(128);
        link.descriptor = Some(descriptor("monolithicSparse", 1, Some((1, &parent)), ""));
        folder.put(&format!("{n}.vmdk"), link.plain());
    }
    assert!(all(&folder.open("63.vmdk").unwrap()) == some(1, None).content(&[])[..GRAIN]);
    assert_eq!(
        folder.refusal("64.vmdk"),
        "vmdk 0.vmdk (named by 1.vmdk) is one parent too many: a chain has at most 64 links"
    );
    folder.put("0.vmdk", some(1, Some((1, "5.vmdk"))).plain());
    assert_eq!(folder.refusal("9.vmdk"), "vmdk 5.vmdk (named by 0.vmdk) is in this chain already");
    folder.put("self.vmdk", some(1, Some((1, "self.vmdk"))).plain());
    assert_eq!(folder.refusal("self.vmdk"), "vmdk self.vmdk is in this chain already");
    // An extent would be checked each time that it is named.
    folder.put("s.vmdk", Sparse::new(128).plain());
    let extents = "RW 128 SPARSE \"s.vmdk\"\n".repeat(2);
    folder.put("twice.vmdk", descriptor("twoGbMaxExtentSparse", 1, None, &extents));
    assert_eq!(folder.refusal("twice.vmdk"), "vmdk s.vmdk (named by twice.vmdk) is in this chain already");
}

/// Each message names the file, the field, and the fault.
#[test]
fn invalid_vmdks() {
    let folder = Folder::new();
    assert_eq!(folder.refusal("missing.vmdk"), "vmdk missing.vmdk does not exist");
    folder.put("dir/x", []);
    assert_eq!(folder.refusal("dir"), "vmdk dir is not a file");
    for bytes in [&b""[..], b"QFI\xfb", &[0; 4096], b"# Disk Descriptor"] {
        folder.put("other", bytes);
        assert_eq!(folder.refusal("other"), "vmdk other is not a vmdk");
        assert!(!is_vmdk(bytes));
    }
    folder.put("s.vmdk", Sparse::new(128).plain());
    assert_eq!(
        folder.refusal("s.vmdk"),
        "vmdk s.vmdk is an extent without a descriptor, a piece of a disk; give the file that names it"
    );
    folder.put("a-s001.vmdk", Sparse::new(128).plain());
    folder.put("a.vmdk", "# Disk DescriptorFile");
    let said = folder.refusal("a-s001.vmdk");
    assert!(said.ends_with("give the file that names it, a.vmdk"), "{said}");
    folder.put("esx.vmdk", [&b"COWD"[..], &[0; 2044]].concat());
    assert_eq!(
        folder.refusal("esx.vmdk"),
        "vmdk esx.vmdk has a sparse extent of ESX (COWD), which nvmm does not read"
    );
    let text = descriptor("monolithicFlat", 1, None, "RW 8 FLAT \"a-flat.vmdk\" 0");
    folder.put("a.vmdk", &text);
    assert!(is_vmdk(text.as_bytes()));
    assert_eq!(folder.refusal("a.vmdk"), "vmdk a-flat.vmdk (named by a.vmdk) does not exist");
    folder.put("a-flat.vmdk", [0; 8 * 512 - 1]);
    assert_eq!(
        folder.refusal("a.vmdk"),
        "vmdk a-flat.vmdk (named by a.vmdk) has a bad extent size: 8 sectors at 0 in a file of 7"
    );
    // 100 MiB of descriptor.
    folder.put("a.vmdk", &text);
    fs::OpenOptions::new().write(true).open(folder.at("a.vmdk")).unwrap().set_len(100 << 20).unwrap();
    assert_eq!(
        folder.refusal("a.vmdk"),
        "vmdk a.vmdk has a bad descriptor: 104857600 bytes, at most 1048576 are read"
    );
    let extents = format!("RW 1 ZERO\nRW {} ZERO", (1_u64 << 54) - 1);
    folder.put("a.vmdk", descriptor("custom", 1, None, &extents));
    assert!(folder.refusal("a.vmdk").contains("has a bad extent size: the disk is larger"));
    folder.put("a.vmdk", descriptor("custom", 1, None, "RW 129 SPARSE \"s.vmdk\""));
    assert_eq!(
        folder.refusal("a.vmdk"),
        "vmdk s.vmdk (named by a.vmdk) has a bad capacity: 128 sectors, of which the descriptor wants 129"
    );
    folder.put("a.vmdk", descriptor("custom", 1, None, &format!("RW 1 FLAT \"s.vmdk\" {}", u64::MAX)));
    assert!(folder.refusal("a.vmdk").contains("has a bad extent size"));
}

#[test]
fn a_writer_excludes_a_vmdk_and_the_other_way() {
    use super::super::raw::{DiskOptions, RawDisk};

    let folder = Folder::new();
    folder.put("flat.bin", [0; 512]);
    folder.put("a.vmdk", descriptor("monolithicFlat", 1, None, "RW 1 FLAT \"flat.bin\" 0"));
    let writable = DiskOptions { read_only: false, direct: false };
    let writer = RawDisk::open(&folder.at("flat.bin"), &writable).unwrap();
    let message = folder.refusal("a.vmdk");
    assert!(message.starts_with("vmdk flat.bin (named by a.vmdk) is in use by "), "{message}");
    drop(writer);
    let _readers = [(); 2].map(|()| folder.open("a.vmdk").unwrap());
    assert!(RawDisk::open(&folder.at("flat.bin"), &writable).is_err());
}

/// A damaged grain is detected when it is read; the others can be read.
#[test]
fn damaged_grains_give_errors() {
    let folder = Folder::new();
    let sparse = some(7, None);
    let (plain, stream) = (sparse.plain(), sparse.stream());
    let error = |bytes: &[u8], grain: usize| {
        folder.put("x.vmdk", bytes);
        let disk = folder.open("x.vmdk").unwrap();
        let error = read(&disk, (grain * GRAIN) as u64, GRAIN).map(drop).unwrap_err();
        assert!(read(&disk, 5 * GRAIN as u64, GRAIN).unwrap() == pattern(12, GRAIN));
        error.to_string().replace(&format!("vmdk {}: ", folder.at("x.vmdk").display()), "")
    };
    // The offset of the first grain's entry, by the directory in `header`.
    let entry = |bytes: &[u8], header: usize| {
        let sector = |at: usize| 512 * usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
        sector(sector(header + 56))
    };
    let with = |bytes: &[u8], at: usize, what: &[u8]| {
        let mut bytes = bytes.to_vec();
        bytes[at..at + what.len()].copy_from_slice(what);
        bytes
    };

    // Its table entry points past the end.
    let far = with(&plain, entry(&plain, 0), &u32::MAX.to_le_bytes());
    assert_eq!(error(&far, 0), "65536 bytes at byte 2199023255040 are past the end of the file");

    let first = entry(&stream, stream.len() - 1024);
    assert_eq!(
        error(&with(&stream, first, &u32::MAX.to_le_bytes()), 0),
        "grain at sector 0 has its marker past the end of the file"
    );
    // The first grain's marker: lba and size.
    let marker = 128 * 512;
    assert_eq!(
        error(&with(&stream, marker, &[128]), 0),
        "grain at sector 0 has the marker of another, lba 128"
    );
    assert_eq!(
        error(&with(&stream, marker + 8, &u32::MAX.to_le_bytes()), 0),
        "grain at sector 0 has a marker of size 4294967295, more than the 131136 that 65536 bytes could take"
    );
    let message = error(&with(&stream, marker + 8, &100_u32.to_le_bytes()), 0);
    assert!(message.starts_with("grain at sector 0 has data that can't be inflated: "), "{message}");
    let message = error(&with(&stream, marker + 4000, &[0xff; 8]), 0);
    assert!(message.starts_with("grain at sector 0 has "), "{message}");

    for (len, message) in [(GRAIN + 1, "more than its 65536 bytes"), (GRAIN - 1, "65535 bytes, not 65536")] {
        let mut odd = sparse.clone();
        odd.grains.insert(0, Some(vec![1; len]));
        assert_eq!(error(&odd.stream(), 0), format!("grain at sector 0 has {message}"));
    }
    // Decompression stops at the end of the grain.
    let mut bomb = sparse.clone();
    bomb.grains.insert(0, Some(vec![0; 16 << 20]));
    assert_eq!(error(&bomb.stream(), 0), "grain at sector 0 has more than its 65536 bytes");
}

#[test]
fn streams_without_an_end_are_refused() {
    let folder = Folder::new();
    let stream = some(7, None).stream();
    let refusal = |bytes: &[u8]| {
        folder.put("x.vmdk", bytes);
        folder.refusal("x.vmdk")
    };
    for lost in (512..stream.len() - 22 * 512).step_by(9 * 512) {
        let message = refusal(&stream[..stream.len() - lost]);
        assert!(
            message.contains(" marker: it has size ") && message.ends_with("may be cut off"),
            "{message}"
        );
    }
    let end = stream.len();
    let mut footless = stream.clone();
    footless[end - 1024..end - 512].fill(0);
    assert!(refusal(&footless).contains("has a bad footer: its magicNumber is "));
    let mut circular = stream;
    circular[end - 1024 + 56..end - 1024 + 64].fill(0xff);
    assert!(refusal(&circular).ends_with("has a bad footer: its gdOffset is no place either"));
}

#[test]
fn a_directory_that_leads_out_of_the_file_is_refused() {
    let folder = Folder::new();
    let sparse = some(7, None);
    let mut bytes = sparse.plain();
    let directory = usize::try_from(sparse.header().gd_offset.get() * 512).unwrap();
    bytes[directory..directory + 4].copy_from_slice(&0x7fff_ffff_u32.to_le_bytes());
    folder.put("x.vmdk", &bytes);
    assert_eq!(
        folder.refusal("x.vmdk"),
        format!(
            "vmdk x.vmdk has a bad grain directory: a grain table at sector 2147483647 in a file of {}",
            bytes.len() / 512
        )
    );
    // For an absent table, the parent is read.
    bytes[directory..directory + 4].fill(0);
    folder.put("x.vmdk", &bytes);
    assert!(all(&folder.open("x.vmdk").unwrap()).iter().all(|&byte| byte == 0));
}

/// Opens the image in the directory and reads in some places. It must return soon, and without a panic.
fn prod(folder: &Folder, offsets: &[u64]) {
    let Ok(disk) = folder.open("x.vmdk") else { return };
    for &offset in [0, disk.size() / 2].iter().chain(offsets) {
        let offset = offset % disk.size();
        let len = (disk.size() - offset).min(300_000);
        let _: io::Result<_> = read(&disk, offset, usize::try_from(len).unwrap());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    /// Flips bytes in the metadata of images of every kind.
    #[test]
    fn no_image_causes_a_panic(
        kind in 0..4_usize,
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        offsets in prop::collection::vec(any::<u64>(), 3),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let folder = Folder::new();
        folder.put("base.vmdk", some(1, None).plain());
        let mut sparse = Sparse { grain_size: 2, gtes_per_gt: 4, ..Sparse::new(31) };
        sparse.grains.extend([(0, Some(pattern(1, 1024))), (9, None), (15, Some(pattern(2, 1024)))]);
        let text = descriptor("monolithicSparse", 2, Some((1, "base.vmdk")), "RW 31 SPARSE \"s.vmdk\"");
        let mut bytes = match kind {
            0 | 1 => {
                sparse.descriptor = Some(text);
                if kind == 0 { sparse.plain() } else { sparse.stream() }
            }
            2 => {
                folder.put("x.vmdk", &text);
                sparse.plain()
            }
            _ => {
                folder.put("s.vmdk", sparse.plain());
                text.into_bytes()
            }
        };
        // Most of an image is padding, so every other flip goes to a used byte.
        let used: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at] != 0).collect();
        for (n, (at, value)) in flips.iter().enumerate() {
            let at = if n % 2 == 0 { *at.get(&used) } else { at.index(bytes.len()) };
            bytes[at] ^= value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        folder.put(if kind == 2 { "s.vmdk" } else { "x.vmdk" }, &bytes);
        prod(&folder, &offsets);
    }
}
