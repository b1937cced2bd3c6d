//! `--incoming`: the destination's side.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    os::fd::{AsFd, OwnedFd},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use arch::{layout::PAGE, memory::GuestRam};
use devices::chars::{Access, Address, Listener, prepare};
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
    pipe::{PipeFlags, pipe_with},
    system::sysinfo,
};
use vm_memory::{GuestAddress, GuestMemoryBackend, GuestMemoryRegion, MemoryRegionAddress, VolatileSlice};

use super::{
    FORMAT, MAGIC, Stopped,
    connection::{Broken, Connection, Kind, Stop},
};
use crate::{
    config::VmConfig,
    host::Host,
    memory,
    size::Size,
    snapshot::{self, Manifest, Part, Received, Restored, State},
    sparse::is_zero,
    untouched::Untouched,
};

/// The longest time for which a peer may send nothing before it has described its machine.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest time for a peer to describe its machine, during which no other peer is served.
const DESCRIPTION: Duration = Duration::from_secs(60);
/// The longest time for which a source may send nothing. After the last round of memory, its devices may finish requests for a minute, its
/// disks are flushed, and with `verify=on` all memory is read.
const SILENCE: Duration = Duration::from_secs(300);
/// The largest memory of devices; a screen has 16 MiB.
const MOST_OF_DEVICES: u64 = 256 << 20;

/// A machine that another nvmm wants to move here.
#[derive(Debug)]
pub struct Incoming {
    connection: Connection,
    manifest: Manifest,
    shown: String,
}

/// The other side, which waits until this side is ready to run the machine.
#[derive(Debug)]
pub struct Peer {
    connection: Connection,
    /// The longest time for the word to come.
    silence: Duration,
    /// The two ends of the pipe.
    lifeline: Option<(OwnedFd, OwnedFd)>,
    /// The machine was stopped before it was moved.
    pub paused: bool,
}

impl Incoming {
    /// Waits at `address` for a machine. Peers that bring none, or one that this nvmm does not know, are refused.
    ///
    /// # Errors
    ///
    /// Listening there is impossible.
    pub fn wait(address: &Address) -> Result<Self> {
        let listener = Listener::new(address, Access::Owner)?;
        let shown = format!("--incoming {}", listener.address());
        log::info!("{shown}: waiting for a machine");
        loop {
            let mut polled = [PollFd::new(&listener, PollFlags::IN)];
            match poll(&mut polled, None) {
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            let Some(socket) = listener.accept()? else { continue };
            prepare(&socket);
            let mut connection = Connection::new(socket)?;
            match begin(&mut connection, DESCRIPTION) {
                Ok(manifest) => return Ok(Self { connection, manifest, shown }),
                Err(error) => {
                    log::warn!(
                        "{shown}: this peer brought no machine, and nvmm waits for the next: {error:#}"
                    );
                    connection.refuse(&format!("{error:#}"));
                }
            }
        }
    }

    /// The command line of the machine, made of the options that come with it and those of this `line`, both with the program's name.
    ///
    /// # Errors
    ///
    /// Some options can't be changed: all of them are listed, one on each line.
    pub fn command_line(&self, line: &[OsString]) -> Result<Vec<OsString>, Vec<String>> {
        self.manifest.command_line(line)
    }

    /// Sends the other side the reason why the machine can't come.
    pub fn refuse(self, why: &str) {
        self.connection.refuse(why);
    }

    /// Receives the machine's memory while it still runs on the other side, and its state after it was stopped.
    ///
    /// # Errors
    ///
    /// This host can't run it, or the other side gives up. In the first case, the other side has got the reason.
    pub fn receive(self, config: &VmConfig, kvm: &Path, stop: Stop<'_>) -> Result<(Restored, Peer)> {
        let Self { mut connection, manifest, shown } = self;
        match take(&mut connection, &manifest, &shown, config, kvm, stop) {
            Ok((restored, paused)) => {
                let lifeline = pipe_with(PipeFlags::CLOEXEC).ok();
                Ok((restored, Peer { connection, silence: SILENCE, lifeline, paused }))
            }
            Err(error) => {
                connection.refuse(&format!("{error:#}"));
                Err(error.context(shown))
            }
        }
    }
}

impl Peer {
    /// Makes the other side give up the machine, which runs here from then on.
    ///
    /// # Errors
    ///
    /// The other side keeps the machine.
    pub fn take_over(mut self, stop: Stop<'_>) -> Result<()> {
        let lifeline = self.lifeline.take();
        let passed = lifeline.as_ref().map(|(reading, _)| reading.as_fd());
        let asked = self.connection.send_with(Kind::Ready, &[], passed, PATIENCE, stop);
        let told = asked.and_then(|()| self.connection.expect(Kind::Go, Some(self.silence), stop));
        if let Err(broken) = told {
            // The other side may still give the word: this tells it that the machine never ran here.
            self.connection.refuse(&format!("it has given up: {broken}"));
            return Err(anyhow::Error::from(broken).context("the machine goes on where it was"));
        }
        // It belongs to this side now, even if the other one can't be told.
        let told = self.connection.send_with(Kind::Running, &[], None, PATIENCE, stop);
        if let Err(error) = told {
            log::warn!(
                "the machine is here now, which the other side did not hear: {:#}",
                anyhow::Error::from(error)
            );
        }
        if let Some((_, kept)) = lifeline {
            // Kept open until this process ends.
            std::mem::forget(kept);
        }
        Ok(())
    }

