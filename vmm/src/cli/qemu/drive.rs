//! `-drive`, `-hda`, `-cdrom`, and the `-device` drivers of disks.

use devices::printable::ToPrintable;

use super::{
    given::Given,
    keys::{Keys, joined},
    medium::{Medium, path},
    translator::{Disk, Flash, Kind, Translator},
};
use crate::config::words;

/// Keys of disk devices that have no effect here.
const IDLE: [(&str, &[&str]); 24] = [
    ("addr", &[]),
    ("bus", &[]),
    ("config-wce", &[]),
    ("disable-legacy", &["auto", "on", "true"]),
    ("disable-modern", &["off", "false"]),
    ("event_idx", &["on"]),
    ("indirect_desc", &["on"]),
    ("ioeventfd", &["on"]),
    ("iothread", &[]),
    ("logical_block_size", &["512"]),
    ("min_io_size", &["0", "512"]),
    ("opt_io_size", &["0"]),
    ("packed", &["off", "false"]),
    ("physical_block_size", &["512"]),
    ("request-merging", &[]),
    ("rerror", &["report", "auto"]),
    ("rotation_rate", &[]),
    ("scsi", &["off"]),
    ("share-rw", &["off"]),
    ("unit", &[]),
    ("vectors", &[]),
    ("werror", &["report", "auto"]),
    ("write-cache", &["on", "auto"]),
    ("failover_pair_id", &[""]),
];

/// `-drive`.
pub(super) fn drive(translator: &mut Translator, given: &Given) -> Result<(), String> {
    let mut keys = given.keys("")?;
    if keys.get("file").is_none() && !given.text().contains('=') {
        return Err("give file=PATH".to_owned());
    }
    match keys.take("if").as_deref() {
        Some("none") => translator.define(Kind::Drive, given, keys),
        None | Some("ide") => plug(translator, given, keys, true),
        Some("virtio") => plug(translator, given, keys, false),
        Some("pflash") => flash(translator, given, keys),
        Some("scsi") => Err("nvmm has no SCSI; say if=virtio, or if=ide for SATA".to_owned()),
        Some("floppy") => Err("nvmm has no floppy drive; say if=virtio".to_owned()),
        Some("sata") => {
            Err("if=sata is no word of QEMU's; say if=ide, which is SATA here as on q35".to_owned())
        }
        Some(other) => Err(format!("if={other}: give virtio, ide, none or pflash")),
    }
}

/// `-hda` to `-hdd`, and an argument that is not an option.
pub(super) fn hard_disk(translator: &mut Translator, given: &Given) -> Result<(), String> {
    let index = given.name.bytes().last().and_then(|letter| letter.checked_sub(b'a')).unwrap_or(0);
    let medium = Medium::of_file(&given.whole())?;
    sata(translator, given, medium, Some(index.into()))
}

/// `-cdrom`.
pub(super) fn cdrom(translator: &mut Translator, given: &Given) -> Result<(), String> {
    let medium = Medium::of_file(&given.whole())?;
    drive_with(translator, given, &medium)
}

/// A drive that needs no separate `-device`.
fn plug(translator: &mut Translator, given: &Given, mut keys: Keys, ide: bool) -> Result<(), String> {
    let medium = Medium::of_drive(&mut keys)?;
    let index = match keys.number("index")? {
        Some(index) => Some(index),
        None => {
            let bus = keys.number("bus")?.unwrap_or(0);
            keys.number("unit")?.map(|unit| bus.saturating_mul(2).saturating_add(unit))
        }
    };
    let is_cdrom = is_cdrom(&mut keys)?;
    let idle = keys.take_idle(&[("bus", &[]), ("addr", &[]), ("group", &[""])]);
    keys.end()?;
    translator.idle_keys(given, &idle);
    match (is_cdrom, ide) {
        (true, _) => drive_with(translator, given, &medium),
        (false, true) => sata(translator, given, medium, index),
        (false, false) => disk(translator, given, medium, None, Vec::new()),
    }
}

/// Takes `media=`.
fn is_cdrom(keys: &mut Keys) -> Result<bool, String> {
    match keys.take("media").as_deref() {
        None | Some("disk") => Ok(false),
        Some("cdrom") => Ok(true),
        Some(other) => Err(format!("media={other}: give disk or cdrom")),
    }
}

