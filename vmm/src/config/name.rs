//! `--name`.

use std::ffi::OsStr;

use devices::printable::ToPrintable;

use super::{error::ConfigError, words};

/// The longest name in bytes: as long as a file's name, such as the one that libvirt makes of a domain's name.
const MAX: usize = 255;

/// Parses the machine's name: printable text, with commas doubled.
///
/// # Errors
///
/// The name is empty, too long, or not printable.
pub(super) fn name(given: &OsStr) -> Result<String, ConfigError> {
    parse(&words::encode(given)).map_err(|why| ConfigError::Keys {
        option: "--name",
        given: given.printable().to_string(),
        why,
    })
}

fn parse(text: &str) -> Result<String, String> {
    if text.contains(',') {
        return Err("give the name alone; a comma in it is written twice".to_owned());
    }
    let name = words::decode(text).into_string().map_err(|_| "it is not UTF-8")?;
    match name.len() {
        0 => Err("give a name".to_owned()),
        1..=MAX if name.contains(char::is_control) => {
            Err("there is a control character in it; leave it out".to_owned())
        }
        1..=MAX => Ok(name),
        len => Err(format!("it has {len} bytes; give {MAX} at most")),
    }
}

#[cfg(test)]
#[path = "name_test.rs"]
mod tests;
