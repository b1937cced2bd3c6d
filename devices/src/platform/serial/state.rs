//! A serial port's state.

use std::io;

use serde::{Deserialize, Serialize};
use vm_superio::serial::{NoEvents, SerialState};

use super::{Causes, DATA_READY, DIVISOR_LATCH, Serial, Sink, TIME_OUT, Unheard};
use crate::state::{StateError, Stateful, hex};

/// The registers, and the causes for which the guest was interrupted.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    divisor: u16,
    interrupt_enable: u8,
    line_control: u8,
    modem_control: u8,
    scratch: u8,
    /// The bytes that the guest has not read.
    #[serde(with = "hex")]
    received: Vec<u8>,
    transmitter_empty: bool,
    told: u8,
    left_some: bool,
    reading: bool,
}

impl Stateful for Serial {
    type State = State;

    fn save(&self) -> Result<State, StateError> {
        let uart = self.uart.state();
        Ok(State {
            divisor: u16::from_le_bytes([uart.baud_divisor_low, uart.baud_divisor_high]),
            interrupt_enable: uart.interrupt_enable,
            line_control: uart.line_control,
            modem_control: uart.modem_control,
            scratch: uart.scratch,
            received: uart.in_buffer,
            transmitter_empty: self.latched.contains(Causes::TRANSMITTER_EMPTY),
            told: self.told.bits(),
            left_some: self.left_some,
            reading: self.reading,
        })
    }

    /// Loads a state, without interrupting again: the interrupt controller's state has those interrupts.
    fn load(&mut self, state: State) -> Result<(), StateError> {
        let causes = |bits| {
            Causes::from_bits(bits).ok_or(StateError::Nonsense("a serial port has no such interrupts"))
        };
        let (enabled, told) = (causes(state.interrupt_enable)?, causes(state.told)?);
        let [baud_divisor_low, baud_divisor_high] = state.divisor.to_le_bytes();
        let defaults = SerialState::default();
        let data_ready = if state.received.is_empty() { 0 } else { DATA_READY };
        let uart = SerialState {
            baud_divisor_low,
            baud_divisor_high,
            interrupt_enable: state.interrupt_enable,
            line_control: state.line_control,
            line_status: defaults.line_status & !DATA_READY | data_ready,
            modem_control: state.modem_control,
            scratch: state.scratch,
            in_buffer: state.received,
            ..defaults
        };
        let uart = vm_superio::Serial::from_state(&uart, Unheard, NoEvents, Sink(Box::new(io::sink())));
        let mut uart = uart.map_err(|_| StateError::Nonsense("more was received than there is room for"))?;
        std::mem::swap(uart.writer_mut(), self.uart.writer_mut());
        self.uart = uart;
        self.enabled = enabled;
        self.told = told;
        self.latched = Causes::empty();
        self.latched.set(Causes::TRANSMITTER_EMPTY, state.transmitter_empty);
        self.divisor_latch = state.line_control & DIVISOR_LATCH != 0;
        (self.left_some, self.reading) = (state.left_some, state.reading);
        if state.left_some || state.reading {
            self.wake_in(TIME_OUT);
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "state_test.rs"]
mod tests;
