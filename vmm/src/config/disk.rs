//! `--disk`.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
    fmt,
    num::NonZeroU64,
    path::{Path, PathBuf},
};

use devices::{
    block::{BlockOptions, CacheMode, SerialNumber, SerialNumberError},
    disk::{
        format::{Format, UnknownFormat},
        image::OpenOptions,
        info::{self, LinkInfo},
        qcow2::Overlay,
    },
    printable::ToPrintable,
};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, IntoDeserializer, MapAccess, Visitor},
};

use super::{
    error::ConfigError,
    keys::{keys, with_hint},
    words,
};
use crate::size::Size;

const OPTION: &str = "--disk";

/// The queue depth of a SATA disk.
const SATA_QUEUE: u16 = 32;

/// The options of a disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiskConfig {
    /// The image or block device.
    pub path: PathBuf,
    /// The name in nvmm's messages; by default the path.
    pub id: Option<String>,
    /// The way to open the image.
    pub image: OpenOptions,
    /// The way in which the guest accesses it.
    pub bus: DiskBus,
    /// The guest's device.
    pub device: BlockOptions,
}

/// The way in which the guest accesses a disk, by the words of `bus=`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DiskBus {
    /// A virtio-blk device of its own.
    #[default]
    Virtio,
    /// A port of an AHCI controller.
    Sata,
}

/// The parsed parts of a `--disk`.
#[derive(Default)]
struct Words {
    config: DiskConfig,
    queues: Option<u16>,
    queue_size: Option<u16>,
}

/// A key, with QEMU's names for it.
#[derive(Clone, Copy, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(field_identifier, rename_all = "kebab-case")]
enum Key {
    #[serde(alias = "file")]
    Path,
    Format,
    Overlay,
    BackingRoot,
    #[serde(alias = "read-only")]
    Readonly,
    Direct,
    Cache,
    Discard,
    Aio,
    #[serde(alias = "num-queues")]
    Queues,
    QueueSize,
    Iops,
    Bw,
    Serial,
    Id,
    Legacy,
    /// QEMU's key for the opposite.
    DisableLegacy,
    Bus,
}

/// Values of `discard=`, including QEMU's.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Discard {
    #[serde(alias = "unmap")]
    On,
    #[serde(alias = "ignore")]
    Off,
}

impl DiskConfig {
    /// Parses a `--disk` of a machine with `vcpus` vCPUs.
    ///
    /// # Errors
    ///
    /// The value is invalid, or contradicts itself.
    pub(super) fn parse(given: &OsStr, vcpus: u32) -> Result<Self, ConfigError> {
        let text = words::encode(given);
        let first = text.split(',').next().unwrap_or_default();
        let shown = given.printable().to_string();
        let Words { mut config, queues, queue_size } = match first.contains('=') {
            false => keys(OPTION, &shown, &format!("path={text}"))?,
            true => keys(OPTION, &shown, &text).map_err(|error| with_hint(error, first))?,
        };
        if config.bus == DiskBus::Sata && (queues.is_some() || queue_size.is_some()) {
            let why = "a SATA disk has one queue of 32 requests; leave queues and queue-size out, or use bus=virtio";
            return Err(error(given, why.to_owned()));
        }
        (config.device.queues, config.device.queue_size) = match config.bus {
            DiskBus::Virtio => {
                let queue_size = queue_size.unwrap_or(config.device.queue_size);
                (queues.unwrap_or_else(|| one_for_each(vcpus)), queue_size)
            }
            DiskBus::Sata => (1, SATA_QUEUE),
        };
        match config.contradiction() {
            Some(why) => Err(error(given, why)),
            None => Ok(config),
        }
    }

    /// The name in messages.
    #[must_use]
    pub fn name(&self) -> String {
        self.id.clone().unwrap_or_else(|| self.path.printable().to_string())
    }

