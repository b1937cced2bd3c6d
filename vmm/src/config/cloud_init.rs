//! `--cloud-init`, and `--ssh-key` and `--hostname`, which need no cloud-init files.

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

use devices::printable::ToPrintable;
use uuid::Uuid;

use super::{
    disk::{DiskBus, DiskConfig},
    error::ConfigError,
    fault::Fault,
    keys::Keys,
    public_key, words,
};
use crate::{
    args::CloudArgs,
    cloud_init::{Given, Identity, Seed},
    small_file,
};

/// The names of the options.
const CLOUD_INIT: &str = "--cloud-init";
const SSH_KEY: &str = "--ssh-key";
const HOSTNAME: &str = "--hostname";

/// The files that `--cloud-init` takes.
const KEYS: &str = "user-data=FILE, meta-data=FILE or network-config=FILE";

const NO_NETWORK: &str =
    "--ssh-key: the guest has no network to log in by; --net user,hostfwd=tcp::2222-:22 adds one";

/// The longest host name: RFC 1123, "Host Names and Numbers".
const LONGEST_NAME: usize = 253;
const LONGEST_LABEL: usize = 63;

/// A seed, and the files from which it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloudInitConfig {
    /// The seed.
    pub seed: Seed,
    /// The file with the user-data, if one was given.
    pub user_data: Option<PathBuf>,
    /// The way in which the guest reaches the seed's disk.
    pub bus: DiskBus,
    /// Drivers from before virtio 1.0 can use the seed's disk as well.
    pub legacy: bool,
}

/// The seed for which the options ask, if any, and the files that were read, each with its option.
type Parsed = (Option<CloudInitConfig>, Vec<(&'static str, PathBuf)>);

/// Parses the options, for a machine with this UUID and these disks. The seed's disk is attached like the first disk, so that the guest
/// surely has drivers for it; in particular to SATA if all disks are.
///
/// # Errors
///
/// The value is invalid, a file can't be read or is of the wrong kind, or a host name or a key is given beside `meta-data`, which has its
/// own.
pub(super) fn parse(
    args: &CloudArgs,
    uuid: Option<Uuid>,
    disks: &[DiskConfig],
) -> Result<Parsed, ConfigError> {
    let CloudArgs { cloud_init, ssh_key, hostname } = args;
    if cloud_init.is_none() && ssh_key.is_empty() && hostname.is_none() {
        return Ok((None, Vec::new()));
    }
    let files = cloud_init.as_deref().map(|given| Files::parse(given).map_err(error(CLOUD_INIT, given)));
    let files = files.transpose()?.unwrap_or_default();
    if files.meta_data.is_some()
        && let Some((option, given)) = first_of_identity(args)
    {
        let why =
            "meta-data=FILE of --cloud-init says that by itself; write it there, or leave meta-data out";
        return Err(error(option, given)(why.to_owned()));
    }
    if let Some(name) = hostname {
        check_hostname(name).map_err(error(HOSTNAME, name.as_ref()))?;
    }
    let mut keys = Vec::new();
    for path in ssh_key {
        keys.extend(public_key::read(Path::new(path)).map_err(fault(SSH_KEY, path))?);
    }
    let given = cloud_init.as_deref().unwrap_or_default();
    let read = files.paths().map(|path| (CLOUD_INIT, path.clone()));
    let read = read.chain(ssh_key.iter().map(|path| (SSH_KEY, path.into()))).collect();
    let identity = Identity { uuid, hostname: hostname.clone(), keys };
    let seed = Seed::new(files.read().map_err(fault(CLOUD_INIT, given))?, &identity);
    let all_sata = !disks.is_empty() && disks.iter().all(|disk| disk.bus == DiskBus::Sata);
    let bus = if all_sata { DiskBus::Sata } else { DiskBus::Virtio };
    let legacy = disks.first().is_some_and(|disk| disk.device.legacy);
    Ok((Some(CloudInitConfig { seed, user_data: files.user_data, bus, legacy }), read))
}

/// The warning about keys that can't be used, since the guest has neither a network nor a vsock device, by which some guests take ssh, too.
pub(super) fn warning(args: &CloudArgs, is_reachable: bool) -> Option<&'static str> {
    (!args.ssh_key.is_empty() && !is_reachable).then_some(NO_NETWORK)
}

/// The files of `--cloud-init`.
#[derive(Default)]
struct Files {
    user_data: Option<PathBuf>,
    meta_data: Option<PathBuf>,
    network_config: Option<PathBuf>,
}

impl Files {
    fn parse(given: &OsStr) -> Result<Self, String> {
        let text = words::encode(given);
        let mut keys = Keys::of(text.split(','))?;
        let mut file = |key| match keys.value(key, "FILE")? {
            Some("") => Err(format!("the path is missing; give {key}=FILE")),
            path => Ok(path.map(|path| PathBuf::from(words::decode(path)))),
        };
        let files = Self {
            user_data: file("user-data")?,
            meta_data: file("meta-data")?,
            network_config: file("network-config")?,
        };
        keys.end(&format!("{KEYS}; a comma in a path is written twice"))?;
        Ok(files)
    }

    fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.user_data, &self.meta_data, &self.network_config].into_iter().flatten()
    }

    fn read(&self) -> Result<Given, Fault> {
        let read = |path: &Option<PathBuf>| -> Result<_, Fault> {
            let Some(path) = path else { return Ok(None) };
            let shown = path.printable();
            let bytes = small_file::read_bytes(path).map_err(|error| Fault::of_file(shown, &error))?;
            if str::from_utf8(&bytes).is_ok_and(public_key::is_private) {
                return Err(format!(
                    "{shown} is a private key, which no guest needs; the public one goes into --ssh-key"
                )
                .into());
            }
            Ok(Some(bytes))
        };
        Ok(Given {
            user_data: read(&self.user_data)?,
            meta_data: read(&self.meta_data)?,
            network_config: read(&self.network_config)?,
        })
    }
}

/// The first option about the machine's identity, with its value.
fn first_of_identity(args: &CloudArgs) -> Option<(&'static str, &OsStr)> {
    let key = args.ssh_key.first().map(|path| (SSH_KEY, OsString::as_os_str(path)));
    key.or_else(|| args.hostname.as_ref().map(|name| (HOSTNAME, name.as_ref())))
}

fn check_hostname(name: &str) -> Result<(), String> {
    let is_label = |label: &str| {
        (1..=LONGEST_LABEL).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.len() <= LONGEST_NAME && name.split('.').all(is_label) {
        return Ok(());
    }
    Err(format!(
        "a host name has letters, digits and hyphens, at most {LONGEST_LABEL} between its dots, such as web1 or web1.example.org"
    ))
}

/// Makes an error about `option` with its value.
fn error(option: &'static str, given: &OsStr) -> impl Fn(String) -> ConfigError {
    let given = given.printable().to_string();
    move |why| ConfigError::Keys { option, given: given.clone(), why }
}

/// Makes an error of a fault in the value of `option`.
fn fault(option: &'static str, given: &OsStr) -> impl Fn(Fault) -> ConfigError {
    let given = given.printable().to_string();
    move |fault| fault.of_option(option, given.clone())
}

#[cfg(test)]
#[path = "cloud_init_test.rs"]
mod tests;
