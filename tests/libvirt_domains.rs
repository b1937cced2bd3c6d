//! libvirt's own test files, as Debian's source package has them: each domain of an x86 machine on QEMU or KVM is started as far as
//! its configuration is whole and right, or refused for reasons that are counted here.
//!
//! Nothing of the host counts: a configuration is made before the files that it names are opened. Of libvirt's networks a test's host
//! has `default` at most, and a domain with another one is refused. `cargo lab test` downloads the package; by hand, `NVMM_LIBVIRT` is
//! the folder of an unpacked one.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use vmm::{
    cli::{Cli, Note},
    config::VmConfig,
};

/// The version that [`REASONS`] counts.
const VERSION: &str = "version: '9.0.0'";

/// Parts of reasons, with the number of files that are refused for each, perhaps for others, too.
const REASONS: &[(&str, usize)] = &[
    // Machines.
    ("nvmm's guests have one NUMA node", 37),
    ("nvmm adds no memory modules", 18),
    ("it has no <memory>", 2),
    ("is no amount of memory", 1),
    ("nvmm doesn't encrypt a guest's memory", 3),
    ("nvmm is no QEMU", 9),
    ("nvmm has no SMM", 6),
    ("nvmm has no Secure Boot", 3),
    ("a BIOS has no variables", 1),
    ("nvmm keeps UEFI's variables in a file", 2),
    ("nvmm adds no ACPI tables of others", 1),
    ("nvmm gives firmware no files of others", 1),
    ("--smbios gives another", 1),
    // CPUs.
    ("unknown CPU feature", 1),
    ("of <cache>", 2),
    ("of <maxphysaddr>", 1),
    // Disks.
    ("nvmm opens files and block devices of the host alone", 25),
    ("nvmm does not drive the host's NVMe", 2),
    ("nvmm knows no storage pools", 4),
    ("nvmm has no vhost-user; attach", 2),
    ("nvmm has no such bus", 19),
    ("nvmm has no floppy drive", 13),
    ("nvmm passes no SCSI commands", 5),
    ("nvmm has one CD-ROM drive", 4),
    ("nvmm opens no encrypted images", 10),
    ("nvmm's disks have sectors of 512 bytes", 1),
    ("nvmm takes whole images", 1),
    ("nvmm opens images by their paths", 1),
    ("it has no <target>", 1),
    ("give raw, qcow2 or vmdk", 3),
    // Networks.
    ("nvmm passes no devices of the host to a guest; say type='bridge'", 9),
    ("nvmm passes no devices of the host to a guest, beside which", 2),
    ("nvmm has no vhost-user; say", 3),
    ("nvmm connects machines by a bridge", 7),
    ("nvmm runs no script", 6),
    ("nvmm adds a tap to a bridge of Linux alone", 1),
    ("its bridge is in", 3),
    ("another network device has the address", 1),
    ("say <model type='virtio'/>", 1),
    // Serial ports.
    ("nvmm has no virtio console", 4),
    ("nvmm connects no port to a device of the host", 4),
    ("nvmm sends no console by UDP", 5),
    ("nvmm's ports are COM1 to COM4", 4),
    ("nvmm's screen shows no port", 1),
    ("nvmm has no SPICE; give", 1),
    ("nvmm has no D-Bus", 1),
    // Other devices.
    ("nvmm passes no devices of the host to a guest; take", 43),
    ("nvmm shares no folders", 16),
    ("nvmm has no TPM", 8),
    ("nvmm has no IOMMU; take", 11),
    ("nvmm has no smartcard reader", 11),
    ("nvmm shares no memory between guests", 6),
    ("nvmm has no parallel port", 3),
    ("nvmm has no lock manager", 1),
    ("nvmm reads random bytes from a file or a device", 5),
    ("nvmm chooses no address", 1),
    ("nvmm has no address of the host's", 3),
    // Words that libvirt itself refuses.
    ("nvmm knows no such", 0),
    ("give a whole number", 1),
];

/// A file's machine, with what it runs without, or all reasons against it.
fn start(file: &Path) -> Result<Vec<String>, Vec<String>> {
    let words: [OsString; 4] = ["nvmm".into(), "--dry-run".into(), "--domain".into(), file.into()];
    let cli =
        Cli::of(&words).map_err(|error| error.to_string().lines().map(str::to_owned).collect::<Vec<_>>())?;
    VmConfig::new(&cli.machine).map_err(|error| vec![format!("{:#}", cli.told.explain(error))])?;
    let missing = cli.told.notes.into_iter().filter_map(|note| match note {
        Note::Missing(line) => Some(line),
        Note::Idle(_) => None,
    });
    Ok(missing.collect())
}

/// The x86 domains of QEMU and KVM in a folder.
fn domains(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "xml") && is_ours(path));
    files.sort();
    files
}

fn is_ours(file: &Path) -> bool {
    let Ok(text) = fs::read_to_string(file) else { return false };
    let Ok(document) = roxmltree::Document::parse(&text) else { return false };
    let root = document.root_element();
    let child = |node: roxmltree::Node<'_, '_>, name| {
        node.children().find(|child| child.has_tag_name(name)).map(|child| child.id())
    };
    let kind = child(root, "os").and_then(|os| child(document.get_node(os)?, "type"));
    let arch = kind.and_then(|kind| document.get_node(kind)?.attribute("arch").map(str::to_owned));
    root.has_tag_name("domain")
        && matches!(root.attribute("type"), Some("kvm" | "qemu"))
        && matches!(arch.as_deref(), None | Some("x86_64" | "i686"))
}

#[test]
fn libvirts_own_domains_start_or_are_refused_by_name() {
    let Some(source) = std::env::var_os("NVMM_LIBVIRT").map(PathBuf::from) else {
        println!("skipped: libvirt's source is not here; `cargo lab test` downloads it");
        return;
    };
    // Its name since 10.0.
    let folders = ["tests/qemuxml2argvdata", "tests/qemuxmlconfdata"].map(|folder| source.join(folder));
    let files = domains(folders.iter().find(|folder| folder.is_dir()).unwrap());
    let mut refused: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let (mut started, mut warned, mut unknown) = (0, 0, Vec::new());
    for file in &files {
        let name = file.file_stem().unwrap().to_str().unwrap();
        match start(file) {
            Ok(missing) => {
                started += 1;
                warned += usize::from(!missing.is_empty());
            }
            Err(lines) => {
                assert!(!lines.is_empty(), "{name} is refused without a reason");
                for line in lines {
                    match REASONS.iter().find(|(reason, _)| line.contains(reason)) {
                        Some((reason, _)) => refused.entry(reason).or_default().push(name.to_owned()),
                        None => unknown.push(format!("{name}: {line}")),
                    }
                }
            }
        }
    }
    let mut wrong = Vec::new();
    let counts = fs::read_to_string(source.join("meson.build")).is_ok_and(|text| text.contains(VERSION));
    for (reason, count) in REASONS {
        let mut names = refused.remove(reason).unwrap_or_default();
        names.dedup();
        println!("{:4} {reason}: {}", names.len(), names.join(" "));
        if counts && names.len() != *count {
            wrong.push(format!("{reason}: {} files, not {count}", names.len()));
        }
    }
    println!("{started} of {} start, {warned} of them with warnings", files.len());
    if counts {
        assert!(unknown.is_empty(), "reasons that the table has not: {unknown:#?}");
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
    assert!(started * 10 >= files.len() * 6, "{started} of {} start", files.len());
}
