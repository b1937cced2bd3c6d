//! Every name of libvirt's `cpu_map` is known here by the same bit.

use arch::cpu::{
    cpuid::{Leaf, Register},
    feature::{FeatureId, Place},
    model,
};

/// libvirt 12.8, `src/cpu_map/x86_features.xml`: the register, then the bit and the name of each feature, with QEMU's other names. A
/// control's bit is the one in each half of its MSR.
const FEATURES: &str = "
1:ECX 0=pni|sse3 1=pclmuldq|pclmulqdq 2=dtes64 3=monitor 4=ds_cpl|ds-cpl 5=vmx 6=smx 7=est 8=tm2 9=ssse3
  10=cid 12=fma 13=cx16 14=xtpr 15=pdcm 17=pcid 18=dca 19=sse4.1|sse4-1|sse4_1 20=sse4.2|sse4-2|sse4_2
  21=x2apic 22=movbe 23=popcnt 24=tsc-deadline 25=aes 26=xsave 27=osxsave 28=avx 29=f16c 30=rdrand
  31=hypervisor
1:EDX 0=fpu 1=vme 2=de 3=pse 4=tsc 5=msr 6=pae 7=mce 8=cx8 9=apic 11=sep 12=mtrr 13=pge 14=mca 15=cmov
  16=pat 17=pse36 18=pn 19=clflush 21=ds 22=acpi 23=mmx 24=fxsr 25=sse 26=sse2 27=ss 28=ht 29=tm 30=ia64
  31=pbe
6:EAX 2=arat
7.0:EBX 0=fsgsbase 1=tsc_adjust|tsc-adjust 2=sgx 3=bmi1 4=hle 5=avx2 6=fdp-excptn-only 7=smep 8=bmi2
  9=erms 10=invpcid 11=rtm 12=cmt|cqm 13=zero-fcs-fds 14=mpx 16=avx512f 17=avx512dq 18=rdseed 19=adx
  20=smap 21=avx512ifma 22=pcommit 23=clflushopt 24=clwb 25=intel-pt 26=avx512pf 27=avx512er 28=avx512cd
  29=sha-ni 30=avx512bw 31=avx512vl
7.0:ECX 1=avx512vbmi 2=umip 3=pku 4=ospke 5=waitpkg 6=avx512vbmi2 7=cet-ss 8=gfni 9=vaes 10=vpclmulqdq
  11=avx512vnni 12=avx512bitalg 14=avx512-vpopcntdq 16=la57 22=rdpid 24=bus-lock-detect 25=cldemote
  27=movdiri 28=movdir64b 30=sgxlc 31=pks
7.0:EDX 2=avx512-4vnniw 3=avx512-4fmaps 4=fsrm 8=avx512-vp2intersect 10=md-clear|md_clear 14=serialize
  16=tsx-ldtrk 18=pconfig 19=arch-lbr 20=cet-ibt 22=amx-bf16 23=avx512-fp16 24=amx-tile 25=amx-int8
  26=spec-ctrl 27=stibp 28=flush-l1d 29=arch-capabilities|arch_capabilities 30=core-capability 31=ssbd
7.1:EAX 0=sha512 1=sm3 2=sm4 4=avx-vnni 5=avx512-bf16 7=cmpccxadd 10=fzrm 11=fsrs 12=fsrc 17=fred
  18=lkgs 19=wrmsrns 21=amx-fp16 23=avx-ifma 26=lam 31=movrs
7.1:ECX 5=msr-imm
7.1:EDX 4=avx-vnni-int8 5=avx-ne-convert 8=amx-complex 10=avx-vnni-int16 14=prefetchiti 19=avx10 21=apxf
7.2:EDX 0=intel-psfd 1=ipred-ctrl 2=rrsba-ctrl 3=ddpd-u 4=bhi-ctrl 5=mcdt-no
D.1:EAX 0=xsaveopt 1=xsavec 2=xgetbv1 3=xsaves 4=xfd
F.1:EDX 1=mbm_total 2=mbm_local
12.0:EAX 0=sgx1 1=sgx2 11=sgx-edeccssa
12.0:EBX 0=sgx-exinfo
12.1:EAX 1=sgx-debug 2=sgx-mode64 4=sgx-provisionkey 5=sgx-tokenkey 7=sgx-kss 10=sgx-aex-notify
14.0:ECX 31=intel-pt-lip
1E.1:EAX 0=amx-int8-alias 1=amx-bf16-alias 2=amx-complex-alias 3=amx-fp16-alias 4=amx-fp8 6=amx-tf32
  7=amx-avx512 8=amx-movrs
