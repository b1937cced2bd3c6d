//! The states of a machine, in QMP's words.

use crate::{crash::Reason, exit::Exit, migration::Status};

/// A state of a machine, as QMP's `query-status` has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum RunState {
    /// It has not run yet.
    #[default]
    Prelaunch,
    /// Its vCPUs run. Also while it is reset.
    Running,
    /// The user has stopped it.
    Paused,
    /// The debugger has stopped it.
    Debug,
    /// Its guest's kernel panicked, and `--on-panic pause` has stopped it.
    GuestPanicked,
    /// It is stopped, and the rest of it is sent to another nvmm.
    FinishMigrate,
    /// It was given to another nvmm, which may run it.
    PostMigrate,
    /// It has ended, and nvmm is about to.
    Shutdown,
}

/// A change of a machine's state, as QMP's events have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It was stopped, and is in this state now.
    Stop(RunState),
    /// It runs, or goes on.
    Resume,
    /// The guest was asked to power off.
    PowerDown,
    /// It was reset, by its guest or by the user.
    Reset {
        /// The cause.
        by: Cause,
    },
    /// It has ended.
    Shutdown {
        /// The cause.
        by: Cause,
    },
    /// The guest's kernel panicked.
    Panicked {
        /// The machine's answer to it, by `--on-panic`.
        action: PanicAction,
    },
    /// Moving it to another nvmm has come so far.
    Migration(Status),
}

/// The reason for a reset or an end, which QMP calls `ShutdownCause`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// An error of the host's.
    HostError,
    /// QMP's `quit`.
    HostQmpQuit,
    /// QMP's `system_reset`.
    HostQmpSystemReset,
    /// A signal.
    HostSignal,
    /// A key, or an `--expect` that was not met.
    HostUi,
    /// The guest powered off.
    GuestShutdown,
    /// The guest asked for a reset, or met a triple fault.
    GuestReset,
    /// The guest's kernel panicked.
    GuestPanic,
}

/// The outcome of a panic, which QMP calls `GuestPanicAction`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PanicAction {
    /// The machine is stopped.
    Pause,
    /// nvmm ends.
    Poweroff,
    /// The machine is reset.
    Run,
}

impl RunState {
    /// QMP's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Prelaunch => "prelaunch",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Debug => "debug",
            Self::GuestPanicked => "guest-panicked",
            Self::FinishMigrate => "finish-migrate",
            Self::PostMigrate => "postmigrate",
            Self::Shutdown => "shutdown",
        }
    }

    /// The state after a change.
    pub(crate) fn after(self, change: &Change) -> Self {
        match *change {
            Change::Stop(state) => state,
            Change::Resume => Self::Running,
            Change::Shutdown { .. } => Self::Shutdown,
            Change::PowerDown | Change::Reset { .. } | Change::Panicked { .. } | Change::Migration(_) => self,
        }
    }
}

impl Cause {
    /// The cause of an end, or of a reset.
    pub(crate) fn of(exit: &Exit) -> Self {
        match exit {
            Exit::PowerOff | Exit::Debug(_) => Self::GuestShutdown,
            Exit::Reset => Self::GuestReset,
            Exit::Crash(crash) if crash.reason == Reason::TripleFault => Self::GuestReset,
            Exit::Restart => Self::HostQmpSystemReset,
            Exit::Panicked => Self::GuestPanic,
            Exit::Quit | Exit::Unmet => Self::HostUi,
            Exit::Closed | Exit::Saved | Exit::Moved => Self::HostQmpQuit,
            Exit::Signal(_) => Self::HostSignal,
            Exit::Crash(_) | Exit::Failed(_) => Self::HostError,
        }
    }

    /// QMP's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::HostError => "host-error",
            Self::HostQmpQuit => "host-qmp-quit",
            Self::HostQmpSystemReset => "host-qmp-system-reset",
            Self::HostSignal => "host-signal",
            Self::HostUi => "host-ui",
            Self::GuestShutdown => "guest-shutdown",
            Self::GuestReset => "guest-reset",
            Self::GuestPanic => "guest-panic",
        }
    }

    /// Returns whether the guest is the cause.
    pub(crate) fn is_guest(self) -> bool {
        matches!(self, Self::GuestShutdown | Self::GuestReset | Self::GuestPanic)
    }
}

impl PanicAction {
    /// QMP's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Poweroff => "poweroff",
            Self::Run => "run",
        }
    }
}

#[cfg(test)]
#[path = "run_state_test.rs"]
mod tests;
