//! Images as VMware writes them, made by hand.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use flate2::{Compression, write::ZlibEncoder};
use vm_memory::VolatileSlice;
use zerocopy::IntoBytes;

use super::{
    super::Disk,
    Vmdk,
    header::{GD_AT_END, MAGIC, SparseExtentHeader},
    stream::{END_OF_STREAM, FOOTER, GrainMarker, MetadataMarker},
};

/// The number of sectors for a descriptor inside an extent.
const DESCRIPTOR_SIZE: u64 = 20;
/// `MARKER_GT` and `MARKER_GD`.
const GRAIN_TABLE: u32 = 1;
const GRAIN_DIRECTORY: u32 = 2;

/// A sparse extent to create. Sizes are in sectors.
#[derive(Clone, Debug)]
pub(super) struct Sparse {
    pub(super) capacity: u64,
    pub(super) grain_size: u64,
    pub(super) gtes_per_gt: u64,
    pub(super) descriptor: Option<String>,
    /// The data of each grain by its number; none for zeroed grains. Other grains are absent.
    pub(super) grains: BTreeMap<u64, Option<Vec<u8>>>,
}

impl Sparse {
    pub(super) fn new(capacity: u64) -> Self {
        Self { capacity, grain_size: 128, gtes_per_gt: 512, descriptor: None, grains: BTreeMap::new() }
    }

    /// The header of [`Sparse::plain`].
    pub(super) fn header(&self) -> SparseExtentHeader {
        let zeroed = self.grains.values().any(Option::is_none);
        let overhead = self.directories()[1] + self.directory_size() + self.tables() * self.table_size();
        SparseExtentHeader {
            magic: MAGIC,
            version: if zeroed { 2 } else { 1 }.into(),
            flags: if zeroed { 7 } else { 3 }.into(),
            capacity: self.capacity.into(),
            grain_size: self.grain_size.into(),
            descriptor_offset: u64::from(self.descriptor.is_some()).into(),
            descriptor_size: (u64::from(self.descriptor.is_some()) * DESCRIPTOR_SIZE).into(),
            num_gtes_per_gt: u32::try_from(self.gtes_per_gt).unwrap().into(),
            rgd_offset: self.directories()[0].into(),
            gd_offset: self.directories()[1].into(),
            over_head: overhead.next_multiple_of(self.grain_size).into(),
            unclean_shutdown: 0,
            newline: *b"\n \r\n",
            compress_algorithm: 0.into(),
            pad: [0; 433],
        }
    }

    /// A sparse extent with both of its directories before its grains, which are ordered by their numbers.
    pub(super) fn plain(&self) -> Vec<u8> {
        let header = self.header();
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend(self.descriptor_bytes());
        let mut next = header.over_head.get();
        let mut entries = vec![0_u32; usize::try_from(self.tables() * self.gtes_per_gt).unwrap()];
        for (&number, data) in &self.grains {
            entries[usize::try_from(number).unwrap()] = match data {
                Some(_) => u32::try_from(next).unwrap(),
                None => 1,
            };
            next += data.as_ref().map_or(0, |_| self.grain_size);
        }
        for start in self.directories() {
            let tables = start + self.directory_size();
            pad_to(&mut bytes, start);
            for table in 0..self.tables() {
                let sector = u32::try_from(tables + table * self.table_size()).unwrap();
                bytes.extend(sector.to_le_bytes());
            }
            pad_to(&mut bytes, tables);
            for table in entries.chunks(usize::try_from(self.gtes_per_gt).unwrap()) {
                bytes.extend(table.iter().flat_map(|entry| entry.to_le_bytes()));
                pad(&mut bytes);
            }
        }
        pad_to(&mut bytes, header.over_head.get());
        for data in self.grains.values().flatten() {
            let end = bytes.len() as u64 / 512 + self.grain_size;
            bytes.extend(data);
            pad_to(&mut bytes, end);
        }
        bytes
    }