24.0:EBX 16=avx10-128 17=avx10-256 18=avx10-512
24.1:ECX 2=avx10-vnni-int
29.0:EBX 0=apx-nci-ndd-nf
80000001:ECX 0=lahf_lm|lahf-lm 1=cmp_legacy|cmp-legacy 2=svm 3=extapic 4=cr8legacy 5=abm 6=sse4a
  7=misalignsse 8=3dnowprefetch 9=osvw 10=ibs 11=xop 12=skinit 13=wdt 15=lwp 16=fma4 17=tce 18=cvt16
  19=nodeid_msr|nodeid-msr 21=tbm 22=topoext 23=perfctr_core|perfctr-core 24=perfctr_nb|perfctr-nb
80000001:EDX 11=syscall 20=nx|xd 22=mmxext 25=fxsr_opt|ffxsr|fxsr-opt 26=pdpe1gb 27=rdtscp 29=lm|i64
  30=3dnowext 31=3dnow
80000007:EBX 0=overflow-recov 1=succor
80000007:EDX 8=invtsc
80000008:EBX 0=clzero 2=xsaveerptr 9=wbnoinvd 12=ibpb 14=ibrs 15=amd-stibp 17=stibp-always-on
  24=amd-ssbd 25=virt-ssbd 26=amd-no-ssb 28=amd-psfd
8000000A:EDX 0=npt 1=lbrv 2=svm-lock|svm_lock 3=nrip-save|nrip_save 4=tsc-scale|tsc_scale
  5=vmcb-clean|vmcb_clean 6=flushbyasid 7=decodeassists 10=pause-filter|pause_filter 12=pfthreshold
  13=avic 15=v-vmsave-vmload 16=vgif 17=gmet 25=vnmi 28=svme-addr-chk
80000021:EAX 0=no-nested-data-bp 1=fs-gs-base-ns 2=lfence-always-serializing 5=verw-clear
  6=null-sel-clr-base 8=auto-ibrs 20=prefetchi 24=eraps 27=sbpb 28=ibpb-brtype 29=srso-no
  30=srso-user-kernel-no
80000021:ECX 1=tsa-sq-no 2=tsa-l1-no
80000022:EAX 0=perfmon-v2
C0000001:EDX 2=xstore 3=xstore-en 6=xcrypt 7=xcrypt-en 8=ace2 9=ace2-en 10=phe 11=phe-en 12=pmm
  13=pmm-en
msr:CF 5=split-lock-detect
msr:10A 0=rdctl-no 1=ibrs-all 2=rsba 3=skip-l1dfl-vmentry 4=ssb-no 5=mds-no 6=pschange-mc-no 7=tsx-ctrl
  8=taa-no 13=sbdr-ssdp-no 14=fbsdp-no 15=psdp-no 17=fb-clear 20=bhi-no 24=pbrsb-no 26=gds-no 27=rfds-no
  28=rfds-clear 62=its-no
msr:480 54=vmx-ins-outs 55=vmx-true-ctls 56=vmx-any-errcode 58=vmx-nested-exception
msr:485 5=vmx-store-lma 6=vmx-activity-hlt 7=vmx-activity-shutdown 8=vmx-activity-wait-sipi
  29=vmx-vmwrite-vmexit-fields 30=vmx-zero-len-inject
