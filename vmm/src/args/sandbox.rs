//! `--sandbox`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::heading::JAIL;

/// The options of the sandbox.
#[derive(Clone, Debug, Default, Args)]
pub struct SandboxArgs {
    /// Refuse system calls beyond its own
    ///
    /// Let nvmm's threads ask the kernel for what they need and nothing else, from the guest's first instruction on: on (the default), log,
    /// to be told of what would have been refused, or off
    #[arg(long, help_heading = JAIL, value_name = "on|log|off", value_enum, default_value_t, hide_possible_values = true)]
    pub sandbox: SandboxMode,

    /// Path for the control socket's commands; repeatable
    ///
    /// Let commands of the control socket, such as screendump and blockdev-change-medium, reach this file, or all below this directory, and
    /// no other files; repeatable. Without it they reach what nvmm's user may. With --chroot it is in DIR
    #[arg(long, help_heading = JAIL, value_name = "PATH")]
    pub allow_path: Vec<PathBuf>,
}

/// The action on a system call that is not on a thread's list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum SandboxMode {
    /// nvmm ends, with status 14
    #[default]
    On,
    /// It is told of, and made
    Log,
    /// Any call is made
    Off,
}
