use super::*;
use crate::blk_plan::SECTOR;

/// The disk after all of `rounds`, in order, with a write of the last one.
fn disk(rounds: &[u64]) -> (Vec<u8>, usize) {
    let mut disk = Model::base(false);
    let mut last = 0;
    for &round in rounds {
        for write in 0..Round(round).writes() {
            let Place { block, blocks } = Round(round).place(write);
            for sector in block * SECTORS_OF_BLOCK..(block + blocks) * SECTORS_OF_BLOCK {
                last = usize::try_from(sector * SECTOR).unwrap();
                disk[last..last + 512].copy_from_slice(&content(round, sector, false));
            }
        }
    }
    (disk, last)
}

#[test]
fn a_confirmed_write_must_be_there() {
    let mut model = Model::new(false);
    model.write(1, 0);
    assert_eq!(model.verify(&disk(&[1]).0), Ok(()));
    model.write(2, 0);
    model.flush();
    let error = model.verify(&disk(&[1]).0).unwrap_err();
    assert!(error.contains("is to hold round 2, or one of []"), "{error}");
    assert_eq!(model.verify(&disk(&[1, 2]).0), Ok(()));
}

#[test]
fn an_unconfirmed_write_may_be_there_sector_by_sector() {
    let mut model = Model::new(false);
    model.write(1, 0);
    let (mut torn, last) = disk(&[1]);
    torn[last..last + 512].fill(0);
    assert_eq!(model.verify(&torn), Ok(()));
    assert!(model.verify(&disk(&[1]).0).is_err(), "what was seen once stays");
    torn[last + 3] = 1;
    assert!(model.verify(&torn).is_err(), "a sector is never torn");
}

#[test]
fn a_failed_write_leaves_either() {
    for after in [&[1][..], &[1, 2]] {
        let mut model = Model::new(false);
        model.write(1, 0);
        model.write(2, u64::MAX);
        model.flush();
        assert_eq!(model.verify(&disk(after).0), Ok(()));
    }
    let mut model = Model::new(false);
    model.write(1, 0);
    model.write(2, u64::MAX);
    model.flush();
    assert!(model.verify(&disk(&[]).0).is_err());
}

#[test]
fn the_same_place_is_written_again_and_again_but_not_in_one_round() {
    let mut written = vec![0; usize::try_from(BLOCKS).unwrap()];
    for round in 1..500 {
        for write in 0..Round(round).writes() {
            let Place { block, blocks } = Round(round).place(write);
            for block in block..block + blocks {
                let block = &mut written[usize::try_from(block).unwrap()];
                assert_ne!(*block, round);
                *block = round;
            }
        }
    }
    assert!(written.iter().filter(|round| **round != 0).count() > 1000);
}
