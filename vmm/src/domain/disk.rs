//! `<disk>`.

use super::{
    part::{
        COMMON, Part,
        Rule::{Idle, Missing, Refuse},
        Rules,
    },
    reader::{Disk, Reader, origin, path, path_part},
};

const RULES: &Rules = &[
    ("backingStore", Idle("an image names its base itself")),
    ("mirror", Idle("no job of libvirt's goes on here")),
    ("auth", Idle("it is for a disk on a network")),
    ("geometry", Missing("nvmm's disks have no geometry; firmware makes one up")),
    ("blockio", Refuse("nvmm's disks have sectors of 512 bytes; take it out if the image does, too")),
    ("encryption", Refuse("nvmm opens no encrypted images; have the guest do that")),
    ("wwn", Missing("nvmm's disks have no WWN; <serial> tells them apart")),
    ("vendor", Missing("nvmm's disks tell of no vendor")),
    ("product", Missing("nvmm's disks tell of no product")),
    ("throttlefilters", Missing("disks have limits of their own alone: --disk iops= and bw=")),
    ("@snapshot", Idle("it is about libvirt's snapshots")),
    ("@rawio", Idle("nvmm needs no right for it")),
    ("@sgio", Idle("nvmm passes no SCSI commands")),
    ("@model", Idle("nvmm's disks are virtio's or SATA's")),
];

const SOURCE: &Rules = &[
    ("seclabel", Idle("nvmm labels nothing")),
    ("slices", Refuse("nvmm takes whole images; copy the part out")),
    ("encryption", Refuse("nvmm opens no encrypted images; have the guest do that")),
    ("reservations", Missing("nvmm has no persistent reservations")),
    ("dataStore", Refuse("nvmm opens no images whose data is in another file; convert it")),
    ("@startupPolicy", Idle("a file that is not there is an error")),
    ("@index", Idle("it is libvirt's alone")),
    ("@fdgroup", Refuse("nvmm opens images by their paths; take it out")),
];

const DRIVER: &Rules = &[
    ("metadata_cache", Idle("nvmm sizes it by the image")),
    ("statistics", Idle("query-blockstats counts")),
    ("iothreads", Idle("each disk has threads of its own")),
    ("@name", Idle("nvmm is its own driver")),
    ("@iothread", Idle("each disk has threads of its own")),
    ("@ioeventfd", Idle("nvmm always has one")),
    ("@event_idx", Idle("nvmm's disks have it")),
    ("@detect_zeroes", Idle("zeroes are written as they are")),
    ("@discard_no_unref", Idle("nvmm decides for itself")),
    ("@copy_on_read", Missing("nvmm copies nothing as it reads; nvmm disk convert makes a whole image")),
    ("@error_policy", Missing("nvmm tells the guest of errors, and lets it go on")),
    ("@rerror_policy", Missing("nvmm tells the guest of errors, and lets it go on")),
    ("@iommu", Missing("nvmm has no IOMMU")),
    ("@ats", Missing("nvmm has no IOMMU")),
    ("@packed", Idle("nvmm's rings are split ones")),
    ("@page_per_vq", Idle("nvmm's disks have one for each queue")),
];

/// The most disks to read: more than a machine has room for.
const MOST: usize = 1000;

/// Kinds of sources that nvmm can't open.
const SOURCES: [(&str, &str); 6] = [
    (
        "network",
        "nvmm opens files and block devices of the host alone; attach it on the host (nbd-client, rbd map, iscsiadm), and say type='block'",
    ),
    ("nvme", "nvmm does not drive the host's NVMe; say type='block' and <source dev='/dev/nvme0n1'/>"),
    ("volume", "nvmm knows no storage pools; say type='file', with the path that virsh vol-path prints"),
    ("dir", "nvmm makes no disk of a folder; make an image of it"),
    ("vhostuser", "nvmm has no vhost-user; attach it on the host, and say type='block'"),
    ("vhostvdpa", "nvmm has no vDPA; attach it on the host, and say type='block'"),
];