/// `-device virtio-blk-pci`.
pub(super) fn virtio_blk(translator: &mut Translator, given: &Given) -> Result<(), String> {
    let mut keys = given.keys("driver")?;
    let transitional = keys
        .take("driver")
        .is_some_and(|driver| driver.ends_with("-transitional") && !driver.contains("non-"));
    let mut more = Vec::new();
    let disabled = keys.get("disable-legacy").is_some_and(|value| ["off", "false"].contains(&value));
    if disabled {
        keys.take("disable-legacy");
    }
    if transitional || disabled {
        more.push("legacy=on".to_owned());
    }
    more.extend(keys.number("num-queues")?.map(|queues| format!("queues={queues}")));
    more.extend(keys.number("queue-size")?.map(|size| format!("queue-size={size}")));
    more.extend(match keys.switch(&["discard"])? {
        Some(false) => Some("discard=off".to_owned()),
        _ => None,
    });
    let (mut medium, is_cdrom) = taken(translator, &mut keys)?;
    if is_cdrom {
        medium.read_only = true;
    }
    common(translator, given, &mut keys, &mut medium, "--disk")?;
    disk(translator, given, medium, None, more)
}

/// `-device ide-hd`.
pub(super) fn ide_hd(translator: &mut Translator, given: &Given) -> Result<(), String> {
    let mut keys = given.keys("driver")?;
    keys.take("driver");
    let (mut medium, is_cdrom) = taken(translator, &mut keys)?;
    common(translator, given, &mut keys, &mut medium, "--disk")?;
    if is_cdrom {
        return Err("its drive has media=cdrom; say -device ide-cd".to_owned());
    }
    sata(translator, given, medium, None)
}

/// `-device ide-cd`.
pub(super) fn ide_cd(translator: &mut Translator, given: &Given) -> Result<(), String> {
    let mut keys = given.keys("driver")?;
    keys.take("driver");
    let mut medium = match keys.get("drive") {
        Some(_) => taken(translator, &mut keys)?.0,
        None => Medium::default(),
    };
    common(translator, given, &mut keys, &mut medium, "--cdrom")?;
    drive_with(translator, given, &medium)
}

/// The image that a device's `drive=` names, and whether it is a CD-ROM.
fn taken(translator: &mut Translator, keys: &mut Keys) -> Result<(Medium, bool), String> {
    let id = keys
        .take("drive")
        .ok_or("it needs drive=ID, and a -drive if=none,id=ID or -blockdev node-name=ID")?;
    if translator.knows(Kind::Blockdev, &id) && !translator.knows(Kind::Drive, &id) {
        return Ok((Medium::of_node(translator, &id)?, false));
    }
    let mut part = translator.refer(Kind::Drive, &id)?;
    let in_drive = |why: String| format!("{}: {why}", part.given);
    let mut medium = Medium::of_drive(&mut part.keys).map_err(in_drive)?;
    let is_cdrom = is_cdrom(&mut part.keys).map_err(in_drive)?;
    medium.idle.extend(part.keys.take_idle(&[("index", &[]), ("bus", &[]), ("unit", &[]), ("addr", &[])]));
    part.keys.end().map_err(in_drive)?;
    medium.id = Some(id);
    Ok((medium, is_cdrom))
}

/// The keys that all disk devices have. `option` is the resulting option of nvmm.
fn common(
    translator: &mut Translator,
    given: &Given,
    keys: &mut Keys,
    medium: &mut Medium,
    option: &'static str,
) -> Result<(), String> {
    if let Some(serial) = keys.take("serial") {
        medium.serial = Some(serial);
    }
    // The drive's name is used, as in QEMU's `info block`.
    let id = keys.take("id");
    medium.id = medium.id.take().or(id);
    if let Some(index) = keys.number("bootindex")?
        && translator.boot_indexes.insert(index, (given.clone(), option)).is_some()
    {
        return Err(format!("another device has bootindex={index}; give each its own"));
    }
    let idle = keys.take_idle(&IDLE);
    translator.idle_keys(given, &idle);
    keys.end()
}