    /// Returns the description of a contradiction, if there is one.
    fn contradiction(&self) -> Option<String> {
        let max_queues = BlockOptions::MAX_QUEUES;
        let max_size = BlockOptions::MAX_QUEUE_SIZE;
        let image = &self.image;
        let is_empty = |path: &Path| path.as_os_str().is_empty();
        if is_empty(&self.path) {
            return Some("the path is missing".to_owned());
        }
        let queues = self.device.queues;
        if !(1..=max_queues).contains(&queues) {
            return Some(format!("queues={queues}: give a number from 1 to {max_queues}"));
        }
        let size = self.device.queue_size;
        if !(2..=max_size).contains(&size) || !size.is_power_of_two() {
            return Some(format!("queue-size={size}: give a power of two from 2 to {max_size}"));
        }
        if self.id.as_ref().is_some_and(String::is_empty) {
            return Some("id= needs a name; leave it out, and the disk is called by its path".to_owned());
        }
        if self.bus == DiskBus::Sata && self.device.legacy {
            return Some("legacy=on is about virtio; leave it or bus=sata out".to_owned());
        }
        if self.bus == DiskBus::Sata && image.disk.read_only {
            return Some(
                "a SATA disk can't be read-only; overlay=temp takes what is written, or use bus=virtio, or --cdrom"
                    .to_owned(),
            );
        }
        if image.overlay.is_some() && image.disk.read_only {
            return Some(
                "nothing is written to the overlay of a disk with readonly=on; leave one of them out"
                    .to_owned(),
            );
        }
        if image.overlay == Some(Overlay::File(self.path.clone())) {
            return Some("the overlay is the disk itself; give a file that is there for it alone".to_owned());
        }
        if image.disk.direct && image.format == Some(Format::Vmdk) {
            return Some("vmdk images are read through the page cache; leave direct=on out".to_owned());
        }
        if image.backing_root.is_some() && image.format == Some(Format::Raw) {
            return Some(
                "a raw image names no other files; leave backing-root out, or give the format that it has"
                    .to_owned(),
            );
        }
        None
    }

    /// Reads the facts of the image and the overlay, and of all files that these name, as far as possible and without locks.
    #[must_use]
    pub fn follow(&self) -> Vec<LinkInfo> {
        let overlay = match &self.image.overlay {
            Some(Overlay::File(path)) => Some((path, Some(Format::Qcow2))),
            _ => None,
        };
        let images = [Some((&self.path, self.image.format)), overlay].into_iter().flatten();
        let links = images.map(|(path, format)| {
            let options = OpenOptions { format, ..self.image.clone() };
            info::follow(path, &options).map(|info| info.links).unwrap_or_default()
        });
        links.flatten().collect()
    }
}

/// Refuses two disks with the same name, a name in `taken`, and an image that is given twice and written to.
pub(super) fn check_several(
    disks: &[DiskConfig],
    given: &[OsString],
    taken: &[&str],
) -> Result<(), ConfigError> {
    let writes = |disk: &DiskConfig| disk.image.overlay.is_none() && !disk.image.disk.read_only;
    // For each image, the number of disks that use it, and of those that write to it. This examines each disk once, since a domain can have
    // thousands.
    let mut users: BTreeMap<_, (usize, usize)> = BTreeMap::new();
    for disk in disks {
        let (all, writers) = users.entry(&disk.path).or_default();
        *all += 1;
        *writers += usize::from(writes(disk));
    }
    let mut seen: BTreeSet<_> = taken.iter().copied().collect();
    for (disk, given) in disks.iter().zip(given) {
        if let Some(id) = &disk.id
            && !seen.insert(id)
        {
            return Err(error(given, format!("another disk has the id '{id}'; give each its own")));
        }
        let (all, writers) = users.get(&disk.path).copied().unwrap_or_default();
        if writers > 1 || (all > 1 && writes(disk)) {
            return Err(error(
                given,
                "the image is given twice; leave one out, or give both readonly=on".to_owned(),
            ));
        }
    }
    Ok(())
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Self::default())
    }
}

