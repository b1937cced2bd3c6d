//! The translation of a QEMU command line: the parts to which others refer by their IDs, and nvmm's options so far.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
};

use devices::printable::ToPrintable;

use super::{given::Given, keys::Keys};
use crate::config::words;

/// A note about a command line that is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// An option has no effect here.
    Idle(String),
    /// The guest or its user may miss something.
    Missing(String),
}

/// nvmm's options for one option of QEMU.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    /// The position on the command line of its option.
    pub at: usize,
    /// The option with its dashes, and its value; or arguments as the user gave them.
    pub words: Vec<OsString>,
    /// QEMU's option, as the user gave it; none if it is the same.
    pub from: Option<String>,
}

/// A kind of part with an ID, by the name of its option.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Drive,
    Blockdev,
    Netdev,
    Chardev,
    Object,
}

/// A part with an ID.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub given: Given,
    pub keys: Keys,
    used: bool,
}

/// A disk of the guest.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    pub at: usize,
    pub from: String,
    /// The index among the SATA disks, which are ordered by it; none for a virtio disk.
    pub sata: Option<u64>,
    /// The parts of `--disk`.
    pub words: Vec<String>,
}

/// A UEFI flash chip.
#[derive(Clone, Debug)]
pub(super) struct Flash {
    pub given: Given,
    pub unit: Option<u64>,
    pub path: String,
    pub read_only: bool,
}

/// Guest memory, which several options of QEMU describe.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    /// The keys of `-m`.
    pub sizes: Vec<(Given, Keys)>,
    pub hugepages: Option<Given>,
    pub prefault: Option<Given>,
    /// The number of `-numa node`.
    pub nodes: usize,
}

/// The state of the translation of a QEMU command line.
#[derive(Debug, Default)]
pub(super) struct Translator {
    pub disks: Vec<Disk>,
    /// The SATA indexes in use, and the first invalid one.
    pub sata: (BTreeSet<u64>, u64),
    pub flashes: Vec<Flash>,
    pub memory: Memory,
    /// The CD-ROM drive, as the user gave it.
    pub cdrom: Option<String>,
    /// `-boot`, with the remaining parts.
    pub boot: Option<(Given, Vec<String>)>,
    /// `bootindex=`, with the option and the position of the device's arguments.
    pub boot_indexes: BTreeMap<u64, (Given, &'static str)>,
    /// `-net nic`, and the back ends given by `-net`.
    pub legacy_nets: [Vec<(Given, Keys)>; 2],
    /// `-accel kvm` was given.
    pub kvm: bool,
    /// `-action panic=`, as the value of `--on-panic`.
    pub panic_action: Option<&'static str>,
    pub pieces: Vec<Piece>,
    notes: Vec<(usize, Note)>,
    names: BTreeSet<&'static str>,
    parts: BTreeMap<(Kind, String), Part>,
    faults: Vec<(usize, String)>,
}

impl Translator {
    /// Starts the translation of all options in `given`.
    pub(super) fn new(given: &[Given]) -> Self {
        Self { names: given.iter().map(|given| given.name).collect(), ..Self::default() }
    }

    /// Returns whether an option of QEMU was given.
    pub(super) fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// Adds nvmm's option for an option of QEMU.
    pub(super) fn emit(&mut self, given: &Given, option: &str, value: Option<OsString>) {
        self.emit_at(given.at, &given.to_string(), option, value);
    }

    pub(super) fn emit_at(&mut self, at: usize, from: &str, option: &str, value: Option<OsString>) {
        self.pieces.push(Piece { at, words: as_words(option, value), from: Some(from.to_owned()) });
    }

    /// Adds an option that nvmm also has.
    pub(super) fn pass(&mut self, given: &Given, option: &str) {
        self.pieces.push(Piece {
            at: given.at,
            words: as_words(option, Some(given.value.clone())),
            from: None,
        });
    }

    /// Notes that an option has no effect.
    pub(super) fn idle(&mut self, given: &Given, why: &str) {
        self.notes.push((given.at, Note::Idle(readable(&format!("{given}: {why}")))));
    }

    /// Notes that keys have no effect.
    pub(super) fn idle_keys(&mut self, given: &Given, keys: &[String]) {
        if !keys.is_empty() {
            self.idle(given, &format!("{} changes nothing here", keys.join(",")));
        }
    }

    /// Notes something that the guest may miss.
    pub(super) fn missing(&mut self, given: &Given, why: &str) {
        self.notes.push((given.at, Note::Missing(readable(&format!("{given}: {why}")))));
    }

    /// Notes a difference from QEMU that concerns the whole machine.
    pub(super) fn differs(&mut self, line: &str) {
        self.notes.push((usize::MAX, Note::Idle(line.to_owned())));
    }

    /// Refuses an option.
    pub(super) fn fault(&mut self, at: usize, line: &str) {
        self.faults.push((at, readable(line)));
    }