control:48B 0=vmx-apicv-xapic 1=vmx-ept 2=vmx-desc-exit 3=vmx-rdtscp-exit 4=vmx-apicv-x2apic 5=vmx-vpid
  6=vmx-wbinvd-exit 7=vmx-unrestricted-guest 8=vmx-apicv-register 9=vmx-apicv-vid 10=vmx-ple
  11=vmx-rdrand-exit 12=vmx-invpcid-exit 13=vmx-vmfunc 14=vmx-shadow-vmcs 15=vmx-encls-exit
  16=vmx-rdseed-exit 17=vmx-pml 20=vmx-xsaves 22=vmx-mbec 25=vmx-tsc-scaling
  26=vmx-enable-user-wait-pause
msr:48C 0=vmx-ept-execonly 6=vmx-page-walk-4 7=vmx-page-walk-5 8=vmx-ept-uc 14=vmx-ept-wb 16=vmx-ept-2mb
  17=vmx-ept-1gb 20=vmx-invept 21=vmx-eptad 22=vmx-ept-advanced-exitinfo 25=vmx-invept-single-context
  26=vmx-invept-all-context 32=vmx-invvpid 40=vmx-invvpid-single-addr 41=vmx-invvpid-single-context
  42=vmx-invvpid-all-context 43=vmx-invvpid-single-context-noglobals|vmx-invept-single-context-noglobals
control:48D 0=vmx-intr-exit 3=vmx-nmi-exit 5=vmx-vnmi 6=vmx-preemption-timer 7=vmx-posted-intr
control:48E 2=vmx-vintr-pending 3=vmx-tsc-offset 7=vmx-hlt-exit 9=vmx-invlpg-exit 10=vmx-mwait-exit
  11=vmx-rdpmc-exit 12=vmx-rdtsc-exit 15=vmx-cr3-load-noexit 16=vmx-cr3-store-noexit
  19=vmx-cr8-load-exit 20=vmx-cr8-store-exit 21=vmx-flexpriority 22=vmx-vnmi-pending 23=vmx-movdr-exit
  24=vmx-io-exit 25=vmx-io-bitmap 27=vmx-mtf 28=vmx-msr-bitmap 29=vmx-monitor-exit 30=vmx-pause-exit
  31=vmx-secondary-ctls
control:48F 2=vmx-exit-nosave-debugctl 12=vmx-exit-load-perf-global-ctrl 15=vmx-exit-ack-intr
  18=vmx-exit-save-pat 19=vmx-exit-load-pat 20=vmx-exit-save-efer 21=vmx-exit-load-efer
  22=vmx-exit-save-preemption-timer 23=vmx-exit-clear-bndcfgs 25=vmx-exit-clear-rtit-ctl
  28=vmx-exit-save-cet 29=vmx-exit-load-pkrs 31=vmx-exit-secondary-ctls
control:490 2=vmx-entry-noload-debugctl 9=vmx-entry-ia32e-mode 13=vmx-entry-load-perf-global-ctrl
  14=vmx-entry-load-pat 15=vmx-entry-load-efer 16=vmx-entry-load-bndcfgs 18=vmx-entry-load-rtit-ctl
  20=vmx-entry-load-cet 22=vmx-entry-load-pkrs 23=vmx-entry-load-fred
msr:491 0=vmx-eptp-switching
";

/// The names that nvmm doesn't support, with the reason.
const ABSENT_FEATURES: [(&str, &str); 10] = [
    ("osxsave", "the guest sets it, by CR4.OSXSAVE"),
    ("ospke", "the guest sets it, by CR4.PKE"),
    ("cmt", "monitoring of shared caches, which KVM gives no guest"),
    ("cqm", "cmt"),
    ("mbm_total", "cmt"),
    ("mbm_local", "cmt"),
    ("pconfig", "keys of the host's memory: QEMU had it once, and took it out"),
    ("cvt16", "QEMU has no such feature, and APM 3 keeps its bit reserved"),
    ("vmx-ept-uc", "QEMU has no such feature: the memory types of EPT are KVM's"),
    ("vmx-ept-wb", "vmx-ept-uc"),
];