/// `<disk>`.
pub(super) fn read<'f, 'd>(reader: &mut Reader<'f, 'd>, element: Part<'f, 'd>) {
    let device = element.attribute("device").unwrap_or("disk");
    let option = if device == "cdrom" { "cdrom" } else { "disk" };
    if reader.is_replaced(option, element) {
        return;
    }
    match device {
        "disk" | "cdrom" => {}
        "floppy" => {
            return element.refuse("nvmm has no floppy drive; take it out, or put its files on a CD-ROM");
        }
        "lun" => return element.refuse("nvmm passes no SCSI commands to the host's disk; say device='disk'"),
        _ => return element.refuse_attribute("device", "give disk or cdrom"),
    }
    let kind = element.attribute("type").unwrap_or("file");
    if let Some((_, why)) = SOURCES.iter().find(|(name, _)| *name == kind) {
        return element.refuse(*why);
    }
    if !["file", "block"].contains(&kind) {
        return element.refuse_attribute("type", "give file or block");
    }
    element.rest(&[COMMON, RULES]);
    let source = element.child("source");
    let file = source.and_then(|source| source.attribute("file").or_else(|| source.attribute("dev")));
    let file = file.filter(|file| !file.is_empty());
    if let Some(source) = source {
        source.rest(&[SOURCE]);
    }
    match device {
        "cdrom" => cdrom(reader, element, file),
        _ => disk(reader, element, file),
    }
}

fn cdrom<'f, 'd>(reader: &mut Reader<'f, 'd>, element: Part<'f, 'd>, file: Option<&str>) {
    if std::mem::replace(&mut reader.cdrom, true) {
        return element
            .refuse("nvmm has one CD-ROM drive; take this one out, or make it a disk with <readonly/>");
    }
    let target = element.child("target");
    if let Some(bus) = target.and_then(|target| target.attribute("bus"))
        && !["ide", "sata"].contains(&bus)
    {
        element.missing("nvmm's CD-ROM drive is on SATA; the guest needs a driver for that");
    }
    if let Some(target) = target {
        target.attribute("dev");
        target.rest(&[TARGET]);
    }
    if let Some(driver) = element.child("driver") {
        if driver.attribute("type").is_some_and(|format| format != "raw") {
            driver.refuse_attribute("type", "the image in a CD-ROM drive is a raw one; convert it");
        }
        driver.rest(&[
            DRIVER,
            &[
                ("@cache", Idle("nothing is written to a CD-ROM")),
                ("@io", Idle("nvmm decides for itself")),
                ("@discard", Idle("nothing is written to a CD-ROM")),
            ],
        ]);
    }
    let rules = [
        ("readonly", Idle("a CD-ROM is")),
        ("shareable", Idle("nothing is written to a CD-ROM")),
        ("transient", Idle("nothing is written to a CD-ROM")),
        ("serial", Missing("nvmm's CD-ROM drive has no serial number")),
        ("iotune", Missing("nvmm's CD-ROM drive has no limits")),
    ];
    element.rest(&[&rules]);
    reader.boots(element, "cdrom", "cdrom".to_owned());
    reader.emit(element, "cdrom", file.map_or_else(|| "none".to_owned(), path));
}

const TARGET: &Rules = &[
    ("@tray", Idle("the drive is closed")),
    ("@removable", Idle("the guest's disks stay")),
    ("@rotation_rate", Idle("the guest's disks tell of none")),
];

fn disk<'f, 'd>(reader: &mut Reader<'f, 'd>, element: Part<'f, 'd>, file: Option<&str>) {
    if reader.disks.len() == MOST {
        return element
            .refuse(format!("{MOST} disks are before it, and no machine has room for as many; take it out"));
    }
    let Some(file) = file else {
        return element.refuse("it has no <source> with a file or a dev; add one");
    };
    let Some(target) = element.child("target") else {
        return element.refuse("it has no <target>; add <target dev='vda' bus='virtio'/>");
    };
    let Some(name) = target.needs("dev") else { return };
    target.rest(&[TARGET]);
    let Some(bus) = bus(target, name) else { return };
    let mut words = vec![format!("path={}", path_part(file))];
    let driver = element.child("driver");
    let format = driver.and_then(|driver| driver.attribute("type")).unwrap_or("raw");
    words.push(format!("format={}", format.replace(',', ",,")));
    if let Some(driver) = driver {
        read_driver(driver, &mut words);
    }
    let read_only = element.child("readonly").is_some();
    words.extend(read_only.then(|| "readonly=on".to_owned()));
    if let Some(transient) = element.child("transient") {
        transient.rest(&[&[("@shareBacking", Idle("each machine has an overlay of its own"))]]);
        words.extend((!read_only).then(|| "overlay=temp".to_owned()));
    }
    if let Some(shareable) = element.child("shareable")
        && !read_only
    {
        shareable
            .missing("nvmm locks an image that it writes to; no other machine can have it open meanwhile");
    }
    if let Some(serial) = element.child("serial") {
        words.push(format!("serial={}", serial.text().replace(',', ",,")));
    }
    if let Some(limits) = element.child("iotune") {
        iotune(limits, &mut words);
    }
    let legacy = element.attribute("model") == Some("virtio-transitional") && bus == "virtio";
    words.extend(legacy.then(|| "legacy=on".to_owned()));
    words.extend((bus != "virtio").then(|| "bus=sata".to_owned()));
    words.push(format!("id={}", name.replace(',', ",,")));
    reader.boots(element, "disk", name.to_owned());
    reader.any_disk = true;
    reader.disks.push(Disk { from: origin(element), words, bus: bus.to_owned(), target: name.to_owned() });
}