    /// Sends the other side the reason why this one gives up.
    pub fn refuse(self, why: &str) {
        self.connection.refuse(why);
    }
}

/// Receives the first two messages, within this `limit`.
fn begin(connection: &mut Connection, limit: Duration) -> Result<Manifest> {
    let start = Instant::now();
    let is_late = || start.elapsed() >= limit;
    let mut expect = |kind| match connection.expect(kind, Some(PATIENCE), &is_late) {
        Err(Broken::Cancelled) => {
            bail!("it did not describe its machine within {} seconds", limit.as_secs())
        }
        message => Ok(message?),
    };
    let begin = expect(Kind::Begin)?;
    let format = begin.strip_prefix(MAGIC).and_then(|rest| <[u8; 4]>::try_from(rest).ok());
    let format = u32::from_le_bytes(format.context("it begins in another way")?);
    if format != FORMAT {
        bail!(
            "the machine comes in format {format}, and this nvmm knows format {FORMAT}: use the same nvmm on both sides"
        );
    }
    parse(&expect(Kind::Machine)?)
}

fn parse(machine: &[u8]) -> Result<Manifest> {
    Manifest::parse(std::str::from_utf8(machine)?)
}

/// Receives all of the machine. Returns whether it was stopped before.
fn take(
    connection: &mut Connection,
    manifest: &Manifest,
    shown: &str,
    config: &VmConfig,
    kvm: &Path,
    stop: Stop<'_>,
) -> Result<(Restored, bool)> {
    let host = Host::open(kvm)?;
    let lacking = manifest.lacking_on(&host.cpu)?;
    if !lacking.is_empty() {
        bail!("this host lacks what the guest's CPU has: {}", lacking.join(", "));
    }
    let mut received = room(manifest, config)?;
    connection.send(Kind::Welcome, &[], PATIENCE, stop)?;
    let stopped = take_memory(connection, &mut received, SILENCE, stop)?;
    let Stopped { paused, checked } = serde_json::from_slice(&stopped)?;
    let last = parse(&connection.expect(Kind::Machine, Some(PATIENCE), stop)?)?;
    let state = connection.expect(Kind::State, Some(PATIENCE), stop)?;
    if !last.memory.has_places_of(&manifest.memory)
        || last.options != manifest.options
        || !last.is_state(&state)
    {
        bail!("the machine at the end is another than at the beginning");
    }
    last.check_nested()?;
    let state: State = serde_json::from_slice(&state).context("this nvmm can't read its state")?;
    if checked {
        received.compare(&last)?;
    }
    let received = Received { ram: received.ram, others: received.others };
    Ok((Restored::received(last, state, received, shown.to_owned()), paused))
}

/// Receives pages until the machine is stopped. Returns the content of that message.
fn take_memory(
    connection: &mut Connection,
    received: &mut Room,
    silence: Duration,
    stop: Stop<'_>,
) -> Result<Vec<u8>> {
    loop {
        let message = connection.receive(Some(silence), stop)?;
        match message.kind {
            Kind::Pages => received.pages(&message.content)?,
            Kind::Zeros => received.zeros(&message.content)?,
            Kind::Stopped => return Ok(message.content),
            _ => bail!("the other side sends what makes no sense (an unexpected message)"),
        }
    }
}

/// The memory that receives pages.
struct Room {
    ram: GuestRam,
    others: BTreeMap<String, Vec<u8>>,
    untouched: Arc<Untouched>,
    /// The parts by number: an address in RAM, or a device's address.
    parts: Vec<Result<u64, String>>,
}

/// Makes the memory for a machine with these options.
fn room(manifest: &Manifest, config: &VmConfig) -> Result<Room> {
    let (mut ranges, mut others, mut parts) = (Vec::new(), BTreeMap::new(), Vec::new());
    let (mut ram, mut rest) = (0_u64, 0_u64);
    for (name, address, len) in manifest.memory.places()? {
        let bytes = usize::try_from(len)?;
        match address {
            Some(address) => {
                if !address.is_multiple_of(PAGE) || !len.is_multiple_of(PAGE) {
                    bail!("it has memory that is not whole pages");
                }
                ram = ram.saturating_add(len);
                ranges.push((GuestAddress(address), bytes));
                parts.push(Ok(address));
            }
            None => {
                rest = rest.saturating_add(len);
                if rest > MOST_OF_DEVICES {
                    bail!("its devices have more memory than any");
                }
                others.insert(name.to_owned(), vec![0; bytes]);
                parts.push(Err(name.to_owned()));
            }
        }
    }
    if ram > config.memory.size.0 {
        bail!("it has more memory than its --memory {}", config.memory.size);
    }
    let info = sysinfo();
    let here = info.totalram.saturating_mul(info.mem_unit.into());
    if ram > here {
        bail!("the machine has {} of memory, and this host {}", Size(ram), Size(here));
    }
    let untouched = Arc::new(Untouched::open());
    Ok(Room { ram: memory::map_ranges(&ranges, &config.memory)?, others, untouched, parts })
}

impl Room {
    /// Handles a message with pages.
    fn pages(&mut self, content: &[u8]) -> Result<()> {
        let (place, bytes) = content.split_at_checked(PLACE).context(NOWHERE)?;
        let (number, start) = place_of(place)?;
        self.put(number, start, bytes.len(), |part| part.copy_from(bytes))
    }

