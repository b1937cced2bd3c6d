use super::*;

/// A version 3 image of 64 KiB clusters with refcounts of so many bits (as a power of two): one cluster each of header,
/// L1 table of four entries, and refcount table.
fn tables(refcount_order: u32) -> Tables {
    Tables { cluster_bits: 16, refcount_order, l1: 0x1_0000..0x1_0020, refcounts: 0x2_0000..0x3_0000 }
}

#[test]
fn entries_are_whole_and_in_a_table() {
    let entries = |range| tables(4).entries(&range).collect::<Vec<_>>();
    assert_eq!(entries(0x1_0008..0x1_0010), [0x1_0008]);
    assert_eq!(entries(0x1_0004..0x1_0017), [0x1_0008]);
    assert_eq!(entries(0x1_0010..0x1_1000), [0x1_0010, 0x1_0018]);
    assert_eq!(entries(0..0x2_0009), [0x1_0000, 0x1_0008, 0x1_0010, 0x1_0018, 0x2_0000]);
    assert!(entries(0x3_0000..0x4_0000).is_empty());
}

#[test]
fn refcounts_of_every_width_are_found() {
    let found = |order, cluster: u64| {
        let tables = tables(order);
        let (entry, index) = tables.refcount_of(cluster << 16);
        let refcount = tables.refcount(0x5_0000, index);
        (entry, refcount.bytes, refcount.mask)
    };
    assert_eq!(found(4, 3), (0x2_0000, 0x5_0006..0x5_0008, 0xff));
    assert_eq!(found(4, 0x8001), (0x2_0008, 0x5_0002..0x5_0004, 0xff));
    assert_eq!(found(0, 13), (0x2_0000, 0x5_0001..0x5_0002, 0x20));
    assert_eq!(found(2, 3), (0x2_0000, 0x5_0001..0x5_0002, 0xf0));
    assert_eq!(found(3, 3), (0x2_0000, 0x5_0003..0x5_0004, 0xff));
    assert_eq!(found(6, 0x2001), (0x2_0008, 0x5_0008..0x5_0010, 0xff));
}

#[test]
fn a_refcount_of_0_becomes_1() {
    for (order, cluster, zero, one) in [
        (1, 2, vec![0b1100_1111], vec![0b1101_1111]),
        (0, 7, vec![0b0111_1111], vec![0b1111_1111]),
        (5, 0, vec![0; 4], vec![0, 0, 0, 1]),
    ] {
        let refcount = tables(order).refcount(0, cluster);
        let mut bytes = zero;
        assert!(refcount.is_zero(&bytes), "{order}");
        refcount.set(&mut bytes);
        assert_eq!(bytes, one, "{order}");
        assert!(!refcount.is_zero(&bytes), "{order}");
    }
}