/// A disk on SATA.
fn sata(
    translator: &mut Translator,
    given: &Given,
    medium: Medium,
    index: Option<u64>,
) -> Result<(), String> {
    if medium.read_only {
        return Err("an IDE or SATA disk can't be read-only, in QEMU neither; say if=virtio or snapshot=on"
            .to_owned());
    }
    translator.idle(
        given,
        "the disk is on SATA, as IDE's are on q35; if=virtio is faster where the guest has its driver",
    );
    let (taken, next) = &mut translator.sata;
    let index = index.unwrap_or_else(|| {
        while taken.contains(next) {
            *next += 1;
        }
        *next
    });
    if !taken.insert(index) {
        return Err(format!("another disk has index {index}; give each its own"));
    }
    disk(translator, given, medium, Some(index), vec!["bus=sata".to_owned()])
}

/// A disk; on SATA, if it has an index there.
fn disk(
    translator: &mut Translator,
    given: &Given,
    medium: Medium,
    sata: Option<u64>,
    more: Vec<String>,
) -> Result<(), String> {
    translator.idle_keys(given, &medium.idle);
    let Some(path) = medium.path.clone() else {
        return Err("a disk needs an image; give file=PATH".to_owned());
    };
    let mut words = medium.into_words(&path, translator.has("snapshot"));
    words.extend(more);
    translator.disks.push(Disk { at: given.at, from: given.to_string(), sata, words });
    Ok(())
}

/// A CD-ROM drive with this medium.
fn drive_with(translator: &mut Translator, given: &Given, medium: &Medium) -> Result<(), String> {
    translator.idle_keys(given, &medium.said());
    if let Some(other) = &translator.cdrom {
        return Err(format!(
            "nvmm has one CD-ROM drive, which {other} is; give this image to a disk: --disk path=PATH,readonly=on"
        ));
    }
    if let Some(format) = medium.format.as_deref().filter(|format| *format != "raw") {
        return Err(format!("format={format}: a CD-ROM's image is raw"));
    }
    translator.cdrom = Some(given.to_string());
    let name = match medium.path.as_deref() {
        None => "none".into(),
        Some("none") => "./none".into(),
        Some(path) => words::decode(path),
    };
    translator.emit(given, "--cdrom", Some(name));
    Ok(())
}

/// `-drive if=pflash`.
fn flash(translator: &mut Translator, given: &Given, mut keys: Keys) -> Result<(), String> {
    let medium = Medium::of_drive(&mut keys)?;
    let unit = match keys.number("unit")? {
        Some(unit) => Some(unit),
        None => keys.number("index")?,
    };
    keys.end()?;
    if let Some(format) = medium.format.as_deref().filter(|format| *format != "raw") {
        return Err(format!(
            "format={format}: nvmm's firmware and its variables are raw; convert it with nvmm disk convert -O raw"
        ));
    }
    let path = medium.path.ok_or("give file=PATH")?;
    translator.flashes.push(Flash { given: given.clone(), unit, path, read_only: medium.read_only });
    Ok(())
}

/// `-pflash`.
pub(super) fn pflash(translator: &mut Translator, given: &Given) -> Result<(), String> {
    let path = path(&given.whole())?;
    translator.flashes.push(Flash { given: given.clone(), unit: None, path, read_only: false });
    Ok(())
}

/// `pflash0=` and `pflash1=` of `-machine`, which name nodes of `-blockdev`.
pub(super) fn flash_node(
    translator: &mut Translator,
    given: &Given,
    unit: u64,
    node: &str,
) -> Result<(), String> {
    let medium = Medium::of_node(translator, node)?;
    let path = medium.path.ok_or_else(|| format!("-blockdev {} has no file", node.printable()))?;
    translator.flashes.push(Flash {
        given: given.clone(),
        unit: Some(unit),
        path,
        read_only: medium.read_only,
    });
    Ok(())
}

/// Adds the disks in the order of the command line; those on SATA are ordered by index among themselves.
pub(super) fn finish(translator: &mut Translator) {
    let mut disks = std::mem::take(&mut translator.disks);
    let mut places: Vec<_> = disks.iter().filter(|disk| disk.sata.is_some()).map(|disk| disk.at).collect();
    places.sort_unstable();
    disks.sort_by_key(|disk| (disk.sata, disk.at));
    let mut places = places.into_iter();
    for disk in disks {
        let place = disk.sata.and_then(|_| places.next()).unwrap_or(disk.at);
        let value = joined(disk.words.iter().map(String::as_str));
        translator.emit_at(place, &disk.from, "--disk", Some(value));
    }
}