    /// A stream, as in an OVF package: values that are not known at its start are at its end.
    pub(super) fn stream(&self) -> Vec<u8> {
        let mut header = self.header();
        header.version = 3.into();
        header.flags = 0x3_0001.into();
        header.rgd_offset = 0.into();
        header.gd_offset = GD_AT_END.into();
        header.over_head = 128.into();
        header.compress_algorithm = 1.into();
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend(self.descriptor_bytes());
        pad_to(&mut bytes, 128);

        let mut tables = BTreeMap::<u64, Vec<u32>>::new();
        for (&number, data) in &self.grains {
            let Some(data) = data else { continue };
            let (table, entry) = (number / self.gtes_per_gt, number % self.gtes_per_gt);
            let table =
                tables.entry(table).or_insert_with(|| vec![0; usize::try_from(self.gtes_per_gt).unwrap()]);
            table[usize::try_from(entry).unwrap()] = u32::try_from(bytes.len() / 512).unwrap();
            let data = deflate(data);
            let size = u32::try_from(data.len()).unwrap().into();
            let marker = GrainMarker { lba: (number * self.grain_size).into(), size };
            bytes.extend(marker.as_bytes());
            bytes.extend(data);
            pad(&mut bytes);
        }
        let mut directory = vec![0_u32; usize::try_from(self.tables()).unwrap()];
        for (number, table) in tables {
            bytes.extend(marker(GRAIN_TABLE, self.table_size()));
            directory[usize::try_from(number).unwrap()] = u32::try_from(bytes.len() / 512).unwrap();
            bytes.extend(table.iter().flat_map(|entry| entry.to_le_bytes()));
            pad(&mut bytes);
        }
        bytes.extend(marker(GRAIN_DIRECTORY, self.directory_size()));
        header.gd_offset = (bytes.len() as u64 / 512).into();
        bytes.extend(directory.iter().flat_map(|entry| entry.to_le_bytes()));
        pad(&mut bytes);
        bytes.extend(marker(FOOTER, 1));
        bytes.extend(header.as_bytes());
        bytes.extend(marker(END_OF_STREAM, 0));
        bytes
    }

    /// The disk's content if this extent is all of it and `parent` is below it.
    pub(super) fn content(&self, parent: &[u8]) -> Vec<u8> {
        let len = usize::try_from(self.capacity * 512).unwrap();
        let mut bytes = parent.to_vec();
        bytes.resize(len, 0);
        let grain_len = usize::try_from(self.grain_size * 512).unwrap();
        for (&number, data) in &self.grains {
            let start = usize::try_from(number).unwrap() * grain_len;
            let end = len.min(start + grain_len);
            match data {
                Some(data) => bytes[start..end].copy_from_slice(&data[..end - start]),
                None => bytes[start..end].fill(0),
            }
        }
        bytes
    }

    fn descriptor_bytes(&self) -> Vec<u8> {
        let mut bytes = self.descriptor.clone().unwrap_or_default().into_bytes();
        if self.descriptor.is_some() {
            bytes.resize(usize::try_from(DESCRIPTOR_SIZE * 512).unwrap(), 0);
        }
        bytes
    }

    /// The offsets of the redundant directory and of the directory, each followed by its tables.
    fn directories(&self) -> [u64; 2] {
        let first = 1 + u64::from(self.descriptor.is_some()) * DESCRIPTOR_SIZE;
        [first, first + self.directory_size() + self.tables() * self.table_size()]
    }

    fn tables(&self) -> u64 {
        self.capacity.div_ceil(self.grain_size * self.gtes_per_gt)
    }

    fn directory_size(&self) -> u64 {
        (self.tables() * 4).div_ceil(512)
    }

    fn table_size(&self) -> u64 {
        (self.gtes_per_gt * 4).div_ceil(512)
    }
}

/// A descriptor with `extents` and, after `parent_cid`, the hint with the parent's name.
pub(super) fn descriptor(kind: &str, cid: u32, parent: Option<(u32, &str)>, extents: &str) -> String {
    let (parent_cid, hint) = match parent {
        Some((cid, name)) => (cid, format!("parentFileNameHint=\"{name}\"\n")),
        None => (0xffff_ffff, String::new()),
    };
    format!(
        "# Disk DescriptorFile\nversion=1\nencoding=\"UTF-8\"\nCID={cid:08x}\nparentCID={parent_cid:08x}\n\
         isNativeSnapshot=\"no\"\ncreateType=\"{kind}\"\n{hint}\n# Extent description\n{extents}\n\n\
         # The Disk Data Base\n#DDB\n\nddb.adapterType = \"lsilogic\"\nddb.virtualHWVersion = \"16\"\n"
    )
}

/// `len` unique but compressible bytes.
pub(super) fn pattern(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend((state & 0x0f0f_0f0f_ff00_ffff).to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// Reads through a [`Disk`], into buffers of odd sizes.
pub(super) fn read(disk: &Vmdk, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0xee; len];
    let (first, rest) = bytes.split_at_mut(len / 3);
    let (second, third) = rest.split_at_mut(rest.len().min(777));
    disk.read_at(&[first, second, &mut [], third].map(VolatileSlice::from), offset)?;
    Ok(bytes)
}

fn deflate(data: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn marker(kind: u32, sectors: u64) -> Vec<u8> {
    let marker =
        MetadataMarker { num_sectors: sectors.into(), size: 0.into(), kind: kind.into(), pad: [0; 496] };
    marker.as_bytes().to_vec()
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(512), 0);
}

fn pad_to(bytes: &mut Vec<u8>, sector: u64) {
    bytes.resize(usize::try_from(sector * 512).unwrap(), 0);
}
