//! Links: the files of which a vmdk consists, and checks that they belong together.

use std::{
    collections::HashSet,
    io,
    path::{Path, PathBuf},
};

use super::{
    super::{SECTOR_SIZE, raw::Opened},
    cache::Caches,
    descriptor::{self, Descriptor, ExtentKind, ExtentLine, Parent},
    error::{Failure, MAX_LINKS, Problem, VmdkError},
    extent::Extent,
    grains::SparseExtent,
    header::{COWD_MAGIC, MAGIC, SparseExtentHeader},
    image::{Image, missing_or},
    name::Name,
    piece,
    span::{Place, Span},
};

/// One member of a chain.
#[derive(Debug)]
pub(super) struct Link {
    /// The extents in order, each with the offset of its end in bytes.
    extents: Vec<(u64, Extent)>,
    /// The file with the descriptor, if it is a file of its own. It stays locked as long as it is used.
    _descriptor: Option<Image>,
}

/// Opens the link at `path` and all of its ancestors, the child first. Their files have to be in the folder of `path`, in one of `roots`,
/// or below.
pub(super) fn open(path: &Path, roots: &[PathBuf]) -> Result<Vec<Link>, VmdkError> {
    let top = canonical(path)?;
    let image = Image::open(&top).map_err(|failure| failure.of(path))?;
    follow(image, path, roots)
}

/// Does the same, beginning with a link that was opened with the same `path` and is locked.
pub(super) fn open_from(opened: Opened, path: &Path, roots: &[PathBuf]) -> Result<Vec<Link>, VmdkError> {
    let image = Image::of(opened, &canonical(path)?).map_err(|failure| failure.of(path))?;
    follow(image, path, roots)
}

/// Opens the link in `image`, whose path the user gave as `path`, and all of its ancestors.
fn follow(image: Image, path: &Path, roots: &[PathBuf]) -> Result<Vec<Link>, VmdkError> {
    let top = image.path.clone();
    let mut opener = Opener::new(&top, roots)?;
    let (link, descriptor) = opener.link(image).map_err(|mut error| {
        if error.path == top {
            error.path = path.to_path_buf();
        }
        error
    })?;
    let mut links = vec![link];
    let mut child = top;
    let mut next = descriptor.parent;
    while let Some(parent) = next {
        let (path, link, grandparent) =
            opener.parent(&child, &parent, links.len()).map_err(|error| named_by(error, &child))?;
        links.push(link);
        child = path;
        next = grandparent;
    }
    Ok(links)
}

impl Link {
    /// Makes a link of one extent.
    pub(super) fn of(sectors: u64, extent: Extent) -> Result<Self, Failure> {
        let mut link = Self { extents: Vec::new(), _descriptor: None };
        link.push(sectors, extent)?;
        Ok(link)
    }

    /// The size in bytes.
    pub(super) fn size(&self) -> u64 {
        self.extents.last().map_or(0, |(end, _)| *end)
    }

    /// Finds the place of the bytes at `offset`, for at most `len` bytes. If a parent is smaller than its child, zeros follow its end.
    pub(super) fn locate(&self, offset: u64, len: u64, caches: &Caches) -> io::Result<Span<'_>> {
        let index = self.extents.partition_point(|(end, _)| *end <= offset);
        let Some((end, extent)) = self.extents.get(index) else {
            return Ok(Span { len, place: Place::Zeros });
        };
        let start =
            index.checked_sub(1).and_then(|before| self.extents.get(before)).map_or(0, |(end, _)| *end);
        extent.locate(offset - start, len.min(end - offset), caches)
    }

    fn push(&mut self, sectors: u64, extent: Extent) -> Result<(), Failure> {
        let end = sectors
            .checked_mul(SECTOR_SIZE)
            .and_then(|len| len.checked_add(self.size()))
            .filter(|&end| i64::try_from(end).is_ok())
            .ok_or_else(|| Failure::bad("extent size", "the disk is larger than 2^63 bytes"))?;
        self.extents.push((end, extent));
        Ok(())
    }
}

/// The progress of opening a chain.
pub(super) struct Opener {
    /// The folders in which files are permitted.
    folders: Vec<PathBuf>,
    /// The links and sparse extents that were opened, by device and inode number.
    seen: HashSet<(u64, u64)>,
    /// The number of sparse extents that were opened.
    extents: usize,
}

impl Opener {
    pub(super) fn new(top: &Path, roots: &[PathBuf]) -> Result<Self, VmdkError> {
        let own = top.parent().unwrap_or(top).to_path_buf();
        let mut folders = vec![own];
        for root in roots {
            folders.push(canonical(root)?);
        }
        Ok(Self { folders, seen: HashSet::new(), extents: 0 })
    }

    /// The path of the file that the one at `from` names `name`.
    pub(super) fn resolve(&self, from: &Path, name: &Name) -> Result<PathBuf, VmdkError> {
        let folder = from.parent().unwrap_or(from);
        let paths: Vec<_> = name.spellings().map(|name| folder.join(name.as_path())).collect();
        let there = paths.iter().find(|path| path.exists()).or(paths.last());
        let found = canonical(there.map_or(folder, PathBuf::as_path))?;
        if self.folders.iter().any(|folder| found.starts_with(folder)) {
            return Ok(found);
        }
        let own = self.folders.first().cloned().unwrap_or_default();
        Err(Failure::from(Problem::Outside(own)).of(&found))
    }

