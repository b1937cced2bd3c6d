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

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// Held while it is written to.
    file: Mutex<VarsFile>,
}

#[derive(Debug, Default)]
struct State {
    next: Option<Vec<u8>>,
    writes: bool,
    closes: bool,
    /// Others may have the file: what comes waits until it is locked again.
    given: bool,
}

impl Saver {
    /// Starts a thread that writes to `file`. It ends once the saver is dropped and all is written.
    ///
    /// # Errors
    ///
    /// The host has no more threads.
    pub fn start(file: VarsFile) -> io::Result<Self> {
        let name = format!("UEFI variables {}", file.path().printable());
        let folder = file.path().parent().unwrap_or(Path::new("/")).to_owned();
        let (state, changed) = (Mutex::default(), Condvar::new());
        let shared = Arc::new(Shared { state, changed, file: Mutex::new(file) });
        let its = Arc::clone(&shared);
        threads::spawn(&Role::Variables(folder), move || its.serve())?;
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

    /// Lets others use the file, in which all is written.
    ///
    /// # Errors
    ///
    /// The host's.
    pub fn unlock(&self) -> io::Result<()> {
        self.shared.lock().given = true;
        self.shared.file().unlock()
    }

    /// Locks the file again, or returns who is in the way.
    ///
    /// # Errors
    ///
    /// The host's.
    pub fn lock_again(&self) -> io::Result<Option<String>> {
        let holder = self.shared.file().lock_again()?;
        self.shared.lock().given = holder.is_some();
        self.shared.changed.notify_all();
        Ok(holder)
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

    fn file(&self) -> MutexGuard<'_, VarsFile> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self) {
        let mut failed = false;
        while let Some(contents) = self.next() {
            write(&mut self.file(), &contents, &mut failed);
            self.lock().writes = false;
            self.changed.notify_all();
        }
    }

    /// Waits for contents to write; none when there will not be any more.
    fn next(&self) -> Option<Vec<u8>> {
        let waits = |state: &mut State| (state.next.is_none() || state.given) && !state.closes;
        let mut state = self.changed.wait_while(self.lock(), waits).unwrap_or_else(PoisonError::into_inner);
        let next = if state.given { None } else { state.next.take() };
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
