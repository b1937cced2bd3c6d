//! Elements on recorded hosts.

use arch::cpu::{cpuid::Leaf, feature::Place, host::HostCpu, profile::CpuProfile, topology::Topology};

use super::*;

#[test]
fn a_hosts_features_answer_the_policies() {
    let broadwell = host(include_str!("../../../resources/hosts/broadwell-ep.json"));
    let milan = host(include_str!("../../../resources/hosts/milan.json"));
    let resolve =
        |host: &HostCpu, text: &str| CpuProfile::resolve(host, &spec(text), &Topology::flat(2).unwrap());
    let vmx = FeatureId::find("vmx").unwrap();
    let has_vmx = |text: &str| resolve(&broadwell, text).unwrap().features().contains(vmx);

    assert!(has_vmx(CORE2DUO_VMX));
    assert!(has_vmx(HOST_PASSTHROUGH));
    assert!(!has_vmx(NO_NESTING));
    assert!(!has_vmx(&qemu64("")));
    assert!(!has_vmx(&qemu64("<feature policy='optional' name='svm'/>")));
    assert!(resolve(&milan, DOMAIN).is_ok());
    for (text, message) in [
        (DOMAIN, "this host's processor is not made by AMD"),
        (
            &qemu64("<feature name='svm'/>"),
            "this host cannot give svm (CPUID.80000001H:ECX[2]); with check='none' the guest would start without",
        ),
        (&qemu64("<feature policy='forbid' name='vmx'/>"), "this host has what is forbidden: vmx"),
    ] {
        assert_eq!(resolve(&broadwell, text).map(|_| ()).unwrap_err().to_string(), message);
    }
}

fn host(json: &str) -> HostCpu {
    serde_json::from_str(json).unwrap()
}

/// A host without one feature.
fn without(mut host: HostCpu, name: &str) -> HostCpu {
    let Place::Cpuid(leaf, register, bit) = FeatureId::find(name).unwrap().feature().place else {
        panic!("{name}")
    };
    *host.supported.0.get_mut(&leaf).unwrap().get_mut(register) &= !(1 << bit);
    host
}

/// libvirt's result for each of these on a Cascade Lake, on the same without one of Haswell's features, and on a Milan: `Ok` with
/// what is said to be missing, or `Err`.
#[test]
fn a_cpu_starts_where_libvirt_starts_it() {
    const HASWELL: &str =
        "<cpu mode='custom' match='exact'CHECK><model fallback='allow'>Haswell-noTSX</model></cpu>";
    let cascade_lake = || host(include_str!("../../../resources/hosts/cascade-lake.json"));
    let hosts = [
        cascade_lake(),
        without(cascade_lake(), "movbe"),
        host(include_str!("../../../resources/hosts/milan.json")),
    ];
    let started = |text: &str| {
        hosts.each_ref().map(|host| {
            let spec = parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).spec;
            CpuProfile::resolve(host, &spec, &Topology::flat(2).unwrap())
                .map(|profile| profile.unmet().len())
                .map_err(|error| error.to_string())
        })
    };
    let refused = |what: &str| Err(what.to_owned());
    let movbe =
        "this host cannot give movbe (CPUID.01H:ECX[22]); with check='none' the guest would start without";
    let haswell = |check: &str| HASWELL.replace("CHECK", check);
    assert_eq!(started(&haswell(" check='none'")), [Ok(0), Ok(1), Ok(0)]);
    for check in ["", " check='partial'", " check='full'"] {
        assert_eq!(started(&haswell(check)), [Ok(0), refused(movbe), Ok(0)], "{check}");
    }
    // A fallback concerns names.
    let forbid = haswell(" check='none'").replace("allow", "forbid");
    assert_eq!(started(&forbid), [Ok(0), Ok(1), Ok(0)]);
    // The list counts like the model, and so do the features it forbids.
    let amd =
        "this host cannot give svm (CPUID.80000001H:ECX[2]); with check='none' the guest would start without";
    let feature = |policy: &str, name: &str| {
        haswell("").replace("</cpu>", &format!("<feature policy='{policy}' name='{name}'/></cpu>"))
    };
    assert_eq!(started(&feature("require", "svm"))[0], refused(amd));
    assert_eq!(started(&feature("optional", "svm"))[0], Ok(0));
    assert_eq!(started(&feature("forbid", "vmx"))[0], refused("this host has what is forbidden: vmx"));
    assert_eq!(started(&feature("disable", "movbe")), [Ok(0), Ok(0), Ok(0)]);
    for dropped in DROPPED {
        for policy in ["force", "require", "optional", "disable", "forbid"] {
            assert_eq!(spec(&feature(policy, dropped)).settings, [], "{policy} {dropped}");
        }
    }
    // The vendor is compared, unless the check is off.
    let vendor = |check: &str| format!("<cpu {check}><model>qemu64</model><vendor>AMD</vendor></cpu>");
    assert_eq!(
        started(&vendor("")),
        [
            refused("this host's processor is not made by AMD"),
            refused("this host's processor is not made by AMD"),
            Ok(0)
        ]
    );
    assert_eq!(started(&vendor("check='none'")), [Ok(0), Ok(0), Ok(0)]);
    // The host's own CPU has all of its features.
    let passthrough =
        "<cpu mode='host-passthrough' migratable='off'><feature policy='require' name='movbe'/></cpu>";
    assert_eq!(started(passthrough), [Ok(0), Ok(1), Ok(0)]);
    assert_eq!(started(&passthrough.replace("migratable", "check='partial' migratable"))[1], refused(movbe));
    for default in ["<cpu><topology sockets='1' cores='2' threads='2'/></cpu>", "<domain/>"] {
        assert_eq!(started(default), [Ok(0), Ok(0), Ok(0)], "{default}");
    }
}

