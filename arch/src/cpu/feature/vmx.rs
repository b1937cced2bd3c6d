//! Features of VMX for a guest that is a hypervisor: SDM 3D, "VMX Capability Reporting Facility".
//!
//! Controls are read from the "true" MSRs, which tell which controls may be 0: default settings are features too.

use super::row::Feature;

pub(super) const FEATURES: &[Feature] = &[
    // IA32_VMX_BASIC.
    basic(54, "vmx-ins-outs", "exits on INS and OUTS are explained"),
    basic(55, "vmx-true-ctls", "MSRs of true default controls"),
    basic(56, "vmx-any-errcode", "events with or without error code"),
    basic(58, "vmx-nested-exception", "nested exceptions in event delivery"),
    // IA32_VMX_MISC.
    misc(5, "vmx-store-lma", "exits store the guest's 64-bit mode"),
    misc(6, "vmx-activity-hlt", "guests can start halted"),
    misc(7, "vmx-activity-shutdown", "guests can start shut down"),
    misc(8, "vmx-activity-wait-sipi", "guests can start waiting for SIPI"),
    misc(29, "vmx-vmwrite-vmexit-fields", "VMWRITE to any field"),
    misc(30, "vmx-zero-len-inject", "injection with instruction length 0"),
    // IA32_VMX_PROCBASED_CTLS2: secondary processor-based controls.
    secondary(0, "vmx-apicv-xapic", "virtual APIC page for memory accesses"),
    secondary(1, "vmx-ept", "extended page tables"),
    secondary(2, "vmx-desc-exit", "exits on descriptor table instructions"),
    secondary(3, "vmx-rdtscp-exit", "RDTSCP in guests").needs(&["vmx-secondary-ctls", "rdtscp"]),
    secondary(4, "vmx-apicv-x2apic", "virtual x2APIC by MSRs"),
    secondary(5, "vmx-vpid", "TLB entries tagged by guest"),
    secondary(6, "vmx-wbinvd-exit", "exits on WBINVD"),
    secondary(7, "vmx-unrestricted-guest", "real mode runs natively").needs(&["vmx-ept"]),
    secondary(8, "vmx-apicv-register", "virtual APIC registers"),
    secondary(9, "vmx-apicv-vid", "virtual interrupt delivery"),
    secondary(10, "vmx-ple", "spinning guests exit"),
    secondary(11, "vmx-rdrand-exit", "exits on RDRAND").needs(&["vmx-secondary-ctls", "rdrand"]),
    secondary(12, "vmx-invpcid-exit", "INVPCID in guests").needs(&["vmx-secondary-ctls", "invpcid"]),
    secondary(13, "vmx-vmfunc", "functions without exits"),
    secondary(14, "vmx-shadow-vmcs", "VMREAD and VMWRITE without exits"),
    secondary(15, "vmx-encls-exit", "exits on ENCLS"),
    secondary(16, "vmx-rdseed-exit", "exits on RDSEED").needs(&["vmx-secondary-ctls", "rdseed"]),
    secondary(17, "vmx-pml", "log of modified pages").needs(&["vmx-ept"]),
    secondary(20, "vmx-xsaves", "XSAVES in guests").needs(&["vmx-secondary-ctls", "xsaves"]),
    secondary(22, "vmx-mbec", "execution by mode in page tables").needs(&["vmx-ept"]),
    secondary(25, "vmx-tsc-scaling", "guests with another TSC rate"),
    secondary(26, "vmx-enable-user-wait-pause", "UMWAIT and TPAUSE in guests")
        .needs(&["vmx-secondary-ctls", "waitpkg"]),
    // IA32_VMX_EPT_VPID_CAP.
    ept_vpid(0, "vmx-ept-execonly", "EPT pages for execution only"),
    ept_vpid(6, "vmx-page-walk-4", "EPT of four levels"),
    ept_vpid(7, "vmx-page-walk-5", "EPT of five levels"),
    ept_vpid(16, "vmx-ept-2mb", "EPT pages of 2 MiB"),
    ept_vpid(17, "vmx-ept-1gb", "EPT pages of 1 GiB"),
    ept_vpid(20, "vmx-invept", "flush of EPT mappings"),
    ept_vpid(21, "vmx-eptad", "accessed and dirty flags in EPT"),
    ept_vpid(22, "vmx-ept-advanced-exitinfo", "EPT violations tell of the page"),
    ept_vpid(25, "vmx-invept-single-context", "flush of one EPT").with(&["vmx-invvpid-single-context"]),
    ept_vpid(26, "vmx-invept-all-context", "flush of all EPTs"),
    ept_vpid(32, "vmx-invvpid", "flush by VPID").needs(&["vmx-vpid"]),
    ept_vpid(40, "vmx-invvpid-single-addr", "flush of one address").needs(&["vmx-vpid"]),
    ept_vpid(41, "vmx-invvpid-single-context", "flush of one VPID").needs(&["vmx-vpid"]),
    ept_vpid(42, "vmx-invvpid-all-context", "flush of all VPIDs").needs(&["vmx-vpid"]),
    ept_vpid(43, "vmx-invept-single-context-noglobals", "flush of one VPID but global pages")
        .alias(&["vmx-invvpid-single-context-noglobals"])
        .needs(&["vmx-vpid"]),
    // IA32_VMX_TRUE_PINBASED_CTLS.
    pin(0, "vmx-intr-exit", "exits on interrupts"),
    pin(3, "vmx-nmi-exit", "exits on NMIs"),
    pin(5, "vmx-vnmi", "virtual NMIs"),
    pin(6, "vmx-preemption-timer", "timer that makes guests exit"),
    pin(7, "vmx-posted-intr", "interrupts posted without exits"),
    // IA32_VMX_TRUE_PROCBASED_CTLS: primary processor-based controls.
    primary(2, "vmx-vintr-pending", "exits when interrupts can be taken"),
    primary(3, "vmx-tsc-offset", "offset of the guest's TSC"),
    primary(7, "vmx-hlt-exit", "exits on HLT"),
    primary(9, "vmx-invlpg-exit", "exits on INVLPG"),
    primary(10, "vmx-mwait-exit", "exits on MWAIT"),
    primary(11, "vmx-rdpmc-exit", "exits on RDPMC"),
    primary(12, "vmx-rdtsc-exit", "exits on RDTSC"),
    primary(15, "vmx-cr3-load-noexit", "writes of CR3 without exits"),
    primary(16, "vmx-cr3-store-noexit", "reads of CR3 without exits"),
    primary(19, "vmx-cr8-load-exit", "exits on writes of CR8"),
    primary(20, "vmx-cr8-store-exit", "exits on reads of CR8"),
    primary(21, "vmx-flexpriority", "shadow of the task priority"),
    primary(22, "vmx-vnmi-pending", "exits when NMIs can be taken"),
    primary(23, "vmx-movdr-exit", "exits on debug registers"),
    primary(24, "vmx-io-exit", "exits on all port accesses"),
    primary(25, "vmx-io-bitmap", "exits on chosen ports"),
    primary(27, "vmx-mtf", "exits after each instruction"),
    primary(28, "vmx-msr-bitmap", "exits on chosen MSRs"),
    primary(29, "vmx-monitor-exit", "exits on MONITOR"),
    primary(30, "vmx-pause-exit", "exits on PAUSE"),
    primary(31, "vmx-secondary-ctls", "secondary controls"),
    // IA32_VMX_TRUE_EXIT_CTLS.
    exit(2, "vmx-exit-nosave-debugctl", "exits don't save debug controls"),
    exit(12, "vmx-exit-load-perf-global-ctrl", "exits load the counters' global control"),
    exit(15, "vmx-exit-ack-intr", "exits acknowledge interrupts"),
    exit(18, "vmx-exit-save-pat", "exits save PAT"),
    exit(19, "vmx-exit-load-pat", "exits load PAT"),
    exit(20, "vmx-exit-save-efer", "exits save EFER"),
    exit(21, "vmx-exit-load-efer", "exits load EFER"),
    exit(22, "vmx-exit-save-preemption-timer", "exits save the preemption timer"),
    exit(23, "vmx-exit-clear-bndcfgs", "exits clear bounds configuration").needs(&["vmx", "mpx"]),
    exit(25, "vmx-exit-clear-rtit-ctl", "exits stop processor trace"),
    exit(28, "vmx-exit-save-cet", "exits switch control-flow enforcement"),
    exit(29, "vmx-exit-load-pkrs", "exits load supervisor protection keys"),
    exit(31, "vmx-exit-secondary-ctls", "secondary exit controls"),
    // IA32_VMX_TRUE_ENTRY_CTLS.
    entry(2, "vmx-entry-noload-debugctl", "entries don't load debug controls"),
    entry(9, "vmx-entry-ia32e-mode", "guests in 64-bit mode").needs(&["vmx", "lm"]),
    entry(13, "vmx-entry-load-perf-global-ctrl", "entries load the counters' global control"),
    entry(14, "vmx-entry-load-pat", "entries load PAT"),
    entry(15, "vmx-entry-load-efer", "entries load EFER"),
    entry(16, "vmx-entry-load-bndcfgs", "entries load bounds configuration").needs(&["vmx", "mpx"]),
    entry(18, "vmx-entry-load-rtit-ctl", "entries load processor trace control"),
    entry(20, "vmx-entry-load-cet", "entries switch control-flow enforcement"),
    entry(22, "vmx-entry-load-pkrs", "entries load supervisor protection keys"),
    entry(23, "vmx-entry-load-fred", "entries load event delivery").needs(&["vmx", "fred"]),
    // IA32_VMX_VMFUNC.
    Feature::msr(0x491, 0, "vmx-eptp-switching", "switch of EPT without exits").needs(&["vmx-vmfunc"]),
];

