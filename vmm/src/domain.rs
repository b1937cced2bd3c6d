//! `--domain`: translates libvirt's domain XML into nvmm's options.
//!
//! libvirt, "Domain XML format". A file becomes the options that a user would have written, and these are parsed like any others. An option
//! that is given beside `--domain` replaces those with its name. The CPU becomes `--cpu file:`, which reads the same file
//! ([`crate::libvirt`]).
//!
//! Each element is in a table: `ELEMENTS` here, `device::DEVICES` for those in `<devices>`, and a few rules next to the functions that
//! read elements. nvmm does what an element says, or reports with its line why not: as an error if the guest would miss it, as a warning if
//! not, and as information (`-v`) if it changes nothing. An element in no table is an error.

mod device;
mod disk;
mod features;
mod findings;
mod interface;
mod memory;
mod network;
mod os;
mod part;
mod reader;
mod screen;
mod serial;
mod smbios;
mod table;

use std::{collections::BTreeSet, path::Path};

use roxmltree::{Document, ParsingOptions};

use self::{
    findings::Severity,
    part::{
        File, Part,
        Rule::{self, Idle, Missing, Refuse},
    },
    reader::Reader,
    table::{
        Way::{self, Is, Reads},
        follow,
    },
};
pub use self::{
    network::bridge_of,
    reader::{Beside, Word},
};

/// The most elements and texts of a file. libvirt's own files have some hundreds.
const MOST_NODES: u32 = 1 << 20;

/// A machine as nvmm's options.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Domain {
    /// The options.
    pub words: Vec<Word>,
    /// Messages about elements that change nothing.
    pub idle: Vec<String>,
    /// Warnings about parts that the guest runs without.
    pub missing: Vec<String>,
}

const BY_CGROUP: &str =
    "nvmm sets no limits of the host's; start it in a cgroup that has them, such as by systemd-run";
const HOSTS: &str = "it is libvirt's alone";

/// The elements in `<domain>`.
const ELEMENTS: &[(&str, Way)] = &[
    ("name", Reads(memory::name)),
    ("uuid", Reads(memory::uuid)),
    ("title", Is(Idle(HOSTS))),
    ("description", Is(Idle(HOSTS))),
    ("metadata", Is(Idle(HOSTS))),
    ("genid", Is(Idle("each machine has a VM generation ID, and a new one when it is restored"))),
    ("memory", Reads(memory::memory)),
    ("currentMemory", Reads(memory::current)),
    ("maxMemory", Is(Missing("nvmm adds no memory later; the guest has that of <memory>"))),
    ("memoryBacking", Reads(memory::backing)),
    ("vcpu", Reads(memory::vcpu)),
    ("vcpus", Is(Missing("nvmm adds and takes away no vCPUs later; <vcpu> tells how many there are"))),
    ("cpu", Reads(features::cpu)),
    ("os", Reads(os::read)),
    ("bootloader", Is(Refuse("only Xen's guests have one; take it out"))),
    ("bootloader_args", Is(Refuse("only Xen's guests have one; take it out"))),
    ("sysinfo", Reads(smbios::keep)),
    ("features", Reads(features::read)),
    ("clock", Reads(features::clock)),
    ("on_poweroff", Reads(os::on_poweroff)),
    ("on_reboot", Reads(os::on_reboot)),
    ("on_crash", Reads(os::on_crash)),
    ("on_lockfailure", Is(Idle("nvmm has no lock manager; it locks image files itself"))),
    ("pm", Is(Missing("the guest's firmware has no sleep states besides power off"))),
    ("devices", Reads(device::devices)),
    ("cputune", Is(Missing(BY_CGROUP))),
    ("memtune", Is(Missing(BY_CGROUP))),
    ("blkiotune", Is(Missing(BY_CGROUP))),
    ("resource", Is(Missing(BY_CGROUP))),
    ("numatune", Is(Missing("nvmm binds no memory; start it with numactl"))),
    ("iothreads", Is(Idle("each disk has threads of its own"))),
    ("iothreadids", Is(Idle("each disk has threads of its own"))),
    ("defaultiothread", Is(Idle("each disk has threads of its own"))),
    ("throttlegroups", Is(Missing("disks have limits of their own alone: --disk iops= and bw="))),
    ("perf", Is(Idle(HOSTS))),
    ("seclabel", Is(Missing("nvmm labels nothing; it has the rights of whoever starts it"))),
    ("idmap", Is(Idle("only containers have it"))),
    ("keywrap", Is(Refuse("only s390 guests have it; take it out"))),
    ("launchSecurity", Is(Refuse("nvmm doesn't encrypt a guest's memory; take it out"))),
];

