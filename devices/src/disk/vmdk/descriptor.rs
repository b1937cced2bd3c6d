//! Descriptors: the text that says what a link is made of and whose child it is.

use std::iter;

use super::{Failure, Problem};

/// The longest descriptor that is read, in bytes: some 10,000 extents.
pub(super) const MAX_LEN: u64 = 1 << 20;
/// The most extents of a link: 16 TiB in pieces of 2 GiB.
pub(super) const MAX_EXTENTS: usize = 8192;

/// What every descriptor begins with.
const TITLE: &[u8] = b"# Disk DescriptorFile";
/// `parentCID` of a link that has no parent.
const NO_PARENT: u32 = 0xffff_ffff;

/// `createType`s whose extents are of the kinds below.
const CREATE_TYPES: [&str; 7] = [
    "monolithicSparse",
    "monolithicFlat",
    "twoGbMaxExtentSparse",
    "twoGbMaxExtentFlat",
    "streamOptimized",
    "custom",
    "vmfs",
];

/// Virtual Disk Format 5.0, "The Descriptor File".
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Descriptor {
    /// `CID`: changes when the content first changes after it was opened.
    pub(super) cid: u32,
    /// `createType`, as it is written.
    pub(super) create_type: String,
    pub(super) parent: Option<Parent>,
    /// In their order. Those of a descriptor inside an extent say nothing: the extent may have been renamed.
    pub(super) extents: Vec<ExtentLine>,
}

/// The link that has what this one lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parent {
    /// `parentCID`: what its CID has to be.
    pub(super) cid: u32,
    /// `parentFileNameHint`.
    pub(super) file_name: String,
}

/// A line of the extent section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ExtentLine {
    /// Its size.
    pub(super) sectors: u64,
    pub(super) kind: ExtentKind,
}

/// What an extent is, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ExtentKind {
    /// A stretch of a file, from sector `offset` on.
    Flat { file_name: String, offset: u64 },
    /// A sparse extent.
    Sparse { file_name: String },
    /// No file, all zeros.
    Zero,
}

/// Whether a file that begins with `start` is a descriptor: it has the title; or, as QEMU knows one, comments and blank
/// lines, and then a version.
pub(super) fn is_descriptor(start: &[u8]) -> bool {
    start.get(..TITLE.len()).is_some_and(|it| it.eq_ignore_ascii_case(TITLE)) || has_version(start)
}

/// QEMU's `vmdk_probe`: a blank line is one of blanks, not an empty one.
fn has_version(start: &[u8]) -> bool {
    let mut lines = start.split_inclusive(|&byte| byte == b'\n');
    let version = lines.find(|line| {
        let content = line.iter().position(|&byte| byte != b' ').unwrap_or(line.len());
        let is_blank = content > 0 && matches!(&line[content..], b"\n" | b"\r\n");
        !line.starts_with(b"#") && !is_blank
    });
    let version = version.and_then(|line| line.strip_prefix(b"version="));
    matches!(version, Some(b"1\n" | b"2\n" | b"3\n" | b"1\r\n" | b"2\r\n" | b"3\r\n"))
}

impl Descriptor {
    /// Parses `text`, which ends at its first zero.
    pub(super) fn parse(text: &[u8]) -> Result<Self, Failure> {
        let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
        if !is_descriptor(text) {
            return Err(Failure::bad("descriptor", "it doesn't begin with # Disk DescriptorFile"));
        }
        // Its encoding matters for names of files alone, and those are shown when they are not found.
        let text = String::from_utf8_lossy(text);

        let mut fields = Fields::default();
        let mut extents = Vec::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (access, rest) = word(line);
            let is = |names: &[&str]| names.iter().any(|name| access.eq_ignore_ascii_case(name));
            if is(&["RW", "RDONLY"]) {
                if extents.len() == MAX_EXTENTS {
                    return Err(Failure::bad("descriptor", format!("more than {MAX_EXTENTS} extents")));
                }
                extents.push(ExtentLine::parse(line, rest)?);
            } else if is(&["NOACCESS"]) {
                return Err(Problem::Unsupported("an extent of access NOACCESS".into()).into());
            } else if let Some((key, value)) = line.split_once('=') {
                fields.set(key.trim(), unquoted(value.trim()))?;
            } else {
                return Err(Failure::bad("descriptor", format!("{line:?} is no line of one")));
            }
        }
        fields.descriptor(extents)
    }
}

