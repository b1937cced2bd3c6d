mod state;

use std::{
    convert::Infallible,
    fmt,
    io::{self, Write},
    ops::Range,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

use bitflags::bitflags;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use vm_superio::{Trigger, serial::NoEvents};

use crate::{
    bus::{BusDevice, Effect},
    irq::Line,
    wakes::Wakes,
};

const REGISTERS: u8 = 8;
/// The receiver buffer and the transmitter holding register.
const DATA: u8 = 0;
const INTERRUPT_ENABLE: u8 = 1;
const INTERRUPT_IDENTIFICATION: u8 = 2;
const LINE_CONTROL: u8 = 3;
const MODEM_CONTROL: u8 = 4;
const LINE_STATUS: u8 = 5;

/// Line control: registers 0 and 1 are the divisor.
const DIVISOR_LATCH: u8 = 0x80;
/// Line status: a byte can be read.
const DATA_READY: u8 = 1;
/// Interrupt identification: the FIFOs are enabled.
const FIFOS: u8 = 0xc0;

bitflags! {
    /// The causes of interrupts, by their bits in the interrupt enable register. The line status and modem status never cause one here.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    struct Causes: u8 {
        const DATA_AVAILABLE = 1 << 0;
        const TRANSMITTER_EMPTY = 1 << 1;
        const LINE_STATUS = 1 << 2;
        const MODEM_STATUS = 1 << 3;
    }
}

/// Wakes the waiting thread now. A time of zero would disarm the timer.
const AT_ONCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 1 };
/// The time after a read when the guest counts as having stopped reading. 16550D, "FIFO interrupt mode operation": four characters, though
/// of a much slower line than KVM's users know.
const TIME_OUT: Timespec = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
const NEVER: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// A 16550A serial port.
///
/// vm-superio has the registers and the FIFO of received bytes. Interrupts are decided here, by the 16550D's data sheet: received data
/// interrupts as long as there is some, an empty transmitter once. The interrupt identification register shows the first of the two that is
/// pending, and reading it acknowledges only the second. As with a FIFO with a trigger level of one byte, data that is left after some was
/// read interrupts again after a time-out.
///
/// After [`Wakes::on_wakeup`], its user has to offer refused input again.
#[derive(Debug)]
pub struct Serial {
    uart: vm_superio::Serial<Unheard, NoEvents, Sink>,
    irq: Arc<dyn Line>,
    enabled: Causes,
    /// The transmitter-empty interrupt, which stays set until IIR is read.
    latched: Causes,
    divisor_latch: bool,
    /// The causes for which the guest was interrupted.
    told: Causes,
    input_refused: bool,
    /// The guest has read some of the data, and left some, since the last interrupt for data.
    left_some: bool,
    /// The guest has read since the timer was set.
    reading: bool,
    timer: OwnedFd,
    timing: bool,
}

impl Serial {
    /// The number of ports.
    pub const LEN: u64 = REGISTERS as u64;

    /// Makes a port that interrupts through `irq`, which is edge-triggered like ISA's lines, and sends to `sink`, one byte at a time. The
    /// sink should never block, since a vCPU would wait.
    ///
    /// # Errors
    ///
    /// The timer can't be made.
    pub fn new(irq: Arc<dyn Line>, sink: Box<dyn Write + Send>) -> io::Result<Self> {
        Ok(Self {
            uart: vm_superio::Serial::new(Unheard, Sink(sink)),
            irq,
            enabled: Causes::empty(),
            latched: Causes::empty(),
            divisor_latch: false,
            told: Causes::empty(),
            input_refused: false,
            left_some: false,
            reading: false,
            timer: timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?,
            timing: false,
        })
    }

    /// Receives as many of `bytes` as fit, and returns their number. If that is not all, [`Wakes::wakeup`] becomes readable when the guest
    /// has read earlier ones.
    pub fn input(&mut self, bytes: &[u8]) -> usize {
        // The only error is a full FIFO.
        let accepted = self.uart.enqueue_raw_bytes(bytes).unwrap_or(0);
        self.input_refused = accepted < bytes.len();
        if accepted > 0 {
            self.interrupt_again();
        }
        accepted
    }

    /// Takes back the received bytes that the guest has not read: the peer that sent them could not know that they are lost.
    pub fn take_back(&mut self) -> Vec<u8> {
        let line_control = self.uart.read(LINE_CONTROL);
        let mut bytes = Vec::new();
        // With DLAB clear, register 0 is the receiver buffer. Writing the line control register can't fail.
        let _ = self.uart.write(LINE_CONTROL, line_control & !DIVISOR_LATCH);
        while self.data_ready() {
            bytes.push(self.uart.read(DATA));
        }
        let _ = self.uart.write(LINE_CONTROL, line_control);
        bytes
    }

    fn data_ready(&mut self) -> bool {
        self.uart.read(LINE_STATUS) & DATA_READY != 0
    }

