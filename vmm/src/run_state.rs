//! The states of a machine, by QMP's names.

use crate::{crash::Reason, exit::Exit, migration::Status};

/// A state of a machine, as in QMP's `query-status`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum RunState {
    /// The machine has not run yet.
    #[default]
    Prelaunch,
    /// The vCPUs run, or it is being reset.
    Running,
    /// The user has paused it.
    Paused,
    /// The debugger has paused it.
    Debug,
    /// The guest's kernel panicked, and `--on-panic pause` has paused it.
    GuestPanicked,
    /// The machine is paused, and the rest of its state is being sent to another nvmm.
    FinishMigrate,
    /// The machine was moved to another nvmm, which may run it.
    PostMigrate,
    /// The machine has ended, and nvmm is about to end.
    Shutdown,
}

/// A change of a machine's state, as in QMP's events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The machine was stopped, and is now in this state.
    Stop(RunState),
    /// The machine runs, for the first time or again.
    Resume,
    /// The guest was asked to power off.
    PowerDown,
    /// The machine was reset, by its guest or by the user.
    Reset {
        /// The cause.
        by: Cause,
    },
    /// The machine has ended.
    Shutdown {
        /// The cause.
        by: Cause,
    },
    /// The guest's kernel panicked.
    Panicked {
        /// The action that `--on-panic` takes.
        action: PanicAction,
    },
    /// The migration has reached this status.
    Migration(Status),
}

/// The reason for a reset or an end: QMP's `ShutdownCause`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// A host error.
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

/// The action after a panic: QMP's `GuestPanicAction`.
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
    /// The cause of an end or a reset.
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
