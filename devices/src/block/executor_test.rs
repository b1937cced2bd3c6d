use std::path::Path;

use arch::memory::GuestRam;
use vm_memory::GuestAddress;

use super::*;
use crate::{
    block::BlockOptions,
    buffers::Regions,
    disk::raw::{DiskOptions, RawDisk},
};

const LEN: u32 = 512;

/// A request with more regions is carried out before the next one is read.
#[test]
fn the_kernel_is_given_no_more_regions_than_it_takes_at_once() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(4 << 20).unwrap();
    let disk = RawDisk::open(Path::new(file.path()), &DiskOptions::default()).unwrap();
    let options = BlockOptions::default();
    let cache = Arc::new(WriteCache::new(options.cache));
    let executor = Executor::new(0, Arc::new(disk), options.into(), cache, Stop::default());
    let memory = GuestRam::from_ranges(&[(GuestAddress(0), 1 << 20)]).unwrap();
    let regions = Regions::new(&memory);
    for (count, is_for_the_kernel) in [(1, true), (IOV_MAX, true), (IOV_MAX + 1, false), (6000, false)] {
        let mut data = Buffers::default();
        for number in 0..count {
            // Regions that are not adjacent, so that they aren't merged.
            let address = 2 * u64::from(LEN) * (number as u64 % 1000);
            data.push(&regions, address, LEN).unwrap();
        }
        assert_eq!(data.as_slice().len(), count);
        let request = Request { operation: Operation::Read { sector: 0 }, data, reply: () };
        assert_eq!(executor.job(&request).is_some(), is_for_the_kernel, "{count}");
    }
}
