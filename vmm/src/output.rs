//! Files that nvmm writes for the user besides disks: statistics, the console, reports. Writing over another file, above all a disk, would
//! destroy it, so nvmm refuses such a path before it writes anything.

use std::{
    fs::{self, File, Metadata, Permissions},
    io::{self, Write},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd},
        unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use devices::{disk::user, printable::ToPrintable};
use tempfile::Builder;
use thiserror::Error;

use crate::{
    config::{DeviceConfig, DiskConfig, VmConfig},
    drafts::{self, Contents},
};

/// The number of bytes by which drafts of pictures are known.
const MAGIC: usize = 3;

/// The reason why nvmm doesn't write to a file.
#[derive(Debug, Error)]
pub enum OutputError {
    /// Another option names the file.
    #[error("{option} {}: that is a file of {other} too, which would be overwritten; give another", path.printable())]
    Taken {
        /// The option.
        option: &'static str,
        /// The path that was given.
        path: PathBuf,
        /// The other option, and what it names.
        other: String,
    },
    /// A disk image that another process uses.
    #[error("{option} {}: that is a disk image in use by {holder}, which would be overwritten; give another file", path.printable())]
    InUse {
        /// The option.
        option: &'static str,
        /// The path that was given.
        path: PathBuf,
        /// The process that uses it.
        holder: String,
    },
    /// A block device.
    #[error("{option} {}: that is a block device, which would be overwritten; give a file", path.printable())]
    Device {
        /// The option.
        option: &'static str,
        /// The path that was given.
        path: PathBuf,
    },
    /// A pipe, a terminal or the like.
    #[error("{option} {}: that is no regular file, and the machine would wait for its reader; give a file", path.printable())]
    NotAFile {
        /// The option.
        option: &'static str,
        /// The path that was given.
        path: PathBuf,
    },
    /// The file can't be created.
    #[error("{option} {}", path.printable())]
    Open {
        /// The option.
        option: &'static str,
        /// The path that was given.
        path: PathBuf,
        /// The host's error.
        source: io::Error,
    },
}

/// The files that a machine's options name, which must not be overwritten.
#[derive(Debug, Default)]
pub struct Taken {
    /// Each file with its option.
    files: Vec<(String, PathBuf)>,
    disks: Vec<DiskConfig>,
    /// Files to be emptied, each with its option and its path.
    to_empty: Vec<(&'static str, PathBuf, File)>,
    /// The disks are not open yet, so that no lock shows which files belong to them.
    before_disks: bool,
}

impl Taken {
    /// The files of a machine whose disks are open: everything it reads, and the disks with all files that these refer to.
    #[must_use]
    pub fn by(config: &VmConfig) -> Self {
        let mut taken = Self::by_inputs(config);
        if let Some(path) = &config.pid_file {
            taken.add("--pidfile", path);
        }
        taken
    }

    /// The files that a machine will read, while its disks are not open yet.
    #[must_use]
    pub fn before_disks(config: &VmConfig) -> Self {
        Self { before_disks: true, ..Self::by_inputs(config) }
    }

    fn by_inputs(config: &VmConfig) -> Self {
        let mut taken = Self { disks: config.disks().cloned().collect(), ..Self::default() };
        for (option, path) in config.start.files() {
            taken.add(option, path);
        }
        for (option, path) in &config.read {
            taken.add(option, path);
        }
        for device in &config.devices {
            if let DeviceConfig::Rng(path) = device {
                taken.add("--rng", path);
            }
        }
        taken
    }

    /// The files of disks that are not open yet.
    #[must_use]
    pub fn by_disks(disks: Vec<DiskConfig>) -> Self {
        Self { disks, before_disks: true, ..Self::default() }
    }

    /// Adds the file that an option names.
    pub fn add(&mut self, option: &str, path: &Path) {
        self.files.push((option_of(option, path), path.to_owned()));
    }

