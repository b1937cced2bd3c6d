//! Firmware and the order in which it starts devices: `-bios`, `-pflash` and `-boot`.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
};

use super::{
    given::Given,
    keys::joined,
    translator::{Piece, Translator},
};
use crate::config::words;

/// `-bios`.
pub(super) fn bios(translator: &mut Translator, given: &Given) -> Result<(), String> {
    let path = file(&given.whole());
    if path.is_empty() {
        return Err("give the path of an image".to_owned());
    }
    translator.emit(given, "--firmware", Some(joined([path.as_str()])));
    Ok(())
}

/// Puts a directory in front of a file whose name is one of nvmm's keywords.
fn file(path: &str) -> String {
    if ["bios", "uefi"].contains(&path) { format!("./{path}") } else { path.to_owned() }
}

/// Adds `--firmware` for the flash chips: the first contains the code, the second the variables.
pub(super) fn finish_flash(translator: &mut Translator) {
    let flashes = std::mem::take(&mut translator.flashes);
    let mut units = [None, None];
    for flash in flashes {
        let unit = flash.unit.or_else(|| units.iter().position(Option::is_none).map(|unit| unit as u64));
        let place = unit.and_then(|unit| units.get_mut(usize::try_from(unit).ok()?));
        match place {
            Some(place) if place.is_none() => *place = Some(flash),
            _ => {
                let line = format!(
                    "{}: nvmm has two flash chips, unit 0 for firmware and unit 1 for its variables; leave this one out",
                    flash.given
                );
                translator.fault(flash.given.at, &line);
            }
        }
    }
    match units {
        [None, None] => {}
        [None, Some(vars)] => {
            let line = format!("{}: these are the variables alone; add unit 0, the firmware", vars.given);
            translator.fault(vars.given.at, &line);
        }
        [Some(code), vars] => {
            let mut words = vec![file(&code.path)];
            match vars {
                None if !code.read_only => {
                    translator.missing(&code.given, "nvmm does not write to it: what UEFI keeps is lost at the end; a file of variables is --firmware uefi,vars=PATH");
                }
                None => {}
                Some(vars) if vars.read_only || translator.has("snapshot") => {
                    let why = "nvmm writes the variables into their file; give a copy without readonly=on and -snapshot, or leave it out";
                    translator.fault(vars.given.at, &format!("{}: {why}", vars.given));
                }
                Some(vars) => words.push(format!("vars={}", vars.path)),
            }
            translator.emit(&code.given, "--firmware", Some(joined(words.iter().map(String::as_str))));
        }
    }
}

/// `-boot`, which is also an option of nvmm.
pub(super) fn boot(translator: &mut Translator, given: &Given) -> Result<(), String> {
    let mut kept = Vec::new();
    let text = given.text();
    for part in text.split(',') {
        match part.split_once('=') {
            Some(("once", order)) if translator.has("no-reboot") => kept.push(format!("order={order}")),
            Some(("once", order)) => {
                return Err(format!(
                    "once={order}: nvmm has one order for all starts; say order={order}, or -no-reboot with it, and leave it out once the guest is installed"
                ));
            }
            Some(("strict", "on")) => {
                translator.missing(given, "strict=on: if nothing of the order starts, firmware goes on with the other devices all the same");
            }
            Some(("strict" | "splash-time" | "reboot-timeout", _)) => {
                translator.idle_keys(given, &[part.to_owned()]);
            }
            _ => kept.push(part.to_owned()),
        }
    }
    match translator.boot {
        None => translator.boot = Some((given.clone(), kept)),
        Some((_, ref mut words)) => words.extend(kept),
    }
    Ok(())
}

/// Adds `--boot`. The order from `bootindex=` comes before that of `-boot`.
pub(super) fn finish_boot(translator: &mut Translator) {
    let indexes = std::mem::take(&mut translator.boot_indexes);
    let boot = translator.boot.take();
    let is_firmware = |piece: &Piece| piece.words.first().is_some_and(|word| word == "--firmware");
    if translator.has("kernel") && !translator.pieces.iter().any(is_firmware) {
        let given =
            boot.map(|(given, _)| given).into_iter().chain(indexes.into_values().map(|(given, _)| given));
        for given in given {
            translator.idle(&given, "-kernel starts at once, whatever the order of devices");
        }
        return;
    }
    translator.pieces.sort_by_key(|piece| piece.at);
    let names = if indexes.is_empty() { BTreeMap::new() } else { boot_names(&translator.pieces) };
    let mut order = Vec::new();
    let mut first = None;
    for (given, option) in indexes.into_values() {
        // A device that was refused has no arguments.
        let Some(name) = names.get(&(option, given.to_string())) else { continue };
        order.push(name.clone());
        first.get_or_insert(given);
    }
    let (given, words) = match (boot, first) {
        (Some((given, words)), _) => (given, words),
        (None, Some(first)) => (first, Vec::new()),
        (None, None) => return,
    };
    let (keys, theirs): (Vec<_>, Vec<_>) =
        words.into_iter().partition(|word| word.contains('=') && !word.starts_with("order="));
    order.extend(theirs.into_iter().map(|word| word.strip_prefix("order=").unwrap_or(&word).to_owned()));
    let order = order
        .iter()
        .enumerate()
        .map(|(at, name)| if at == 0 { format!("order={name}") } else { name.clone() });
    let value: Vec<_> = order.chain(keys).collect();
    if !value.is_empty() {
        translator.emit(&given, "--boot", Some(joined(value.iter().map(String::as_str))));
    }
}

/// The names of devices for `--boot`, each with nvmm's option and QEMU's: the ID, or the number among the devices of its kind.
fn boot_names(pieces: &[Piece]) -> BTreeMap<(&'static str, String), String> {
    let mut names = BTreeMap::new();
    for (option, kind, first) in [("--disk", "disk", 1), ("--net", "net", 0), ("--cdrom", "cdrom", 1)] {
        let of_kind = pieces.iter().filter(|piece| piece.words.first().is_some_and(|word| word == option));
        for (number, piece) in of_kind.enumerate() {
            let value = words::encode(piece.words.get(1).map_or(OsStr::new(""), OsString::as_os_str));
            let id = value.split(',').find_map(|word| word.strip_prefix("id="));
            let id = id.filter(|_| option != "--cdrom").map(str::to_owned);
            let name = id.unwrap_or_else(|| format!("{kind}{}", number + first));
            names.extend(piece.from.clone().map(|from| ((option, from), name)));
        }
    }
    names
}
