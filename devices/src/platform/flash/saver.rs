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

/// Writes contents to a file in the order in which they come. New contents replace those that wait while it writes: each is complete, and
/// only the last ones count.
#[derive(Debug)]
pub struct Saver {
    shared: Arc<Shared>,
    /// The file's name, in words.
    name: String,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// Locked while it is written to.
    file: Mutex<VarsFile>,
}

#[derive(Debug, Default)]
struct State {
    next: Option<Vec<u8>>,
    writes: bool,
    closes: bool,
    /// Other processes may have the file: new contents wait until it is locked again.
    given: bool,
}

impl Saver {
    /// Starts a thread that writes to `file`. It ends when the saver is dropped and everything is written.
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

    /// Waits until everything is written, for at most `patience`. Returns the file's name in words if it takes longer.
    #[must_use]
    pub fn finish(&self, patience: Duration) -> Option<&str> {
        let state = self.shared.lock();
        let waits = |state: &mut State| state.writes || state.next.is_some();
        let waited = self.shared.changed.wait_timeout_while(state, patience, waits);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        waits(&mut state).then_some(&self.name)
    }

    /// Lets other processes use the file. Everything has been written to it.
    ///
    /// # Errors
    ///
    /// The host's.
    pub fn unlock(&self) -> io::Result<()> {
        self.shared.lock().given = true;
        self.shared.file().unlock()
    }

    /// Locks the file again, or returns who uses it.
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

    /// Waits for contents to write; none if no more will come.
    fn next(&self) -> Option<Vec<u8>> {
        let waits = |state: &mut State| (state.next.is_none() || state.given) && !state.closes;
        let mut state = self.changed.wait_while(self.lock(), waits).unwrap_or_else(PoisonError::into_inner);
        let next = if state.given { None } else { state.next.take() };
        state.writes = next.is_some();
        next
    }
}

/// Writes to the file, and logs an error, unless the last attempt `failed` too.
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