    /// Checks that `option` may overwrite the file at `path`, if there is one: it must not be a taken file, a disk image in use, or a block
    /// device.
    ///
    /// # Errors
    ///
    /// The file must not be overwritten.
    pub fn check(&self, option: &'static str, path: &Path) -> Result<(), OutputError> {
        // A missing file will be created; other errors show when it is opened.
        let Ok(found) = fs::metadata(path) else { return Ok(()) };
        let path = || path.to_owned();
        if found.file_type().is_block_device() {
            return Err(OutputError::Device { option, path: path() });
        }
        // Several things can use a terminal or a pipe at once, and opening a pipe would wait.
        if !found.is_file() {
            return Ok(());
        }
        match File::open(path()).or_else(|_| File::options().append(true).open(path())) {
            Ok(file) => self.check_file(option, &path(), &found, &file),
            Err(_) => Ok(()),
        }
    }

    /// Checks the standard outputs, which a shell may have connected to anything.
    ///
    /// # Errors
    ///
    /// stdout or stderr is redirected into a disk, a kernel or another file of the machine.
    pub fn check_standard(&self) -> Result<(), OutputError> {
        self.check_open("standard output,", io::stdout().as_fd())?;
        self.check_open("standard error,", io::stderr().as_fd())
    }

    fn check_open(&self, option: &'static str, output: BorrowedFd<'_>) -> Result<(), OutputError> {
        let Ok(file) = output.try_clone_to_owned().map(File::from) else { return Ok(()) };
        let found = file.metadata().ok().filter(Metadata::is_file);
        let Some(found) = found else { return Ok(()) };
        let name = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()));
        self.check_file(option, &name.unwrap_or_else(|_| "a file".into()), &found, &file)
    }

    fn check_file(
        &self,
        option: &'static str,
        path: &Path,
        found: &Metadata,
        file: &File,
    ) -> Result<(), OutputError> {
        let identity = (found.dev(), found.ino());
        let path = path.to_owned();
        let is_same = |taken: &Path| fs::metadata(taken).is_ok_and(|it| (it.dev(), it.ino()) == identity);
        if let Some((other, _)) = self.files.iter().find(|(_, taken)| is_same(taken)) {
            return Err(OutputError::Taken { option, path, other: other.clone() });
        }
        let holder = user(file).ok().flatten();
        if holder.is_some() || self.before_disks {
            let disk = self.disks.iter().find(|disk| is_of(disk, identity));
            if let Some(disk) = disk {
                return Err(OutputError::Taken { option, path, other: option_of("--disk", &disk.path) });
            }
        }
        match holder {
            Some(holder) => Err(OutputError::InUse { option, path, holder }),
            None => Ok(()),
        }
    }

    /// Creates the file at `path` for `option`, or opens it for [`Taken::empty`], unless it is taken. From then on it is taken.
    ///
    /// # Errors
    ///
    /// The file is taken, or can't be created.
    pub fn create(&mut self, option: &'static str, path: &Path) -> Result<File, OutputError> {
        let file = self.open(option, path, File::options().write(true))?;
        let failed = |source| OutputError::Open { option, path: path.to_owned(), source };
        if file.metadata().is_ok_and(|found| found.is_file()) {
            self.to_empty.push((option, path.to_owned(), file.try_clone().map_err(failed)?));
        }
        self.add(option, path);
        Ok(file)
    }

    /// Empties all files of [`Taken::create`]. Nothing has been written to them yet.
    ///
    /// # Errors
    ///
    /// The host refuses.
    pub fn empty(&mut self) -> Result<(), OutputError> {
        for (option, path, file) in self.to_empty.drain(..) {
            file.set_len(0).map_err(|source| OutputError::Open { option, path, source })?;
        }
        Ok(())
    }

    /// Creates or empties the file at `path` for a command to a running machine, unless the file is taken. It must be a regular file, since
    /// writing to others could make the machine wait. A new file is for this user alone, as it gets the guest's memory.
    ///
    /// # Errors
    ///
    /// The file is taken or not a regular file, or the host refuses.
    pub fn replace(&self, option: &'static str, path: &Path) -> Result<File, OutputError> {
        let file = self.open_regular(option, path, File::options().write(true).mode(0o600))?;
        file.set_len(0).map_err(|source| OutputError::Open { option, path: path.to_owned(), source })?;
        Ok(file)
    }

    /// Opens or creates a regular file, and refuses anything else.
    ///
    /// # Errors
    ///
    /// The same as those of [`Taken::replace`].
    pub(crate) fn open_regular(
        &self,
        option: &'static str,
        path: &Path,
        options: &fs::OpenOptions,
    ) -> Result<File, OutputError> {
        let failed = |source| OutputError::Open { option, path: path.to_owned(), source };
        let not_a_file = || OutputError::NotAFile { option, path: path.to_owned() };
        if fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.file_type().is_block_device()) {
            return Err(not_a_file());
        }
        // Don't wait if the path has become a pipe since the check.
        let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
        let file = self.open(option, path, options.clone().custom_flags(flags))?;
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(not_a_file());
        }
        Ok(file)
    }

    /// Atomically puts a file with these bytes at `path`, for a command to a running machine, unless the file there is taken. Only a
    /// regular file is replaced. Temporary files left by a killed nvmm are removed. Where no file can be made beside it, the file itself is
    /// written.
    ///
    /// # Errors
    ///
    /// The path is taken or not a regular file, or the host refuses.
    pub(crate) fn replace_whole(
        &self,
        option: &'static str,
        path: &Path,
        bytes: &[u8],
    ) -> Result<(), OutputError> {
        let failed = |source| OutputError::Open { option, path: path.to_owned(), source };
        if fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.file_type().is_block_device()) {
            return Err(OutputError::NotAFile { option, path: path.to_owned() });
        }
        self.check(option, path)?;
        // Keep a symbolic link, and replace its target.
        let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let folder =
            target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let prefix = drafts::prefix(target.file_name().unwrap_or_default());
        let begins = &bytes[..bytes.len().min(MAGIC)];
        drafts::remove_left(folder, &prefix, Contents::File(begins));
        let permissions = Permissions::from_mode(0o666);
        let draft = Builder::new().prefix(&prefix).permissions(permissions).tempfile_in(folder);
        let mut file = match draft {
            // The user, or `--allow-path`, may allow to write the file, and not to make another one in its directory.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && target.is_file() => {
                return self.replace(option, path)?.write_all(bytes).map_err(failed);
            }
            draft => draft.map_err(failed)?,
        };
        drafts::lock(file.as_file()).map_err(failed)?;
        file.write_all(bytes).map_err(failed)?;
        file.persist(target).map_err(|error| failed(error.error))?;
        Ok(())
    }

    /// Opens or creates the file at `path` for `option`, to append to it, unless it is taken. From then on it is taken.
    ///
    /// # Errors
    ///
    /// The same as those of [`Taken::create`].
    pub fn append(&mut self, option: &'static str, path: &Path) -> Result<File, OutputError> {
        let file = self.open(option, path, File::options().append(true))?;
        self.add(option, path);
        Ok(file)
    }

    /// The same, but only for a regular file.
    ///
    /// # Errors
    ///
    /// The same as those of [`Taken::replace`].
    pub fn append_regular(&mut self, option: &'static str, path: &Path) -> Result<File, OutputError> {
        let file = self.open_regular(option, path, File::options().append(true))?;
        self.add(option, path);
        Ok(file)
    }

    /// Opens or creates a file.
    fn open(
        &self,
        option: &'static str,
        path: &Path,
        options: &fs::OpenOptions,
    ) -> Result<File, OutputError> {
        let failed = |source| OutputError::Open { option, path: path.to_owned(), source };
        if fs::metadata(path).is_ok_and(|it| it.file_type().is_block_device()) {
            return Err(OutputError::Device { option, path: path.to_owned() });
        }
        // Write to the very file that was checked, even if its name has changed since.
        let file = options.clone().create(true).truncate(false).open(path).map_err(failed)?;
        let found = file.metadata().map_err(failed)?;
        if found.is_file() {
            self.check_file(option, path, &found, &file)?;
        }
        Ok(file)
    }
}

fn option_of(option: &str, path: &Path) -> String {
    format!("{option} {}", path.printable())
}

/// Returns whether the file belongs to a disk, at any depth of its overlays.
fn is_of(disk: &DiskConfig, identity: (u64, u64)) -> bool {
    disk.follow().iter().any(|link| link.files.contains(&identity))
}

#[cfg(test)]
#[path = "output_test.rs"]
mod tests;
