//! The words so far, and what several elements tell of together.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use super::part::{Part, Rule::Refuse};

/// The options that a machine starts by: one of each kind makes no sense with the other.
const KERNEL: [&str; 3] = ["kernel", "initramfs", "cmdline"];
const FIRMWARE: [&str; 2] = ["firmware", "boot"];

/// An option of nvmm's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// Its name, without dashes.
    pub option: &'static str,
    /// Its value; none if it takes none.
    pub value: Option<String>,
    /// The line and the element that it is for.
    pub from: String,
}

/// The options beside `--domain`.
#[derive(Clone, Debug, Default)]
pub struct Beside {
    /// The options that were given, which take the place of the file's.
    pub given: BTreeSet<String>,
}

/// A disk of the guest.
#[derive(Debug)]
pub(super) struct Disk {
    pub(super) from: String,
    /// The words of `--disk`.
    pub(super) words: Vec<String>,
    pub(super) bus: String,
    /// `<target dev=''/>`: disks of a bus are in this order.
    pub(super) target: String,
}

/// A serial port.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) from: String,
    pub(super) number: Option<u64>,
    pub(super) words: String,
}

/// Guest memory, of which several elements tell.
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

/// The start of the machine, of which several elements tell.
#[derive(Debug, Default)]
pub(super) struct Os<'f, 'd> {
    pub(super) element: Option<Part<'f, 'd>>,
    /// `<boot dev=''/>`, in order.
    pub(super) boot: Vec<(Part<'f, 'd>, &'static str)>,
    pub(super) menu: bool,
    /// `--firmware`; none if a kernel starts.
    pub(super) firmware: Option<String>,
    pub(super) kernel: bool,
    /// `<smbios mode='sysinfo'/>`.
    pub(super) sysinfo: bool,
    /// `<vcpu>`: all, and those that are there at first.
    pub(super) vcpus: Option<(Part<'f, 'd>, u32, Option<u64>)>,
    /// `<cpu>`.
    pub(super) cpu: Option<Part<'f, 'd>>,
    /// `<topology>` is there.
    pub(super) arranged: bool,
    pub(super) on_crash: Option<&'static str>,
    /// `<panic>`.
    pub(super) panic: Option<Part<'f, 'd>>,
}

/// The words so far.
pub(super) struct Reader<'f, 'd> {
    pub(super) path: &'f Path,
    pub(super) bridge_of: &'f dyn Fn(&str) -> Result<String, String>,
    pub(super) memory: Memory,
    pub(super) os: Os<'f, 'd>,
    pub(super) disks: Vec<Disk>,
    pub(super) any_disk: bool,
    /// The CD-ROM drive is there.
    pub(super) cdrom: bool,
    /// The number of network devices.
    pub(super) nets: usize,
    /// `<boot order=''/>` of devices, by the order: the option that the device is in, and its word in `--boot`.
    pub(super) boot: BTreeMap<u64, (&'static str, String)>,
    pub(super) ports: Vec<Port>,
    pub(super) consoles: Vec<Part<'f, 'd>>,
    pub(super) sysinfo: Vec<Part<'f, 'd>>,
    /// Devices of which there is one.
    pub(super) single: BTreeSet<&'static str>,
    /// The screen, with what it is from.
    pub(super) screen: Option<(String, String)>,
    /// `<input>`: the keyboard and the tablet.
    pub(super) inputs: Vec<Part<'f, 'd>>,
    /// The screen is for VNC.
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

    /// Returns whether the file's word for an option counts: the user gave no other one, nor one that starts the machine in another way.
    pub(super) fn wants(&self, option: &str) -> bool {
        let given = |option: &str| self.beside.given.contains(option);
        let otherwise = match option {
            _ if FIRMWARE.contains(&option) => given("kernel"),
            _ if KERNEL.contains(&option) => given("firmware") && !given("kernel"),
            _ => false,
        };
        !given(option) && !otherwise
    }

    /// Returns whether there are devices to start from, by the option that makes them.
    pub(super) fn has(&self, option: &str) -> bool {
        let of_file = match option {
            "disk" => self.any_disk,
            "cdrom" => self.cdrom,
            _ => self.nets > 0,
        };
        of_file || self.beside.given.contains(option)
    }

    /// Passes an element over if the user gave the option that it is for.
    pub(super) fn is_replaced(&self, option: &'static str, element: Part<'_, '_>) -> bool {
        let replaced = !self.wants(option);
        if replaced {
            element.skip();
            element.idle(format!("--{option} is given beside it"));
        }
        replaced
    }

    /// Adds a word, unless the user gave the option.
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

    /// Notes that firmware is to start from a device.
    pub(super) fn boots(&mut self, device: Part<'f, 'd>, option: &'static str, word: String) {
        let Some(boot) = device.child("boot") else { return };
        boot.rest(&[&[("@loadparm", Refuse("only s390 guests have it; take it out"))]]);
        let Some(order) = boot.number("order") else { return };
        if self.boot.insert(order, (option, word)).is_some() {
            boot.refuse_attribute("order", "another device has it; give each its own");
        }
    }
}

/// The line and the element.
pub(super) fn origin(element: Part<'_, '_>) -> String {
    format!("line {}, {}", element.line(), element.label())
}

/// A path as an option takes it: a relative one is none of an option's own words.
pub(super) fn path(text: &str) -> String {
    match text {
        _ if text.starts_with('/') => text.to_owned(),
        _ => format!("./{text}"),
    }
}

/// Writes the value of an option of several parts, where a comma is written twice.
pub(super) fn path_part(text: &str) -> String {
    path(text).replace(',', ",,")
}
