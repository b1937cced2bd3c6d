//! The files, ports and processes that threads still reach: landlock, `Documentation/userspace-api/landlock.rst`.
//!
//! A thread has the rules of its maker besides its own. So the spawner's are those of all that it makes, none of which has to ask the kernel
//! for its own. Rules are made before `--chroot` changes what paths lead to, and hold on to the directories themselves. Where the kernel
//! has no landlock, or an older one, it refuses less.

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

use crate::config::Outside;

/// The newest version that nvmm was tried with.
const TRIED: ABI = ABI::V7;

/// The rights that commands have in a directory: to make, replace, read, write and remove files, and the directories of snapshots.
const COMMANDS: BitFlags<AccessFs> = make_bitflags!(AccessFs::{
    ReadFile | WriteFile | ReadDir | RemoveFile | RemoveDir | MakeReg | MakeDir | Truncate | IoctlDev
});
/// The rights to replace a file by a new one, which has its name last.
const REPLACE: BitFlags<AccessFs> =
    make_bitflags!(AccessFs::{ReadFile | WriteFile | ReadDir | RemoveFile | MakeReg | Truncate});
const LOOK: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | IoctlDev});
const NODE: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | WriteFile | IoctlDev});
/// The other sides of pseudoterminals.
const TERMINALS: &str = "/dev/pts";
/// The kernel's socket device.
const VHOST_VSOCK: &str = "/dev/vhost-vsock";

/// Why threads can't be kept from files.
#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    /// A path of the user's.
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
    /// The spawner's.
    all: RulesetCreated,
    /// The main loop's, if they are others.
    main: Option<RulesetCreated>,
    /// The machine's thread's, if it has any.
    commands: Option<RulesetCreated>,
    /// No process is sent signals.
    is_alone: bool,
}

impl Reach {
    /// The rules of a machine that still reaches what is `outside`; with `has_places` the commands to it do not reach all.
    pub(super) fn new(outside: &Outside, has_places: bool) -> Result<Self, ReachError> {
        let has_more = outside.terminals || !outside.ports.is_empty();
        let main = has_more.then(|| of_main(outside)).transpose()?;
        let commands = has_places.then(|| base(outside)).transpose()?;
        Ok(Self { all: base(outside)?, main, commands, is_alone: !outside.passt })
    }

    /// Has the calling thread, the spawner, and all that it makes reach only what they may. Returns what the kernel can refuse.
    pub(super) fn limit_all(&self) -> Result<LandlockStatus, ReachError> {
        restrict(&self.all)
    }

    /// The same for the main loop.
    pub(super) fn limit_main(&self) -> Result<LandlockStatus, ReachError> {
        restrict(self.main.as_ref().unwrap_or(&self.all))
    }

    /// Has the calling thread reach the files in one directory, and nothing else.
    pub(super) fn limit_to(&self, folder: &Path) -> Result<(), ReachError> {
        let mut rules = nothing(self.is_alone)?;
        allow(&mut rules, folder, REPLACE)?;
        restrict(&rules).map(drop)
    }

    /// Has the calling thread, the machine's, reach these places, all of which are there, and `save`, and read these files. Returns false if
    /// it reaches all, as the kernel has no landlock.
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
        Ok(matches!(restrict(&rules)?, LandlockStatus::Available { .. }))
    }
}

/// The rules that all have: to open the node of vhost-vsock, and to remove what is removed at the end.
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

/// The main loop's rules: also to connect to the servers of serial ports, and to look at its own pseudoterminals.
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

/// Rules that refuse all that landlock can, among it signals to other processes if the thread `is_alone`.
fn nothing(is_alone: bool) -> Result<RulesetCreated, RulesetError> {
    // Kernels with this fault refuse them among a process's own threads, too.
    let signals = is_alone && Erratum::current().contains(Erratum::ScopedSignalHandling);
    let scopes = if signals { Scope::from_all(TRIED) } else { Scope::AbstractUnixSocket.into() };
    let files = AccessFs::from_all(TRIED);
    Ruleset::default()
        .handle_access(files)?
        .handle_access(AccessNet::from_all(TRIED))?
        .scope(scopes)?
        .create()
}

/// Allows rights to a file, or to all below a directory. There are none to what is not there.
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
