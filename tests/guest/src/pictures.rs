//! Pictures of level 1's screen for people to look at: sent as lines of text on level 0's console, and saved as files on the host.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const PREFIX: &str = "lab-picture:";
/// The bytes per line; a line is limited to 4096 characters.
const PART: usize = 2700;

/// A file as lines.
pub(crate) fn to_lines(name: &str, file: &[u8]) -> Vec<String> {
    file.chunks(PART).map(|part| format!("{PREFIX}{name}:{}", STANDARD.encode(part))).collect()
}

/// The files received so far, by their names.
#[derive(Debug, Default)]
pub(crate) struct Pictures(BTreeMap<String, Vec<u8>>);

impl Pictures {
    /// Adds a line, if it is part of a file.
    pub(crate) fn add(&mut self, line: &str) -> bool {
        let Some((name, part)) = line.strip_prefix(PREFIX).and_then(|rest| rest.split_once(':')) else {
            return false;
        };
        let Ok(part) = STANDARD.decode(part) else { return false };
        self.0.entry(name.to_owned()).or_default().extend(part);
        true
    }

    /// Writes them into a folder.
    pub(crate) fn save(&self, folder: &Path) -> anyhow::Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        for (name, file) in &self.0 {
            let path = folder.join(name);
            fs::write(&path, file).with_context(|| format!("writing {}", path.display()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "pictures_test.rs"]
mod tests;
