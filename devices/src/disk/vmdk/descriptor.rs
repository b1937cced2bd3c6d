//! Descriptors: the text that names the files of a link, and its parent.

use std::{iter, str::FromStr};

use encoding_rs::Encoding;

use super::{
    error::{Failure, Problem},
    name::{self, Name},
};
use crate::printable::ToPrintable;

/// The longest descriptor to read, in bytes: about 10,000 extents.
pub(super) const MAX_LEN: u64 = 1 << 20;
/// The most extents of a link: 16 TiB in pieces of 2 GiB.
pub(super) const MAX_EXTENTS: usize = 8192;

/// The first line of VMware's descriptors.
const TITLE: &[u8] = b"# Disk DescriptorFile";
/// `parentCID` of a link that has no parent.
const NO_PARENT: u32 = 0xffff_ffff;

/// The `createType`s whose extents nvmm can read.
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
    /// `CID`, which changes with the first write after the disk was opened.
    pub(super) cid: u32,
    /// `createType`, as written in the file.
    pub(super) create_type: String,
    pub(super) parent: Option<Parent>,
    /// The extents in order. Those of a descriptor inside an extent don't count: the file may have been renamed.
    pub(super) extents: Vec<ExtentLine>,
}

/// The link that has the data which this one lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parent {
    /// `parentCID`, which has to be the parent's CID.
    pub(super) cid: u32,
    /// `parentFileNameHint`.
    pub(super) file_name: Name,
}

/// A line of the extent section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ExtentLine {
    /// The size in sectors.
    pub(super) sectors: u64,
    pub(super) kind: ExtentKind,
}

/// The kind of an extent, and where its data is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ExtentKind {
    /// A part of a file, from sector `offset` on.
    Flat { file_name: Name, offset: u64 },
    /// A sparse extent.
    Sparse { file_name: Name },
    /// No file, all zeros.
    Zero,
}

/// Returns whether a file that begins with `start` is a descriptor: it begins with the title; or, as QEMU recognizes one, with comments and
/// blank lines, and then a version.
pub(super) fn is_descriptor(start: &[u8]) -> bool {
    start.get(..TITLE.len()).is_some_and(|it| it.eq_ignore_ascii_case(TITLE)) || has_version(start)
}

/// QEMU's `vmdk_probe`: a blank line consists of blanks; an empty line does not count.
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

/// Returns whether `text` could be a descriptor although it begins with something else, such as a byte order mark or an empty line. QEMU
/// reads these when the user gives the format.
pub(super) fn is_readable(text: &[u8]) -> bool {
    const FIELD: &[u8] = b"createType";
    text.windows(FIELD.len()).any(|it| it.eq_ignore_ascii_case(FIELD))
}

impl Descriptor {
    /// Parses `text`, which ends at its first zero byte. Lines that are neither extents nor `key=value` are ignored, as in QEMU.
    pub(super) fn parse(text: &[u8]) -> Result<Self, Failure> {
        let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let lines = text.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
        let mut fields = Fields::default();
        let mut extents = Vec::new();
        for line in lines.filter(|line| !line.is_empty() && !line.starts_with(b"#")) {
            let (access, rest) = word(line);
            let is = |names: &[&str]| names.iter().any(|name| is_word(access, name));
            if is(&["RW", "RDONLY"]) {
                if extents.len() == MAX_EXTENTS {
                    return Err(Failure::bad("descriptor", format!("more than {MAX_EXTENTS} extents")));
                }
                extents.push((line, rest));
            } else if is(&["NOACCESS"]) {
                return Err(Problem::Unsupported("an extent of access NOACCESS".into()).into());
            } else if let Some(equals) = line.iter().position(|&byte| byte == b'=') {
                let (key, value) = (line[..equals].trim_ascii(), line[equals + 1..].trim_ascii());
                fields.set(key, unquoted(value))?;
            }
        }
        let extents = extents.iter().map(|(line, rest)| ExtentLine::parse(line, rest, fields.encoding));
        let extents = extents.collect::<Result<_, _>>()?;
        fields.descriptor(extents)
    }
}

/// The fields that matter here.
#[derive(Default)]
struct Fields<'a> {
    encoding: Option<&'static Encoding>,
    cid: Option<u32>,
    parent_cid: Option<u32>,
    create_type: Option<&'a [u8]>,
    parent_file_name: Option<&'a [u8]>,
}

