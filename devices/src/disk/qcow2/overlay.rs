//! Overlays: qcow2 images that take the writes to a disk, so that the disk does not change.

use std::{
    env, fs,
    fs::{File, OpenOptions},
    io::{self, ErrorKind},
    os::unix::{ffi::OsStrExt, fs::OpenOptionsExt},
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use super::{
    super::{
        format::Format,
        guard::Backing,
        options::{Overlay, Qcow2Options},
        raw::Opened,
    },
    Qcow2Error,
    chain::{self, Parts},
    create::{self, CreateOptions},
    name::file_name,
};
use crate::printable::{ToPrintable, Untrusted};

/// The open overlay of a disk.
#[derive(Debug)]
pub(super) struct OpenOverlay {
    pub(super) parts: Parts,
    /// The overlay has no name, and is deleted with the disk.
    pub(super) is_temp: bool,
    made: Made,
}

/// A file that was made for this disk, and that is removed if the disk can't be opened.
#[derive(Debug, Default)]
struct Made(Option<PathBuf>);

impl Drop for Made {
    fn drop(&mut self) {
        if let Some(path) = &self.0
            && let Err(error) = fs::remove_file(path)
        {
            log::warn!("overlay {}: it was made in vain, and can't be removed: {error}", path.printable());
        }
    }
}

impl OpenOverlay {
    /// Opens or makes an overlay of `size` bytes for the disk at `base`, which has the given format.
    pub(super) fn open(
        overlay: &Overlay,
        base: &Path,
        format: Format,
        size: u64,
        options: &Qcow2Options,
    ) -> Result<Self, Qcow2Error> {
        match overlay {
            Overlay::Temp => Self::temp(size),
            Overlay::File(path) => Self::file(path, base, format, size, options),
        }
    }

    /// Uses the overlay by calling `open`. If that fails, the overlay is removed if it was made here.
    pub(super) fn open_by<T>(
        self,
        open: impl FnOnce(Parts) -> Result<T, Qcow2Error>,
    ) -> Result<T, Qcow2Error> {
        let Self { parts, mut made, .. } = self;
        let opened = open(parts)?;
        made.0 = None;
        Ok(opened)
    }

    fn temp(size: u64) -> Result<Self, Qcow2Error> {
        let folder = env::var_os("TMPDIR").filter(|folder| !folder.is_empty());
        let folder = folder.map_or_else(|| "/var/tmp".into(), PathBuf::from);
        let failed = |source| Qcow2Error::Temp { path: folder.clone(), source };
        let file = unnamed_file(&folder).map_err(failed)?;
        create::format(&file, size, &CreateOptions::default()).map_err(failed)?;
        let path = folder.join("(temporary overlay)");
        let opened = Opened::from_file(file).map_err(failed)?;
        let parts = chain::open_top(&path, opened, &Qcow2Options::default())?;
        Ok(Self { parts, is_temp: true, made: Made::default() })
    }

    fn file(
        path: &Path,
        base: &Path,
        format: Format,
        size: u64,
        options: &Qcow2Options,
    ) -> Result<Self, Qcow2Error> {
        let mut made = Made::default();
        if !path.try_exists().map_err(|source| Qcow2Error::Read { path: path.to_owned(), source })? {
            let name = name_from(path, base)?;
            let backing = Some((name, format));
            create::create(path, size, &CreateOptions { backing, ..CreateOptions::default() })?;
            made.0 = Some(path.to_owned());
        }
        let parts = chain::open_top(path, Opened::open(path, &options.disk)?, options)?;
        match parts.backing() {
            Some((_, backing)) => check(path, backing, base, format)?,
            None => return Err(Qcow2Error::NoOverlay { path: path.to_owned() }),
        }
        Ok(Self { parts, is_temp: false, made })
    }
}

/// Checks that an overlay belongs to the disk at `base`.
fn check(overlay: &Path, backing: &Backing, base: &Path, format: Format) -> Result<(), Qcow2Error> {
    let (path, name) = (overlay.to_owned(), backing.name.clone());
    let Some(recorded) = backing.format() else {
        return Err(Qcow2Error::NoFormat { path, name });
    };
    let file = file_name(&name).ok();
    let file = file.map(|file| overlay.parent().unwrap_or(Path::new("")).join(file.as_path()));
    let identity = |file: &Path| chain::identity(fs::metadata(file), file);
    let is_base = match file {
        Some(file) => file.exists() && identity(&file)? == identity(base)?,
        None => false,
    };
    if !is_base {
        return Err(Qcow2Error::OtherOverlay { path, name, base: base.to_owned() });
    }
    if recorded.as_str().and_then(Format::recorded) != Some(format) {
        return Err(Qcow2Error::OverlayFormat {
            path,
            recorded,
            base: base.to_owned(),
            format: format.name(),
        });
    }
    Ok(())
}

/// The name by which an overlay refers to its base: relative to its own folder if the base is in it or below, so that both can be moved
/// together.
fn name_from(overlay: &Path, base: &Path) -> Result<Untrusted, Qcow2Error> {
    let real = |path: &Path| {
        fs::canonicalize(path).map_err(|source| Qcow2Error::Read { path: path.to_owned(), source })
    };
    let folder = overlay.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let (folder, base) = (real(folder)?, real(base)?);
    let name = base.strip_prefix(&folder).unwrap_or(&base);
    let name = name.as_os_str().as_bytes();
    // With a colon, the part before it would mean a protocol.
    Ok(if name.contains(&b':') && !name.starts_with(b"/") { [b"./", name].concat() } else { name.to_vec() }
        .into())
}

/// Makes a file in `folder` that has no name there.
fn unnamed_file(folder: &Path) -> io::Result<File> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    if let Some(file) = super::super::unnamed_file(folder, 0o600)? {
        return Ok(file);
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    // Not all file systems support `O_TMPFILE`: make a file, and remove its name.
    loop {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!(".nvmm-overlay-{}-{count}", process::id()));
        match options.clone().create_new(true).open(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Ok(file) => return fs::remove_file(&path).map(|()| file),
            failed => return failed,
        }
    }
}

#[cfg(test)]
#[path = "overlay_test.rs"]
mod tests;
