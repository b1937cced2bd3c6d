//! Queries and tries VMX and SVM in every way on this CPU, and prints the results.
#![no_std]
#![no_main]

mod rt;

use core::arch::{asm, x86_64::__cpuid_count};

use rt::Fault;

const FEATURE_CONTROL: u32 = 0x3a;
const VMX_BASIC: u32 = 0x480;
const EFER: u32 = 0xc000_0080;
const VM_HSAVE_PA: u32 = 0xc001_0117;
const CR0_NE: u64 = 1 << 5;
const CR4_VMXE: u64 = 1 << 13;
const EFER_SVME: u64 = 1 << 12;

/// The pages for VMXON and VMRUN.
const REGION: u64 = 0x3_0000;
const HOST_SAVE_AREA: u64 = 0x3_1000;

extern "C" fn guest_main() -> u32 {
    rt::catch_faults();
    let vmx = __cpuid_count(1, 0).ecx >> 5 & 1;
    let svm = __cpuid_count(0x8000_0001, 0).ecx >> 2 & 1;
    let extended = __cpuid_count(0x8000_0000, 0).eax;
    let svm_features = if extended < 0x8000_000a { 0 } else { __cpuid_count(0x8000_000a, 0).edx };
    print!("vmx ", vmx, ", svm ", svm, ", its features ", svm_features, "\n");
    show("feature control", rt::rdmsr(FEATURE_CONTROL));
    let basic = rt::rdmsr(VMX_BASIC);
    show("VMX capabilities", basic);
    rt::write::<u32>(REGION, basic.unwrap_or(0) as u32);
    done("CR4.VMXE", set_vmxe());
    done("VMXON", unsafe { attempt!("vmxon qword ptr [{0}]"; in(reg) &REGION) });
    done("EFER.SVME", rt::rdmsr(EFER).and_then(|efer| rt::wrmsr(EFER, efer | EFER_SVME)));
    rt::write::<u32>(REGION, 0);
    // Without an area for the host's state, VMRUN raises a general-protection fault.
    let _ = rt::wrmsr(VM_HSAVE_PA, HOST_SAVE_AREA);
    // Of a guest without any state, which exits at once.
    done("VMRUN", unsafe { attempt!("vmrun rax"; in("rax") REGION) });
    21
}

/// Also sets CR0.NE, which VMXON requires.
fn set_vmxe() -> Result<(), Fault> {
    unsafe {
        asm!("mov {0}, cr0", "or {0}, {1}", "mov cr0, {0}", out(reg) _, const CR0_NE, options(nostack));
        attempt!("mov {0}, cr4", "or {0}, {1}", "mov cr4, {0}"; out(reg) _, const CR4_VMXE)
    }
}

fn show(what: &str, value: Result<u64, Fault>) {
    match value {
        Ok(value) => print!(what, ": ", value, "\n"),
        Err(fault) => print!(what, ": ", fault.name(), "\n"),
    }
}

fn done(what: &str, outcome: Result<(), Fault>) {
    print!(what, ": ", outcome.map_or_else(|fault| fault.name(), |()| "done"), "\n");
}
