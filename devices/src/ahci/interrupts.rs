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

/// The registers that decide on interrupts.
#[derive(Debug, Default)]
pub(super) struct State {
    /// "Interrupt Status": the ports that have interrupted.
    pub(super) status: u32,
    /// The ports that have an enabled cause.
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

    /// The register's value.
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

    /// Resets the interrupts together with the HBA: no port has a cause any more.
    pub(super) fn reset(&self) {
        self.change(|state| {
            *state = State { by_msi: state.by_msi, intx_disabled: state.intx_disabled, ..State::default() };
        });
    }

    /// Loads the state of another HBA, which has sent its messages already.
    pub(super) fn load(&self, loaded: State) {
        let mut state = self.state();
        *state = loaded;
        self.line.set(state.asserts());
    }

    /// Applies changes of configuration space.
    pub(super) fn follow(&self, by_msi: bool, intx_disabled: bool) {
        self.change(|state| (state.by_msi, state.intx_disabled) = (by_msi, intx_disabled));
    }

    /// Returns true if INTx would be asserted if it were enabled.
    pub(super) fn intx_pending(&self) -> bool {
        let state = self.state();
        state.enabled && state.status != 0
    }

    /// AHCI 1.3.1, "Interrupts": sends a message for each port that newly interrupts, or keeps the line asserted while a port does.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        let before = if state.sends() { state.status } else { 0 };
        change(&mut state);
        // If the driver clears the bit of a port that still has a cause, the bit is set again: this is an interrupt, too.
        let kept = before & state.status;
        state.status |= state.pending;
        if state.sends() && state.status & !kept != 0 {
            self.msi.signal();
        }
        // Still under the lock, so that the last thread to change the state sets the line last.
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

    /// Returns the level of INTx.
    fn asserts(&self) -> bool {
        self.enabled && !self.by_msi && !self.intx_disabled && self.status != 0
    }
}
