use super::*;
use crate::cpu::testing;

#[test]
fn native_leaves_fill_what_kvm_left_blank() {
    let host = testing::haswell();
    let offered = host.offered();
    assert_eq!(offered.get(Leaf::new(0x8000_0003)), host.native.get(Leaf::new(0x8000_0003)));
    // KVM answered these.
    assert_eq!(offered.function(0x4).count(), 5);
    assert_eq!(offered.get(Leaf::new(0x8000_0006)), host.supported.get(Leaf::new(0x8000_0006)));

    // Subleaves come over together; the last one, which ends the list, is KVM's to answer.
    let mut host = testing::epyc();
    host.supported.remove(0x8000_001d);
    assert_eq!(host.offered().function(0x8000_001d).count(), 4);
}

#[test]
fn native_leaves_past_the_greatest_function_stay_out() {
    let mut host = testing::haswell();
    let caches = Leaf::sub(0x8000_001d, 0);
    host.native.0.insert(caches, Registers { eax: 1, ..Registers::default() });
    assert!(!host.offered().0.contains_key(&caches));
}

#[test]
fn vendors_are_told_apart() {
    assert_eq!(testing::haswell().vendor(), Vendor::Intel);
    assert_eq!(testing::epyc().vendor(), Vendor::Amd);
}

#[test]
fn this_machine_can_be_read() {
    let [basic, extended] = [(0, 0x1f), (0x8000_0000, 0x8000_0008)]
        .map(|(base, eax)| (Leaf::new(base), Registers { eax, ..Registers::default() }));
    let brand = (Leaf::new(0x8000_0002), Registers { eax: 1, ..Registers::default() });
    let native = HostCpu::read_native(&Cpuid([basic, extended, brand].into()));
    assert!(native.0.contains_key(&Leaf::new(0x8000_0003)));
    assert!(!native.0.contains_key(&brand.0), "KVM has it");
    assert!(native.0.values().all(|registers| !registers.is_zero()));
    assert!(native.0.keys().all(|leaf| NATIVE.contains(&leaf.function)));
}

#[test]
fn recorded_host_is_loaded_again() {
    for host in [testing::haswell(), testing::epyc(), testing::software()] {
        let json = serde_json::to_string_pretty(&host).unwrap();
        assert_eq!(serde_json::from_str::<HostCpu>(&json).unwrap(), host);
    }
    let json = serde_json::to_string(&testing::haswell()).unwrap();
    assert!(json.contains(r#""0x00000480":"0x00d8100011e57ed0""#), "{json}");
    let wrong = json.replace("0x00d8100011e57ed0", "many");
    let error = serde_json::from_str::<HostCpu>(&wrong).unwrap_err().to_string();
    assert!(error.contains(r#""0x00000480": "many" is no MSR"#), "{error}");
}
