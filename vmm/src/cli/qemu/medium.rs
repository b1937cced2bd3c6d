//! An image, given by `-drive` or a chain of `-blockdev`.

use super::{
    keys::Keys,
    translator::{Kind, Translator},
};
use crate::config::words;

/// Protocols with which QEMU opens media other than files on the host.
const PROTOCOLS: [&str; 23] = [
    "nbd",
    "nbd+tcp",
    "nbd+unix",
    "ssh",
    "http",
    "https",
    "ftp",
    "ftps",
    "rbd",
    "iscsi",
    "iser",
    "gluster",
    "gluster+tcp",
    "nfs",
    "vxhs",
    "sheepdog",
    "blkdebug",
    "blkverify",
    "null-co",
    "null-aio",
    "nvme",
    "fat",
    "vvfat",
];
/// Drivers of `-blockdev` that open files on the host.
const FILES: [&str; 3] = ["file", "host_device", "host_cdrom"];

/// Keys that nvmm fulfils in any case, or that are about QEMU's own caches.
const IDLE: [(&str, &[&str]); 19] = [
    ("auto-read-only", &[]),
    ("cache-clean-interval", &[]),
    ("cache-size", &[]),
    ("cache.writeback", &["on"]),
    ("copy-on-read", &["off"]),
    ("detect-zeroes", &[]),
    ("drop-cache", &[]),
    ("file.auto-read-only", &[]),
    ("file.locking", &["auto", "on"]),
    ("force-share", &["off"]),
    ("l2-cache-entry-size", &[]),
    ("l2-cache-size", &[]),
    ("lazy-refcounts", &["off"]),
    ("locking", &["auto", "on"]),
    ("overlap-check", &[]),
    ("refcount-cache-size", &[]),
    ("rerror", &["report", "auto"]),
    ("werror", &["report", "auto"]),
    ("pr-manager", &[""]),
];

/// An image.
#[derive(Debug, Default)]
pub(super) struct Medium {
    /// The path; none if there is no medium in the drive.
    pub path: Option<String>,
    pub id: Option<String>,
    pub serial: Option<String>,
    pub format: Option<String>,
    pub read_only: bool,
    /// The guest's writes are discarded at the end; none unless this is given for the image itself.
    pub snapshot: Option<bool>,
    /// The keys that had no effect.
    pub idle: Vec<String>,
    /// Other parts of `--disk`.
    words: Vec<String>,
}

impl Medium {
    /// The image in a file.
    pub(super) fn of_file(file: &str) -> Result<Self, String> {
        Ok(Self { path: Some(path(file)?), ..Self::default() })
    }

    /// Takes the keys of `-drive` that are about the image.
    pub(super) fn of_drive(keys: &mut Keys) -> Result<Self, String> {
        let mut medium = Self::default();
        let file = keys.take_of(&["file", "file.filename"])?;
        if let Some(driver) = keys.take("file.driver").filter(|driver| !FILES.contains(&driver.as_str())) {
            return Err(not_a_file(&driver));
        }
        medium.path = file.filter(|file| !file.is_empty()).map(|file| path(&file)).transpose()?;
        medium.id = keys.take("id");
        medium.serial = keys.take("serial");
        medium.format = keys.take_of(&["format", "driver"])?;
        medium.snapshot = keys.switch(&["snapshot"])?;
        match keys.take("cache").as_deref() {
            None | Some("writeback") => {}
            Some("none") => medium.say("direct=on"),
            Some("writethrough") => medium.say("cache=writethrough"),
            Some("directsync") => medium.say("direct=on,cache=writethrough"),
            Some("unsafe") => medium.say("cache=unsafe"),
            Some(other) => {
                return Err(format!(
                    "'cache={other}': give writeback, none, writethrough, directsync or unsafe"
                ));
            }
        }
        medium.layer(keys)?;
        medium.limits(keys)?;
        Ok(medium)
    }

    /// Follows a chain of `-blockdev` from the node that a device names down to the file.
    pub(super) fn of_node(translator: &mut Translator, name: &str) -> Result<Self, String> {
        let mut medium = Self { id: Some(name.to_owned()), ..Self::default() };
        let mut next = name.to_owned();
        // Each node is taken only once, so that a cycle ends.
        loop {
            let part = translator.refer(Kind::Blockdev, &next)?;
            let mut keys = part.keys;
            let Some(driver) = keys.take("driver") else {
                return Err(format!("{}: it needs driver=", part.given));
            };
            let in_node = |why: String| format!("{}: {why}", part.given);
            let below = medium.node(&driver, &mut keys, translator).map_err(in_node)?;
            keys.end().map_err(in_node)?;
            match below {
                None => return Ok(medium),
                Some(below) => next = below,
            }
        }
    }

    /// Reads a node, and returns the name of the node below it.
    fn node(
        &mut self,
        driver: &str,
        keys: &mut Keys,
        translator: &mut Translator,
    ) -> Result<Option<String>, String> {
        self.layer(keys)?;
        if FILES.contains(&driver) {
            let file = keys.take("filename").ok_or("it needs filename=PATH")?;
            self.path = Some(path(&file)?);
            // For a node, QEMU doesn't detect the format.
            self.format.get_or_insert_with(|| "raw".to_owned());
            return Ok(None);
        }
        if PROTOCOLS.contains(&driver) {
            return Err(not_a_file(driver));
        }
        if ["throttle", "copy-on-read", "quorum", "luks", "preallocate", "compress"].contains(&driver) {
            return Err(format!("nvmm has no {driver}; give the image itself, and --disk has iops= and bw="));
        }
        if self.format.as_deref().is_some_and(|format| format != "raw") {
            return Err(format!("an image in another one, {driver}, is more than nvmm reads"));
        }
        self.format = Some(driver.to_owned());
        if let Some(base) = keys.take("backing") {
            // The image itself also names the base.
            self.idle.push(format!("backing={base}"));
            if !base.is_empty() {
                Self::base(&base, translator)?;
            }
        }
        if let Some(below) = keys.take("file") {
            return Ok(Some(below));
        }
        if let Some(driver) = keys.take("file.driver").filter(|driver| !FILES.contains(&driver.as_str())) {
            return Err(not_a_file(&driver));
        }
        let file = keys.take("file.filename").ok_or("it needs file=NODE or file.filename=PATH")?;
        self.path = Some(path(&file)?);
        Ok(None)
    }

