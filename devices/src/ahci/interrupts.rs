//! The HBA's interrupt: by MSI, or by INTx.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::irq::{Line, Msi};

/// The interrupts of all ports, shared by the registers and the ports' threads.
#[derive(Debug)]
pub(super) struct Interrupts {
    state: Mutex<State>,
    line: Arc<dyn Line>,
    msi: Arc<dyn Msi>,
}

/// The registers that interrupts follow from.
#[derive(Debug, Default)]
pub(super) struct State {
    /// "Interrupt Status": the ports that have interrupted.
    pub(super) status: u32,
    /// The ports with a cause that is enabled.
    pub(super) pending: u32,
    /// "Global HBA Control", interrupt enable.
    pub(super) enabled: bool,
    pub(super) by_msi: bool,
    pub(super) intx_disabled: bool,
}

impl Interrupts {
    pub(super) fn new(line: Arc<dyn Line>, msi: Arc<dyn Msi>) -> Self {
        Self { state: Mutex::default(), line, msi }
    }

    /// The register.
    pub(super) fn status(&self) -> u32 {
        self.state().status
    }

    /// Clears the bits of `ports`. A port that still has a cause interrupts again.
    pub(super) fn clear(&self, ports: u32) {
        self.change(|state| state.status &= !ports);
    }

    /// Sets or clears the cause of port `port`.
    pub(super) fn set_pending(&self, port: u8, pending: bool) {
        let bit = 1 << port;
        self.change(|state| state.pending = state.pending & !bit | if pending { bit } else { 0 });
    }

    pub(super) fn enable(&self, enabled: bool) {
        self.change(|state| state.enabled = enabled);
    }

    /// Resets the interrupts with the HBA: no port has a cause any more.
    pub(super) fn reset(&self) {
        self.change(|state| {
            *state = State { by_msi: state.by_msi, intx_disabled: state.intx_disabled, ..State::default() };
        });
    }

    /// Takes up the state of another HBA, whose messages were sent.
    pub(super) fn load(&self, loaded: State) {
        let mut state = self.state();
        *state = loaded;
        self.line.set(state.asserts());
    }

    /// Follows configuration space.
    pub(super) fn follow(&self, by_msi: bool, intx_disabled: bool) {
        self.change(|state| (state.by_msi, state.intx_disabled) = (by_msi, intx_disabled));
    }

    /// Returns true if INTx would be asserted, were it enabled.
    pub(super) fn intx_pending(&self) -> bool {
        let state = self.state();
        state.enabled && state.status != 0
    }

    /// AHCI 1.3.1, "Interrupts": a message for each port that comes to interrupt, a line while one does.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        let before = if state.sends() { state.status } else { 0 };
        change(&mut state);
        // A bit that was cleared though its port has a cause is set anew: that is an interrupt, too.
        let kept = before & state.status;
        state.status |= state.pending;
        if state.sends() && state.status & !kept != 0 {
            self.msi.signal();
        }
        // Under the lock, so that the last to change it is the last to drive the line.
        self.line.set(state.asserts());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn sends(&self) -> bool {
        self.enabled && self.by_msi
    }

    /// The level of INTx.
    fn asserts(&self) -> bool {
        self.enabled && !self.by_msi && !self.intx_disabled && self.status != 0
    }
}
