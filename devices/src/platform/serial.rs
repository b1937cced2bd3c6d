use std::{
    convert::Infallible,
    io::{self, Write},
    ops::Range,
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
};

use vm_superio::{Trigger, serial::NoEvents};

use super::output::Output;
use crate::{
    bus::{Device, Effect},
    irq::Line,
};

const REGISTERS: u8 = 8;
const RECEIVER_BUFFER: u8 = 0;
const INTERRUPT_ENABLE: u8 = 1;
const INTERRUPT_IDENTIFICATION: u8 = 2;
const MODEM_CONTROL: u8 = 4;
const LINE_STATUS: u8 = 5;

/// Interrupt identification: the transmitter is empty.
const TRANSMITTER_EMPTY: u8 = 0b010;
/// Interrupt identification: there are bytes to read.
const DATA_AVAILABLE: u8 = 0b100;
/// Line control: registers 0 and 1 are the divisor.
const DIVISOR_LATCH: u8 = 0x80;
/// Line status: there is a byte to read.
const DATA_READY: u8 = 1;

/// A 16550A serial port.
///
/// Bytes leave in batches, as a nested guest's console would otherwise cost its host a system call, and that host's host
/// several exits, for each. A batch goes out when it is large or has waited for 10 ms, by the machine's main loop: when
/// [`Serial::wakeup`] is readable it calls [`Serial::flush`], and then offers input that was refused again.
/// What is left goes out when the port is dropped.
///
/// A sink that fails loses output, and the guest goes on. A sink that would block is asked again later.
#[derive(Debug)]
pub struct Serial {
    uart: vm_superio::Serial<Edge, NoEvents, Output>,
    input_refused: bool,
}

impl Serial {
    /// How many ports it takes.
    pub const LEN: u64 = REGISTERS as u64;

    /// Makes a port that interrupts through `irq`, edge-triggered as ISA's lines are, and sends to `sink`,
    /// which should have no buffer of its own.
    ///
    /// # Errors
    ///
    /// The timer for flushing can't be made.
    pub fn new(irq: Arc<dyn Line>, sink: Box<dyn Write + Send>) -> io::Result<Self> {
        Ok(Self { uart: vm_superio::Serial::new(Edge(irq), Output::new(sink)?), input_refused: false })
    }

    /// Receives as much of `bytes` as fits, and says how much. If that is not all, [`Serial::wakeup`] tells when the guest
    /// has read what came before.
    pub fn input(&mut self, bytes: &[u8]) -> usize {
        // The one error is a full FIFO.
        let accepted = self.uart.enqueue_raw_bytes(bytes).unwrap_or(0);
        self.input_refused = accepted < bytes.len();
        accepted
    }

    /// Sends what waits for more.
    pub fn flush(&mut self) {
        self.uart.writer_mut().flush_and_rest();
    }

    /// A descriptor that is readable when there is output to [`Serial::flush`], or room again for input that
    /// [`Serial::input`] refused. Flushing makes it unreadable.
    #[must_use]
    pub fn wakeup(&self) -> BorrowedFd<'_> {
        self.uart.writer().as_fd()
    }

    /// Not inlined: for the sake of a wide access, which no driver makes, each access would load all of the UART's state.
    #[inline(never)]
    fn read_register(&mut self, register: u8) -> u8 {
        let byte = match register {
            INTERRUPT_IDENTIFICATION => self.read_interrupt_identification(),
            _ => self.uart.read(register),
        };
        self.wake_for_input(register);
        byte
    }

    /// Of two causes a 16550A shows the first, and the second when that is done. vm-superio shows both at once, which reads
    /// as a third, and takes them for acknowledged.
    fn read_interrupt_identification(&mut self) -> u8 {
        let both = DATA_AVAILABLE | TRANSMITTER_EMPTY;
        let causes = self.uart.read(INTERRUPT_IDENTIFICATION);
        if causes & both != both {
            return causes;
        }
        let state = self.uart.state();
        if state.line_control & DIVISOR_LATCH == 0 {
            // This raises what is enabled and so.
            let _infallible = self.uart.write(INTERRUPT_ENABLE, state.interrupt_enable);
        }
        causes & !TRANSMITTER_EMPTY
    }

    /// Room for input comes with the last byte read, and with the end of loopback mode.
    fn wake_for_input(&mut self, register: u8) {
        if self.input_refused
            && matches!(register, RECEIVER_BUFFER | MODEM_CONTROL)
            && self.uart.read(LINE_STATUS) & DATA_READY == 0
        {
            self.input_refused = false;
            self.uart.writer_mut().wake_now();
        }
    }
}

impl Device for Serial {
    fn read(&mut self, offset: u64, data: &mut [u8]) {
        let mut registers = registers_from(offset);
        for byte in data {
            *byte = registers.next().map_or(0xff, |register| self.read_register(register));
        }
    }

    fn write(&mut self, offset: u64, data: &[u8]) -> Effect {
        for (register, &byte) in registers_from(offset).zip(data) {
            // Neither the line nor the output can fail.
            let _infallible = self.uart.write(register, byte);
            self.wake_for_input(register);
        }
        Effect::None
    }
}

/// The registers that a wide access at `offset` reaches, one after another.
fn registers_from(offset: u64) -> Range<u8> {
    u8::try_from(offset).unwrap_or(REGISTERS)..REGISTERS
}

/// An interrupt of the 16550A, which vm-superio raises when its cause appears.
#[derive(Debug)]
struct Edge(Arc<dyn Line>);

impl Trigger for Edge {
    type E = Infallible;

    fn trigger(&self) -> Result<(), Infallible> {
        self.0.pulse();
        Ok(())
    }
}

#[cfg(test)]
#[path = "serial_test.rs"]
mod tests;
