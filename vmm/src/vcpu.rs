//! One virtual processor: its initial state, and the loop that runs it.
#![expect(unsafe_code, reason = "reads the union in the run page by the exit reason")]

mod debug;
mod error;

use std::{
    io, slice,
    sync::{Arc, atomic::Ordering},
};

use arch::{
    boot::{self, Entry},
    cpu::{profile::CpuProfile, verify::Mismatch},
    memory::GuestRam,
};
use devices::{
    bus::{Effect, View},
    chipset::Rom,
};
use kvm_bindings::{
    CpuId, KVM_CAP_ENFORCE_PV_FEATURE_CPUID, KVM_EXIT_FAIL_ENTRY, KVM_EXIT_INTERNAL_ERROR, KVM_EXIT_INTR,
    KVM_EXIT_MEMORY_FAULT, KVM_EXIT_UNKNOWN, KVM_INTERNAL_ERROR_EMULATION, KVM_MAX_CPUID_ENTRIES,
    KVM_SYSTEM_EVENT_RESET, KVM_SYSTEM_EVENT_SHUTDOWN, Msrs, kvm_enable_cap, kvm_msr_entry,
};
use kvm_ioctls::{Error, VcpuExit, VcpuFd};
use vm_memory::{GuestAddress, GuestMemoryBackend};

use self::error::{Unsettled, VcpuError};
use crate::{
    buses::Buses,
    crash::{Crash, Reason},
    exit::Exit,
    gdb::{Trap, Traps},
    ioctls::{self, again},
    kick,
    link::Event,
    stats::{self, Counters},
    tsc,
    vm::{Vm, ask, kvm},
};

/// The most steps of an access that KVM splits into several, such as that of a string instruction, which are completed while the vCPU
/// stops.
const MOST_STEPS: usize = 4096;

/// The message of `-v` after the first vCPU has run guest code. `nvmm nest` waits for it.
pub(crate) const ENTERED: &str = "KVM entered the guest";

/// A vCPU, and the dispatch of its exits.
#[derive(Debug)]
pub(crate) struct Vcpu {
    /// The index, which may differ from its APIC ID.
    pub(crate) id: u32,
    fd: VcpuFd,
    memory: GuestRam,
    /// KVM maps the ROM as long as the vCPU may run.
    rom: Option<Arc<Rom>>,
    /// The vCPU has run guest code.
    entered: bool,
    /// The debugger's traps.
    traps: Traps,
}

