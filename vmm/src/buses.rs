//! The buses on which vCPU threads access devices.

mod flash;
mod mapped;
mod placed;
#[cfg(test)]
pub(crate) mod testing;

use std::{
    collections::BTreeMap,
    fmt::Debug,
    io,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicBool},
};

use arch::{layout, memory::GuestRam};
use devices::{
    bus::{Bus, BusError, Target, Window},
    once::Once,
    pci::{BarSpace, BarTarget, Decoded, Ecam, PciAddress, PciRoot},
};
use kvm_ioctls::{IoEventAddress, NoDatamatch, VmFd};
use vm_memory::{Address, GuestMemoryBackend, GuestMemoryRegion};
use vmm_sys_util::eventfd::EventFd;

pub(crate) use self::{flash::FlashSlot, mapped::MemorySlots};
use self::{
    mapped::Mapped,
    placed::{BusAddress, FunctionBar, Placed, Write},
};
use crate::ioctls::again;

/// The address spaces of a running machine, shared by its vCPUs.
#[derive(Debug)]
pub(crate) struct Buses {
    /// I/O ports.
    pub(crate) pio: Bus,
    /// Memory-mapped registers.
    pub(crate) mmio: Bus,
    /// The PCI functions, which have BARs on both.
    pub(crate) pci: Arc<PciRoot>,
    /// Set when the vCPUs have to stop.
    pub(crate) stop: AtomicBool,
    doorbells: Arc<dyn IoEvents>,
    followed: Mutex<Followed>,
}

/// Writes for which the kernel signals eventfds, without an exit.
pub(crate) trait IoEvents: Send + Sync + Debug {
    /// Signals `event` for each such write.
    fn register(&self, write: Write, event: &EventFd) -> io::Result<()>;

    /// Ends [`Self::register`].
    fn unregister(&self, write: Write, event: &EventFd) -> io::Result<()>;
}

/// `KVM_IOEVENTFD`. Without a length and a data match, KVM can use its fast MMIO bus, which does not decode the instruction.
impl IoEvents for VmFd {
    fn register(&self, write: Write, event: &EventFd) -> io::Result<()> {
        let at = write.at.into();
        again(|| match write.value {
            Some(value) => self.register_ioevent(event, &at, value),
            None => self.register_ioevent(event, &at, NoDatamatch),
        })?;
        Ok(())
    }

    fn unregister(&self, write: Write, event: &EventFd) -> io::Result<()> {
        let at = write.at.into();
        again(|| match write.value {
            Some(value) => self.unregister_ioevent(event, &at, value),
            None => self.unregister_ioevent(event, &at, NoDatamatch),
        })?;
        Ok(())
    }
}

impl From<BusAddress> for IoEventAddress {
    fn from(address: BusAddress) -> Self {
        match address {
            BusAddress::Port(port) => Self::Pio(port),
            BusAddress::Memory(address) => Self::Mmio(address),
        }
    }
}

/// The state of PCI that the buses have applied.
#[derive(Debug)]
struct Followed {
    /// The decoded BARs, with their addresses.
    bars: Vec<(PciAddress, Decoded)>,
    /// The addresses of ECAM.
    ecam: Option<Range<u64>>,
    /// The memory BARs among them, with the parts that nothing covers.
    memory: BTreeMap<FunctionBar, Placed>,
    /// The I/O BARs among them, in the same way.
    ports: BTreeMap<FunctionBar, Placed>,
    /// The memory of memory BARs without registers, as far as KVM maps it.
    mapped: Mapped,
    /// The flash chip, if there is one.
    flash: Option<FlashSlot>,
    /// Writes for which KVM signals eventfds.
    doorbells: BTreeMap<Write, Registered>,
    /// Logged once when KVM takes no more doorbells.
    said_full: Once,
}

/// A registered doorbell.
#[derive(Debug)]
struct Registered {
    bar: FunctionBar,
    offset: u64,
    event: EventFd,
}

impl Buses {
    /// Makes the buses of a machine, with what PCI decodes.
    pub(crate) fn new(
        pio: Bus,
        mmio: Bus,
        pci: Arc<PciRoot>,
        doorbells: Arc<dyn IoEvents>,
        slots: Arc<dyn MemorySlots>,
    ) -> Self {
        let followed = Mutex::new(Followed::new(slots));
        let buses = Self { pio, mmio, pci, stop: AtomicBool::new(false), doorbells, followed };
        buses.follow();
        buses
    }

    /// Lets the guest read a flash chip, which is on the bus, without exits while it shows its contents.
    pub(crate) fn map_flash(&self, flash: FlashSlot) {
        lock(&self.followed).flash = Some(flash);
        self.follow();
    }

    /// Updates the buses, the memory slots and the doorbells to what PCI functions decode and a flash chip shows. Several vCPUs may do this
    /// at the same time; each reads the state after its own write.
    pub(crate) fn follow(&self) {
        let mut followed = lock(&self.followed);
        if let Some(flash) = &mut followed.flash {
            flash.follow();
        }
        self.follow_bars(&mut followed);
        self.follow_doorbells(&mut followed);
    }

