use std::{fs::File, os::unix::fs::FileExt};

use super::*;

const LAYOUT: Layout = Layout {
    cluster_bits: 9,
    refcount_order: 4,
    l1_offset: 512,
    l1_entries: 100,
    refcount_table_offset: 2048,
    refcount_table_clusters: 1,
};

/// An image with clusters of 512 bytes: an L1 table in clusters 1 and 2, a refcount table in 4, a refcount block in 5, and an L2 table in
/// 6, which covers 32 KiB.
fn tables() -> Tables {
    let file: File = tempfile::tempfile().unwrap();
    file.set_len(1 << 20).unwrap();
    file.write_all_at(&(COPIED | (6 * 512)).to_be_bytes(), 512).unwrap();
    file.write_all_at(&(5_u64 * 512).to_be_bytes(), 2048).unwrap();
    Tables::read(&file, LAYOUT, false).unwrap()
}

fn entries(entries: &[u64]) -> Vec<u8> {
    entries.iter().flat_map(|entry| entry.to_be_bytes()).collect()
}

#[test]
fn each_part_of_the_file() {
    let tables = tables();
    let none = Touched::default;
    for (offset, len, wanted) in [
        (0, 72, Touched { header: true, ..none() }),
        (512, 8, Touched { l1: true, ..none() }),
        (512 + 792, 8, Touched { l1: true, ..none() }),
        (512 + 800, 8, none()),
        (1536, 512, none()),
        (2048 + 504, 8, Touched { refcount_table: true, ..none() }),
        (2560, 512, Touched { refcounts: vec![5], ..none() }),
        (3072, 512, Touched { l2: vec![6], ..none() }),
        (3584, 1 << 20, none()),
        (u64::MAX - 511, 511, none()),
        // The minimum that direct I/O writes.
        (0, 4096, Touched { header: true, l1: true, refcount_table: true, l2: vec![6], refcounts: vec![5] }),
    ] {
        let touched = tables.touched(offset, len);
        assert_eq!(touched.is_data(), touched == none());
        assert_eq!(touched, wanted, "{len} at {offset}");
    }
}

#[test]
fn references_in_tables() {
    let mut tables = tables();
    assert!(tables.maps(&(0..32768)) && tables.maps(&(512..1024)));
    assert!(!tables.maps(&(0..32769)) && !tables.maps(&(32768..33280)) && !tables.maps(&(1 << 60..1 << 61)));

    // Only new entries, and clusters counted by another block.
    let l1 = entries(&[COPIED | (6 * 512), COPIED | (9 * 512)]);
    assert_eq!(tables.named(&tables.touched(512, 16), 512, &l1), [9]);
    let refcounts = entries(&[5 * 512, 256 * 512, 300 * 512]);
    assert_eq!(tables.named(&tables.touched(2048, 24), 2048, &refcounts), [300]);
    // A cluster, zeros in one, none, and a compressed one in the last sector of one and the first of the next.
    let compressed = COMPRESSED | (1 << 61) | (20 * 512 - 1);
    let l2 = entries(&[COPIED | (8 * 512), (7 * 512) | 1, 0, 1, compressed]);
    assert_eq!(tables.named(&tables.touched(3072, 40), 3072, &l2), [7, 8, 19, 20]);
    let named = tables.named(&tables.touched(0, 72), 0, &[0; 72]);
    assert_eq!(named, [0; 0]);

    tables.written(512, &l1);
    tables.written(2048, &refcounts);
    assert!(tables.maps(&(0..65536)));
    assert_eq!(tables.touched(9 * 512, 512).l2, [9]);
    assert_eq!(tables.touched(256 * 512, 512).refcounts, [256]);
    assert_eq!(tables.count(300), (1, 44));
    assert_eq!((tables.refcounts(1), tables.refcounts(3)), (Some(256 * 512), None));
}