/// The elements that may occur several times.
const SEVERAL: [&str; 2] = ["sysinfo", "seclabel"];

/// The elements of QEMU's namespace.
const QEMUS: &[(&str, Rule)] = &[
    ("commandline", Refuse("nvmm is no QEMU; take the element out, and give nvmm's options beside --domain")),
    ("override", Refuse("nvmm is no QEMU; take the element out")),
    ("capabilities", Missing("nvmm is no QEMU; it changes nothing")),
    ("deprecation", Idle("nvmm is no QEMU; it changes nothing")),
];
const QEMUS_NAMESPACE: &str = "http://libvirt.org/schemas/domain/qemu/1.0";

/// Reads the domain in the file at `path`. `bridge_of` finds the bridge of one of libvirt's networks.
///
/// # Errors
///
/// The faults of the file, one on each line.
pub fn read(
    text: &str,
    path: &Path,
    beside: &Beside,
    bridge_of: &dyn Fn(&str) -> Result<String, String>,
) -> Result<Domain, Vec<String>> {
    let options = ParsingOptions { allow_dtd: false, nodes_limit: MOST_NODES, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options).map_err(|error| vec![malformed(&error)])?;
    let file = File::new(&document);
    let root = file.root();
    if root.name() != "domain" || root.is_foreign() {
        return Err(vec![format!(
            "line {}: {}: give libvirt's <domain>, as virsh dumpxml prints it",
            root.line(),
            root.label()
        )]);
    }
    let mut reader = Reader::new(path, beside, bridge_of);
    domain(&mut reader, root);
    let words = finish(reader, root);
    let findings = file.into_findings();
    let refused = findings.messages(Severity::Refused);
    if !refused.is_empty() {
        return Err(refused);
    }
    Ok(Domain {
        words,
        idle: findings.messages(Severity::Idle),
        missing: findings.messages(Severity::Missing),
    })
}

fn malformed(error: &roxmltree::Error) -> String {
    let line = error.pos().row;
    match error {
        roxmltree::Error::DtdDetected => {
            format!("line {line}: a DOCTYPE, which no domain has; take it out, with its entities")
        }
        roxmltree::Error::NodesLimitReached => {
            format!("it has more than {MOST_NODES} elements; no domain is as large")
        }
        _ => format!("line {line}: no XML: {}", part::shown(&error.to_string())),
    }
}

fn domain<'f, 'd>(reader: &mut Reader<'f, 'd>, root: Part<'f, 'd>) {
    match root.attribute("type") {
        Some("kvm") => {}
        Some("qemu") => root.missing("nvmm always runs guests on KVM"),
        _ => root.refuse_attribute("type", "nvmm runs guests on KVM alone; say type='kvm'"),
    }
    root.rest(&[&[("@id", Idle(HOSTS))]]);
    let mut seen = BTreeSet::new();
    for element in root.children() {
        if element.namespace() == Some(QEMUS_NAMESPACE) {
            let rule = QEMUS.iter().find(|(name, _)| *name == element.name());
            rule.into_iter().for_each(|(_, rule)| element.leave(*rule));
        } else if seen.insert(element.name()) || SEVERAL.contains(&element.name()) {
            follow(ELEMENTS, reader, element);
        } else {
            element.leave(Refuse("there can be only one; take the others out"));
        }
    }
}

/// Makes the options for the whole file, including those that depend on several elements.
fn finish<'f, 'd>(mut reader: Reader<'f, 'd>, root: Part<'f, 'd>) -> Vec<Word> {
    memory::finish(&mut reader, root);
    features::finish(&mut reader, root);
    disk::finish(&mut reader);
    serial::finish(&mut reader);
    screen::finish(&mut reader);
    smbios::finish(&mut reader);
    os::finish(&mut reader, root);
    // A machine of nvmm's has one by default; one of libvirt's has none.
    if !reader.single.contains("rng") {
        reader.emit(root, "rng", "off".to_owned());
    }
    reader.words
}

#[cfg(test)]
#[path = "domain_test.rs"]
mod tests;