/// The bus of a disk; without one, it follows from the disk's name.
fn bus<'d>(target: Part<'_, 'd>, name: &str) -> Option<&'d str> {
    let by_name = [("hd", "ide"), ("sd", "scsi"), ("vd", "virtio"), ("xvd", "xen"), ("fd", "fdc")];
    let bus = target.attribute("bus").or_else(|| {
        let found = by_name.into_iter().find(|(start, _)| name.starts_with(start));
        found.map(|(_, bus)| bus)
    });
    match bus {
        Some("virtio" | "sata") => bus,
        Some("ide") => {
            target.idle("nvmm has SATA for IDE, as QEMU's q35 has");
            bus
        }
        Some("scsi" | "usb" | "sd" | "xen" | "fdc" | "uml") => {
            target.refuse_attribute(
                "bus",
                "nvmm has no such bus; say bus='virtio', or bus='sata' if the guest has no driver for that",
            );
            None
        }
        _ => {
            target.refuse_attribute("bus", "give virtio or sata");
            None
        }
    }
}

fn read_driver(driver: Part<'_, '_>, words: &mut Vec<String>) {
    let caches: [(&str, &[&str]); 6] = [
        ("default", &[]),
        ("none", &["direct=on"]),
        ("writethrough", &["cache=writethrough"]),
        ("writeback", &[]),
        ("directsync", &["direct=on", "cache=writethrough"]),
        ("unsafe", &["cache=unsafe"]),
    ];
    words.extend(driver.choice("cache", &caches).unwrap_or_default().iter().map(|&word| word.to_owned()));
    let engines = [("threads", "threads"), ("io_uring", "io_uring"), ("native", "io_uring")];
    if driver.attribute("io") == Some("native") {
        driver.idle("nvmm has io_uring for the native way");
    }
    words.extend(driver.choice("io", &engines).map(|engine| format!("aio={engine}")));
    let discards = [("unmap", "on"), ("ignore", "off")];
    words.extend(driver.choice("discard", &discards).map(|discard| format!("discard={discard}")));
    for (attribute, word) in [("queues", "queues"), ("queue_size", "queue-size")] {
        words.extend(driver.number(attribute).map(|number| format!("{word}={number}")));
    }
    driver.rest(&[DRIVER]);
}

/// `<iotune>`. A value of 0 means no limit.
fn iotune(limits: Part<'_, '_>, words: &mut Vec<String>) {
    for (name, word, unit) in [("total_iops_sec", "iops", ""), ("total_bytes_sec", "bw", "B")] {
        let Some(limit) = limits.child(name) else { continue };
        match limit.text().parse::<u64>() {
            Ok(0) => {}
            Ok(number) => words.push(format!("{word}={number}{unit}")),
            Err(_) => limit.refuse("give a whole number"),
        }
    }
    for other in
        limits.children().filter(|other| !["total_iops_sec", "total_bytes_sec"].contains(&other.name()))
    {
        other.leave(Missing("nvmm limits reading and writing together, without bursts"));
    }
}

/// Adds the options for all disks.
pub(super) fn finish(reader: &mut Reader<'_, '_>) {
    for disk in in_order(std::mem::take(&mut reader.disks)) {
        reader.emit_from(disk.from, "disk", disk.words.join(","));
    }
}

/// Sorts disks as libvirt does: the disks of a bus by name, in the places where disks of that bus stand.
fn in_order(disks: Vec<Disk>) -> Vec<Disk> {
    let buses: Vec<_> = disks.iter().map(|disk| disk.bus.clone()).collect();
    let mut sorted = disks;
    // vdaa comes after vdz.
    sorted.sort_by(|a, b| {
        (&a.bus, a.target.len(), &a.target).cmp(&(&b.bus, b.target.len(), &b.target)).reverse()
    });
    let mut by_bus = std::collections::BTreeMap::<String, Vec<Disk>>::new();
    for disk in sorted {
        by_bus.entry(disk.bus.clone()).or_default().push(disk);
    }
    buses.iter().filter_map(|bus| by_bus.get_mut(bus)?.pop()).collect()
}
