//! The notes for the user about options of QEMU and libvirt.

use super::translator::Note;
use crate::config::ConfigError;

/// The notes for the user about options of QEMU and libvirt.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// The options without an effect, and those that the guest may miss.
    pub notes: Vec<Note>,
    /// nvmm's options, each with the option of QEMU or the element of libvirt that it came from.
    origins: Vec<(String, String)>,
}

impl Told {
    pub(super) fn new(notes: Vec<Note>, origins: Vec<(String, String)>) -> Self {
        Self { notes, origins }
    }

    /// Logs the notes. Those about options without an effect are logged only as information.
    pub fn log(&self) {
        for note in &self.notes {
            match note {
                Note::Idle(line) => log::info!("{line}"),
                Note::Missing(line) => log::warn!("{line}"),
            }
        }
    }

    /// Adds to an error about one of nvmm's options the option or element that the user wrote.
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

    /// Adds the origin of one of nvmm's options.
    pub(in crate::cli) fn add_origin(&mut self, ours: String, theirs: String) {
        self.origins.push((ours, theirs));
    }
}
