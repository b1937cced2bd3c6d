//! The facts of a vmdk and its parents, read without locks.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use super::{
    super::{
        SECTOR_SIZE,
        link::{Details, LinkInfo},
    },
    chain::{Opener, canonical, named_by, text},
    descriptor::{Descriptor, ExtentKind, Parent},
    error::{Failure, MAX_LINKS, Problem, VmdkError},
    facts::{VmdkExtent, VmdkFacts},
    header::{COWD_MAGIC, Flags, MAGIC, SparseExtentHeader},
    image::Image,
    name::Name,
    piece,
};

/// Reads the facts of the vmdk at `path` and of its parents until one can't be used.
pub(in super::super) fn look(path: &Path, roots: &[PathBuf]) -> (Vec<LinkInfo>, Option<VmdkError>) {
    let mut links = Vec::new();
    let wrong = follow(path, roots, &mut links).err();
    (links, wrong)
}

fn follow(path: &Path, roots: &[PathBuf], links: &mut Vec<LinkInfo>) -> Result<(), VmdkError> {
    let top = canonical(path)?;
    let opener = Opener::new(&top, roots)?;
    let mut next = link(&opener, path, &top, links)?;
    let mut child = top;
    while let Some(parent) = next {
        let path = opener.resolve(&child, &parent.file_name).map_err(|error| named_by(error, &child))?;
        if links.len() >= MAX_LINKS {
            return Err(named_by(Failure::from(Problem::TooDeep).of(&path), &child));
        }
        next = link(&opener, &path, &path, links).map_err(|error| named_by(error, &child))?;
        child = path;
    }
    Ok(())
}

/// Reads the facts of one link, which is at `path` and shown as `name`, and adds it to `links`.
pub(super) fn link(
    opener: &Opener,
    name: &Path,
    path: &Path,
    links: &mut Vec<LinkInfo>,
) -> Result<Option<Parent>, VmdkError> {
    let mut link = LinkInfo::new(name, Details::Vmdk(VmdkFacts::default()));
    let mut facts = VmdkFacts::default();
    let parent = fill(opener, path, &mut link, &mut facts);
    let sizes = facts.extents.iter().map(|extent| extent.size);
    link.size = Some(sizes.fold(0, u64::saturating_add)).filter(|&size| size > 0);
    link.details = Details::Vmdk(facts);
    links.push(link);
    parent
}

fn fill(
    opener: &Opener,
    path: &Path,
    link: &mut LinkInfo,
    facts: &mut VmdkFacts,
) -> Result<Option<Parent>, VmdkError> {
    let of = |failure: Failure| failure.of(path);
    let image = Image::look(path).map_err(of)?;
    link.add(&image.file, image.len);
    let start = image.bytes(0, image.len.min(SECTOR_SIZE)).map_err(Problem::Read("first sector").because());
    let start = start.map_err(of)?;
    let is_sparse = start.starts_with(&MAGIC) || start.starts_with(&COWD_MAGIC);
    let text = if is_sparse {
        let header = SparseExtentHeader::read(&image, 0).map_err(of)?;
        if header.magic == COWD_MAGIC {
            return Err(of(Problem::Unsupported("a sparse extent of ESX (COWD)".into()).into()));
        }
        facts.extents.push(sparse(path, &header));
        header
            .descriptor(&image)
            .and_then(|text| text.ok_or_else(|| Problem::NoDescriptor(piece::descriptor_of(path)).into()))
    } else {
        text(&image, &start)
    };
    let descriptor = text.and_then(|text| Descriptor::parse(&text)).map_err(of)?;
    facts.create_type = Some(descriptor.create_type.clone());
    facts.cid = Some(descriptor.cid);
    facts.parent_cid = descriptor.parent.as_ref().map(|parent| parent.cid);
    facts.parent_file = descriptor.parent.as_ref().map(|parent| parent.file_name.text().clone());
    if !is_sparse {
        extents(opener, path, &descriptor, link, facts)?;
    }
    Ok(descriptor.parent)
}

/// Reads the facts of the extents that a descriptor names.
fn extents(
    opener: &Opener,
    from: &Path,
    descriptor: &Descriptor,
    link: &mut LinkInfo,
    facts: &mut VmdkFacts,
) -> Result<(), VmdkError> {
    let mut files = BTreeSet::new();
    for line in &descriptor.extents {
        let size = line.sectors.saturating_mul(SECTOR_SIZE);
        let (kind, file_name) = match &line.kind {
            ExtentKind::Zero => ("zero", None),
            ExtentKind::Flat { file_name, .. } => ("flat", Some(file_name)),
            ExtentKind::Sparse { file_name } => ("sparse", Some(file_name)),
        };
        let mut extent = VmdkExtent { kind, path: None, size, grain_size: None, compressed: false };
        let mut look = |file_name: &Name| {
            let path = opener.resolve(from, file_name)?;
            let image = Image::look(&path).map_err(|failure| failure.of(&path))?;
            if files.insert(path.clone()) {
                link.add(&image.file, image.len);
            }
            if kind == "sparse" {
                let header = SparseExtentHeader::read(&image, 0).map_err(|failure| failure.of(&path))?;
                extent = VmdkExtent { size, ..sparse(&path, &header) };
            }
            extent.path = Some(path);
            Ok(())
        };
        let looked = file_name.map_or(Ok(()), &mut look);
        facts.extents.push(extent);
        looked.map_err(|error| named_by(error, from))?;
    }
    Ok(())
}

/// The facts in the header of a sparse extent.
fn sparse(path: &Path, header: &SparseExtentHeader) -> VmdkExtent {
    VmdkExtent {
        kind: "sparse",
        path: Some(path.to_path_buf()),
        size: header.capacity.get().saturating_mul(SECTOR_SIZE),
        grain_size: header.grain_size.get().checked_mul(SECTOR_SIZE).filter(|&size| size > 0),
        compressed: Flags::from_bits_retain(header.flags.get()).contains(Flags::COMPRESSED),
    }
}