impl<'de> Visitor<'de> for Words {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the keys of a disk")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        let mut seen = BTreeSet::new();
        let DiskConfig { path, id, image, bus, device } = &mut self.config;
        while let Some(name) = map.next_key::<String>()? {
            let key = Key::deserialize(name.as_str().into_deserializer())?;
            if !seen.insert(key) {
                return Err(de::Error::custom(format!("duplicate field `{name}`")));
            }
            if [Key::Legacy, Key::DisableLegacy].iter().all(|key| seen.contains(key)) {
                return Err(de::Error::custom(
                    "'legacy' and 'disable-legacy' are about the same; leave one of them out",
                ));
            }
            match key {
                Key::Path => *path = value(&mut map, file)?,
                Key::Id => *id = Some(value(&mut map, text)?),
                Key::Format => image.format = Some(value(&mut map, format)?),
                Key::Overlay => image.overlay = Some(value(&mut map, overlay)?),
                Key::BackingRoot => image.backing_root = Some(value(&mut map, file)?),
                Key::Readonly => image.disk.read_only = map.next_value()?,
                Key::Direct => image.disk.direct = map.next_value()?,
                Key::Cache => device.cache = value(&mut map, cache)?,
                Key::Discard => device.discard = matches!(map.next_value()?, Discard::On),
                Key::Aio => device.engine = map.next_value()?,
                Key::Queues => self.queues = Some(map.next_value()?),
                Key::QueueSize => self.queue_size = Some(map.next_value()?),
                Key::Iops => device.iops = Some(iops(map.next_value()?).map_err(de::Error::custom)?),
                Key::Bw => device.bandwidth = Some(value(&mut map, bandwidth)?),
                Key::Bus => *bus = map.next_value()?,
                Key::Serial => device.serial = value(&mut map, serial_number)?,
                Key::Legacy => device.legacy = map.next_value()?,
                Key::DisableLegacy => device.legacy = !map.next_value::<bool>()?,
            }
        }
        Ok(self)
    }
}

/// Reads the next value, which is text, with `read`.
fn value<'de, A: MapAccess<'de>, T>(map: &mut A, read: fn(&str) -> Result<T, String>) -> Result<T, A::Error> {
    read(&map.next_value::<String>()?).map_err(de::Error::custom)
}

/// Parses a file name, which may contain any bytes.
#[expect(clippy::unnecessary_wraps, reason = "one of several that read a value")]
fn file(given: &str) -> Result<PathBuf, String> {
    Ok(words::decode(given).into())
}

/// Parses text, which may contain commas.
fn text(given: &str) -> Result<String, String> {
    words::decode(given).into_string().map_err(|text| format!("{} is not UTF-8", text.printable()))
}

fn format(given: &str) -> Result<Format, String> {
    given.parse().map_err(|error: UnknownFormat| format!("format={given}: {error}"))
}

/// Parses `overlay=`. A file named `temp` can be given as `./temp`.
fn overlay(given: &str) -> Result<Overlay, String> {
    match given {
        "" => Err("overlay= needs a file, or temp for one that is gone at the end".to_owned()),
        "temp" => Ok(Overlay::Temp),
        _ => file(given).map(Overlay::File),
    }
}

/// Parses `cache=`. Two further values of QEMU's stand for two keys here.
fn cache(given: &str) -> Result<CacheMode, String> {
    match given {
        "none" => Err("cache=none is direct=on here".to_owned()),
        "directsync" => Err("cache=directsync is direct=on,cache=writethrough here".to_owned()),
        other => CacheMode::deserialize(other.into_deserializer())
            .map_err(|_: de::value::Error| format!("cache={other}: give writeback, writethrough or unsafe")),
    }
}

fn serial_number(given: &str) -> Result<SerialNumber, String> {
    text(given)?.parse().map_err(|error: SerialNumberError| error.to_string())
}

fn iops(given: u64) -> Result<NonZeroU64, &'static str> {
    NonZeroU64::new(given).ok_or("iops=0 lets nothing through; leave it out for no limit")
}

/// Parses `bw=`. A number without a unit is refused: some users mean bytes, but [`Size`] takes it for MiB.
fn bandwidth(given: &str) -> Result<NonZeroU64, String> {
    let size = given.parse().ok().filter(|_| !given.ends_with(|last: char| last.is_ascii_digit()));
    let Some(Size(bytes)) = size else {
        return Err(format!("bw={given}: give bytes a second with K, M, G or T, such as 100M"));
    };
    NonZeroU64::new(bytes).ok_or_else(|| "bw=0 lets nothing through; leave it out for no limit".to_owned())
}

/// As many queues as there are vCPUs, up to the most that a disk can have.
fn one_for_each(vcpus: u32) -> u16 {
    let most = BlockOptions::MAX_QUEUES;
    u16::try_from(vcpus).map_or(most, |vcpus| vcpus.clamp(1, most))
}

fn error(given: &OsStr, why: String) -> ConfigError {
    ConfigError::Keys { option: OPTION, given: given.printable().to_string(), why }
}

#[cfg(test)]
#[path = "disk_test.rs"]
mod tests;
