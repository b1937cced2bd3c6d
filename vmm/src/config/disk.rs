//! `--disk`.

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    num::NonZeroU64,
    path::{Path, PathBuf},
};

use devices::{
    disk::{format::Format, image::OpenOptions, qcow2::Overlay, raw::DiskOptions},
    printable::ToPrintable,
    virtio::block::{BlockOptions, CacheMode, Engine, Serial},
};
use serde::{Deserialize, Deserializer, de};

use super::{
    error::ConfigError,
    keys::{keys, with_hint},
    words,
};
use crate::size::Size;

const OPTION: &str = "--disk";

/// A disk as it was asked for.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct DiskConfig {
    /// The image or block device.
    #[serde(alias = "file", deserialize_with = "path")]
    pub path: PathBuf,
    /// The image's format; without, it is looked at.
    #[serde(default, deserialize_with = "format")]
    pub format: Option<Format>,
    /// Where what the guest writes goes; without, into the image.
    #[serde(default, deserialize_with = "overlay")]
    pub overlay: Option<Overlay>,
    /// Where files that the image names may be, besides its own folder.
    #[serde(default, rename = "backing-root", deserialize_with = "optional_path")]
    pub backing_root: Option<PathBuf>,
    /// Refuse the guest's writes.
    #[serde(default, alias = "read-only")]
    pub readonly: bool,
    /// Go around the host's page cache.
    #[serde(default)]
    pub direct: bool,
    /// When writes are on stable storage.
    #[serde(default, deserialize_with = "cache")]
    pub cache: CacheMode,
    /// Take back the space that the guest says it no longer needs.
    #[serde(default = "default_discard", deserialize_with = "discard")]
    pub discard: bool,
    /// How transfers are done.
    #[serde(default, deserialize_with = "EngineName::deserialize")]
    pub aio: Engine,
    /// How many queues the disk has; without, one for each vCPU.
    #[serde(default, alias = "num-queues")]
    pub queues: Option<u16>,
    /// How many descriptors each queue has.
    #[serde(default = "default_queue_size", rename = "queue-size")]
    pub queue_size: u16,
    /// At most so many requests a second.
    #[serde(default, deserialize_with = "iops")]
    pub iops: Option<NonZeroU64>,
    /// At most so many bytes a second.
    #[serde(default, deserialize_with = "bandwidth")]
    pub bw: Option<NonZeroU64>,
    /// What the guest reads as the disk's serial number.
    #[serde(default, deserialize_with = "serial_number")]
    pub serial: Serial,
    /// What nvmm's messages call the disk; without, its path.
    #[serde(default, deserialize_with = "id")]
    pub id: Option<String>,
}

/// `discard=`, with QEMU's words too.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Discard {
    #[serde(alias = "unmap")]
    On,
    #[serde(alias = "ignore")]
    Off,
}

/// `aio=`.
#[derive(Deserialize)]
#[serde(remote = "Engine", rename_all = "snake_case")]
enum EngineName {
    Auto,
    IoUring,
    Threads,
}

impl DiskConfig {
    /// Gives a `--disk` a meaning.
    ///
    /// # Errors
    ///
    /// A word that has none, or words that contradict each other.
    pub(super) fn parse(given: &OsStr) -> Result<Self, ConfigError> {
        let text = words::encode(given);
        let first = text.split(',').next().unwrap_or_default();
        let shown = given.printable().to_string();
        let config: Self = match first.contains('=') {
            false => keys(OPTION, &shown, &format!("path={text}"))?,
            true => keys(OPTION, &shown, &text).map_err(|error| with_hint(error, first))?,
        };
        match config.contradiction() {
            Some(why) => Err(error(given, why)),
            None => Ok(config),
        }
    }

    /// What messages call it.
    #[must_use]
    pub fn name(&self) -> String {
        self.id.clone().unwrap_or_else(|| self.path.printable().to_string())
    }

    /// How its image is opened.
    #[must_use]
    pub fn open_options(&self) -> OpenOptions {
        OpenOptions {
            disk: DiskOptions { read_only: self.readonly, direct: self.direct },
            format: self.format,
            backing_root: self.backing_root.clone(),
            overlay: self.overlay.clone(),
        }
    }

    /// How many queues it has in a machine of `vcpus`.
    #[must_use]
    pub fn queues(&self, vcpus: u32) -> u16 {
        let most = BlockOptions::MAX_QUEUES;
        self.queues.unwrap_or_else(|| u16::try_from(vcpus).map_or(most, |vcpus| vcpus.clamp(1, most)))
    }