    fn follow_bars(&self, followed: &mut Followed) {
        let (mut bars, mut behind) = (Vec::new(), Vec::new());
        for (address, function) in self.pci.iter() {
            let locked = lock(function);
            for decoded in locked.config().decoded() {
                bars.push((address, decoded));
                behind.push((function, locked.bar_memory(decoded.bar.index()).cloned()));
            }
        }
        let ecam = self.pci.ecam();
        if bars == followed.bars && ecam == followed.ecam {
            return;
        }
        // ECAM comes first, so that no BAR takes its place.
        let mut mmio: Vec<_> = ecam.iter().map(|range| self.ecam(range)).collect();
        let (mut pio, first_bar) = (Vec::new(), mmio.len());
        let (mut of_pio, mut of_mmio) = (Vec::new(), Vec::new());
        for (&(address, Decoded { bar, base }), (function, memory)) in bars.iter().zip(behind) {
            let target: Arc<dyn Target> = match &memory {
                Some(memory) => memory.clone(),
                None => Arc::new(BarTarget::new(Arc::clone(function), bar.index())),
            };
            let window = Window { base, len: bar.size(), target };
            let (windows, placed) = match bar.space() {
                BarSpace::Io => (&mut pio, &mut of_pio),
                BarSpace::Memory32 | BarSpace::Memory64 => (&mut mmio, &mut of_mmio),
            };
            windows.push(window);
            placed.push(((address, bar.index()), Placed { base, parts: Vec::new(), memory }));
        }
        for (bus, windows, first, placed) in
            [(&self.pio, pio, 0, &mut of_pio), (&self.mmio, mmio, first_bar, &mut of_mmio)]
        {
            for part in bus.set_windows(windows) {
                let bar = part.window.checked_sub(first);
                if let Some((_, placed)) = bar.and_then(|bar| placed.get_mut(bar)) {
                    placed.parts.push(part);
                }
            }
        }
        followed.ports = of_pio.into_iter().collect();
        followed.memory = of_mmio.into_iter().collect();
        followed.mapped.follow(&followed.memory);
        (followed.bars, followed.ecam) = (bars, ecam);
    }

    fn ecam(&self, range: &Range<u64>) -> Window {
        let target = Arc::new(Mutex::new(Ecam::new(Arc::clone(&self.pci))));
        Window { base: range.start, len: range.end - range.start, target }
    }

    fn follow_doorbells(&self, followed: &mut Followed) {
        let mut wanted = BTreeMap::new();
        let mut new = Vec::new();
        for (address, function) in self.pci.iter() {
            for doorbell in lock(function).doorbells() {
                let (bar, offset) = ((address, doorbell.bar), doorbell.offset);
                let Some(at) = followed.visible(bar, offset) else { continue };
                let write = Write { at, value: doorbell.value };
                wanted.insert(write, (bar, offset));
                let old = followed.doorbells.get(&write);
                if old.is_none_or(|old| (old.bar, old.offset) != (bar, offset)) {
                    new.push((write, bar, offset, doorbell.event.try_clone()));
                }
            }
        }
        let Followed { doorbells, said_full, .. } = followed;
        doorbells.retain(|&write, old| {
            let keep = wanted.get(&write) == Some(&(old.bar, old.offset));
            if !keep && let Err(error) = self.doorbells.unregister(write, &old.event) {
                log::warn!("KVM_IOEVENTFD: the doorbell at {} can't be taken away: {error}", write.at);
            }
            keep
        });
        for (write, bar, offset, event) in new {
            let registered = event.and_then(|event| {
                self.doorbells.register(write, &event)?;
                Ok(Registered { bar, offset, event })
            });
            match registered {
                Ok(registered) => {
                    doorbells.insert(write, registered);
                }
                // It works nevertheless: the write causes an exit, and the device signals the eventfd itself.
                Err(error) => said_full.info(format_args!(
                    "after {} doorbells KVM takes no more, and each of the others costs an exit: KVM_IOEVENTFD: {error}",
                    doorbells.len()
                )),
            }
        }
    }
}

impl Followed {
    /// Makes it without BARs.
    fn new(slots: Arc<dyn MemorySlots>) -> Self {
        Self {
            bars: Vec::new(),
            ecam: None,
            memory: BTreeMap::new(),
            ports: BTreeMap::new(),
            mapped: Mapped::new(slots),
            flash: None,
            doorbells: BTreeMap::new(),
            said_full: Once::default(),
        }
    }

    /// The address of an offset in a BAR, if it is decoded there and nothing covers it.
    fn visible(&self, bar: FunctionBar, offset: u64) -> Option<BusAddress> {
        match (self.memory.get(&bar), self.ports.get(&bar)) {
            (Some(placed), _) => placed.visible(offset).map(BusAddress::Memory),
            (None, Some(placed)) => placed.visible(offset).map(BusAddress::Port),
            (None, None) => None,
        }
    }
}

/// Keeps BARs away from addresses that are not on the buses but in use: RAM, and KVM's own devices.
pub(crate) fn reserve(pio: &Bus, mmio: &Bus, memory: &GuestRam) -> Result<(), BusError> {
    for region in memory.iter() {
        mmio.reserve(region.start_addr().raw_value(), region.len())?;
    }
    let registers = layout::KVM_REGISTERS.map(|(_, registers)| registers);
    for range in registers.into_iter().chain([layout::KVM_PAGES]) {
        mmio.reserve(range.start, range.end - range.start)?;
    }
    for ports in layout::KVM_PORTS {
        pio.reserve(ports.start.into(), (ports.end - ports.start).into())?;
    }
    Ok(())
}

fn lock<T: ?Sized>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "buses_test.rs"]
mod tests;
