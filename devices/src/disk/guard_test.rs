use proptest::prelude::*;

use super::{
    extensions::{BACKING_FORMAT, BITMAPS, DATA_FILE_NAME, FEATURE_NAMES},
    *,
};

const CLUSTER: usize = 1 << 16;
/// A file of a few clusters: header, refcount table, refcount block, L1 table.
const LEN: u64 = 4 << 16;

/// The offsets of fields of the header, by the specification.
mod at {
    pub(super) const VERSION: usize = 4;
    pub(super) const BACKING_OFFSET: usize = 8;
    pub(super) const BACKING_SIZE: usize = 16;
    pub(super) const CLUSTER_BITS: usize = 20;
    pub(super) const SIZE: usize = 24;
    pub(super) const CRYPT: usize = 32;
    pub(super) const L1_SIZE: usize = 36;
    pub(super) const L1_OFFSET: usize = 40;
    pub(super) const REFCOUNT_OFFSET: usize = 48;
    pub(super) const REFCOUNT_CLUSTERS: usize = 56;
    pub(super) const INCOMPATIBLE: usize = 72;
    pub(super) const AUTOCLEAR: usize = 88;
    pub(super) const REFCOUNT_ORDER: usize = 96;
    pub(super) const HEADER_LENGTH: usize = 100;
    pub(super) const COMPRESSION: usize = 104;
    pub(super) const EXTENSIONS: usize = 112;
}

/// The first cluster of an empty image of 1 GiB.
fn image() -> Vec<u8> {
    let mut bytes = vec![0; CLUSTER];
    bytes[..4].copy_from_slice(b"QFI\xfb");
    for (at, value) in [
        (at::VERSION, 3),
        (at::CLUSTER_BITS, 16),
        (at::L1_SIZE, 2),
        (at::REFCOUNT_CLUSTERS, 1),
        (at::REFCOUNT_ORDER, 4),
        (at::HEADER_LENGTH, 112),
    ] {
        put32(&mut bytes, at, value);
    }
    for (at, value) in [(at::SIZE, 1 << 30), (at::L1_OFFSET, 3 << 16), (at::REFCOUNT_OFFSET, 1 << 16)] {
        put64(&mut bytes, at, value);
    }
    bytes
}

fn put32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
}

fn put64(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_be_bytes());
}

/// Writes an extension, and returns the offset of the next one.
fn extend(bytes: &mut [u8], at: usize, kind: u32, contents: &[u8]) -> usize {
    put32(bytes, at, kind);
    put32(bytes, at + 4, u32::try_from(contents.len()).unwrap());
    bytes[at + 8..at + 8 + contents.len()].copy_from_slice(contents);
    at + 8 + contents.len().next_multiple_of(8)
}

fn name_backing(bytes: &mut [u8], offset: usize, name: &[u8]) {
    put64(bytes, at::BACKING_OFFSET, offset as u64);
    put32(bytes, at::BACKING_SIZE, u32::try_from(name.len()).unwrap());
    bytes[offset..offset + name.len()].copy_from_slice(name);
}

fn parse(bytes: &[u8]) -> Result<Header, HeaderError> {
    Header::parse(bytes, LEN, true)
}

/// The result for an image with 32 bits of its header changed.
fn changed32(at: usize, value: u32) -> String {
    let mut bytes = image();
    put32(&mut bytes, at, value);
    parse(&bytes).unwrap_err().to_string()
}

fn changed64(at: usize, value: u64) -> String {
    let mut bytes = image();
    put64(&mut bytes, at, value);
    parse(&bytes).unwrap_err().to_string()
}

#[test]
fn a_plain_image() {
    let layout = Layout {
        cluster_bits: 16,
        refcount_order: 4,
        l1_offset: 3 << 16,
        l1_entries: 2,
        refcount_table_offset: 1 << 16,
        refcount_table_clusters: 1,
    };
    let header = Header {
        size: 1 << 30,
        backing: None,
        data_file: None,
        can_zero: true,
        layout,
        has_bitmaps: false,
        flaws: Vec::new(),
        view: View::default(),
    };
    assert_eq!(parse(&image()).unwrap(), header);
}

