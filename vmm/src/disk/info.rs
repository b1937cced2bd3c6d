//! `nvmm disk info`: shows facts about an image, for people and for programs.

use std::path::{Path, PathBuf};

use devices::{
    disk::{
        format::Format,
        info::{Details, Info, LinkInfo, Qcow2Facts, VmdkExtent, VmdkFacts},
    },
    printable::{PrintableLines, ToPrintable, Untrusted},
};
use serde::Serialize;

use super::amount::Amount;
use crate::{
    cpu::text::{Paint, block, width},
    lossy,
};

/// The version of the JSON, which changes when a member's meaning changes.
const SCHEMA: u32 = 1;

/// The width of a label in columns.
const INDENT: usize = 14;
/// The number of extents that are listed; the others are only counted.
const LISTED: usize = 8;

/// The facts about an image and its backing files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Report {
    schema: u32,
    /// The reason why it can't be used.
    problem: Option<String>,
    /// The image, its backing file, and so on.
    chain: Vec<Image>,
}

/// One image of a chain. Sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Image {
    #[serde(serialize_with = "lossy::name")]
    path: PathBuf,
    format: &'static str,
    /// The format was guessed from the first bytes, as nothing records it.
    #[serde(skip_serializing_if = "Option::is_none")]
    format_guessed: Option<bool>,
    virtual_size: Option<u64>,
    file_size: u64,
    allocated_size: Option<u64>,
    /// The program that writes to it.
    in_use_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    qcow2: Option<Qcow2>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vmdk: Option<Vmdk>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Qcow2 {
    version: u32,
    cluster_size: Option<u64>,
    refcount_bits: Option<u32>,
    compression: Option<&'static str>,
    encryption: Option<&'static str>,
    snapshots: u32,
    features: Vec<&'static str>,
    #[serde(serialize_with = "lossy::option")]
    backing_file: Option<Untrusted>,
    #[serde(serialize_with = "lossy::option")]
    backing_format: Option<Untrusted>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Vmdk {
    create_type: Option<String>,
    cid: Option<String>,
    parent_cid: Option<String>,
    #[serde(serialize_with = "lossy::option")]
    parent_file: Option<Untrusted>,
    extents: Vec<Extent>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Extent {
    kind: &'static str,
    #[serde(serialize_with = "lossy::option")]
    path: Option<PathBuf>,
    size: u64,
    grain_size: Option<u64>,
    compressed: bool,
}

impl Report {
    pub(super) fn new(info: Info) -> Self {
        let problem = info.wrong.map(|error| format!("{:#}", anyhow::Error::from(error)));
        Self { schema: SCHEMA, problem, chain: info.links.into_iter().map(Image::new).collect() }
    }

    /// Returns whether it can be used.
    pub(super) fn is_good(&self) -> bool {
        self.problem.is_none()
    }

    /// The text for a terminal: the image, a line for each image of the chain, and the problem at the end.
    pub(super) fn text(&self, paint: Paint) -> String {
        let mut text = String::new();
        if let Some(image) = self.chain.first() {
            for (label, lines) in image.lines() {
                text.push_str(&block(label, INDENT, &lines));
            }
        }
        if self.chain.len() > 1 {
            text.push_str(&block("chain", INDENT, &chain(&self.chain, width())));
        }
        if let Some(problem) = &self.problem {
            text.push_str(&format!("\n{} {}\n", paint.bad("✗"), PrintableLines(problem)));
        }
        text
    }
}

impl Image {
    fn new(link: LinkInfo) -> Self {
        let format = match link.format() {
            Format::Raw => "raw",
            Format::Qcow2 => "qcow2",
            Format::Vmdk => "vmdk",
        };
        let mut image = Self {
            path: link.path,
            format,
            format_guessed: None,
            virtual_size: link.size,
            file_size: link.len,
            allocated_size: link.allocated,
            in_use_by: link.writer,
            qcow2: None,
            vmdk: None,
        };
        match link.details {
            Details::Raw { guessed } => image.format_guessed = Some(guessed),
            Details::Qcow2(facts) => image.qcow2 = facts.map(Qcow2::new),
            Details::Vmdk(facts) => image.vmdk = Some(Vmdk::new(facts)),
        }
        image
    }

    /// The facts, each with its label.
    fn lines(&self) -> Vec<(&'static str, Vec<String>)> {
        let mut lines = vec![
            ("image", vec![self.path.printable().to_string()]),
            ("format", vec![self.format_line()]),
            ("size", vec![self.virtual_size.map_or_else(|| "not known".into(), exactly)]),
            ("on the host", vec![self.space()]),
        ];
        let mut add = |label, line: Option<String>| lines.extend(line.map(|line| (label, vec![line])));
        let user = self.in_use_by.as_ref();
        add("in use", user.map(|who| format!("by {}, which writes to it", who.printable())));
        if let Some(qcow2) = &self.qcow2 {
            add("clusters", qcow2.cluster_size.map(|size| Amount(size).to_string()));
            add("compression", qcow2.compression.map(str::to_owned));
            add("encryption", qcow2.encryption.map(str::to_owned));
            add("snapshots", Some(qcow2.snapshots).filter(|&it| it > 0).map(|it| format!("{it}, inside")));
            add("features", Some(qcow2.features.join(", ")).filter(|it| !it.is_empty()));
            let format = qcow2.backing_format.clone();
            let format = format.unwrap_or_else(|| "a format that is not recorded".into());
            add("base", qcow2.backing_file.as_ref().map(|name| format!("{name}, {format}")));
        }
        if let Some(vmdk) = &self.vmdk {
            add("CID", vmdk.cid.clone());
            let parent = vmdk.parent_file.as_ref().zip(vmdk.parent_cid.as_ref());
            add("parent", parent.map(|(name, cid)| format!("{name}, CID {cid}")));
            lines.push(("extents", vmdk.extents()));
        }
        lines
    }

    fn format_line(&self) -> String {
        let vmdk = self.vmdk.as_ref().and_then(|vmdk| vmdk.create_type.as_deref());
        match (&self.qcow2, vmdk, self.format_guessed) {
            (Some(qcow2), _, _) => format!("{}, version {}", self.format, qcow2.version),
            (_, Some(kind), _) => format!("{}, {kind}", self.format),
            (_, _, Some(true)) => format!("{}, as it begins like nothing else", self.format),
            _ => self.format.to_owned(),
        }
    }

    fn space(&self) -> String {
        let len = Amount(self.file_size);
        match self.allocated_size {
            Some(allocated) => format!("{} used, {len} long", Amount(allocated)),
            None => format!("a device of {len}"),
        }
    }
}

impl Qcow2 {
    fn new(facts: Qcow2Facts) -> Self {
        Self {
            version: facts.version,
            cluster_size: facts.cluster_size,
            refcount_bits: facts.refcount_bits,
            compression: Some(facts.compression).filter(|it| !it.is_empty()),
            encryption: facts.encryption,
            snapshots: facts.snapshots,
            features: facts.features,
            backing_file: facts.backing_file,
            backing_format: facts.backing_format,
        }
    }
}

impl Vmdk {
    fn new(facts: VmdkFacts) -> Self {
        let id = |cid: u32| format!("{cid:08x}");
        Self {
            create_type: facts.create_type,
            cid: facts.cid.map(id),
            parent_cid: facts.parent_cid.map(id),
            parent_file: facts.parent_file,
            extents: facts.extents.into_iter().map(Extent::new).collect(),
        }
    }

    fn extents(&self) -> Vec<String> {
        let mut lines: Vec<_> = self.extents.iter().take(LISTED).map(Extent::line).collect();
        if let Some(more) = self.extents.len().checked_sub(LISTED).filter(|&more| more > 0) {
            lines.push(format!("and {more} more"));
        }
        lines
    }
}

impl Extent {
    fn new(extent: VmdkExtent) -> Self {
        let VmdkExtent { kind, path, size, grain_size, compressed } = extent;
        Self { kind, path, size, grain_size, compressed }
    }

    /// Writes `sparse, 2 GiB in grains of 64 KiB, disk-s001.vmdk`.
    fn line(&self) -> String {
        let grains = self.grain_size.map(|size| format!(" in grains of {}", Amount(size)));
        let compressed = if self.compressed { ", compressed" } else { "" };
        let name =
            self.path.as_deref().and_then(Path::file_name).map(|name| format!(", {}", name.printable()));
        let (grains, name) = (grains.unwrap_or_default(), name.unwrap_or_default());
        format!("{}, {}{grains}{compressed}{name}", self.kind, Amount(self.size))
    }
}

/// Writes `10 GiB (10737418240 bytes)`.
fn exactly(bytes: u64) -> String {
    match Amount(bytes).to_string() {
        short if short.ends_with("bytes") => short,
        short => format!("{short} ({bytes} bytes)"),
    }
}

/// A line for each image of a chain, in columns, or two where these don't fit.
fn chain(images: &[Image], columns: usize) -> Vec<String> {
    let rows: Vec<_> = images
        .iter()
        .map(|image| {
            let size = image.virtual_size.map_or_else(|| "?".into(), |size| Amount(size).to_string());
            let space =
                image.allocated_size.map_or_else(|| "device".into(), |size| format!("{} used", Amount(size)));
            [image.path.printable().to_string(), image.format.to_owned(), size, space]
        })
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let (path, format, size) = (width(0), width(1), width(2));
    let row = |[a, b, c, d]: &[String; 4]| format!("{a:path$}  {b:format$}  {c:>size$}  {d}");
    let lines: Vec<_> = rows.iter().map(row).collect();
    let longest = lines.iter().map(|line| line.chars().count()).max().unwrap_or_default();
    if INDENT + longest <= columns {
        return lines;
    }
    // The path alone, and the others below it.
    let below = |[a, b, c, d]: &[String; 4]| [a.clone(), format!("  {b:format$}  {c:>size$}  {d}")];
    rows.iter().flat_map(below).collect()
}

#[cfg(test)]
#[path = "info_test.rs"]
mod tests;
