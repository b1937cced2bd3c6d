//! `--fw-cfg`.

use std::{
    ffi::{OsStr, OsString},
    fmt,
    os::unix::ffi::OsStringExt,
    path::PathBuf,
};

use devices::printable::ToPrintable;

use super::{error::ConfigError, fault::Fault, keys::Keys, words};
use crate::small_file;

const OPTION: &str = "--fw-cfg";
/// The most files. The directory has room for a few times as many, but some are nvmm's.
const MOST: usize = 64;
/// The beginning of the names of users' files: QEMU's `docs/specs/fw_cfg.rst`, "Externally Provided Items".
const USERS: &str = "opt/";
/// The longest name in bytes.
const MAX_NAME: usize = 55;

/// A file that the guest finds in fw_cfg.
#[derive(Clone, PartialEq, Eq)]
pub struct FwCfgFile {
    /// The name, such as `opt/io.systemd.credentials/NAME`.
    pub name: String,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// Reads the files, and returns them with their paths.
///
/// # Errors
///
/// A value is invalid, a file can't be read, or two have the same name.
pub(super) fn parse(given: &[OsString]) -> Result<(Vec<FwCfgFile>, Vec<PathBuf>), ConfigError> {
    let error = |given: &OsStr, fault: Fault| {
        let decoded = |why: String| words::decode(&why).printable().to_string();
        fault.map(decoded).of_option(OPTION, given.printable().to_string())
    };
    let (mut files, mut paths) = (Vec::<FwCfgFile>::new(), Vec::new());
    for given in given {
        let (file, path) = parse_one(&words::encode(given)).map_err(|fault| error(given, fault))?;
        if files.iter().any(|other| other.name == file.name) {
            return Err(error(given, "another has this name; give each its own".into()));
        }
        if files.len() == MOST {
            return Err(error(given, format!("that is one too many; give {MOST} at most").into()));
        }
        if !file.name.starts_with(USERS) {
            log::warn!(
                "{OPTION} {}: names outside {USERS} are firmware's; it may take this for something else",
                given.printable()
            );
        }
        files.push(file);
        paths.extend(path);
    }
    Ok((files, paths))
}

fn parse_one(text: &str) -> Result<(FwCfgFile, Option<PathBuf>), Fault> {
    let (first, rest) = text.split_once(',').unwrap_or((text, ""));
    let named = if first.contains('=') { first.to_owned() } else { format!("name={first}") };
    let parts = [named.as_str()].into_iter().chain(rest.split(',').filter(|part| !part.is_empty()));
    let mut keys = Keys::of(parts)?;
    let name = keys.value("name", "opt/NAME")?.ok_or("give a name first: opt/NAME,file=PATH")?;
    let is_name = |byte: u8| byte.is_ascii_graphic();
    if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(is_name) {
        return Err(format!(
            "name={name}: a name has 1 to {MAX_NAME} letters, digits and signs, all of them ASCII"
        )
        .into());
    }
    let (file, string) = (keys.value("file", "PATH")?, keys.value("string", "TEXT")?);
    keys.end("name=NAME, and file=PATH or string=TEXT; a comma in these is written twice")?;
    let (bytes, path) = match (file, string) {
        (Some(file), None) => {
            let path = PathBuf::from(words::decode(file));
            let bytes = small_file::read_bytes(&path)
                .map_err(|error| Fault::of_file(format!("file={file}"), &error))?;
            (bytes, Some(path))
        }
        (None, Some(string)) => (words::decode(string).into_vec(), None),
        _ => return Err("give file=PATH or string=TEXT, one of them".into()),
    };
    Ok((FwCfgFile { name: name.to_owned(), bytes }, path))
}

/// Leaves out the bytes, which may be secrets.
impl fmt::Debug for FwCfgFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.name, self.bytes.len())
    }
}

#[cfg(test)]
#[path = "fw_cfg_test.rs"]
mod tests;
