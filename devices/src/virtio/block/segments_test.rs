use super::*;
use crate::virtio::queue::test_driver::{Driver, FREE};

const SIZE: u64 = 1 << 40;

/// Parses the segments in `data`, given to the device in pieces of `piece` bytes.
fn take_of(data: &[u8], piece: usize, limits: &Limits, size: u64) -> Result<Vec<Segment>, Refusal> {
    let mut driver = Driver::new(1024);
    driver.write(FREE, data);
    let starts = (0..data.len()).step_by(piece);
    let pieces = starts.map(|at| (FREE + at as u64, u32::try_from(piece.min(data.len() - at)).unwrap(), 0));
    // A chain has at least one descriptor.
    let pieces: Vec<_> = std::iter::once((FREE, 1, 0)).chain(pieces).collect();
    driver.chain(&pieces);
    let mut chain = driver.rings(&driver.memory).pop().unwrap().unwrap();
    chain.readable.take_front::<1>().unwrap();
    take(&mut chain.readable, limits, size)
}

fn segment((sector, num_sectors, flags): (u64, u32, u32)) -> Vec<u8> {
    [&sector.to_le_bytes()[..], &num_sectors.to_le_bytes(), &flags.to_le_bytes()].concat()
}

#[test]
fn segments_are_taken_wherever_they_are_cut() {
    let data: Vec<u8> = [(3, 5, 0), (0, 1, 1), (7, 0, 0), (1 << 30, 1 << 17, 0)].map(segment).concat();
    for piece in [1, 5, 16, 17, 64] {
        let taken = take_of(&data, piece, &WRITE_ZEROES, SIZE).unwrap();
        let expected = [(0x600..0x1000, false), (0..0x200, true), (0x80_0000_0000..0x80_0400_0000, false)];
        assert_eq!(taken, expected.map(|(range, unmap)| Segment { range, unmap }));
    }
}

#[test]
fn only_whole_segments_and_not_too_many() {
    for limits in [DISCARD, WRITE_ZEROES] {
        let most = usize::try_from(limits.segments).unwrap();
        let data = segment((1, 1, 0)).repeat(most + 1);
        assert_eq!(take_of(&data[..16 * most], 16, &limits, SIZE).unwrap().len(), most);
        for len in [0, 1, 15, 17, 31, 16 * most - 1, 16 * most + 1, 16 * (most + 1)] {
            assert_eq!(take_of(&data[..len], 16, &limits, SIZE), Err(Refusal::IoError), "{len}");
        }
        assert_eq!(take_of(&[0xff; 0x1_0000], 0x1000, &limits, SIZE), Err(Refusal::IoError));
    }
}

/// "The device MUST set the status byte to VIRTIO_BLK_S_UNSUPP", wherever the flag is and whatever else is wrong.
#[test]
fn flags_that_are_not_known_are_not_supported() {
    for (limits, known) in [(DISCARD, 0), (WRITE_ZEROES, 1_u32)] {
        for bit in 0..32 {
            let flags = 1_u32 << bit;
            let expected = match flags & !known {
                0 => Ok(()),
                _ => Err(Refusal::Unsupported),
            };
            assert_eq!(take_of(&segment((1, 1, flags)), 16, &limits, SIZE).map(drop), expected);
            let among: Vec<u8> = [(1, 1, 0), (u64::MAX, u32::MAX, 0), (1, 1, flags)].map(segment).concat();
            let expected = expected.and(Err(Refusal::IoError));
            assert_eq!(take_of(&among, 16, &limits, SIZE).map(drop), expected);
        }
    }
}

#[test]
fn segments_lie_within_the_disk_and_the_limit() {
    for limits in [DISCARD, WRITE_ZEROES] {
        let most = limits.sectors;
        let last = SIZE / SECTOR_SIZE;
        for (sector, num_sectors, size, good) in [
            (0, most, SIZE, true),
            (0, most + 1, SIZE, false),
            (0, u32::MAX, SIZE, false),
            (last, 0, SIZE, true),
            (last + 1, 0, SIZE, false),
            (last - 1, 1, SIZE, true),
            (last - 1, 2, SIZE, false),
            (last, 1, SIZE, false),
            (0, 1, 511, false),
            (1 << 55, 0, SIZE, false),
            (1 << 55, 1, u64::MAX, false),
            ((1 << 55) - 1, 1, u64::MAX, false),
            ((1 << 55) - 2, 1, u64::MAX, true),
            (u64::MAX, 0, u64::MAX, false),
            (u64::MAX, u32::MAX, u64::MAX, false),
        ] {
            let data = segment((sector, num_sectors, 0));
            assert_eq!(
                take_of(&data, 16, &limits, size).is_ok(),
                good,
                "{num_sectors} at {sector} of {size}"
            );
        }
    }
}