#[test]
fn a_backing_file_and_its_format() {
    let wanted = |format: Option<&str>| Backing { name: "base.img".into(), format: format.map(Into::into) };
    let mut bytes = image();
    let next = extend(&mut bytes, at::EXTENSIONS, FEATURE_NAMES, &[0; 96]);
    extend(&mut bytes, next, BACKING_FORMAT, b"raw");
    name_backing(&mut bytes, 512, b"base.img");
    assert_eq!(parse(&bytes).unwrap().backing, Some(wanted(Some("raw"))));

    // Version 2, in which extensions or the name follow the shorter header.
    let mut bytes = image();
    put32(&mut bytes, at::VERSION, 2);
    bytes[V2_LEN..V3_LEN + 8].fill(0);
    extend(&mut bytes, V2_LEN, BACKING_FORMAT, b"qcow2");
    name_backing(&mut bytes, 96, b"base.img");
    assert_eq!(parse(&bytes).unwrap().backing, Some(wanted(Some("qcow2"))));
    name_backing(&mut bytes, V2_LEN, b"base.img");
    assert_eq!(parse(&bytes).unwrap().backing, Some(wanted(None)));
}

/// Images that other programs can read, but imago can't, or reads wrongly.
#[test]
fn features_refused_by_name() {
    for (method, cipher) in [(1, "AES"), (2, "LUKS"), (3, "unknown")] {
        let error = changed32(at::CRYPT, method);
        assert!(error.contains(cipher) && error.contains("qemu-img convert"), "{error}");
    }
    for (bit, part) in [
        (0, "dirty; repair it with qemu-img check -r all"),
        (1, "corrupt; repair it with qemu-img check -r all"),
        (2, "in another file, but doesn't name it"),
        (3, "something unknown"),
        (4, "extended L2 entries"),
        (5, "incompatible feature 5"),
        (63, "incompatible feature 63"),
    ] {
        let error = changed64(at::INCOMPATIBLE, 1 << bit);
        assert!(error.contains(part), "{error}");
    }
    let mut bytes = image();
    bytes[at::COMPRESSION] = 1;
    assert!(parse(&bytes).unwrap_err().to_string().contains("compression_type is 1"));
    put64(&mut bytes, at::INCOMPATIBLE, 1 << 3);
    assert_eq!(parse(&bytes), Err(HeaderError::Compression("zstd")));
    for version in [0, 1, 4] {
        assert_eq!(changed32(at::VERSION, version), HeaderError::Version(version).to_string());
    }
    assert_eq!(parse(&[0; 512]), Err(HeaderError::Magic));
}

/// A dirty or corrupt image is only read, as by qemu-img, and with a warning.
#[test]
fn features_that_only_prevent_writing() {
    for (bit, flaw) in [(0, Flaw::Dirty), (1, Flaw::Corrupt)] {
        let mut bytes = image();
        put64(&mut bytes, at::INCOMPATIBLE, 1 << bit);
        assert!(matches!(parse(&bytes), Err(HeaderError::Broken(_))));
        let header = Header::parse(&bytes, LEN, false).unwrap();
        assert_eq!(header.flaws, [flaw]);
        assert_eq!(header.view.within(0, 512).collect::<Vec<_>>(), [(72, &[0; 8][..])]);
        // The flaw hides no other feature.
        put64(&mut bytes, at::INCOMPATIBLE, 1 << bit | 1 << 4);
        assert_eq!(Header::parse(&bytes, LEN, false), Err(HeaderError::ExtendedL2));
    }
    let mut bytes = image();
    put64(&mut bytes, at::SIZE, (1 << 30) - 100);
    let header = Header::parse(&bytes, LEN, false).unwrap();
    assert_eq!((header.size, header.flaws), ((1 << 30) - 512, vec![Flaw::Size((1 << 30) - 100)]));
    put64(&mut bytes, at::SIZE, 511);
    let error = Header::parse(&bytes, LEN, false).unwrap_err().to_string();
    assert!(error.contains("there is no disk in it"), "{error}");
}

#[test]
fn a_data_file_is_named() {
    let mut bytes = image();
    extend(&mut bytes, at::EXTENSIONS, DATA_FILE_NAME, b"image.data");
    // A name without the feature has no meaning.
    assert_eq!(parse(&bytes).unwrap().data_file, None);
    put64(&mut bytes, at::INCOMPATIBLE, DATA_FILE);
    assert_eq!(parse(&bytes).unwrap().data_file, Some("image.data".into()));
    // It hides no other feature.
    put64(&mut bytes, at::INCOMPATIBLE, DATA_FILE | 1 << 4);
    assert_eq!(parse(&bytes), Err(HeaderError::ExtendedL2));
}

#[test]
fn bitmaps_only_keep_from_writing() {
    let mut bytes = image();
    extend(&mut bytes, at::EXTENSIONS, BITMAPS, &[0; 24]);
    // The bitmaps are out of date already.
    assert!(!parse(&bytes).unwrap().has_bitmaps);
    put64(&mut bytes, at::AUTOCLEAR, 1);
    assert_eq!(parse(&bytes), Err(HeaderError::Bitmaps));
    assert!(Header::parse(&bytes, LEN, false).unwrap().has_bitmaps);
}

