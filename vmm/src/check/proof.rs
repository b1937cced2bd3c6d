//! The proof: a scratch machine whose guest enters VMX or SVM operation.
//!
//! CPUID and module parameters tell what should work. Here, a guest of a few instructions tries it: VMXON with a region of its own, or
//! VMRUN of a guest that halts.

mod code;

use std::{
    sync::{Arc, Mutex, atomic::Ordering, mpsc::channel},
    time::Duration,
};

use anyhow::Context;
use arch::{
    boot::{Entry, Protocol},
    cpu::{
        nesting::{Nesting, Virtualization},
        profile::CpuProfile,
        spec::CpuSpec,
        topology::Topology,
    },
    memory::GuestRam,
};
use devices::{
    bus::Bus,
    pci::PciRoot,
    platform::DebugExit,
    threads::{self, Role},
};
use serde::{Deserialize, Serialize};
use vm_memory::GuestAddress;

use crate::{buses::Buses, exit::Exit, host::Host, kick, link::Event, vcpu::Vcpu, vm::Vm};

/// The longest time for a proof. It is long enough even for a busy emulated host, whose clock runs on while its emulator waits.
const PATIENCE: Duration = Duration::from_secs(180);

/// The outcome of the proof.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Proof {
    /// There was no KVM to try.
    #[default]
    NotTried,
    /// Not tried: a guest's CPU has neither VMX nor SVM.
    NoBit,
    /// The guest succeeded.
    Executed {
        /// The kind that was tried.
        kind: Virtualization,
    },
    /// The guest failed at a step.
    Failed {
        /// The kind that was tried.
        kind: Virtualization,
        /// The step that failed.
        step: String,
        /// The failure: an exception, a flag, a triple fault ...
        how: String,
    },
    /// The machine can't be made, so the proof tells nothing about nesting.
    Refused {
        /// The reason.
        why: String,
    },
}

/// The name of the guest's step with this number.
fn step(kind: Virtualization, step: u64) -> &'static str {
    match (kind, step) {
        (_, 0) => "the first instruction",
        (Virtualization::Vmx, 1) => "setting CR4.VMXE",
        (Virtualization::Vmx, 2) => "reading IA32_VMX_BASIC",
        (Virtualization::Svm, 1) => "setting EFER.SVME",
        (Virtualization::Svm, 2) => "writing VM_HSAVE_PA",
        (kind, _) => kind.instruction(),
    }
}

/// Tries the kind that the host offers to guests.
#[must_use]
pub fn run(host: &Host) -> Proof {
    let proof = profile(host).and_then(|profile| match profile.nesting() {
        Nesting::None => Ok(Proof::NoBit),
        Nesting::Vmx(_) => try_it(host, &profile, Virtualization::Vmx),
        Nesting::Svm(_) => try_it(host, &profile, Virtualization::Svm),
    });
    proof.unwrap_or_else(|error| Proof::Refused { why: format!("{error:#}") })
}

/// The CPU of `--cpu host-passthrough`.
fn profile(host: &Host) -> anyhow::Result<CpuProfile> {
    Ok(CpuProfile::resolve(&host.cpu, &CpuSpec::default(), &Topology::flat(1)?)?)
}

/// Runs a guest with this CPU that tries it, whether it should work or not.
fn try_it(host: &Host, profile: &CpuProfile, kind: Virtualization) -> anyhow::Result<Proof> {
    // Dropped last, as KVM maps it.
    let memory = GuestRam::from_ranges(&[(GuestAddress(0), code::MEMORY)]).context("guest memory")?;
    let rip = code::write(&memory, kind).context("writing the guest")?;
    let entry = Entry { protocol: Protocol::Linux64, rip };
    entry.write_tables(&memory)?;
    let vm = Vm::new(host, &memory, None, 0)?;
    let vcpu = Vcpu::new(&vm, 0, profile, Some(&entry))?;
    let pio = Bus::default();
    pio.insert(code::DONE.into(), DebugExit::LEN, Arc::new(Mutex::new(DebugExit)))?;
    let buses = Buses::new(pio, Bus::default(), Arc::new(PciRoot::new()), vm.fd.clone(), vm.slots());
    let buses = Arc::new(buses);
    let exit = finish(vcpu, &buses)?;
    let outcome = code::outcome(&memory).context("reading the outcome")?;
    Ok(judge(kind, &outcome, exit))
}

/// Runs the vCPU to its end, or until the time is over.
fn finish(mut vcpu: Vcpu, buses: &Arc<Buses>) -> anyhow::Result<Option<Exit>> {
    kick::init().context("handling the signal that stops vCPUs")?;
    let (tell, told) = channel();
    let theirs = Arc::clone(buses);
    let thread = threads::spawn(&Role::Proof, move || {
        // It can't fail: the receiver exists until the thread is joined.
        let _ = tell.send(vcpu.run(&theirs));
    })?;
    // Without a message, the time is over.
    let event = told.recv_timeout(PATIENCE).unwrap_or_default();
    buses.stop.store(true, Ordering::SeqCst);
    kick::kick(&thread);
    let _ = thread.join();
    Ok(match event {
        Some(Event::Exit(exit)) => Some(exit),
        // The time is over. (Another event would need a debugger, which the guest does not have.)
        _ => None,
    })
}

/// Interprets the outcome. The guest always writes to its port at the end; any other end comes from KVM.
fn judge(kind: Virtualization, outcome: &code::Outcome, exit: Option<Exit>) -> Proof {
    let failed = |how| Proof::Failed { kind, step: step(kind, outcome.step).to_owned(), how };
    match (exit, outcome.vector) {
        (None, _) => failed(format!("it did not end in {} s", PATIENCE.as_secs())),
        (Some(Exit::Debug(_)), Some(vector)) => failed(exception(vector)),
        (Some(Exit::Debug(_)), None) if outcome.step < 4 => {
            failed("it failed without an exception".to_owned())
        }
        (Some(Exit::Debug(_)), None) => match (kind, outcome.exit_code) {
            (Virtualization::Vmx, _) | (Virtualization::Svm, EXIT_HLT) => Proof::Executed { kind },
            (Virtualization::Svm, code) => {
                failed(format!("exit code {code:#x}, where HLT's is {EXIT_HLT:#x}"))
            }
        },
        (Some(Exit::Crash(crash)), _) => failed(crash.reason.to_string()),
        (Some(Exit::Failed(error)), _) => failed(format!("{error:#}")),
        (Some(exit), _) => failed(format!("{exit:?}")),
    }
}

/// `VMEXIT_HLT`: APM 2, "SVM Intercept Exit Codes".
const EXIT_HLT: u64 = 0x78;

fn exception(vector: u8) -> String {
    match vector {
        6 => "#UD, invalid opcode".to_owned(),
        13 => "#GP, general protection".to_owned(),
        14 => "#PF, page fault".to_owned(),
        vector => format!("exception {vector}"),
    }
}

#[cfg(test)]
#[path = "proof_test.rs"]
mod tests;