/// libvirt 12.8, `src/cpu_map`: the models, with the number of versions of each.
const MODELS: &str = "
486:1 Broadwell:4 Broadwell-IBRS Broadwell-noTSX Broadwell-noTSX-IBRS Cascadelake-Server:5
Cascadelake-Server-noTSX ClearwaterForest:3 Conroe:1 Cooperlake:2 Denverton:3 Dhyana:2 DiamondRapids:1
EPYC:5 EPYC-Genoa:2 EPYC-IBPB EPYC-Milan:3 EPYC-Rome:5 EPYC-Turin:1 GraniteRapids:5 Haswell:4
Haswell-IBRS Haswell-noTSX Haswell-noTSX-IBRS Icelake-Client Icelake-Client-noTSX Icelake-Server:7
Icelake-Server-noTSX IvyBridge:2 IvyBridge-IBRS KnightsMill:1 Nehalem:2 Nehalem-IBRS Opteron_G1:1
Opteron_G2:1 Opteron_G3:1 Opteron_G4:1 Opteron_G5:1 Penryn:1 SandyBridge:2 SandyBridge-IBRS
SapphireRapids:6 SierraForest:5 Skylake-Client:4 Skylake-Client-IBRS Skylake-Client-noTSX-IBRS
Skylake-Server:5 Skylake-Server-IBRS Skylake-Server-noTSX-IBRS Snowridge:4 Westmere:2 Westmere-IBRS
YongFeng:3 athlon:1 core2duo:1 coreduo:1 cpu64-rhel5 cpu64-rhel6 kvm32:1 kvm64:1 n270:1 pentium:1
pentium2:1 pentium3:1 pentiumpro phenom:1 qemu32:1 qemu64:1
";

/// The names that nvmm doesn't support, with the reason.
const ABSENT_MODELS: [(&str, &str); 4] = [
    ("Icelake-Client", "QEMU took it out in 7.1: no such CPU was sold"),
    ("Icelake-Client-noTSX", "Icelake-Client"),
    ("cpu64-rhel5", "never QEMU's own: only Red Hat's had it"),
    ("pentiumpro", "never QEMU's: its pentium2 is the next"),
];

#[test]
fn a_feature_has_the_same_bit_by_any_of_its_names() {
    let (mut count, mut wrong) = (0, Vec::new());
    let mut place = "";
    for word in FEATURES.split_whitespace() {
        let Some((bit, names)) = word.split_once('=') else {
            place = word;
            continue;
        };
        let expected = parse_place(place, bit.parse().unwrap());
        for name in names.split('|') {
            count += 1;
            let expected = (!ABSENT_FEATURES.iter().any(|(absent, _)| *absent == name)).then_some(expected);
            let found = FeatureId::find(name).map(|id| id.feature().place);
            if found != expected {
                wrong.push(format!("{name}: {found:?} and not {expected:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {count} names:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(count, 426);
}

fn parse_place(place: &str, bit: u32) -> Place {
    let hex = |text| u32::from_str_radix(text, 16).unwrap();
    match place.split_once(':').unwrap() {
        ("msr", index) => Place::Msr(hex(index), bit),
        ("control", index) => Place::Control(hex(index), bit),
        (leaf, register) => {
            let leaf = match leaf.split_once('.') {
                Some((function, index)) => Leaf { function: hex(function), index: Some(hex(index)) },
                None => Leaf { function: hex(leaf), index: None },
            };
            let register = match register {
                "EAX" => Register::Eax,
                "EBX" => Register::Ebx,
                "ECX" => Register::Ecx,
                _ => Register::Edx,
            };
            Place::Cpuid(leaf, register, bit)
        }
    }
}

#[test]
fn every_model_is_known_by_its_name() {
    let mut wrong = Vec::new();
    for word in MODELS.split_whitespace() {
        let (name, versions) = word.split_once(':').unwrap_or((word, "0"));
        let versions: u32 = versions.parse().unwrap();
        let names =
            [name.to_owned()].into_iter().chain((1..=versions).map(|version| format!("{name}-v{version}")));
        for name in names {
            let expected = !ABSENT_MODELS.iter().any(|(absent, _)| *absent == name);
            if model::find(&name).is_some() != expected {
                wrong.push(name);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}
