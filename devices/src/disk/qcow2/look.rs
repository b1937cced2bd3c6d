//! The headers of a qcow2 image and of its backing files, read without locks.

use std::{fs, path::Path};

use super::{
    super::{
        format::Format,
        guard::{Header, facts::Qcow2Facts},
        link::{Details, LinkInfo},
        raw::Opened,
        vmdk,
    },
    Qcow2Error,
    chain::{MAX_DEPTH, Roots, identity},
};

/// Reads the facts of the image at `path`, which is `opened`, and of its backing files until one can't be used.
pub(in super::super) fn look(
    path: &Path,
    opened: &Opened,
    root: Option<&Path>,
) -> (Vec<LinkInfo>, Option<Qcow2Error>) {
    let mut links = Vec::new();
    let wrong = follow(path, opened, root, &mut links).err();
    (links, wrong)
}

fn follow(
    path: &Path,
    opened: &Opened,
    root: Option<&Path>,
    links: &mut Vec<LinkInfo>,
) -> Result<(), Qcow2Error> {
    let mut header = link(path, opened, links)?;
    let roots = Roots::new(path, root)?;
    add_data(path, &header, &roots, links)?;
    let mut seen = vec![identity(opened.file.metadata(), path)?];
    let mut above = path.to_owned();
    while let Some(backing) = header.backing {
        if links.len() > MAX_DEPTH {
            return Err(Qcow2Error::TooDeep { path: path.to_owned(), most: MAX_DEPTH });
        }
        let found = roots.find(&above, &backing)?;
        let identity = identity(fs::metadata(&found.real), &found.path)?;
        if seen.contains(&identity) {
            return Err(Qcow2Error::Loop { path: above, name: backing.name });
        }
        seen.push(identity);
        if found.format == Format::Vmdk {
            let (below, wrong) = vmdk::look::look(&found.real, &roots.0);
            links.extend(below);
            return wrong.map_or(Ok(()), |wrong| Err(wrong.into()));
        }
        let opened = Opened::look(&found.real)?;
        if found.format == Format::Raw {
            links.push(LinkInfo::raw(&found.path, &opened, false));
            break;
        }
        header = link(&found.path, &opened, links)?;
        above = found.path;
        add_data(&above, &header, &roots, links)?;
    }
    Ok(())
}

/// Reads the facts of one image, and adds it to `links`.
fn link(path: &Path, opened: &Opened, links: &mut Vec<LinkInfo>) -> Result<Header, Qcow2Error> {
    let unreadable = |source| Qcow2Error::Read { path: path.to_owned(), source };
    let facts = Qcow2Facts::read(&opened.file, opened.len).map_err(unreadable)?;
    let size = facts.as_ref().filter(|facts| facts.cluster_size.is_some()).map(|facts| facts.size);
    let mut link = LinkInfo { size, ..LinkInfo::new(path, Details::Qcow2(facts)) };
    link.add(&opened.file, opened.len);
    links.push(link);
    let header = Header::read(&opened.file, opened.len, false).map_err(unreadable)?;
    header.map_err(|source| Qcow2Error::Header { path: path.to_owned(), source })
}

/// Adds the data file of the image at `path`, the last one of `links`, if it has one.
fn add_data(path: &Path, header: &Header, roots: &Roots, links: &mut [LinkInfo]) -> Result<(), Qcow2Error> {
    if let (Some(name), Some(link)) = (&header.data_file, links.last_mut()) {
        let (_, real) = roots.locate(path, name, "data file")?;
        let data = Opened::look(&real)?;
        link.add(&data.file, data.len);
    }
    Ok(())
}
