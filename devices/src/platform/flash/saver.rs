//! A thread that writes variables to their file, so that no vCPU waits for the host's storage.

use std::{
    io, mem,
    path::Path,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{Store, file::VarsFile};
use crate::{
    printable::ToPrintable,
    threads::{self, Role},
};

/// Writes contents to a file in the order in which they come. What comes while it writes replaces what waits: each is a whole, and
/// only the last counts.
#[derive(Debug)]
pub struct Saver {
    shared: Arc<Shared>,
    /// The file, in words.
    name: String,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    next: Option<Vec<u8>>,
    writes: bool,
    closes: bool,
}

impl Saver {
    /// Starts a thread that writes to `file`. It ends once the saver is dropped and all is written.
    ///
    /// # Errors
    ///
    /// The host has no more threads.
    pub fn start(file: VarsFile) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let name = format!("UEFI variables {}", file.path().printable());
        let its = Arc::clone(&shared);
        let folder = file.path().parent().unwrap_or(Path::new("/")).to_owned();
        threads::spawn(&Role::Variables(folder), move || its.serve(file))?;
        Ok(Self { shared, name })
    }

    /// Waits until all is written, for at most `patience`. Returns the file's name in words if it is not.
    #[must_use]
    pub fn finish(&self, patience: Duration) -> Option<&str> {
        let state = self.shared.lock();
        let waits = |state: &mut State| state.writes || state.next.is_some();
        let waited = self.shared.changed.wait_timeout_while(state, patience, waits);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        waits(&mut state).then_some(&self.name)
    }
}

impl Store for Saver {
    fn save(&self, contents: Vec<u8>) {
        self.shared.lock().next = Some(contents);
        self.shared.changed.notify_all();
    }
}

impl Drop for Saver {
    fn drop(&mut self) {
        self.shared.lock().closes = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, mut file: VarsFile) {
        let mut failed = false;
        while let Some(contents) = self.next() {
            write(&mut file, &contents, &mut failed);
            self.lock().writes = false;
            self.changed.notify_all();
        }
    }

    /// Waits for contents to write; none when there will not be any more.
    fn next(&self) -> Option<Vec<u8>> {
        let waits = |state: &mut State| state.next.is_none() && !state.closes;
        let mut state = self.changed.wait_while(self.lock(), waits).unwrap_or_else(PoisonError::into_inner);
        let next = state.next.take();
        state.writes = next.is_some();
        next
    }
}

/// Writes to the file, and says that it can't, unless that `failed` the last time too.
fn write(file: &mut VarsFile, contents: &[u8], failed: &mut bool) {
    let written = file.replace(contents);
    let failed_before = mem::replace(failed, written.is_err());
    if let (Err(error), false) = (written, failed_before) {
        log::error!(
            "UEFI variables {}: can't write: {error}; the file is as it was before, and what has changed is lost unless it can be written later",
            file.path().printable()
        );
    }
}

#[cfg(test)]
#[path = "saver_test.rs"]
mod tests;