impl Vcpu {
    /// Creates vCPU `id` and sets its CPU. The first one also gets a kernel's `entry`. Without an entry, everything is in the state after a
    /// processor's reset, for firmware: then steps 4 to 6 leave memory types, registers and pins alone.
    ///
    /// The order, with the reasons:
    /// 1. the TSC's rate, and if a rate was requested, the common start of all TSCs at zero;
    /// 2. CPUID: KVM checks control registers and MSRs against it;
    /// 3. machine checks, which have a bit in IA32_FEATURE_CONTROL;
    /// 4. MSRs, and reading the capabilities back: `IA32_FEATURE_CONTROL` and VMX capabilities exist only if CPUID has VMX, and can't
    ///    change in VMX operation;
    /// 5. general, segment and control registers, which include the local APIC's mode, which CPUID has to allow;
    /// 6. the local APIC's LINT pins, whose registers have another form in another mode.
    ///
    /// The other vCPUs wait for INIT and SIPI, which resets their registers, but not steps 1 to 4, the local APIC's mode, and step 6.
    ///
    /// # Errors
    ///
    /// KVM refuses a step, or changes the CPUID it was given.
    pub(crate) fn new(
        vm: &Vm,
        id: u32,
        profile: &CpuProfile,
        entry: Option<&Entry>,
    ) -> Result<Self, VcpuError> {
        let of_it = |source| VcpuError::Kvm(id, source);
        let apic_id = profile.apic_id(id);
        let fd = ask("KVM_CREATE_VCPU", || vm.fd.create_vcpu(u64::from(apic_id))).map_err(of_it)?;
        if let Some(khz) = profile.tsc_khz() {
            tsc::set_rate(&vm.fd, &fd, khz).map_err(|source| VcpuError::Tsc(id, source))?;
            set_msrs(&fd, id, &[(tsc::TIME_STAMP_COUNTER, 0)])?;
        } else if !vm.has_tsc_rate
            && let Err(error) = again(|| fd.set_tsc_khz(0))
        {
            log::debug!("vCPU {id}: KVM_SET_TSC_KHZ: {error}");
        }
        if profile.enforces_pv() {
            let mut cap = kvm_enable_cap { cap: KVM_CAP_ENFORCE_PV_FEATURE_CPUID, ..Default::default() };
            cap.args[0] = 1;
            let what = "KVM_ENABLE_CAP of KVM_CAP_ENFORCE_PV_FEATURE_CPUID (kvm-pv-enforce-cpuid=on)";
            ask(what, || fd.enable_cap(&cap)).map_err(of_it)?;
        }

        let cpuid = CpuId::from_entries(&profile.cpuid(id)).map_err(|_| VcpuError::TooManyLeaves(id))?;
        ask("KVM_SET_CPUID2", || fd.set_cpuid2(&cpuid)).map_err(of_it)?;
        if let Some(cap) = profile.mcg_cap()
            && let Err(error) = again(|| ioctls::setup_mce(&fd, cap))
        {
            log::info!("vCPU {id}: its machine checks are KVM's: KVM_X86_SETUP_MCE of {cap:#x}: {error}");
        }
        set_msrs(&fd, id, profile.msrs())?;
        let memory_types = entry.map_or_else(Vec::new, |_| boot::mtrrs(profile));
        offer_msrs(&fd, id, &[&[boot::MISC_ENABLE][..], &memory_types].concat())?;
        verify_msrs(&fd, id, profile)?;
        let mut sregs = ask("KVM_GET_SREGS", || fd.get_sregs()).map_err(of_it)?;
        profile.set_apic_mode(&mut sregs);
        if let Some(entry) = entry.filter(|_| id == 0) {
            entry.set_sregs(&mut sregs);
            ask("KVM_SET_REGS", || fd.set_regs(&entry.regs())).map_err(of_it)?;
        }
        ask("KVM_SET_SREGS", || fd.set_sregs(&sregs)).map_err(of_it)?;
        if entry.is_some() {
            let mut lapic = ask("KVM_GET_LAPIC", || fd.get_lapic()).map_err(of_it)?;
            boot::set_lint(&mut lapic);
            ask("KVM_SET_LAPIC", || fd.set_lapic(&lapic)).map_err(of_it)?;
        }

        let got = ask("KVM_GET_CPUID2", || fd.get_cpuid2(KVM_MAX_CPUID_ENTRIES)).map_err(of_it)?;
        let may_add = |mismatch: &Mismatch| mismatch.only_adds() && !profile.is_exact();
        let (added, wrong): (Vec<_>, Vec<_>) =
            profile.verify(id, got.as_slice()).into_iter().partition(may_add);
        if !added.is_empty() {
            log::info!("vCPU {id}: KVM shows features that it does not offer: {}", list(&added));
        }
        if !wrong.is_empty() {
            return Err(VcpuError::Cpuid { vcpu: id, what: list(&wrong) });
        }
        let (memory, rom) = (vm.memory.clone(), vm.rom.clone());
        Ok(Self { id, fd, memory, rom, entered: false, traps: Traps::default() })
    }

    /// Runs until the machine stops. Returns the event if this vCPU is the reason.
    pub(crate) fn run(&mut self, machine: &Buses) -> Option<Event> {
        let target = kick::Target::new(&mut self.fd);
        let (mut pio, mut mmio) = (machine.pio.view(), machine.mmio.view());
        let event = loop {
            if machine.stop.load(Ordering::SeqCst) {
                break None;
            }
            let event = self.run_once(machine, &mut pio, &mut mmio);
            if !self.entered && self.left_guest() {
                self.entered = true;
                if self.id == 0 {
                    log::info!("{ENTERED}");
                }
            }
            if event.is_some() {
                break event;
            }
        };
        drop(target);
        event
    }

    /// Makes KVM complete the last exit, whose instruction is otherwise only half executed. An access that KVM splits into several exits is
    /// completed, and no other instruction runs. Returns the end of the machine, if the access requests it.
    ///
    /// # Errors
    ///
    /// The instruction doesn't end.
    pub(crate) fn settle(&mut self, machine: &Buses) -> Result<Option<Event>, Unsettled> {
        let (mut pio, mut mmio) = (machine.pio.view(), machine.mmio.view());
        self.fd.set_kvm_immediate_exit(1);
        for _ in 0..MOST_STEPS {
            let event = self.run_once(machine, &mut pio, &mut mmio);
            // KVM has completed the exit, and was about to run the guest: that cleared `immediate_exit`.
            let is_settled = self.fd.get_kvm_run().immediate_exit == 0;
            if event.is_some() || is_settled {
                self.fd.set_kvm_immediate_exit(0);
                return Ok(event);
            }
        }
        self.fd.set_kvm_immediate_exit(0);
        Err(Unsettled(self.id))
    }

    /// The file descriptor, to inspect it while it is stopped.
    pub(crate) fn fd(&self) -> &VcpuFd {
        &self.fd
    }

