//! `--smbios` and `--uuid`, in QEMU's words.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use arch::smbios::SmbiosValues;
use devices::printable::ToPrintable;
use uuid::Uuid;

use super::{error::ConfigError, fault::Fault, words};
use crate::small_file;

/// The structures for which values can be given, with their keys.
const KEYS: [(u8, &str); 7] = [
    (0, "vendor, version, date or release"),
    (1, "manufacturer, product, version, serial, uuid, sku or family"),
    (2, "manufacturer, product, version, serial, asset or location"),
    (3, "manufacturer, version, serial, asset or sku"),
    (4, "sock_pfx, manufacturer, version, serial, asset, part, max-speed or current-speed"),
    (11, "value or path"),
    (17, "loc_pfx, bank, manufacturer, serial, asset, part or speed"),
];

/// Parses all `--smbios` and `--uuid`. If a value is given twice, the last one counts. Also returns the files that were read.
///
/// # Errors
///
/// A value is invalid, or there are two UUIDs.
pub(super) fn parse(
    given: &[OsString],
    uuid: Option<&str>,
) -> Result<(SmbiosValues, Vec<PathBuf>), ConfigError> {
    let uuid = uuid.map(|given| {
        let error = |why| ConfigError::Keys { option: "--uuid", given: given.to_owned(), why };
        self::uuid(given).map_err(error)
    });
    let uuid = uuid.transpose()?;
    let (mut values, mut files) = (SmbiosValues::default(), Vec::new());
    for given in given {
        parse_one(&words::encode(given), &mut values, &mut files).map_err(|fault| {
            let decoded = |why: String| words::decode(&why).printable().to_string();
            fault.map(decoded).of_option("--smbios", given.printable().to_string())
        })?;
    }
    let system = &mut values.system;
    match (system.uuid, uuid) {
        (Some(theirs), Some(ours)) if theirs != ours => Err(ConfigError::TwoUuids(theirs, ours)),
        _ => {
            system.uuid = system.uuid.or(uuid);
            Ok((values, files))
        }
    }
}

fn parse_one(text: &str, values: &mut SmbiosValues, files: &mut Vec<PathBuf>) -> Result<(), Fault> {
    let pairs: Vec<_> = text
        .split(',')
        .map(|word| word.split_once('=').ok_or("give key=value, with commas between"))
        .collect::<Result<_, _>>()?;
    if pairs.iter().any(|(key, _)| *key == "file") {
        return Err("nvmm takes no file of finished structures; give type=N and its values".into());
    }
    let kind = pairs.iter().find(|(key, _)| *key == "type").ok_or("which structure is it? Give type=N")?.1;
    let found = kind.parse().ok().and_then(|kind: u8| KEYS.iter().find(|(known, _)| *known == kind));
    let (kind, keys) = found.ok_or_else(|| format!("type={kind}: give 0, 1, 2, 3, 4, 11 or 17"))?;
    for (key, value) in pairs.into_iter().filter(|(key, _)| *key != "type") {
        let text = words::decode(value).into_string().map_err(|_| format!("{key}={value} is not UTF-8"))?;
        let file = (key == "path").then(|| PathBuf::from(&text));
        set(values, *kind, key, text).map_err(|fault| {
            fault.unwrap_or_else(|| format!("type={kind} has no {key}; give {keys}").into())
        })?;
        files.extend(file);
    }
    Ok(())
}

/// Sets a value.
///
/// # Errors
///
/// The reason why the value is invalid; empty if there is no such key.
fn set(values: &mut SmbiosValues, kind: u8, key: &str, text: String) -> Result<(), Option<Fault>> {
    match (kind, key) {
        (0, "release") => values.bios.release = Some(release(&text)?),
        (1, "uuid") => {
            values.system.uuid = Some(uuid(&text).map_err(|why| Fault::from(format!("uuid={text}: {why}")))?);
        }
        (4, "max-speed") => values.processor.max_speed = Some(speed(key, &text)?),
        (4, "current-speed") => values.processor.current_speed = Some(speed(key, &text)?),
        (11, "value") => values.oem_strings.push(text),
        (11, "path") => {
            let file = small_file::read(Path::new(&text))
                .map_err(|error| Fault::of_file(format!("path={text}"), &error))?;
            values.oem_strings.push(file);
        }
        (17, "speed") => values.memory.speed = Some(speed(key, &text)?),
        _ => {
            let field = text_field(values, kind, key).ok_or(None)?;
            if text.contains(char::is_control) {
                return Err(Some(format!("{key}= has a control character in it; leave it out").into()));
            }
            *field = Some(text);
        }
    }
    Ok(())
}

fn text_field<'v>(values: &'v mut SmbiosValues, kind: u8, key: &str) -> Option<&'v mut Option<String>> {
    let SmbiosValues { bios, system, baseboard, chassis, processor, memory, .. } = values;
    Some(match (kind, key) {
        (0, "vendor") => &mut bios.vendor,
        (0, "version") => &mut bios.version,
        (0, "date") => &mut bios.date,
        (1, "manufacturer") => &mut system.manufacturer,
        (1, "product") => &mut system.product,
        (1, "version") => &mut system.version,
        (1, "serial") => &mut system.serial,
        (1, "sku") => &mut system.sku,
        (1, "family") => &mut system.family,
        (2, "manufacturer") => &mut baseboard.manufacturer,
        (2, "product") => &mut baseboard.product,
        (2, "version") => &mut baseboard.version,
        (2, "serial") => &mut baseboard.serial,
        (2, "asset") => &mut baseboard.asset,
        (2, "location") => &mut baseboard.location,
        (3, "manufacturer") => &mut chassis.manufacturer,
        (3, "version") => &mut chassis.version,
        (3, "serial") => &mut chassis.serial,
        (3, "asset") => &mut chassis.asset,
        (3, "sku") => &mut chassis.sku,
        (4, "sock_pfx") => &mut processor.socket_prefix,
        (4, "manufacturer") => &mut processor.manufacturer,
        (4, "version") => &mut processor.version,
        (4, "serial") => &mut processor.serial,
        (4, "asset") => &mut processor.asset,
        (4, "part") => &mut processor.part,
        (17, "loc_pfx") => &mut memory.locator_prefix,
        (17, "bank") => &mut memory.bank,
        (17, "manufacturer") => &mut memory.manufacturer,
        (17, "serial") => &mut memory.serial,
        (17, "asset") => &mut memory.asset,
        (17, "part") => &mut memory.part,
        _ => return None,
    })
}

fn release(text: &str) -> Result<(u8, u8), Fault> {
    let numbers =
        text.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    numbers.ok_or_else(|| format!("release={text}: give two numbers up to 255, such as 1.0").into())
}

fn speed(key: &str, text: &str) -> Result<u16, Fault> {
    text.parse().map_err(|_| format!("{key}={text}: give a whole number up to 65535").into())
}

fn uuid(text: &str) -> Result<Uuid, String> {
    Uuid::try_parse(text)
        .map_err(|_| "give 32 hexadecimal digits, such as 6c0e5a52-3f3c-4d7e-9d0b-5f6d1f0b7a11".to_owned())
}

#[cfg(test)]
#[path = "smbios_test.rs"]
mod tests;
