use super::*;

fn disk(bytes: &[u8]) -> MemoryDisk {
    MemoryDisk::new("seed".to_owned(), bytes.to_vec())
}

/// Reads into buffers of these `lens`.
fn read(disk: &MemoryDisk, lens: &[usize], offset: u64) -> io::Result<Vec<Vec<u8>>> {
    let mut buffers: Vec<_> = lens.iter().map(|&len| vec![0xee; len]).collect();
    let slices: Vec<_> = buffers.iter_mut().map(|buffer| VolatileSlice::from(&mut buffer[..])).collect();
    disk.read_at(&slices, offset)?;
    drop(slices);
    Ok(buffers)
}

#[test]
fn a_disk_in_memory_reads_as_its_bytes_and_then_zeros() {
    let bytes: Vec<_> = (0..600_u16).map(|byte| byte.to_le_bytes()[0]).collect();
    let disk = disk(&bytes);
    assert_eq!((disk.size(), disk.is_read_only(), disk.name()), (1024, true, "seed"));
    let read = read(&disk, &[100, 412, 0, 512], 0).unwrap().concat();
    assert_eq!(read[..600], bytes);
    assert_eq!(read[600..], [0; 424]);
}

#[test]
fn reads_beyond_the_end_are_refused() {
    let disk = disk(&[1; 512]);
    assert_eq!(read(&disk, &[12, 500], 0).unwrap(), [[1; 12].to_vec(), [1; 500].to_vec()]);
    assert_eq!(read(&disk, &[], 512).unwrap(), Vec::<Vec<u8>>::new());
    for (lens, offset) in [(&[12, 501][..], 0), (&[1], 512), (&[1], 513), (&[], 513), (&[1], u64::MAX)] {
        let error = read(&disk, lens, offset).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{lens:?} at {offset}");
    }
}

#[test]
fn a_disk_in_memory_can_not_be_changed() {
    let disk = disk(&[7; 512]);
    let mut zeros = [0; 512];
    let outcomes = [
        disk.write_at(&[VolatileSlice::from(&mut zeros[..])], 0),
        disk.write_zeroes(0..512, true),
        disk.discard(0..512),
    ];
    for outcome in outcomes {
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::ReadOnlyFilesystem);
    }
    disk.flush().unwrap();
    assert_eq!(read(&disk, &[512], 0).unwrap().concat(), [7; 512]);
    assert_eq!(disk.extent_at(0, 512).unwrap(), Extent { len: 512, is_zero: false });
}

#[test]
fn its_bytes_are_not_in_messages() {
    assert_eq!(format!("{:?}", disk(&[7; 512])), "MemoryDisk { name: \"seed\", size: 512, .. }");
}
