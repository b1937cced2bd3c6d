//! cloud-init's NoCloud seed: a disk that gives a cloud image its identity, its users' keys, and the user's configuration.
//!
//! cloud-init, "NoCloud" data source: a file system labelled `cidata`, with `user-data` and `meta-data` in its root directory, and
//! optionally `network-config`.

use std::{
    fmt,
    io::{self, Cursor, Write},
};

use fatfs::{FileSystem, FormatVolumeOptions, FsOptions};
use serde_json::json;
use uuid::Uuid;

/// The name of the disk in messages.
pub const SEED_DISK: &str = "cloud-init";

/// The label by which cloud-init recognizes the disk. RHEL 7's version does not accept capital letters.
const LABEL: [u8; 11] = *b"cidata     ";
/// Room for the file system's tables, and for incomplete clusters.
const TABLES: usize = 64 << 10;
/// The unit of the disk's size.
const UNIT: usize = 64 << 10;

/// The user-data if the user gives none: an empty `#cloud-config`.
const NO_WISHES: &[u8] = b"#cloud-config\n{}\n";

/// The first bytes of the kinds of user-data that cloud-init knows: cloud-init, "User-data formats", and gzip.
const KINDS: [&[u8]; 8] = [
    b"#cloud-config",
    b"#!",
    b"#include",
    b"#cloud-boothook",
    b"#part-handler",
    b"## template:",
    b"#upstart-job",
    b"\x1f\x8b",
];
/// The header of a MIME message, in small letters, and the length in which cloud-init looks for it.
const MIME: &[u8] = b"mime-version:";
const MIME_WITHIN: usize = 4096;

/// The files of a seed.
#[derive(Clone, PartialEq, Eq)]
pub struct Seed {
    user_data: Vec<u8>,
    meta_data: Vec<u8>,
    network_config: Option<Vec<u8>>,
}

/// Files that the user gave.
#[derive(Debug, Default)]
pub struct Given {
    /// The user's configuration.
    pub user_data: Option<Vec<u8>>,
    /// The machine's identity.
    pub meta_data: Option<Vec<u8>>,
    /// The network's configuration.
    pub network_config: Option<Vec<u8>>,
}

/// The machine's identity, from which `meta-data` is made if the user doesn't give one.
#[derive(Debug, Default)]
pub struct Identity {
    /// The machine's UUID.
    pub uuid: Option<Uuid>,
    /// The guest's host name.
    pub hostname: Option<String>,
    /// The keys that may log in, in the form of `authorized_keys`.
    pub keys: Vec<String>,
}

impl Seed {
    /// Makes the files that were not given. A given `meta-data` replaces the identity.
    #[must_use]
    pub fn new(given: Given, identity: &Identity) -> Self {
        let Given { user_data, meta_data, network_config } = given;
        let user_data = user_data.unwrap_or_else(|| NO_WISHES.to_vec());
        let meta_data =
            meta_data.unwrap_or_else(|| identity.meta_data(&user_data, network_config.as_deref()));
        Self { user_data, meta_data, network_config }
    }

    /// Returns whether cloud-init knows this kind of user-data: others are ignored, with a warning only in the guest's log.
    #[must_use]
    pub fn has_known_user_data(&self) -> bool {
        let text = self.user_data.trim_ascii_start();
        let start = text[..text.len().min(MIME_WITHIN)].to_ascii_lowercase();
        let is_mime = start.windows(MIME.len()).any(|part| part == MIME);
        text.is_empty() || is_mime || KINDS.iter().any(|kind| start.starts_with(kind))
    }

    /// The bytes of the disk: a FAT file system, which every Linux and BSD can read.
    ///
    /// # Errors
    ///
    /// There is not enough memory.
    pub fn image(&self) -> io::Result<Vec<u8>> {
        let len: usize = self.files().map(|(_, content)| content.len()).sum();
        let mut image = Cursor::new(vec![0; (len + len / 8 + TABLES).next_multiple_of(UNIT)]);
        fatfs::format_volume(&mut image, FormatVolumeOptions::new().volume_label(LABEL))?;
        let file_system = FileSystem::new(&mut image, FsOptions::new())?;
        for (name, content) in self.files() {
            let mut file = file_system.root_dir().create_file(name)?;
            file.write_all(content)?;
            file.flush()?;
        }
        file_system.unmount()?;
        Ok(image.into_inner())
    }

    /// The names of its files.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.files().map(|(name, _)| name)
    }

    fn files(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        let network_config = self.network_config.as_deref().map(|content| ("network-config", content));
        [("user-data", &*self.user_data), ("meta-data", &*self.meta_data)].into_iter().chain(network_config)
    }
}

impl Identity {
    /// The `meta-data`, as JSON, which is YAML.
    fn meta_data(&self, user_data: &[u8], network_config: Option<&[u8]>) -> Vec<u8> {
        let Self { uuid, hostname, keys } = self;
        let said = json!([user_data, network_config, hostname, keys]).to_string();
        // cloud-init repeats its setup if the id is another than at the last boot.
        let id = Uuid::new_v5(&uuid.unwrap_or_default(), said.as_bytes());
        let mut meta_data = json!({ "instance-id": format!("nvmm-{id}") });
        if let Some(hostname) = hostname {
            meta_data["local-hostname"] = json!(hostname);
        }
        if !keys.is_empty() {
            meta_data["public-keys"] = json!(keys);
        }
        format!("{meta_data:#}\n").into_bytes()
    }
}

/// Leaves out the files' contents, which may be secrets.
impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.files().map(|(name, content)| (name, content.len()))).finish()
    }
}

#[cfg(test)]
#[path = "cloud_init_test.rs"]
mod tests;
