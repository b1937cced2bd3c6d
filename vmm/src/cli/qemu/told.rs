//! The notes for the user about words of QEMU's, and of libvirt's.

use super::translator::Note;
use crate::config::ConfigError;

/// The notes for the user about words of QEMU's, and of libvirt's.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// The words that change nothing, and those that the guest may miss.
    pub notes: Vec<Note>,
    /// nvmm's words for options of QEMU's and elements of libvirt's, each with that.
    origins: Vec<(String, String)>,
}

impl Told {
    pub(super) fn new(notes: Vec<Note>, origins: Vec<(String, String)>) -> Self {
        Self { notes, origins }
    }

    /// Logs the notes: what changes nothing is for those who want to know more.
    pub fn log(&self) {
        for note in &self.notes {
            match note {
                Note::Idle(line) => log::info!("{line}"),
                Note::Missing(line) => log::warn!("{line}"),
            }
        }
    }

    /// Adds to an error about words of nvmm's the option or element that the user wrote.
    #[must_use]
    pub fn explain(&self, error: ConfigError) -> anyhow::Error {
        let text = error.to_string();
        let is_it = |(ours, _): &&(String, String)| {
            text.strip_prefix(ours.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with([':', ' ', ',']))
        };
        let origin = self.origins.iter().filter(is_it).max_by_key(|(ours, _)| ours.len());
        match origin {
            Some((_, theirs)) => anyhow::Error::from(error).context(theirs.clone()),
            None => error.into(),
        }
    }
}

#[cfg(feature = "libvirt")]
impl Told {
    /// Adds notes.
    pub(in crate::cli) fn add(&mut self, notes: impl IntoIterator<Item = Note>) {
        self.notes.extend(notes);
    }

    /// Adds what words of nvmm's are for.
    pub(in crate::cli) fn add_origin(&mut self, ours: String, theirs: String) {
        self.origins.push((ours, theirs));
    }
}
