//! `--memory`.

use arch::layout::{HUGE_PAGE, PAGE};
use serde::Deserialize;

use super::{error::ConfigError, keys::keys};
use crate::size::Size;

/// `--memory`.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct MemoryConfig {
    /// The size.
    pub size: Size,
    /// Back it with 2 MiB pages from the host's pool.
    #[serde(default)]
    pub hugepages: bool,
    /// Allocate all of it before the guest starts.
    #[serde(default)]
    pub prefault: bool,
}

/// Parses `--memory`.
pub(super) fn memory(given: &str) -> Result<MemoryConfig, ConfigError> {
    let config: MemoryConfig = if given.contains('=') {
        keys("--memory", given, given)?
    } else {
        let size = given.parse().map_err(|error| ConfigError::Size(given.to_owned(), error))?;
        MemoryConfig { size, hugepages: false, prefault: false }
    };
    let unit = if config.hugepages { HUGE_PAGE } else { PAGE };
    match config.size.0 {
        0 => Err(ConfigError::NoMemory(given.to_owned())),
        size if !size.is_multiple_of(unit) => Err(ConfigError::OddMemory(given.to_owned(), unit)),
        _ => Ok(config),
    }
}