    /// Handles a message about pages of zeros. Pages that are zeros already are not touched.
    fn zeros(&mut self, content: &[u8]) -> Result<()> {
        let (place, count) = content.split_at_checked(PLACE).context(NOWHERE)?;
        let (number, start) = place_of(place)?;
        let count = u64::from_le_bytes(count.try_into().ok().context(NOWHERE)?);
        let len = usize::try_from(count.checked_mul(PAGE).context(NOWHERE)?)?;
        let untouched = Arc::clone(&self.untouched);
        self.put(number, start, len, |part| {
            // Reading it would allocate it.
            if untouched.has(&part, None) {
                return;
            }
            let mut page = [0; 4 << 10];
            for at in (0..part.len()).step_by(page.len()) {
                let Ok(part) = part.subslice(at, page.len().min(part.len() - at)) else { continue };
                let len = part.copy_to(&mut page[..]);
                if !is_zero(&page[..len]) {
                    part.copy_from(&[0_u8; 4 << 10][..len]);
                }
            }
        })
    }

    /// Changes `len` bytes of a part from `start` on. The last page of a device's memory may be incomplete.
    fn put(
        &mut self,
        number: u32,
        start: u64,
        len: usize,
        put: impl FnOnce(VolatileSlice<'_>),
    ) -> Result<()> {
        let part = usize::try_from(number).ok().and_then(|number| self.parts.get(number)).context(NOWHERE)?;
        match part {
            Ok(address) => {
                let region = self.ram.find_region(GuestAddress(*address)).context(NOWHERE)?;
                put(region.get_slice(MemoryRegionAddress(start), len).context(NOWHERE)?);
            }
            Err(name) => {
                let bytes = self.others.get_mut(name).context(NOWHERE)?;
                let start = usize::try_from(start)?;
                let end = start.checked_add(len).context(NOWHERE)?.min(bytes.len());
                put(VolatileSlice::from(bytes.get_mut(start..end).context(NOWHERE)?));
            }
        }
        Ok(())
    }

    /// Compares all memory with the checksums from the other side.
    fn compare(&mut self, manifest: &Manifest) -> Result<()> {
        const DIFFERS: &str = "memory is not as on the other side";
        for Part { name, address, memory } in snapshot::ram(&self.ram) {
            manifest.memory.compare(&name, address, memory.bytes()?).context(DIFFERS)?;
        }
        for (name, bytes) in &mut self.others {
            manifest.memory.compare(name, None, VolatileSlice::from(&mut bytes[..])).context(DIFFERS)?;
        }
        Ok(())
    }
}

const NOWHERE: &str = "the other side sends pages that are in no memory";
/// The length in bytes of the numbers of a part and of a page.
const PLACE: usize = 12;

/// A part's number, and an offset in the part.
fn place_of(place: &[u8]) -> Result<(u32, u64)> {
    let (number, page) = place.split_first_chunk().context(NOWHERE)?;
    let page = u64::from_le_bytes(page.try_into()?);
    Ok((u32::from_le_bytes(*number), page.checked_mul(PAGE).context(NOWHERE)?))
}

#[cfg(test)]
#[path = "incoming_test.rs"]
mod tests;