    /// The cause that interrupts now.
    fn pending(&mut self) -> Causes {
        let data = if self.data_ready() { Causes::DATA_AVAILABLE } else { Causes::empty() };
        (data | self.latched) & self.enabled
    }

    /// Interrupts for causes that have become pending since the last interrupt.
    fn interrupt(&mut self) {
        let pending = self.pending();
        let new = pending - self.told;
        self.told = pending;
        if !new.is_empty() {
            self.irq.pulse();
        }
    }

    /// Interrupts for data again.
    fn interrupt_again(&mut self) {
        self.told -= Causes::DATA_AVAILABLE;
        self.left_some = false;
        self.interrupt();
    }

    fn read_interrupt_identification(&mut self) -> u8 {
        let pending = self.pending();
        FIFOS
            | if pending.contains(Causes::DATA_AVAILABLE) {
                0b100
            } else if pending.contains(Causes::TRANSMITTER_EMPTY) {
                self.latched -= Causes::TRANSMITTER_EMPTY;
                0b010
            } else {
                0b001
            }
    }

    /// Not inlined: otherwise each access would load all of the UART's state, for the sake of wide accesses, which no driver makes.
    #[inline(never)]
    fn read_register(&mut self, register: u8) -> u8 {
        match register {
            DATA if !self.divisor_latch => {
                let byte = self.uart.read(register);
                self.after_reading();
                self.interrupt();
                byte
            }
            INTERRUPT_IDENTIFICATION => {
                let causes = self.read_interrupt_identification();
                self.interrupt();
                causes
            }
            _ => self.uart.read(register),
        }
    }

    fn write_register(&mut self, register: u8, value: u8) {
        // Neither the trigger nor the sink can fail.
        let _infallible = self.uart.write(register, value);
        match register {
            DATA if !self.divisor_latch => self.latched |= Causes::TRANSMITTER_EMPTY,
            INTERRUPT_ENABLE if !self.divisor_latch => {
                let enabled = Causes::from_bits_truncate(value);
                if (enabled - self.enabled).contains(Causes::TRANSMITTER_EMPTY) {
                    // The transmitter is always empty.
                    self.latched |= Causes::TRANSMITTER_EMPTY;
                }
                self.enabled = enabled;
            }
            LINE_CONTROL => self.divisor_latch = value & DIVISOR_LATCH != 0,
            _ => {}
        }
    }

    /// Sets the timer if the guest has read some of the data. Wakes the thread that waits for room if there is some: after the last byte
    /// was read, or after loopback mode.
    fn after_reading(&mut self) {
        if self.data_ready() {
            self.left_some = true;
            self.reading = true;
            if !self.timing {
                self.wake_in(TIME_OUT);
            }
            return;
        }
        (self.left_some, self.reading) = (false, false);
        if std::mem::take(&mut self.input_refused) {
            self.wake_in(AT_ONCE);
        }
    }

    fn wake_in(&mut self, time: Timespec) {
        let once = Itimerspec { it_interval: NEVER, it_value: time };
        self.timing =
            timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once).is_ok() && time != NEVER;
    }
}

impl BusDevice for Serial {
    fn read(&mut self, offset: u64, data: &mut [u8]) {
        let mut registers = registers_from(offset);
        for byte in data {
            *byte = registers.next().map_or(0xff, |register| self.read_register(register));
        }
    }

    fn write(&mut self, offset: u64, data: &[u8]) -> Effect {
        for (register, &byte) in registers_from(offset).zip(data) {
            self.write_register(register, byte);
            match register {
                MODEM_CONTROL if self.input_refused => self.after_reading(),
                DATA | INTERRUPT_ENABLE => self.interrupt(),
                _ => {}
            }
        }
        Effect::None
    }
}

impl Wakes for Serial {
    fn wakeup(&self) -> BorrowedFd<'_> {
        self.timer.as_fd()
    }

    /// Interrupts a guest that has stopped reading once more. Afterwards there may be room for input that [`Serial::input`] refused.
    fn on_wakeup(&mut self) {
        // Setting the timer also makes its descriptor unreadable.
        self.wake_in(NEVER);
        if std::mem::take(&mut self.reading) {
            self.wake_in(TIME_OUT);
        } else if std::mem::take(&mut self.left_some) {
            self.interrupt_again();
        }
    }
}

/// The registers of a wide access at `offset`, one after another.
fn registers_from(offset: u64) -> Range<u8> {
    u8::try_from(offset).unwrap_or(REGISTERS)..REGISTERS
}

/// The destination of sent bytes.
struct Sink(Box<dyn Write + Send>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sink").finish_non_exhaustive()
    }
}

/// vm-superio's interrupts, which are ignored because they differ from a 16550A's.
#[derive(Debug)]
struct Unheard;

impl Trigger for Unheard {
    type E = Infallible;

    fn trigger(&self) -> Result<(), Infallible> {
        Ok(())
    }
}

#[cfg(test)]
#[path = "serial_test.rs"]
mod tests;