    /// Takes the nodes of a base, which nvmm finds through the image.
    fn base(name: &str, translator: &mut Translator) -> Result<(), String> {
        let mut waiting = vec![name.to_owned()];
        while let Some(name) = waiting.pop() {
            let mut keys = translator.refer(Kind::Blockdev, &name)?.keys;
            // JSON's null means that there is no base.
            let below = ["file", "backing"].iter().filter_map(|key| keys.take(key));
            waiting.extend(below.filter(|node| !node.is_empty()));
        }
        Ok(())
    }

    /// Takes the keys that `-drive` and all nodes of `-blockdev` have in common.
    fn layer(&mut self, keys: &mut Keys) -> Result<(), String> {
        if let Some(read_only) = keys.switch(&["readonly", "read-only"])? {
            self.read_only |= read_only;
        }
        for key in ["cache.direct", "file.cache.direct"] {
            if keys.switch(&[key])? == Some(true)
                && !self.words.iter().any(|word| word.starts_with("direct=on"))
            {
                self.say("direct=on");
            }
        }
        if keys.switch(&["cache.no-flush"])? == Some(true) {
            self.say("cache=unsafe");
        }
        for key in ["discard", "file.discard"] {
            match keys.take(key).as_deref() {
                None | Some("on" | "unmap") => {}
                Some("off" | "ignore") => self.say("discard=off"),
                Some(other) => return Err(format!("'{key}={other}': give unmap or ignore")),
            }
        }
        for key in ["aio", "file.aio"] {
            match keys.take(key).as_deref() {
                None => {}
                Some("native") => self.idle.push(format!("{key}=native")),
                Some(engine @ ("threads" | "io_uring")) => self.say(&format!("aio={engine}")),
                Some(other) => return Err(format!("'{key}={other}': give threads, native or io_uring")),
            }
        }
        for key in ["werror", "rerror"] {
            if let Some(action @ ("stop" | "ignore" | "enospc")) = keys.get(key) {
                return Err(format!(
                    "'{key}={action}': nvmm tells the guest of the error, and lets it go on; give {key}=report or leave it out"
                ));
            }
        }
        self.idle.extend(keys.take_idle(&IDLE));
        Ok(())
    }

    fn limits(&mut self, keys: &mut Keys) -> Result<(), String> {
        for (names, word, unit) in
            [(["throttling.iops-total", "iops"], "iops", ""), (["throttling.bps-total", "bps"], "bw", "B")]
        {
            if let Some(limit) = keys.take_of(&names)? {
                let number = words::number::<u64>(&limit);
                let number = number.ok_or_else(|| format!("'{}={limit}': give a whole number", names[1]))?;
                // QEMU's 0 means no limit.
                if number > 0 {
                    self.say(&format!("{word}={number}{unit}"));
                }
            }
        }
        Ok(())
    }

    /// Adds a part, only once: several nodes may have the same one.
    fn say(&mut self, word: &str) {
        if !self.words.iter().any(|other| other == word) {
            self.words.push(word.to_owned());
        }
    }

    /// Takes the keys about the use of the image, for a device to which they don't matter.
    pub(super) fn said(&self) -> Vec<String> {
        [&self.idle[..], &self.words[..]].concat()
    }

    /// The parts of `--disk` that follow from the image. `snapshot`: `-snapshot` was given.
    pub(super) fn into_words(self, path: &str, snapshot: bool) -> Vec<String> {
        let Self { id, serial, format, read_only, snapshot: own, words: others, .. } = self;
        let mut words = vec![format!("path={path}")];
        words.extend(format.map(|format| format!("format={format}")));
        if read_only {
            words.push("readonly=on".to_owned());
        } else if own.unwrap_or(snapshot) {
            words.push("overlay=temp".to_owned());
        }
        words.extend(others);
        words.extend(serial.map(|serial| format!("serial={serial}")));
        words.extend(id.map(|id| format!("id={id}")));
        words
    }
}

/// The path in `file=`.
pub(super) fn path(file: &str) -> Result<String, String> {
    if file.is_empty() {
        return Err("the path is missing".to_owned());
    }
    match file.split_once(':') {
        Some(("file", path)) if !path.is_empty() => Ok(path.to_owned()),
        Some(("json", _)) => Err("nvmm takes no json: names; give the image's path".to_owned()),
        Some((protocol, _)) if PROTOCOLS.contains(&protocol) => Err(not_a_file(protocol)),
        _ => Ok(file.to_owned()),
    }
}

fn not_a_file(protocol: &str) -> String {
    match protocol {
        "fat" | "vvfat" => {
            "nvmm makes no disk of a folder; make an image of it (`mkfs.vfat -C`, `mcopy`), and give that"
                .to_owned()
        }
        "nbd" | "nbd+tcp" | "nbd+unix" => {
            "nvmm speaks no nbd; attach it on the host (`nbd-client`), and give file=/dev/nbd0".to_owned()
        }
        _ => format!(
            "nvmm opens files and block devices of the host alone, and no {protocol}; copy the image, or attach it on the host"
        ),
    }
}
