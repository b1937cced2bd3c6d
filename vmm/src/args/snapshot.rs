//! The options of snapshots.

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, ValueEnum};

use super::heading::SNAPSHOTS;

/// The options of snapshots.
#[derive(Clone, Debug, Default, Args)]
pub struct SnapshotArgs {
    /// Go on with the machine saved in DIR
    ///
    /// Go on with the machine that was saved in DIR, with its options. Others may be given besides: those about this run, such as --qmp,
    /// and places on this host, such as --disk id=NAME,path=PATH, --net id=NAME,tap=INTERFACE or --serial PLACE
    #[arg(long, help_heading = SNAPSHOTS, value_name = "DIR")]
    pub restore: Option<PathBuf>,

    /// Read or map its memory
    ///
    /// The memory of a restored machine: copy reads all of it first, and checks it; map reads what the guest needs when it needs it, and
    /// what it does not write it shares with others that are restored from DIR. DIR must stay as it is then
    #[arg(long, help_heading = SNAPSHOTS, value_name = "copy|map", value_enum, default_value_t, hide_possible_values = true, requires = "restore")]
    pub restore_memory: RestoreMemory,

    /// Give it a new UUID and MACs
    ///
    /// The restored machine is another one than those that come from DIR besides: it has a new UUID, and new MAC addresses by it, which its
    /// guest sees when drivers start anew and after a reboot. A new VM generation ID it has at once, like each restored machine
    #[arg(long, help_heading = SNAPSHOTS, requires = "restore")]
    pub fresh_identity: bool,

    /// Take a machine from another nvmm
    ///
    /// Wait for a machine that another nvmm moves here (nvmm ctl SOCKET migrate), and run it with its options. Others may be given besides,
    /// as to --restore. Whoever can connect has nvmm open any file that it may: TCP is for networks where all are trusted
    #[arg(long, help_heading = SNAPSHOTS, value_name = "tcp:HOST:PORT|...", conflicts_with_all = ["restore", "domain", "from_qemu", "dry_run"])]
    pub incoming: Option<OsString>,

    /// Save it in DIR on SIGTERM, SIGUSR2
    ///
    /// Save the machine in DIR when nvmm is told to end, by SIGTERM for example, instead of asking the guest to power off; and on SIGUSR2,
    /// after which it goes on. An older snapshot in DIR is replaced
    #[arg(long, help_heading = SNAPSHOTS, value_name = "DIR")]
    pub snapshot_on_exit: Option<PathBuf>,
}

/// The way in which a restored machine gets its memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum RestoreMemory {
    /// All of it is read and checked before the guest runs.
    #[default]
    Copy,
    /// The file is mapped, and read as needed.
    Map,
}