    /// What can't be, or makes no sense.
    fn contradiction(&self) -> Option<String> {
        let max_queues = BlockOptions::MAX_QUEUES;
        let max_size = BlockOptions::MAX_QUEUE_SIZE;
        let is_empty = |path: &Path| path.as_os_str().is_empty();
        if is_empty(&self.path) {
            return Some("the path is missing".to_owned());
        }
        if let Some(queues) = self.queues
            && !(1..=max_queues).contains(&queues)
        {
            return Some(format!("queues={queues}: give a number from 1 to {max_queues}"));
        }
        let size = self.queue_size;
        if !(2..=max_size).contains(&size) || !size.is_power_of_two() {
            return Some(format!("queue-size={size}: give a power of two from 2 to {max_size}"));
        }
        if self.id.as_ref().is_some_and(String::is_empty) {
            return Some("id= needs a name; leave it out, and the disk is called by its path".to_owned());
        }
        if self.overlay.is_some() && self.readonly {
            return Some(
                "nothing is written to the overlay of a disk with readonly=on; leave one of them out"
                    .to_owned(),
            );
        }
        if self.overlay == Some(Overlay::File(self.path.clone())) {
            return Some("the overlay is the disk itself; give a file that is there for it alone".to_owned());
        }
        if self.direct && self.format == Some(Format::Vmdk) {
            return Some("vmdk images are read through the page cache; leave direct=on out".to_owned());
        }
        if self.backing_root.is_some() && self.format == Some(Format::Raw) {
            return Some(
                "a raw image names no other files; leave backing-root out, or give the format that it has"
                    .to_owned(),
            );
        }
        None
    }
}

/// Refuses two disks of the same name, and an image that is given twice and written to.
pub(super) fn check_several(disks: &[DiskConfig], given: &[OsString]) -> Result<(), ConfigError> {
    let mut seen = BTreeSet::new();
    for (disk, given) in disks.iter().zip(given) {
        if let Some(id) = &disk.id
            && !seen.insert(id)
        {
            return Err(error(given, format!("another disk has the id '{id}'; give each its own")));
        }
        let writes = |disk: &DiskConfig| disk.overlay.is_none() && !disk.readonly;
        let same = |other: &&DiskConfig| other.path == disk.path && (writes(other) || writes(disk));
        if disks.iter().filter(same).count() > 1 {
            return Err(error(
                given,
                "the image is given twice; leave one out, or give both readonly=on".to_owned(),
            ));
        }
    }
    Ok(())
}

/// `format=`.
fn format<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Format>, D::Error> {
    let name = String::deserialize(deserializer)?;
    name.parse().map(Some).map_err(|_| de::Error::unknown_variant(&name, &Format::NAMES))
}

/// `cache=`. What QEMU calls so besides is two things here.
fn cache<'de, D: Deserializer<'de>>(deserializer: D) -> Result<CacheMode, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "writeback" => Ok(CacheMode::Writeback),
        "writethrough" => Ok(CacheMode::Writethrough),
        "unsafe" => Ok(CacheMode::Unsafe),
        "none" => Err(de::Error::custom("cache=none is direct=on here")),
        "directsync" => Err(de::Error::custom("cache=directsync is direct=on,cache=writethrough here")),
        other => Err(de::Error::custom(format!("cache={other}: give writeback, writethrough or unsafe"))),
    }
}

fn default_queue_size() -> u16 {
    BlockOptions::default().queue_size
}

fn default_discard() -> bool {
    BlockOptions::default().discard
}

fn discard<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(matches!(Discard::deserialize(deserializer)?, Discard::On))
}

fn serial_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Serial, D::Error> {
    text(deserializer)?.parse().map_err(de::Error::custom)
}

/// A value that can be any bytes.
fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<OsString, D::Error> {
    Ok(words::decode(&String::deserialize(deserializer)?))
}

/// A value that is text, with commas perhaps.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = bytes(deserializer)?.into_string();
    text.map_err(|text| de::Error::custom(format!("{} is not UTF-8", text.printable())))
}

fn path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    bytes(deserializer).map(PathBuf::from)
}

fn optional_path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    path(deserializer).map(Some)
}

fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    text(deserializer).map(Some)
}

/// A file that is really called `temp` is `./temp`.
fn overlay<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Overlay>, D::Error> {
    let given = path(deserializer)?;
    match given.as_os_str().as_encoded_bytes() {
        b"" => Err(de::Error::custom("overlay= needs a file, or temp for one that is gone at the end")),
        b"temp" => Ok(Some(Overlay::Temp)),
        _ => Ok(Some(Overlay::File(given))),
    }
}

fn iops<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<NonZeroU64>, D::Error> {
    let iops = NonZeroU64::new(u64::deserialize(deserializer)?);
    iops.map(Some).ok_or_else(|| de::Error::custom("iops=0 lets nothing through; leave it out for no limit"))
}

/// A number without a unit is refused: some mean bytes by it, and [`Size`] takes it for MiB.
fn bandwidth<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<NonZeroU64>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let size = text.parse().ok().filter(|_| !text.ends_with(|last: char| last.is_ascii_digit()));
    let Some(Size(bytes)) = size else {
        let why = format!("bw={text}: give bytes a second with K, M, G or T, such as 100M");
        return Err(de::Error::custom(why));
    };
    let bytes = NonZeroU64::new(bytes);
    bytes.map(Some).ok_or_else(|| de::Error::custom("bw=0 lets nothing through; leave it out for no limit"))
}

fn error(given: &OsStr, why: String) -> ConfigError {
    ConfigError::Keys { option: OPTION, given: given.printable().to_string(), why }
}

#[cfg(test)]
#[path = "disk_test.rs"]
mod tests;
