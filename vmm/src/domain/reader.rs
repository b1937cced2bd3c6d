//! The options so far, and settings that depend on several elements.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use super::part::{Part, Rule::Refuse};

/// The options that start a machine: those of one kind exclude those of the other.
const KERNEL: [&str; 3] = ["kernel", "initramfs", "cmdline"];
const FIRMWARE: [&str; 2] = ["firmware", "boot"];

/// An option of nvmm's, with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// The name, without dashes.
    pub option: &'static str,
    /// The value; none if it takes none.
    pub value: Option<String>,
    /// The line and the element from which it comes.
    pub from: String,
}

/// The options that are given beside `--domain`.
#[derive(Clone, Debug, Default)]
pub struct Beside {
    /// Their names. They replace the file's options.
    pub given: BTreeSet<String>,
}

/// A disk of the guest.
#[derive(Debug)]
pub(super) struct Disk {
    pub(super) from: String,
    /// The parts of `--disk`.
    pub(super) words: Vec<String>,
    pub(super) bus: String,
    /// `<target dev=''/>`, by which the disks of a bus are sorted.
    pub(super) target: String,
}

/// A serial port.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) from: String,
    pub(super) number: Option<u64>,
    pub(super) words: String,
}

/// Guest memory, which several elements describe.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// `<memory>`, in bytes.
    pub(super) bytes: Option<u64>,
    /// `<currentMemory>`.
    pub(super) current: Option<u64>,
    /// The memory of the NUMA cells.
    pub(super) cells: Option<u64>,
    pub(super) hugepages: bool,
    pub(super) prefault: bool,
}

/// The machine's start, which several elements describe.
#[derive(Debug, Default)]
pub(super) struct Os<'f, 'd> {
    pub(super) element: Option<Part<'f, 'd>>,
    /// `<boot dev=''/>`, in order.
    pub(super) boot: Vec<(Part<'f, 'd>, &'static str)>,
    pub(super) menu: bool,
    /// The value of `--firmware`; none if a kernel starts.
    pub(super) firmware: Option<String>,
    pub(super) kernel: bool,
    /// `<smbios mode='sysinfo'/>`.
    pub(super) sysinfo: bool,
    /// `<vcpu>`: the number of all vCPUs, and of those at the start.
    pub(super) vcpus: Option<(Part<'f, 'd>, u32, Option<u64>)>,
    /// `<cpu>`.
    pub(super) cpu: Option<Part<'f, 'd>>,
    /// There is a `<topology>`.
    pub(super) arranged: bool,
    pub(super) on_crash: Option<&'static str>,
    /// `<panic>`.
    pub(super) panic: Option<Part<'f, 'd>>,
}

/// The options so far.
pub(super) struct Reader<'f, 'd> {
    pub(super) path: &'f Path,
    pub(super) bridge_of: &'f dyn Fn(&str) -> Result<String, String>,
    pub(super) memory: Memory,
    pub(super) os: Os<'f, 'd>,
    pub(super) disks: Vec<Disk>,
    pub(super) any_disk: bool,
    /// There is a CD-ROM drive.
    pub(super) cdrom: bool,
    /// The number of network devices.
    pub(super) nets: usize,
    /// `<boot order=''/>` of devices, by order: the option that makes the device, and its name for `--boot`.
    pub(super) boot: BTreeMap<u64, (&'static str, String)>,
    pub(super) ports: Vec<Port>,
    pub(super) consoles: Vec<Part<'f, 'd>>,
    pub(super) sysinfo: Vec<Part<'f, 'd>>,
    /// Devices of which a machine has one, as far as they were read.
    pub(super) single: BTreeSet<&'static str>,
    /// The value of `--display`, and where it comes from.
    pub(super) screen: Option<(String, String)>,
    /// `<input>` elements: the keyboard and the tablet.
    pub(super) inputs: Vec<Part<'f, 'd>>,
    /// The screen has a VNC server.
    pub(super) is_watched: bool,
    pub(super) beside: &'f Beside,
    pub(super) words: Vec<Word>,
}

impl<'f, 'd> Reader<'f, 'd> {
    pub(super) fn new(
        path: &'f Path,
        beside: &'f Beside,
        bridge_of: &'f dyn Fn(&str) -> Result<String, String>,
    ) -> Self {
        Self {
            path,
            bridge_of,
            memory: Memory::default(),
            os: Os::default(),
            disks: Vec::new(),
            any_disk: false,
            cdrom: false,
            nets: 0,
            boot: BTreeMap::new(),
            ports: Vec::new(),
            consoles: Vec::new(),
            sysinfo: Vec::new(),
            single: BTreeSet::new(),
            screen: None,
            inputs: Vec::new(),
            is_watched: false,
            beside,
            words: Vec::new(),
        }
    }

    /// Returns whether the file's value for an option counts: the user gave neither this option nor one that starts the machine in another
    /// way.
    pub(super) fn wants(&self, option: &str) -> bool {
        let given = |option: &str| self.beside.given.contains(option);
        let otherwise = match option {
            _ if FIRMWARE.contains(&option) => given("kernel"),
            _ if KERNEL.contains(&option) => given("firmware") && !given("kernel"),
            _ => false,
        };
        !given(option) && !otherwise
    }

    /// Returns whether an option makes devices from which the machine can start.
    pub(super) fn has(&self, option: &str) -> bool {
        let of_file = match option {
            "disk" => self.any_disk,
            "cdrom" => self.cdrom,
            _ => self.nets > 0,
        };
        of_file || self.beside.given.contains(option)
    }

    /// Skips an element if the user gave the option that it stands for.
    pub(super) fn is_replaced(&self, option: &'static str, element: Part<'_, '_>) -> bool {
        let replaced = !self.wants(option);
        if replaced {
            element.skip();
            element.idle(format!("--{option} is given beside it"));
        }
        replaced
    }

    /// Adds an option, unless the user gave it.
    pub(super) fn emit(
        &mut self,
        element: Part<'_, '_>,
        option: &'static str,
        value: impl Into<Option<String>>,
    ) {
        self.emit_from(origin(element), option, value);
    }

    pub(super) fn emit_from(&mut self, from: String, option: &'static str, value: impl Into<Option<String>>) {
        if self.wants(option) {
            self.words.push(Word { option, value: value.into(), from });
        }
    }

    /// Records that firmware should start from a device.
    pub(super) fn boots(&mut self, device: Part<'f, 'd>, option: &'static str, word: String) {
        let Some(boot) = device.child("boot") else { return };
        boot.rest(&[&[("@loadparm", Refuse("only s390 guests have it; take it out"))]]);
        let Some(order) = boot.number("order") else { return };
        if self.boot.insert(order, (option, word)).is_some() {
            boot.refuse_attribute("order", "another device has it; give each its own");
        }
    }
}

/// The line and the element, for messages.
pub(super) fn origin(element: Part<'_, '_>) -> String {
    format!("line {}, {}", element.line(), element.label())
}

/// A path as the value of an option. A relative one gets `./`, so that it is not taken for a keyword.
pub(super) fn path(text: &str) -> String {
    match text {
        _ if text.starts_with('/') => text.to_owned(),
        _ => format!("./{text}"),
    }
}

/// A path as a part of an option, with commas doubled.
pub(super) fn path_part(text: &str) -> String {
    path(text).replace(',', ",,")
}
