//! Options that keep a machine from being saved.

use devices::{disk::qcow2::Overlay, printable::ToPrintable};

use super::{DiskConfig, VmConfig, error::ConfigError};

impl VmConfig {
    /// The reason why a machine with these options can never be saved, if there is one.
    pub(crate) fn unsavable(&self) -> Option<String> {
        let temporary = self.disks().filter(|disk| disk.image.overlay == Some(Overlay::Temp));
        let temporary: Vec<_> = temporary.map(DiskConfig::name).collect();
        (!temporary.is_empty()).then(|| {
            format!(
                "disk {}: what the guest wrote is gone at nvmm's end, with overlay=temp; a machine that is to be saved needs overlay=PATH",
                temporary.join(", disk ")
            )
        })
    }

    /// Refuses a `--snapshot-on-exit` that no host could obey.
    pub(super) fn check_saving(&self) -> Result<(), ConfigError> {
        let Some(path) = &self.snapshot_on_exit else { return Ok(()) };
        let why = match path.file_name() {
            None => Some("give the name of a directory to make".to_owned()),
            Some(_) => self.unsavable(),
        };
        let given = || path.printable().to_string();
        why.map_or(Ok(()), |why| Err(ConfigError::Keys { option: "--snapshot-on-exit", given: given(), why }))
    }
}

#[cfg(test)]
#[path = "saving_test.rs"]
mod tests;