    /// Opens the parent of the link at `child`, which is number `depth` of its chain.
    fn parent(
        &mut self,
        child: &Path,
        parent: &Parent,
        depth: usize,
    ) -> Result<(PathBuf, Link, Option<Parent>), VmdkError> {
        let path = self.resolve(child, &parent.file_name)?;
        if depth >= MAX_LINKS {
            return Err(Failure::from(Problem::TooDeep).of(&path));
        }
        let image = Image::open(&path).map_err(|failure| failure.of(&path))?;
        let (link, descriptor) = self.link(image)?;
        if descriptor.cid != parent.cid {
            let problem = Problem::Changed { expected: parent.cid, found: descriptor.cid };
            return Err(Failure::from(problem).of(&path));
        }
        Ok((path, link, descriptor.parent))
    }

    /// Opens the link that `image` is the first file of.
    pub(super) fn link(&mut self, image: Image) -> Result<(Link, Descriptor), VmdkError> {
        let path = &image.path.clone();
        self.enter(&image).map_err(|failure| failure.of(path))?;
        let start =
            image.bytes(0, image.len.min(SECTOR_SIZE)).map_err(Problem::Read("first sector").because());
        let start = start.map_err(|failure| failure.of(path))?;
        if start.starts_with(&MAGIC) || start.starts_with(&COWD_MAGIC) {
            self.monolithic(image).map_err(|failure| failure.of(path))
        } else {
            let descriptor = text(&image, &start).and_then(|text| Descriptor::parse(&text));
            let descriptor = descriptor.map_err(|failure| failure.of(path))?;
            let link = Link { _descriptor: Some(image), ..self.described(path, &descriptor)? };
            Ok((link, descriptor))
        }
    }

    /// Records a file, and refuses one that was recorded before.
    fn enter(&mut self, image: &Image) -> Result<(), Failure> {
        let identity = image.identity().map_err(Problem::Open.because())?;
        if self.seen.insert(identity) { Ok(()) } else { Err(Problem::Repeated.into()) }
    }

    /// Opens a link of one sparse extent, with its descriptor inside.
    fn monolithic(&mut self, image: Image) -> Result<(Link, Descriptor), Failure> {
        let header = SparseExtentHeader::read(&image, 0)?;
        if header.magic == COWD_MAGIC {
            return Err(Problem::Unsupported("a sparse extent of ESX (COWD)".into()).into());
        }
        let text = header.descriptor(&image)?;
        let text = text.ok_or_else(|| Problem::NoDescriptor(piece::descriptor_of(&image.path)))?;
        let descriptor = Descriptor::parse(&text)?;
        let extent = self.sparse(image)?;
        Ok((Link::of(extent.capacity(), Extent::Sparse(extent))?, descriptor))
    }

    /// Opens a link whose descriptor is the file at `path`.
    fn described(&mut self, path: &Path, descriptor: &Descriptor) -> Result<Link, VmdkError> {
        let mut link = Link { extents: Vec::new(), _descriptor: None };
        for line in &descriptor.extents {
            let extent = self.extent(path, line).map_err(|error| named_by(error, path))?;
            link.push(line.sectors, extent).map_err(|failure| failure.of(path))?;
        }
        if link.extents.is_empty() {
            return Err(Failure::bad("descriptor", "it names no extents").of(path));
        }
        Ok(link)
    }

    /// Opens the extent of one line of the descriptor at `from`.
    fn extent(&mut self, from: &Path, line: &ExtentLine) -> Result<Extent, VmdkError> {
        let open = |file_name: &Name| {
            let path = self.resolve(from, file_name)?;
            Image::open(&path).map_err(|failure| failure.of(&path))
        };
        match &line.kind {
            ExtentKind::Zero => Ok(Extent::Zero),
            ExtentKind::Flat { file_name, offset } => {
                let image = open(file_name)?;
                let path = image.path.clone();
                Extent::flat(image, *offset, line.sectors).map_err(|failure| failure.of(&path))
            }
            ExtentKind::Sparse { file_name } => {
                let image = open(file_name)?;
                let path = image.path.clone();
                let extent = self.enter(&image).and_then(|()| self.sparse(image)).and_then(|extent| {
                    match extent.capacity() {
                        capacity if capacity < line.sectors => {
                            let why =
                                format!("{capacity} sectors, of which the descriptor wants {}", line.sectors);
                            Err(Failure::bad("capacity", why))
                        }
                        _ => Ok(extent),
                    }
                });
                extent.map(Extent::Sparse).map_err(|failure| failure.of(&path))
            }
        }
    }

    fn sparse(&mut self, image: Image) -> Result<SparseExtent, Failure> {
        self.extents += 1;
        SparseExtent::new(image, self.extents)
    }
}

pub(super) fn canonical(path: &Path) -> Result<PathBuf, VmdkError> {
    path.canonicalize().map_err(|error| missing_or(Problem::Open)(error).of(path))
}

/// Reads all of a file that begins with `start` and has to be a descriptor.
pub(super) fn text(image: &Image, start: &[u8]) -> Result<Vec<u8>, Failure> {
    let begins_well = descriptor::is_descriptor(start);
    if image.len > descriptor::MAX_LEN {
        let why = format!("{} bytes, at most {} are read", image.len, descriptor::MAX_LEN);
        let bad = Failure::bad("descriptor", why);
        return Err(if begins_well { bad } else { Problem::NotAVmdk.into() });
    }
    let text = image.bytes(0, image.len).map_err(Problem::Read("descriptor").because())?;
    if begins_well || descriptor::is_readable(&text) { Ok(text) } else { Err(Problem::NotAVmdk.into()) }
}

/// Adds to `error` that the file at `from` named the faulty file, unless it is that file.
pub(super) fn named_by(mut error: VmdkError, from: &Path) -> VmdkError {
    if error.named_by.is_none() && error.path != from {
        error.named_by = Some(from.to_path_buf());
    }
    error
}
