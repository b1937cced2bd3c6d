//! The files, ports and processes that threads can still reach: landlock, `Documentation/userspace-api/landlock.rst`.
//!
//! A thread also has the rules of the thread that started it. So the spawner's rules are those of all threads it starts, and none of them
//! sets its own. Rules are made before `--chroot` changes the meaning of paths, and refer to the directories themselves. A kernel without
//! landlock, or with an older version, refuses less.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use devices::{printable::ToPrintable, root};
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, Erratum, LandlockStatus, NetPort, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, Scope, make_bitflags,
};

use crate::{config::Outside, untouched};

/// The newest version that nvmm was tested with.
const TRIED: ABI = ABI::V7;

/// The rights of commands in a directory: to create, replace, read, write and remove files and the directories of snapshots.
const COMMANDS: BitFlags<AccessFs> = make_bitflags!(AccessFs::{
    ReadFile | WriteFile | ReadDir | RemoveFile | RemoveDir | MakeReg | MakeDir | Truncate | IoctlDev
});
/// The rights to replace a file by a new one, which is renamed to it at the end.
const REPLACE: BitFlags<AccessFs> =
    make_bitflags!(AccessFs::{ReadFile | WriteFile | ReadDir | RemoveFile | MakeReg | Truncate});
const LOOK: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | IoctlDev});
const NODE: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | WriteFile | IoctlDev});
/// The terminal ends of pseudoterminals.
const TERMINALS: &str = "/dev/pts";
/// The kernel's socket device.
const VHOST_VSOCK: &str = "/dev/vhost-vsock";

/// The reason why threads can't be kept from files.
#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    /// A path of `--allow-path` can't be opened.
    #[error("--allow-path {}", .0.printable())]
    Path(PathBuf, #[source] io::Error),
    /// The kernel refuses.
    #[error("--sandbox: landlock")]
    Landlock(#[from] RulesetError),
    /// No descriptor is left.
    #[error("--sandbox: landlock")]
    Host(#[from] io::Error),
}

/// The rules of a process's threads.
#[derive(Debug)]
pub(super) struct Reach {
    /// The spawner's rules.
    all: RulesetCreated,
    /// The main loop's rules, if they differ.
    main: Option<RulesetCreated>,
    /// The base of the rules of the machine's thread, if it is limited.
    commands: Option<RulesetCreated>,
    /// nvmm sends no other process signals.
    is_alone: bool,
}

impl Reach {
    /// The rules of a machine that still reaches what is `outside`. With `has_places`, commands reach only some places.
    pub(super) fn new(outside: &Outside, has_places: bool) -> Result<Self, ReachError> {
        let has_more = outside.terminals || !outside.ports.is_empty();
        let main = has_more.then(|| of_main(outside)).transpose()?;
        let commands = has_places.then(|| base(outside)).transpose()?;
        Ok(Self { all: base(outside)?, main, commands, is_alone: !outside.passt })
    }

    /// Limits the calling thread, the spawner, and all threads that it starts. Returns what the kernel can refuse.
    pub(super) fn limit_all(&self) -> Result<LandlockStatus, ReachError> {
        restrict(&self.all)
    }

    /// Limits the main loop's thread.
    pub(super) fn limit_main(&self) -> Result<LandlockStatus, ReachError> {
        restrict(self.main.as_ref().unwrap_or(&self.all))
    }

    /// Limits the calling thread to the files in one directory.
    pub(super) fn limit_to(&self, folder: &Path) -> Result<(), ReachError> {
        let mut rules = nothing(self.is_alone)?;
        allow(&mut rules, folder, REPLACE)?;
        restrict(&rules).map(drop)
    }

    /// Limits the calling thread, the machine's, to these places, all of which exist, and to `save`; the files it may only read. Returns
    /// false if it still reaches all files, as on a kernel without landlock.
    pub(super) fn limit_commands(
        &self,
        places: &[PathBuf],
        save: Option<&Path>,
        read: &[PathBuf],
    ) -> Result<bool, ReachError> {
        let Some(commands) = &self.commands else { return Ok(false) };
        let mut rules = commands.try_clone()?;
        for path in places {
            fs::metadata(path).map_err(|error| ReachError::Path(path.clone(), error))?;
        }
        for path in places.iter().map(PathBuf::as_path).chain(save) {
            allow(&mut rules, path, COMMANDS)?;
        }
        for path in read {
            allow(&mut rules, path, LOOK)?;
        }
        // Without it, a save would read all of the guest's memory.
        allow(&mut rules, Path::new(untouched::TABLE), LOOK)?;
        Ok(matches!(restrict(&rules)?, LandlockStatus::Available { .. }))
    }
}

/// The rules of all threads: to open the node of vhost-vsock, and to remove the files that are removed at the end.
fn base(outside: &Outside) -> Result<RulesetCreated, RulesetError> {
    let mut rules = nothing(!outside.passt)?;
    let pid_file = outside.pid_file.iter();
    let pid_file = pid_file.map(|path| fs::canonicalize(path).unwrap_or_else(|_| root::canonical(path)));
    let removed: Vec<_> = outside.removed.iter().map(|path| root::canonical(path)).chain(pid_file).collect();
    for folder in removed.iter().filter_map(|path| path.parent()).collect::<BTreeSet<_>>() {
        allow(&mut rules, folder, AccessFs::RemoveFile.into())?;
    }
    if outside.vhost_vsock {
        allow(&mut rules, Path::new(VHOST_VSOCK), NODE)?;
    }
    Ok(rules)
}

/// The main loop's rules: also to connect to the servers of serial ports, and to open its own pseudoterminals.
fn of_main(outside: &Outside) -> Result<RulesetCreated, RulesetError> {
    let mut rules = base(outside)?;
    for port in &outside.ports {
        rules = rules.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
    }
    if outside.terminals {
        allow(&mut rules, Path::new(TERMINALS), NODE)?;
    }
    Ok(rules)
}

/// Rules that refuse everything that landlock can, including signals to other processes if nvmm `is_alone`.
fn nothing(is_alone: bool) -> Result<RulesetCreated, RulesetError> {
    // Kernels with this bug also refuse signals between the threads of a process.
    let signals = is_alone && Erratum::current().contains(Erratum::ScopedSignalHandling);
    let scopes = if signals { Scope::from_all(TRIED) } else { Scope::AbstractUnixSocket.into() };
    let files = AccessFs::from_all(TRIED);
    Ruleset::default()
        .handle_access(files)?
        .handle_access(AccessNet::from_all(TRIED))?
        .scope(scopes)?
        .create()
}

/// Grants rights to a file, or to everything below a directory. A missing path is skipped.
fn allow(rules: &mut RulesetCreated, path: &Path, rights: BitFlags<AccessFs>) -> Result<(), RulesetError> {
    if let Ok(opened) = PathFd::new(path) {
        rules.add_rule(PathBeneath::new(opened, rights))?;
    }
    Ok(())
}

fn restrict(rules: &RulesetCreated) -> Result<LandlockStatus, ReachError> {
    let rules = rules.try_clone()?;
    Ok(rules.restrict_self()?.landlock)
}
