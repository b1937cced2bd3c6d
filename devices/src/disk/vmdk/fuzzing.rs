//! Fuzzes links, which are in memory, with any descriptor or none.

use super::{
    Vmdk,
    cache::Caches,
    chain::{Link, Opener},
    descriptor::{Descriptor, MAX_EXTENTS},
    error::Failure,
    extent::Extent,
    grains::SparseExtent,
    image::Image,
    look, stream,
};
use crate::disk::fuzzing::{self, Numbers};

/// A descriptor that is a file of its own. It can name extents of zeros, but no files.
pub fn vmdk_descriptor(data: &[u8]) {
    if let Ok(descriptor) = Descriptor::parse(data) {
        assert!(descriptor.extents.len() <= MAX_EXTENTS);
    }
    link(data);
}

/// A sparse extent: once as a whole link, and once as an extent that a descriptor names.
pub fn vmdk_sparse(data: &[u8]) {
    link(data);
    extent(data);
}

/// The same for extents that are streams, whose parts are read even where the whole makes no sense.
pub fn vmdk_stream(data: &[u8]) {
    let file = fuzzing::Image::new(data);
    let image = Image::open(&file.path()).expect("a file in memory can be opened");
    let _ = stream::footer(&image);
    for sector in 0..image.sectors().min(64) {
        let (grain_len, needed) = (64 << 10, 32 << 10);
        if let Ok(grain) = stream::inflate(&image, sector * 512, sector, grain_len, needed) {
            assert_eq!(grain.len(), grain_len);
        }
    }
    link(data);
    extent(data);
}

/// Uses a file that a user gives.
fn link(data: &[u8]) {
    let file = fuzzing::Image::new(data);
    let path = file.path();
    let opener = || Opener::new(&path, &[]).expect("there are no folders to fail on");
    let image = Image::open(&path).expect("a file in memory can be opened");
    if let Ok((link, _)) = opener().link(image) {
        read(vec![link], data);
    }
    let mut links = Vec::new();
    let _ = look::link(&opener(), &path, &path, &mut links);
    assert_eq!(links.len(), 1);
}

/// Uses a file as a sparse extent over a flat one, which is the same file.
fn extent(data: &[u8]) {
    let file = fuzzing::Image::new(data);
    let links = || -> Result<Vec<Link>, Failure> {
        let open = || Image::open(&file.path());
        let extent = SparseExtent::new(open()?, 1)?;
        let below = open()?;
        let sectors = below.sectors();
        Ok(vec![
            Link::of(extent.capacity(), Extent::Sparse(extent))?,
            Link::of(sectors, Extent::flat(below, 0, sectors)?)?,
        ])
    };
    if let Ok(links) = links() {
        read(links, data);
    }
}

fn read(links: Vec<Link>, data: &[u8]) {
    let disk = Vmdk { name: String::new(), links, caches: Caches::new() };
    fuzzing::read(&disk, &mut Numbers::new(data));
}