/// The fields that matter here.
#[derive(Default)]
struct Fields {
    cid: Option<u32>,
    parent_cid: Option<u32>,
    create_type: Option<String>,
    parent_file_name: Option<String>,
}

impl Fields {
    fn set(&mut self, key: &str, value: &str) -> Result<(), Failure> {
        let is = |name: &str| key.eq_ignore_ascii_case(name);
        let id = |field| {
            let id = u32::from_str_radix(value, 16);
            id.map_err(|_| Failure::bad(field, format!("{value:?} is no hexadecimal number of 32 bits")))
        };
        if is("CID") {
            self.cid = Some(id("CID")?);
        } else if is("parentCID") {
            self.parent_cid = Some(id("parentCID")?);
        } else if is("createType") {
            self.create_type = Some(value.to_owned());
        } else if is("parentFileNameHint") {
            self.parent_file_name = Some(value.to_owned()).filter(|name| !name.is_empty());
        }
        Ok(())
    }

    fn descriptor(self, extents: Vec<ExtentLine>) -> Result<Descriptor, Failure> {
        let missing = |field| Failure::bad(field, "it is missing");
        let create_type = self.create_type.ok_or_else(|| missing("createType"))?;
        if !CREATE_TYPES.iter().any(|known| known.eq_ignore_ascii_case(&create_type)) {
            return Err(Problem::Unsupported(format!("createType {create_type:?}")).into());
        }
        let cid = self.cid.ok_or_else(|| missing("CID"))?;
        let parent = match (self.parent_cid.filter(|&cid| cid != NO_PARENT), self.parent_file_name) {
            (None, None) => None,
            (Some(cid), Some(file_name)) => Some(Parent { cid, file_name }),
            (Some(_), None) => return Err(missing("parentFileNameHint")),
            (None, Some(name)) => {
                return Err(Failure::bad(
                    "parentCID",
                    format!("it names no parent, parentFileNameHint {name:?}"),
                ));
            }
        };
        Ok(Descriptor { cid, create_type, parent, extents })
    }
}

impl ExtentLine {
    /// Parses what follows the access of `line`: `SECTORS KIND ["FILE" [OFFSET]]`.
    fn parse(line: &str, rest: &str) -> Result<Self, Failure> {
        let bad = |why: &str| Failure::bad("extent", format!("{line:?}: {why}"));
        let (sectors, rest) = word(rest);
        let sectors = sectors.parse().map_err(|_| bad("its size is no number of sectors"))?;
        if sectors == 0 {
            return Err(bad("its size is 0"));
        }
        let (kind, rest) = word(rest);
        let is = |names: &[&str]| names.iter().any(|name| kind.eq_ignore_ascii_case(name));

        let known = is(&["FLAT", "VMFS", "SPARSE"]);
        let file =
            if known { file_name(rest).ok_or_else(|| bad("it names no file")) } else { Ok(("", rest)) };
        let (file_name, rest) = file?;
        let file_name = file_name.to_owned();
        let mut words = iter::successors(Some(word(rest)), |(_, rest)| Some(word(rest)))
            .map(|(word, _)| word)
            .take_while(|word| !word.is_empty());
        let kind = if is(&["FLAT", "VMFS"]) {
            // VMFS is flat on ESX, where a file has no more than one extent.
            let offset = words.next().or(is(&["VMFS"]).then_some("0"));
            let offset = offset.ok_or_else(|| bad("it has no offset"))?;
            let offset = offset.parse().map_err(|_| bad("its offset is no number of sectors"))?;
            ExtentKind::Flat { file_name, offset }
        } else if is(&["SPARSE"]) {
            ExtentKind::Sparse { file_name }
        } else if is(&["ZERO"]) {
            ExtentKind::Zero
        } else {
            return Err(Problem::Unsupported(format!("an extent of type {kind}")).into());
        };
        if words.next().is_some() {
            return Err(bad("there is more than belongs to it"));
        }
        Ok(Self { sectors, kind })
    }
}

/// The first word of `text`, and what follows it.
fn word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()))
}

/// The file name in quotes that `text` begins with, and what follows it.
fn file_name(text: &str) -> Option<(&str, &str)> {
    text.trim_start().strip_prefix('"')?.split_once('"').filter(|(name, _)| !name.is_empty())
}

/// `value` without quotes around it.
fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|it| it.strip_suffix('"')).unwrap_or(value)
}

#[cfg(test)]
#[path = "descriptor_test.rs"]
mod tests;