    /// nvmm's options, or all refusals, each only once, in the order of the options.
    pub(super) fn into_result(mut self) -> Result<(Vec<Piece>, Vec<Note>), Vec<String>> {
        self.faults.sort_by_key(|(at, _)| *at);
        match self.faults.is_empty() {
            true => {
                self.notes.sort_by_key(|(at, _)| *at);
                Ok((self.pieces, self.notes.into_iter().map(|(_, note)| note).collect()))
            }
            false => {
                let mut seen = BTreeSet::new();
                self.faults.retain(|(_, line)| seen.insert(line.clone()));
                Err(self.faults.into_iter().map(|(_, line)| line).collect())
            }
        }
    }

    /// Stores a part for the options that refer to it.
    pub(super) fn define(&mut self, kind: Kind, given: &Given, mut keys: Keys) -> Result<(), String> {
        let key = kind.id();
        let id = keys.take(key).filter(|id| !id.is_empty());
        let id = id.ok_or_else(|| format!("it needs {key}=ID, by which {} takes it", kind.user()))?;
        let part = Part { given: given.clone(), keys, used: false };
        match self.parts.insert((kind, id.clone()), part) {
            None => Ok(()),
            Some(_) => Err(format!("another -{} has {key}={id}; give each its own", kind.option())),
        }
    }

    /// Takes the part that a device refers to. With `mux=on`, several devices may use it.
    pub(super) fn refer(&mut self, kind: Kind, id: &str) -> Result<Part, String> {
        let (option, key) = (kind.option(), kind.id());
        match self.parts.get_mut(&(kind, id.to_owned())) {
            Some(part) if part.used && !matches!(part.keys.get("mux"), Some("on")) => {
                Err(format!("-{option} {key}={id} is taken already; give each device its own"))
            }
            Some(part) => {
                part.used = true;
                Ok(part.clone())
            }
            None => {
                let there = self.parts.keys().filter(|(other, _)| *other == kind).take(8);
                let there: Vec<_> = there.map(|(_, id)| id.as_str()).collect();
                let there = if there.is_empty() {
                    "add one".to_owned()
                } else {
                    format!("there is {}", there.join(", "))
                };
                Err(format!("there is no -{option} with {key}={id}; {there}"))
            }
        }
    }

    /// Marks the parts that a refused device refers to as used.
    pub(super) fn forgive(&mut self, given: &Given) {
        let keys = given.keys("").unwrap_or_default();
        for (_, value) in keys.rest() {
            for kind in Kind::ALL {
                if let Some(part) = self.parts.get_mut(&(kind, value.to_owned())) {
                    part.used = true;
                }
            }
        }
    }

    /// Returns whether there is such a part.
    pub(super) fn knows(&self, kind: Kind, id: &str) -> bool {
        self.parts.contains_key(&(kind, id.to_owned()))
    }

    /// Refuses parts that no device has used.
    pub(super) fn refuse_unused(&mut self) {
        let unused = self.parts.iter().filter(|(_, part)| !part.used);
        let lines: Vec<_> = unused
            .map(|((kind, id), part)| {
                let line = format!("{}: no {} takes {id}; add one, or leave it out", part.given, kind.user());
                (part.given.at, line)
            })
            .collect();
        lines.iter().for_each(|(at, line)| self.fault(*at, line));
    }
}

impl Piece {
    /// nvmm's option in the form that errors repeat, and QEMU's option for it.
    pub(super) fn origin(&self) -> Option<(String, String)> {
        let words: Vec<_> = self.words.iter().map(|word| word.printable().to_string()).collect();
        self.from.clone().map(|from| (words.join(" "), from))
    }
}

impl Kind {
    const ALL: [Self; 5] = [Self::Drive, Self::Blockdev, Self::Netdev, Self::Chardev, Self::Object];

    fn option(self) -> &'static str {
        match self {
            Self::Drive => "drive",
            Self::Blockdev => "blockdev",
            Self::Netdev => "netdev",
            Self::Chardev => "chardev",
            Self::Object => "object",
        }
    }

    fn id(self) -> &'static str {
        if self == Self::Blockdev { "node-name" } else { "id" }
    }

    /// The option that refers to a part of this kind.
    fn user(self) -> &'static str {
        match self {
            Self::Drive | Self::Blockdev => "-device virtio-blk-pci,drive=ID",
            Self::Netdev => "-device virtio-net-pci,netdev=ID",
            Self::Chardev => "-serial chardev:ID",
            Self::Object => "-device or -machine",
        }
    }
}

/// An option and its value, joined to one argument if the value looks like an option.
fn as_words(option: &str, value: Option<OsString>) -> Vec<OsString> {
    match value {
        Some(value) if value.as_encoded_bytes().starts_with(b"-") => {
            let mut word = OsString::from(format!("{option}="));
            word.push(value);
            vec![word]
        }
        value => [option.into()].into_iter().chain(value).collect(),
    }
}

/// A message, in which texts may be in the form of [`words`].
fn readable(message: &str) -> String {
    words::decode(message).printable().to_string()
}
