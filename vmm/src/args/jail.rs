//! The options of a machine that starts as root and then gives up root's rights.

use std::path::PathBuf;

use clap::Args;

use super::heading::JAIL;

/// The options of a jail.
#[derive(Clone, Debug, Default, Args)]
pub struct JailArgs {
    /// Start as root, and become this user
    ///
    /// Start as root, and become this user, with its groups, and GROUP for its own one: names, or numbers. What the machine needs is opened
    /// with root's rights; what is left after that has none of them
    #[arg(long, help_heading = JAIL, value_name = "USER[:GROUP]")]
    pub user: Option<String>,

    /// The directory that is / while it runs
    ///
    /// Have this directory for / once all that the machine needs is open. What is opened later, such as files of the control socket's
    /// commands, is found there
    #[arg(long, help_heading = JAIL, value_name = "DIR", requires = "user")]
    pub chroot: Option<PathBuf>,

    /// A network namespace to run in
    ///
    /// Run in this network namespace, with its interfaces and ports, such as /run/netns/NAME of ip netns add NAME
    #[arg(long, help_heading = JAIL, value_name = "PATH")]
    pub netns: Option<PathBuf>,

    /// A control group to run in; repeatable
    ///
    /// Run in this control group, a directory below /sys/fs/cgroup; repeatable, for the hierarchies of version 1
    #[arg(long, help_heading = JAIL, value_name = "DIR")]
    pub cgroup: Vec<PathBuf>,
}
