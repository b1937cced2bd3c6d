use crate::cpu::{
    cpuid::{Leaf, Registers},
    host::HostCpu,
    profile::CpuProfile,
    testing,
    topology::Topology,
};

fn leaves(host: &HostCpu, spec: &str) -> [Registers; 4] {
    let profile = CpuProfile::resolve(host, &spec.parse().unwrap(), &Topology::flat(2).unwrap()).unwrap();
    [0x15, 0x16, 0x4000_0000, 0x4000_0010].map(|function| profile.leaves(1).get(Leaf::new(function)))
}

/// Rates that a KVM could offer, and does not yet.
fn host() -> HostCpu {
    let mut host = testing::software();
    host.supported.0.insert(Leaf::new(0x15), Registers { eax: 2, ebx: 168, ecx: 25_000_000, edx: 0 });
    host.supported.0.insert(Leaf::new(0x16), Registers { eax: 2100, ebx: 3500, ecx: 100, edx: 0 });
    host
}

#[test]
fn another_rate_than_the_hosts_leaves_no_word_of_the_hosts() {
    let [crystal, frequencies, ..] = leaves(&host(), "host");
    assert_eq!((crystal.ebx, frequencies.eax), (168, 2100));
    let [crystal, frequencies, ..] = leaves(&host(), "host,tsc-frequency=1G");
    assert!(crystal.is_zero() && frequencies.is_zero());
}

#[test]
fn the_leaf_of_frequencies_has_a_rate_that_is_known_and_stable() {
    let told = |spec: &str, khz| {
        let mut host = testing::epyc();
        host.tsc_khz = khz;
        let [.., last, leaf] = leaves(&host, spec);
        let end = if leaf.is_zero() { 0x4000_0001 } else { 0x4000_0010 };
        assert!(last.eax == end || spec.contains("kvm=off"), "{spec}: {last}");
        (leaf.eax, leaf.ebx)
    };
    let invariant = "EPYC,+invtsc,check=off";
    assert_eq!(told("EPYC,vmware-cpuid-freq=on,tsc-frequency=2G", None), (2_000_000, 1_000_000));
    assert_eq!(told("EPYC,tsc-frequency=2G", None), (0, 0));
    assert_eq!(told("EPYC,vmware-cpuid-freq,kvm=off,tsc-frequency=2G", None), (0, 0));
    // The host's rate, if nothing changes it.
    assert_eq!(told("EPYC,vmware-cpuid-freq,-invtsc", Some(2_100_000)), (0, 0));
    let mut stable = testing::software();
    stable.tsc_khz = Some(2_100_000);
    stable.supported.0.entry(Leaf::new(0x8000_0000)).or_default().eax = 0x8000_0008;
    stable.supported.0.insert(Leaf::new(0x8000_0007), Registers { edx: 1 << 8, ..Registers::default() });
    assert_eq!(leaves(&stable, &format!("{invariant},vmware-cpuid-freq"))[3].eax, 2_100_000);
    assert_eq!(leaves(&stable, "host,migratable=on,vmware-cpuid-freq")[3].eax, 0);
    stable.tsc_khz = None;
    assert_eq!(leaves(&stable, &format!("{invariant},vmware-cpuid-freq"))[3].eax, 0);
}