/// A field that contradicts the file is named in the error.
#[test]
fn hostile_values() {
    for (at, values, part) in [
        (at::CLUSTER_BITS, &[0, 8, 22, 63, u32::MAX][..], "cluster_bits is "),
        (at::REFCOUNT_ORDER, &[7, 64, u32::MAX], "refcount_order is "),
        (at::HEADER_LENGTH, &[0, 72, 103, 105, 1 << 17, u32::MAX], "header_length is "),
        (at::L1_SIZE, &[0, 1], "too small for the size"),
        (at::L1_SIZE, &[(4 << 20) + 1, u32::MAX], "at most 4194304"),
        (at::L1_SIZE, &[8193, 4 << 20], "l1_table_offset is 196608: the table ends past"),
        (at::REFCOUNT_CLUSTERS, &[0, 129, u32::MAX], "refcount_table_clusters is "),
        (at::REFCOUNT_CLUSTERS, &[4, 128], "refcount_table_offset is 65536: the table ends past"),
    ] {
        for &value in values {
            let error = changed32(at, value);
            assert!(error.contains(part), "{value} at {at}: {error}");
        }
    }
    for (at, values, part) in [
        (at::SIZE, &[0][..], "size is 0: "),
        (at::SIZE, &[1, 513, u64::MAX], "whole sectors"),
        (at::SIZE, &[(1 << 30) + 512, 1 << 63, u64::MAX - 511], "l1_size is 2: it is too small"),
        (at::L1_OFFSET, &[0, 512, (3 << 16) + 8], "l1_table_offset is "),
        (at::L1_OFFSET, &[4 << 16, 1 << 63, u64::MAX << 16], "past the end of the file"),
        (at::REFCOUNT_OFFSET, &[0, 1, u64::MAX, 4 << 16, u64::MAX << 16], "refcount_table_offset is "),
    ] {
        for &value in values {
            let error = changed64(at, value);
            assert!(error.contains(part), "{value} at {at}: {error}");
        }
    }
}

#[test]
fn hostile_names_and_extensions() {
    for (offset, len, part) in [
        (512, 1024, "backing_file_size is 1024"),
        (71, 8, "backing_file_offset is 71"),
        (CLUSTER as u64 - 7, 8, "backing_file_offset is 65529"),
        (u64::MAX, 8, "backing_file_offset is "),
    ] {
        let mut bytes = image();
        put64(&mut bytes, at::BACKING_OFFSET, offset);
        put32(&mut bytes, at::BACKING_SIZE, len);
        let error = parse(&bytes).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    // A name can be any bytes; imago is given another one, and may not write that to the file.
    let mut bytes = image();
    name_backing(&mut bytes, 512, b"b\xffse");
    let header = parse(&bytes).unwrap();
    assert_eq!(header.backing.unwrap().name, b"b\xffse".into());
    assert_eq!(header.view.within(0, 1024).collect::<Vec<_>>(), [(512, &b"b_se"[..])]);
    put64(&mut bytes, at::AUTOCLEAR, 2);
    assert_eq!(parse(&bytes), Err(HeaderError::Name));
    assert!(Header::parse(&bytes, LEN, false).is_ok());

    let mut bytes = image();
    extend(&mut bytes, at::EXTENSIONS, FEATURE_NAMES, &[0; 49]);
    let error = parse(&bytes).unwrap_err().to_string();
    assert_eq!(error, "the header extension 0x6803f857 of 49 bytes is no table of feature names");
    put32(&mut bytes, at::EXTENSIONS + 4, u32::MAX);
    assert!(parse(&bytes).unwrap_err().to_string().ends_with("of 4294967295 bytes ends past the header"));
}

#[test]
fn short_files() {
    let bytes = image();
    for len in [4, 71, 72, 103] {
        assert_eq!(Header::parse(&bytes[..len], len as u64, true), Err(HeaderError::Truncated(len as u64)));
    }
    for len in [0, 3] {
        assert_eq!(Header::parse(&bytes[..len], len as u64, true), Err(HeaderError::Magic));
    }
}

proptest! {
    /// Any bytes must give an answer.
    #[test]
    fn any_bytes_are_no_panic(
        changes in prop::collection::vec((0_usize..160, any::<u8>()), 1..12),
        cut in 0_usize..=CLUSTER,
        len: u64,
    ) {
        let mut bytes = image();
        extend(&mut bytes, at::EXTENSIONS, BACKING_FORMAT, b"raw");
        name_backing(&mut bytes, 136, b"base.img");
        for (at, value) in changes {
            bytes[at] = value;
        }
        let _ = Header::parse(&bytes, LEN, true);
        let _ = Header::parse(&bytes[..cut], len, false);
    }
}
