use super::{super::testing::Sparse, *};

const SECTORS: u64 = 1000;

fn good() -> SparseExtentHeader {
    Sparse::new(1 << 20).header()
}

/// The reason why a header that `change` has made invalid is refused.
fn refusal(change: impl FnOnce(&mut SparseExtentHeader)) -> String {
    let mut header = good();
    change(&mut header);
    header.check(SECTORS).unwrap_err().0.to_string()
}

#[test]
fn a_header_is_a_sector() {
    assert_eq!(size_of::<SparseExtentHeader>(), 512);
    let geometry = good().check(SECTORS).unwrap();
    let expected = Geometry {
        capacity: 1 << 20,
        grain_size: 128,
        gtes_per_gt: 512,
        directory: good().gd_offset.get() * 512,
        tables: 16,
        zeroed_grains: false,
        compressed: false,
    };
    assert_eq!(geometry, expected);
}

#[test]
fn every_field_that_matters_is_checked() {
    assert_eq!(
        refusal(|it| it.magic = *b"KDMW"),
        "has a bad magicNumber: [4b, 44, 4d, 57] is not that of a sparse extent"
    );
    for version in [0, 4, u32::MAX] {
        assert_eq!(
            refusal(|it| it.version = version.into()),
            format!("has version {version}, which nvmm does not read")
        );
    }
    assert_eq!(
        refusal(|it| it.newline = *b"\n \n\n"),
        "has a bad singleEndLineChar: the file was changed on its way, as if it were text; copy it again as binary"
    );
    for size in [0, 3, 129, 4096, 1 << 63, u64::MAX] {
        assert_eq!(
            refusal(|it| it.grain_size = size.into()),
            format!("has a bad grainSize: {size} sectors, not a power of two up to 2048")
        );
    }
    for entries in [0, 513, u32::MAX] {
        assert_eq!(
            refusal(|it| it.num_gtes_per_gt = entries.into()),
            format!("has a bad numGTEsPerGT: {entries}, of 1 to 512")
        );
    }
    for capacity in [0, (1 << 36) + 1, 1 << 63, u64::MAX] {
        assert_eq!(
            refusal(|it| it.capacity = capacity.into()),
            format!("has a bad capacity: {capacity} sectors, of 1 to 68719476736")
        );
    }
    // The maximum is accepted, but this file has no directory for it.
    assert_eq!(
        refusal(|it| {
            it.capacity = (1 << 36).into();
            it.gd_offset = 1.into();
        }),
        "has a bad gdOffset: 8192 sectors of directory at 1 in a file of 1000"
    );
    for offset in [0, SECTORS, 1 << 55, u64::MAX - 1] {
        assert_eq!(
            refusal(|it| it.gd_offset = offset.into()),
            format!("has a bad gdOffset: 1 sectors of directory at {offset} in a file of 1000")
        );
    }
    good().check(good().gd_offset.get() + 1).unwrap();
}

#[test]
fn compression_is_deflate_with_markers() {
    let with = |flags: u32, algorithm: u16| {
        let mut header = good();
        header.flags = flags.into();
        header.compress_algorithm = algorithm.into();
        header.check(SECTORS).map(|it| it.compressed).map_err(|failure| failure.0.to_string())
    };
    assert_eq!(with(0x3_0003, 1), Ok(true));
    // A header without newlines to check may have anything there, and a reader can ignore bit 31.
    assert_eq!(with(0x8000_0000, 0), Ok(false));
    assert_eq!(
        with(0x1_0003, 1).unwrap_err(),
        "has compressed grains without markers, which nvmm does not read"
    );
    assert_eq!(with(0x3_0003, 2).unwrap_err(), "has compressAlgorithm 2, which nvmm does not read");
    assert_eq!(
        with(0x3_0003, 0).unwrap_err(),
        "has a bad compressAlgorithm: 0, which contradicts flags 0x30003"
    );
    assert_eq!(with(3, 1).unwrap_err(), "has a bad compressAlgorithm: 1, which contradicts flags 0x3");
    assert_eq!(
        with(0x2_0003, 1).unwrap_err(),
        "has a bad compressAlgorithm: 1, which contradicts flags 0x20003"
    );
}
