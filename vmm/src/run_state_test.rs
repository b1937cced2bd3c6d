use super::*;

#[test]
fn states_follow_changes() {
    let by = Cause::GuestReset;
    let changes = [
        (Change::Resume, "running"),
        (Change::PowerDown, "running"),
        (Change::Panicked { action: PanicAction::Pause }, "running"),
        (Change::Stop(RunState::GuestPanicked), "guest-panicked"),
        (Change::Reset { by }, "guest-panicked"),
        (Change::Resume, "running"),
        (Change::Stop(RunState::Paused), "paused"),
        (Change::Shutdown { by }, "shutdown"),
    ];
    let mut state = RunState::default();
    for (change, name) in changes {
        state = state.after(&change);
        assert_eq!(state.name(), name, "after {change:?}");
    }
}

#[test]
fn every_end_has_its_cause() {
    let crash = |reason| Exit::Crash(Box::new(crate::crash::Crash::without_state(reason)));
    let ends = [
        (Exit::PowerOff, "guest-shutdown", true),
        (Exit::Debug(1), "guest-shutdown", true),
        (Exit::Reset, "guest-reset", true),
        (crash(Reason::TripleFault), "guest-reset", true),
        (Exit::Panicked, "guest-panic", true),
        (Exit::Restart, "host-qmp-system-reset", false),
        (Exit::Quit, "host-ui", false),
        (Exit::Closed, "host-qmp-quit", false),
        (Exit::Signal(15), "host-signal", false),
        (crash(Reason::FailEntry(33)), "host-error", false),
    ];
    for (exit, name, guest) in ends {
        let cause = Cause::of(&exit);
        assert_eq!((cause.name(), cause.is_guest()), (name, guest), "{exit:?}");
    }
}
