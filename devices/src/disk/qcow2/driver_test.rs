use std::{fs, io::Write as _};

use super::super::{
    super::{Disk, guard::Header},
    Qcow2Options,
    testing::*,
};

const CLUSTER: usize = 4096;

/// Deflated data that copies the byte before it, over and over: RFC 1951, "Compression with fixed Huffman codes".
fn copies() -> Vec<u8> {
    // The last block, of that kind; 16 times length 258 at distance 1; the end.
    let matches = "1100010100000".repeat(16);
    let bits = format!("110{matches}0000000");
    let bytes = bits.as_bytes().chunks(8);
    bytes.map(|bits| bits.iter().rev().fold(0, |byte, bit| byte << 1 | (bit - b'0'))).collect()
}

/// Bytes that take more space than [`copies`] when compressed.
fn plain() -> Vec<u8> {
    (0..3 * CLUSTER).map(|n| (n * n / 200).to_le_bytes()[0]).collect()
}

/// An image of [`plain`] in three compressed clusters, the second of which is a copy of the bytes before it.
fn image() -> Option<Images> {
    let images = Images::new()?;
    fs::write(images.path("plain"), plain()).unwrap();
    images.qemu_img("convert -c -f raw -O qcow2 -o cluster_size=4k plain image");
    let mut bytes = fs::read(images.path("image")).unwrap();
    let file = fs::File::open(images.path("image")).unwrap();
    let header = Header::read(&file, bytes.len() as u64, true).unwrap().unwrap();
    let entry = |at: usize| u64::from_be_bytes(bytes[at..at + 8].try_into().unwrap());
    let offset = |entry: u64| usize::try_from(entry & 0x00ff_ffff_ffff_ffff).unwrap();
    let l2 = offset(entry(usize::try_from(header.layout.l1_offset).unwrap()));
    let at = offset(entry(l2 + 8));
    bytes[at..at + copies().len()].copy_from_slice(&copies());
    fs::File::create(images.path("image")).unwrap().write_all(&bytes).unwrap();
    Some(images)
}

#[test]
fn a_cluster_shows_nothing_of_what_was_in_memory() {
    let Some(images) = image() else { return };
    let disk = images.open("image", &READ_ONLY);
    let mut wanted = plain();
    wanted[CLUSTER..2 * CLUSTER].fill(0);
    // The whole cluster in one buffer, a part, and with its neighbours.
    for (offset, len) in [(CLUSTER, CLUSTER), (CLUSTER + 512, 1024), (512, 2 * CLUSTER)] {
        for _ in 0..4 {
            // The buffer freed here may be reused for decompression.
            drop(vec![0xaa_u8; CLUSTER]);
            assert!(read(&disk, offset, len).unwrap() == wanted[offset..offset + len], "{len} at {offset}");
        }
    }
}

#[test]
fn nor_is_that_written_to_the_image() {
    let Some(images) = image() else { return };
    let disk = images.open("image", &Qcow2Options::default());
    for (offset, len) in [(CLUSTER, 512), (CLUSTER + 512, CLUSTER), (512, CLUSTER), (512, 3 * CLUSTER - 1024)]
    {
        let written = write(&disk, offset, &vec![7; len]);
        // The whole cluster in the middle is overwritten.
        assert_eq!(written.is_ok(), len > CLUSTER, "{len} at {offset}");
        if let Err(error) = written {
            let wanted = "the compressed cluster at 0x1000 copies bytes from before its start";
            assert_eq!(error.to_string(), wanted);
        }
    }
    drop(disk);
    let mut wanted = plain();
    wanted[512..3 * CLUSTER - 512].fill(7);
    images.check("image", &wanted);
}

#[test]
fn parts_of_sound_clusters_are_written() {
    let Some(images) = image() else { return };
    let disk = images.open("image", &Qcow2Options::default());
    write(&disk, 512, &[8; 512]).unwrap();
    write(&disk, 2 * CLUSTER + 1024, &[9; 512]).unwrap();
    disk.write_zeroes(2 * CLUSTER as u64..2 * CLUSTER as u64 + 512, true).unwrap();
    write(&disk, CLUSTER, &[2; CLUSTER]).unwrap();
    drop(disk);
    let mut wanted = plain();
    wanted[CLUSTER..2 * CLUSTER].fill(2);
    wanted[512..1024].fill(8);
    wanted[2 * CLUSTER..2 * CLUSTER + 512].fill(0);
    wanted[2 * CLUSTER + 1024..2 * CLUSTER + 1536].fill(9);
    images.check("image", &wanted);
}
