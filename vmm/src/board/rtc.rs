//! The CMOS memory with the real-time clock, which every machine has.

use std::sync::OnceLock;

use arch::{acpi::HardwareId, layout};
use devices::platform::{Cmos, CmosPorts, HostTimer};
use vm_memory::{Address, GuestMemoryBackend, GuestMemoryRegion};

use super::{AcpiName, Board, IsaSpec, OpenDevice};

/// The chip, which keeps its time and its memory through resets: the next machine has the values that the guest set.
#[derive(Debug, Default)]
pub(super) struct Rtc(OnceLock<Cmos>);

impl OpenDevice for Rtc {
    fn plug(&self, board: &mut Board) -> anyhow::Result<()> {
        let spec = IsaSpec {
            name: "CMOS real-time clock",
            ports: (layout::CMOS, CmosPorts::LEN),
            gsi: Some(layout::RTC_GSI),
            acpi: Some(AcpiName { name: *b"RTC_", hid: HardwareId::Eisa("PNP0B00"), uid: 0 }),
            backend: None,
        };
        let cmos = self.0.get_or_init(|| new_chip(board)).clone();
        let ports = board.isa(spec, |line| Ok(CmosPorts::new(cmos, line, Box::new(HostTimer::utc()?))))?;
        board.wake(ports);
        Ok(())
    }
}

/// Makes a chip that contains the size of the machine's memory.
fn new_chip(board: &Board) -> Cmos {
    let lasts = || board.vm.memory.iter().map(|region| region.last_addr().raw_value());
    let below = lasts().filter(|last| *last < layout::RAM_ABOVE_4G).max();
    let above = lasts().filter(|last| *last >= layout::RAM_ABOVE_4G).max();
    Cmos::new(below.map_or(0, |last| last + 1), above.map_or(0, |last| last + 1 - layout::RAM_ABOVE_4G))
}
