//! The start and the end of a machine's run, as seen from outside.

use std::{fs::File, sync::Weak};

use anyhow::{Context, Result};
use rustix::stdio::dup2_stderr;
use vmm::{
    args::SandboxArgs,
    config::VmConfig,
    daemon::Starter,
    exit::{COULD_NOT, Exit, PANICKED, SIGNAL, UNMET},
    jail::Jail,
    notifier::Notifier,
    pid_file::PidFile,
    sandbox, snapshot,
};

/// Everything to be done when the machine is ready: notifying others, and closing the jail and the sandbox.
pub(crate) struct Launch {
    pub(crate) pid_file: Option<Weak<PidFile>>,
    pub(crate) jail: Jail,
    pub(crate) sandbox: SandboxArgs,
    pub(crate) starter: Option<Starter>,
    pub(crate) notifier: Notifier,
}

/// A machine that is confined, and whose start others have not heard of.
pub(crate) struct Confined {
    starter: Option<Starter>,
    notifier: Notifier,
}

impl Launch {
    /// Closes the jail and the sandbox, and checks there that the machine can be saved at its end.
    pub(crate) fn confine(self, config: &VmConfig) -> Result<Confined> {
        if let Some(file) = self.pid_file.and_then(|file| file.upgrade()) {
            file.write()?;
        }
        // First, since the others may rely on it.
        self.jail.close()?;
        sandbox::close(&self.sandbox, config)?;
        snapshot::try_at_exit(config)?;
        Ok(Confined { starter: self.starter, notifier: self.notifier })
    }
}

impl Confined {
    /// Notifies the others. From here on, messages go to `log` if there is one, including a panic's.
    pub(crate) fn done(self, log: Option<&File>) -> Result<()> {
        match (self.starter, log) {
            (Some(starter), log) => starter.done(log).context("--daemonize")?,
            (None, Some(log)) => dup2_stderr(log).context("--log-file")?,
            (None, None) => {}
        }
        self.notifier.ready().context("NOTIFY_SOCKET")
    }
}

/// Returns nvmm's exit status after an end, and logs what there is to report.
pub(crate) fn status(exit: Exit) -> u8 {
    match exit {
        Exit::PowerOff
        | Exit::Reset
        | Exit::Restart
        | Exit::Quit
        | Exit::Closed
        | Exit::Saved
        | Exit::Moved => 0,
        Exit::Panicked => {
            log::error!("the guest's kernel panicked");
            PANICKED
        }
        Exit::Debug(status) => status,
        Exit::Unmet => UNMET,
        Exit::Signal(signal) => u8::try_from(signal).map_or(COULD_NOT, |signal| SIGNAL + signal),
        Exit::Crash(crash) => {
            log::error!("{crash}");
            crash.reason.status()
        }
        Exit::Failed(error) => {
            log::error!("{error:#}");
            COULD_NOT
        }
    }
}
