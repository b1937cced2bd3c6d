use std::path::Path;

use arch::cpu::{baseline::Baseline, profile::CpuProfile, topology::Topology};

use super::{super::origin, *};
use crate::cpu::recorded;

/// All recorded hosts that support nesting, of both Intel and AMD.
fn hosts() -> Vec<(&'static str, HostCpu)> {
    let names = [
        "broadwell-ep",
        "cascade-lake",
        "ice-lake",
        "sapphire-rapids",
        "granite-rapids",
        "naples",
        "rome",
        "milan",
        "genoa",
    ];
    names.map(|name| (name, host(name))).into()
}

fn host(name: &str) -> HostCpu {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../resources/hosts");
    recorded(&folder.join(name).with_extension("json")).unwrap()
}

/// A machine that was saved on `from` with this `--cpu`.
fn saved(from: &HostCpu, spec: &str) -> CpuRecord {
    let cpu = CpuProfile::resolve(from, &spec.parse().unwrap(), &Topology::flat(1).unwrap()).unwrap();
    CpuRecord { host: from.clone(), ..origin::record(&cpu) }
}

fn lacking(from: &str, spec: &str, to: &str) -> Vec<String> {
    saved(&host(from), spec).lacking_on(&host(to)).unwrap()
}

#[test]
fn every_host_takes_back_what_it_saved() {
    for (name, host) in hosts() {
        for spec in ["host-passthrough", "host-model", "qemu64", "host,-avx2", "host,family=6,model=1"] {
            assert_eq!(saved(&host, spec).lacking_on(&host).unwrap(), [""; 0], "{spec} of {name}");
        }
    }
}

#[test]
fn host_passthrough_stays_with_its_processor() {
    // A newer processor, with all features of the older one, and more.
    let lacks = lacking("sapphire-rapids", "host-passthrough", "granite-rapids");
    assert_eq!(lacks.len(), 1, "{lacks:?}");
    assert!(
        lacks.iter().any(|lack| lack
            .contains("Intel family 6 model 143 stepping 7 (this host's is Intel family 6 model 173")),
        "{lacks:?}"
    );
    // A processor with more features than before, as after an update of its KVM, is the same one.
    let mut older = host("milan");
    older.supported.0.get_mut(&Leaf::sub(7, 0)).unwrap().ebx &= !(1 << 18);
    assert_eq!(saved(&older, "host-passthrough").lacking_on(&host("milan")).unwrap(), [""; 0]);
    let lacks = saved(&host("milan"), "host-passthrough").lacking_on(&older).unwrap();
    assert_eq!(lacks, ["rdseed (CPUID.(EAX=07H,ECX=0):EBX[18])"]);
}

#[test]
fn host_model_moves_to_hosts_of_at_least_its_features() {
    assert_eq!(
        lacking(
            "cascade-lake",
            "host-model,-mpx,-vmx-entry-load-bndcfgs,-vmx-exit-clear-bndcfgs,-pks",
            "ice-lake"
        ),
        [""; 0]
    );
    let lacks = lacking("ice-lake", "host-model", "cascade-lake");
    for part in ["la57 (", "avx512ifma (", "vmx-page-walk-5 (MSR(48CH)[7])"] {
        assert!(lacks.iter().any(|lack| lack.starts_with(part)), "{part}: {lacks:?}");
    }
    // All missing features at once.
    assert!(lacks.len() > 10, "{lacks:?}");
}

#[test]
fn models_move_between_all_hosts_that_can_give_them() {
    let intel = ["broadwell-ep", "cascade-lake", "ice-lake", "sapphire-rapids", "granite-rapids"];
    let amd = ["naples", "rome", "milan", "genoa"];
    let mut moves = 0;
    for makers in [&intel[..], &amd[..]] {
        let hosts: Vec<_> = makers.iter().map(|name| ((*name).to_owned(), host(name))).collect();
        let shared = Baseline::of(&hosts).unwrap().spec.to_string();
        for (from, _) in &hosts {
            for (to, _) in &hosts {
                for spec in [shared.as_str(), "qemu64", "x86-64-v2"] {
                    assert_eq!(lacking(from, spec, to), [""; 0], "{spec} from {from} to {to}");
                    moves += 1;
                }
            }
        }
    }
    assert_eq!(moves, (5 * 5 + 4 * 4) * 3);
}

#[test]
fn no_cpu_moves_between_makers() {
    let lacks = lacking("milan", "qemu64", "ice-lake");
    assert!(lacks.contains(&"a processor of AMD's (this host's is Intel's)".to_owned()), "{lacks:?}");
}

#[test]
fn an_unnamed_bit_of_a_vmx_msr_is_reported() {
    let mut narrow = host("ice-lake");
    // IA32_VMX_EPT_VPID_CAP: the write-back memory type.
    *narrow.feature_msrs.get_mut(&0x48c).unwrap() &= !(1 << 14);
    let lacks = saved(&host("ice-lake"), "host-model").lacking_on(&narrow).unwrap();
    assert_eq!(lacks, ["MSR(48CH)[14] = 1"]);
}

#[test]
fn the_hosts_it_can_move_to_are_named() {
    let told = |spec| saved(&host("milan"), spec).moves_to();
    assert_eq!(
        told("host"),
        "to hosts with the same processor, AMD family 25 model 1 stepping 1: --cpu host-passthrough"
    );
    assert_eq!(told("host-model"), "to AMD hosts that have all of its CPU");
    assert_eq!(told("EPYC,+svm"), told("host-model"));
}