impl<'a> Fields<'a> {
    fn set(&mut self, key: &[u8], value: &'a [u8]) -> Result<(), Failure> {
        let is = |name: &str| is_word(key, name);
        let id = |field| {
            let id = str::from_utf8(value).ok().and_then(|id| u32::from_str_radix(id, 16).ok());
            let why = || format!("{:?} is no hexadecimal number of 32 bits", value.printable());
            id.ok_or_else(|| Failure::bad(field, why()))
        };
        if is("encoding") {
            self.encoding = name::encoding(value);
        } else if is("CID") {
            self.cid = Some(id("CID")?);
        } else if is("parentCID") {
            self.parent_cid = Some(id("parentCID")?);
        } else if is("createType") {
            self.create_type = Some(value);
        } else if is("parentFileNameHint") {
            self.parent_file_name = Some(value).filter(|name| !name.is_empty());
        }
        Ok(())
    }

    fn descriptor(self, extents: Vec<ExtentLine>) -> Result<Descriptor, Failure> {
        let missing = |field| Failure::bad(field, "it is missing");
        let create_type = self.create_type.ok_or_else(|| missing("createType"))?;
        let known = CREATE_TYPES.iter().any(|known| is_word(create_type, known));
        let Some(create_type) = str::from_utf8(create_type).ok().filter(|_| known) else {
            let given = create_type.printable();
            return Err(Problem::Unsupported(format!("createType {given:?}")).into());
        };
        // QEMU searches for the letters CID, and finds those of parentCID if there are no others.
        let cid = self.cid.or(self.parent_cid).unwrap_or(NO_PARENT);
        let parent_file_name = self.parent_file_name.map(|name| Name::new(name, self.encoding));
        let parent = match (self.parent_cid.filter(|&cid| cid != NO_PARENT), parent_file_name) {
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
        Ok(Descriptor { cid, create_type: create_type.to_owned(), parent, extents })
    }
}

impl ExtentLine {
    /// Parses what follows the access mode in `line`: `SECTORS KIND ["FILE" [OFFSET]]`.
    fn parse(line: &[u8], rest: &[u8], encoding: Option<&'static Encoding>) -> Result<Self, Failure> {
        let bad = |why: &str| Failure::bad("extent", format!("{:?}: {why}", line.printable()));
        let (sectors, rest) = word(rest);
        let sectors = number(sectors).ok_or_else(|| bad("its size is no number of sectors"))?;
        if sectors == 0 {
            return Err(bad("its size is 0"));
        }
        let (kind, rest) = word(rest);
        let is = |names: &[&str]| names.iter().any(|name| is_word(kind, name));

        let known = is(&["FLAT", "VMFS", "SPARSE"]);
        let file =
            if known { file_name(rest).ok_or_else(|| bad("it names no file")) } else { Ok((&b""[..], rest)) };
        let (file_name, rest) = file?;
        let file_name = Name::new(file_name, encoding);
        let mut words = iter::successors(Some(word(rest)), |(_, rest)| Some(word(rest)))
            .map(|(word, _)| word)
            .take_while(|word| !word.is_empty());
        let kind = if is(&["FLAT", "VMFS"]) {
            // VMFS is ESX's word for flat. There, a file has only one extent.
            let offset = words.next().or(is(&["VMFS"]).then_some(b"0"));
            let offset = offset.ok_or_else(|| bad("it has no offset"))?;
            let offset = number(offset).ok_or_else(|| bad("its offset is no number of sectors"))?;
            ExtentKind::Flat { file_name, offset }
        } else if is(&["SPARSE"]) {
            ExtentKind::Sparse { file_name }
        } else if is(&["ZERO"]) {
            ExtentKind::Zero
        } else {
            return Err(Problem::Unsupported(format!("an extent of type {}", kind.printable())).into());
        };
        if words.next().is_some() {
            return Err(bad("there is more than belongs to it"));
        }
        Ok(Self { sectors, kind })
    }
}

/// Returns whether `word` is `name`, ignoring case.
fn is_word(word: &[u8], name: &str) -> bool {
    word.eq_ignore_ascii_case(name.as_bytes())
}

/// The first word of `text`, and the text after it.
fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let text = text.trim_ascii_start();
    text.split_at(text.iter().position(u8::is_ascii_whitespace).unwrap_or(text.len()))
}

fn number<T: FromStr>(word: &[u8]) -> Option<T> {
    str::from_utf8(word).ok()?.parse().ok()
}

/// The file name in quotes at the beginning of `text`, and the text after it.
fn file_name(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = text.trim_ascii_start().strip_prefix(b"\"")?;
    let end = text.iter().position(|&byte| byte == b'"').filter(|&end| end > 0)?;
    Some((&text[..end], &text[end + 1..]))
}

/// `value` without its quotes.
fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|it| it.strip_suffix(b"\"")).unwrap_or(value)
}

#[cfg(test)]
#[path = "descriptor_test.rs"]
mod tests;