    /// KVM's counters for it.
    pub(crate) fn stats(&self) -> Option<Counters> {
        stats::of(&self.fd)
    }

    /// Notifies the guest that it was paused, so that its watchdog does not take the pause for a hang. Only a guest with a kvm-clock can be
    /// notified.
    pub(crate) fn tell_of_pause(&self) {
        if let Err(error) = self.fd.kvmclock_ctrl() {
            log::debug!("vCPU {}: KVM_KVMCLOCK_CTRL: {error}", self.id);
        }
    }

    fn run_once(&mut self, machine: &Buses, pio: &mut View<'_>, mmio: &mut View<'_>) -> Option<Event> {
        let effect = match self.fd.run() {
            Ok(VcpuExit::IoIn(port, data)) => {
                let (data, len) = (data.as_mut_ptr(), data.len());
                // SAFETY: KVM's data for this exit, which stays in the run page until the next `KVM_RUN`.
                let data = unsafe { slice::from_raw_parts_mut(data, len) };
                let size = self.io_size();
                if data.len() == size {
                    pio.read(port.into(), data);
                } else {
                    data.chunks_exact_mut(size).for_each(|element| pio.read(port.into(), element));
                }
                Effect::None
            }
            Ok(VcpuExit::IoOut(port, data)) => {
                let (data, len) = (data.as_ptr(), data.len());
                // SAFETY: as for `IoIn`.
                let data = unsafe { slice::from_raw_parts(data, len) };
                let size = self.io_size();
                if data.len() == size {
                    pio.write(port.into(), data)
                } else {
                    let effects = data.chunks_exact(size).map(|element| pio.write(port.into(), element));
                    effects.fold(Effect::None, |first, next| if first == Effect::None { next } else { first })
                }
            }
            // KVM reports an access to RAM as MMIO, since it emulated the instruction and the host had no page for it.
            Ok(VcpuExit::MmioRead(at, _) | VcpuExit::MmioWrite(at, _))
                if self.memory.find_region(GuestAddress(at)).is_some() =>
            {
                let error = VcpuError::LostMemory { vcpu: self.id, at: Some(at), source: None };
                return Some(Event::Exit(Exit::Failed(error.into())));
            }
            Ok(VcpuExit::MmioRead(address, data)) => {
                mmio.read(address, data);
                Effect::None
            }
            Ok(VcpuExit::MmioWrite(address, data)) => mmio.write(address, data),
            Ok(VcpuExit::Intr) => Effect::None,
            Ok(VcpuExit::SystemEvent(KVM_SYSTEM_EVENT_SHUTDOWN, _)) => Effect::PowerOff,
            Ok(VcpuExit::SystemEvent(KVM_SYSTEM_EVENT_RESET, _)) => Effect::Reset,
            Ok(VcpuExit::Shutdown) => return Some(self.crash(Reason::TripleFault)),
            Ok(VcpuExit::FailEntry(reason, _)) => {
                return Some(self.crash(Reason::FailEntry(reason)));
            }
            Ok(VcpuExit::Debug(exit)) if self.traps != Traps::default() => {
                return self.trap(&exit).map(|trap| Event::Trap(self.id, trap));
            }
            Ok(_) => {
                let reason = self.unexpected();
                if reason == Reason::Internal(KVM_INTERNAL_ERROR_EMULATION) && self.is_at_patch() {
                    return Some(Event::Trap(self.id, Trap::Patch));
                }
                return Some(self.crash(reason));
            }
            Err(error) => match io::Error::from_raw_os_error(error.errno()).kind() {
                io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock => {
                    kick::clear(&mut self.fd);
                    Effect::None
                }
                _ => return Some(self.failed(error)),
            },
        };
        let exit = match effect {
            Effect::None => return None,
            Effect::Decode => {
                machine.follow();
                return None;
            }
            Effect::Reset => Exit::Reset,
            Effect::PowerOff => Exit::PowerOff,
            Effect::Panicked => Exit::Panicked,
            Effect::Exit(status) => Exit::Debug(status),
        };
        Some(Event::Exit(exit))
    }

    /// The end after an error of `KVM_RUN`. KVM's documentation, "KVM_EXIT_MEMORY_FAULT": since Linux 6.8, KVM reports the address of lost
    /// memory.
    fn failed(&mut self, source: Error) -> Event {
        let vcpu = self.id;
        let run = self.fd.get_kvm_run();
        let error = match (source.errno(), run.exit_reason) {
            (libc::EFAULT, KVM_EXIT_MEMORY_FAULT) => {
                // SAFETY: the exit reason says that this is the union's field.
                let at = unsafe { run.__bindgen_anon_1.memory_fault.gpa };
                VcpuError::LostMemory { vcpu, at: Some(at), source: Some(source) }
            }
            (libc::EFAULT, _) => VcpuError::LostMemory { vcpu, at: None, source: Some(source) },
            _ => VcpuError::Kvm(vcpu, kvm("KVM_RUN")(source)),
        };
        Event::Exit(Exit::Failed(error.into()))
    }