#[test]
fn a_minimum_is_the_hosts_model_if_that_has_as_much() {
    let milan = host(include_str!("../../../resources/hosts/milan.json"));
    let resolve =
        |host: &HostCpu, text: &str| CpuProfile::resolve(host, &spec(text), &Topology::flat(2).unwrap());
    let minimum = "<cpu match='minimum'><model>Nehalem</model></cpu>";
    let least = resolve(&milan, minimum).unwrap();
    let hosts = resolve(&milan, "<cpu mode='host-model'/>").unwrap();
    assert_eq!(least.canonical(), hosts.canonical());
    assert_eq!(least.leaves(1), hosts.leaves(1));
    let old = without(milan.clone(), "sse4.2");
    let error = resolve(&old, minimum).map(|_| ()).unwrap_err().to_string();
    assert_eq!(
        error,
        "this host cannot give sse4.2 (CPUID.01H:ECX[20]); with check='none' the guest would start without"
    );
    let disabled = minimum.replace("</cpu>", "<feature policy='disable' name='avx2'/></cpu>");
    assert!(!resolve(&milan, &disabled).unwrap().features().contains(FeatureId::find("avx2").unwrap()));
}

#[test]
fn a_strict_match_is_of_the_processor_and_not_of_kvm() {
    let milan = host(include_str!("../../../resources/hosts/milan.json"));
    let spec = spec("<cpu match='strict'><model>Nehalem</model></cpu>");
    let error =
        CpuProfile::resolve(&milan, &spec, &Topology::flat(2).unwrap()).map(|_| ()).unwrap_err().to_string();
    assert!(error.starts_with("this host has more than what is described: "), "{error}");
    assert!(error.contains("avx2") && !error.contains("kvm"), "{error}");
}

#[test]
fn a_guest_sees_the_vendor_that_the_element_names() {
    let milan = host(include_str!("../../../resources/hosts/milan.json"));
    for (text, model) in [
        ("<cpu mode='host-model'><model fallback='allow' vendor_id='GenuineIntel'/></cpu>", "host-model"),
        ("<cpu mode='host-passthrough'><model vendor_id='GenuineIntel'/></cpu>", "host-passthrough"),
        ("<cpu><model vendor_id='GenuineIntel'>qemu64</model></cpu>", "qemu64"),
    ] {
        let spec = spec(text);
        assert_eq!(spec.model.to_string(), model);
        let leaf = CpuProfile::resolve(&milan, &spec, &Topology::flat(2).unwrap()).unwrap().leaves(1).0
            [&Leaf::new(0)];
        assert_eq!([leaf.ebx, leaf.edx, leaf.ecx].map(u32::to_le_bytes).as_flattened(), b"GenuineIntel");
    }
}