const fn basic(bit: u32, name: &'static str, about: &'static str) -> Feature {
    Feature::msr(0x480, bit, name, about).needs(&["vmx"])
}

const fn misc(bit: u32, name: &'static str, about: &'static str) -> Feature {
    Feature::msr(0x485, bit, name, about).needs(&["vmx"])
}

const fn secondary(bit: u32, name: &'static str, about: &'static str) -> Feature {
    Feature::control(0x48b, bit, name, about).needs(&["vmx-secondary-ctls"])
}

const fn ept_vpid(bit: u32, name: &'static str, about: &'static str) -> Feature {
    Feature::msr(0x48c, bit, name, about).needs(&["vmx-ept"])
}

const fn pin(bit: u32, name: &'static str, about: &'static str) -> Feature {
    Feature::control(0x48d, bit, name, about).needs(&["vmx"])
}

const fn primary(bit: u32, name: &'static str, about: &'static str) -> Feature {
    Feature::control(0x48e, bit, name, about).needs(&["vmx"])
}

const fn exit(bit: u32, name: &'static str, about: &'static str) -> Feature {
    Feature::control(0x48f, bit, name, about).needs(&["vmx"])
}

const fn entry(bit: u32, name: &'static str, about: &'static str) -> Feature {
    Feature::control(0x490, bit, name, about).needs(&["vmx"])
}