    /// Returns whether the last exit shows that guest code ran.
    fn left_guest(&mut self) -> bool {
        let not_run = [KVM_EXIT_UNKNOWN, KVM_EXIT_INTR, KVM_EXIT_FAIL_ENTRY, KVM_EXIT_INTERNAL_ERROR];
        !not_run.contains(&self.fd.get_kvm_run().exit_reason)
    }

    /// The size of one element of a port access in bytes: a string instruction transfers several at once.
    fn io_size(&mut self) -> usize {
        // SAFETY: only called after a `KVM_EXIT_IO`.
        let io = unsafe { self.fd.get_kvm_run().__bindgen_anon_1.io };
        usize::from(io.size).max(1)
    }

    fn unexpected(&mut self) -> Reason {
        let run = self.fd.get_kvm_run();
        match run.exit_reason {
            KVM_EXIT_INTERNAL_ERROR => {
                // SAFETY: the exit reason says that this is the union's field.
                let internal = unsafe { run.__bindgen_anon_1.internal };
                Reason::Internal(internal.suberror)
            }
            reason => Reason::Unexpected(reason),
        }
    }

    fn crash(&self, reason: Reason) -> Event {
        Event::Exit(Exit::Crash(Box::new(Crash::new(
            reason,
            self.id,
            &self.fd,
            &self.memory,
            self.rom.as_deref(),
        ))))
    }
}

fn list(mismatches: &[Mismatch]) -> String {
    mismatches.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Reads the capability MSRs back. One that was not written may differ: KVM itself removes capabilities that CPUID lacks.
fn verify_msrs(fd: &VcpuFd, vcpu: u32, profile: &CpuProfile) -> Result<(), VcpuError> {
    let planned = profile.capability_msrs();
    if planned.is_empty() {
        return Ok(());
    }
    let entries: Vec<_> =
        planned.keys().map(|&index| kvm_msr_entry { index, ..Default::default() }).collect();
    let mut msrs = Msrs::from_entries(&entries).map_err(|_| VcpuError::TooManyLeaves(vcpu))?;
    let count =
        ask("KVM_GET_MSRS", || fd.get_msrs(&mut msrs)).map_err(|source| VcpuError::Kvm(vcpu, source))?;
    if let Some(unread) = entries.get(count) {
        log::info!("vCPU {vcpu}: KVM does not show MSR {:#x}", unread.index);
    }
    for (read, (&index, &value)) in msrs.as_slice().iter().take(count).zip(planned) {
        if read.data == value {
            continue;
        }
        if profile.msrs().contains(&(index, value)) {
            return Err(VcpuError::MsrChanged { vcpu, index, value, read: read.data });
        }
        log::info!("vCPU {vcpu}: KVM has {:#x} for MSR {index:#x}, and not {value:#x}", read.data);
    }
    Ok(())
}

/// Writes MSRs that the guest's CPU needs.
fn set_msrs(fd: &VcpuFd, vcpu: u32, values: &[(u32, u64)]) -> Result<(), VcpuError> {
    match values.get(write_msrs(fd, vcpu, values)?) {
        Some(&(index, value)) => Err(VcpuError::Msr { vcpu, index, value }),
        None => Ok(()),
    }
}

/// Writes MSRs that KVM may refuse.
fn offer_msrs(fd: &VcpuFd, vcpu: u32, mut values: &[(u32, u64)]) -> Result<(), VcpuError> {
    while let Some((&(index, value), rest)) = values.split_at(write_msrs(fd, vcpu, values)?).1.split_first() {
        log::info!("vCPU {vcpu}: KVM refused {value:#x} for MSR {index:#x}, which stays as it is");
        values = rest;
    }
    Ok(())
}

/// Writes MSRs, and returns the number written: KVM stops at the first that it refuses.
fn write_msrs(fd: &VcpuFd, vcpu: u32, values: &[(u32, u64)]) -> Result<usize, VcpuError> {
    let entries: Vec<_> =
        values.iter().map(|&(index, data)| kvm_msr_entry { index, data, ..Default::default() }).collect();
    let msrs = Msrs::from_entries(&entries).map_err(|_| VcpuError::TooManyLeaves(vcpu))?;
    let set = ask("KVM_SET_MSRS", || fd.set_msrs(&msrs)).map_err(|source| VcpuError::Kvm(vcpu, source))?;
    Ok(set.min(values.len()))
}
