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
fn vendors_are_distinguished() {
    let made_by = |host, maker| {
        let host = testing::made_by(host, maker);
        (host.vendor(), host.manual())
    };
    for (maker, vendor, manual) in [
        ("GenuineIntel", Vendor::Intel, Manual::Intel),
        ("CentaurHauls", Vendor::Zhaoxin, Manual::Intel),
        ("  Shanghai  ", Vendor::Zhaoxin, Manual::Intel),
        ("AuthenticAMD", Vendor::Amd, Manual::Amd),
        ("HygonGenuine", Vendor::Hygon, Manual::Amd),
    ] {
        assert_eq!(made_by(testing::software(), maker), (vendor, manual), "{maker}");
    }
    // Somebody new is nobody known. What SVM needs is in AMD's manual.
    assert_eq!(made_by(testing::haswell(), "GenuineThird"), (Vendor::Other, Manual::Intel));
    assert_eq!(made_by(testing::epyc(), "GenuineThird"), (Vendor::Other, Manual::Amd));
}

#[test]
fn addresses_without_a_leaf_are_as_wide_as_pae_is() {
    let mut host = testing::haswell();
    host.supported.remove(0x8000_0008);
    assert_eq!(host.physical_address_width(), 36);
    host.supported.0.get_mut(&Leaf::new(1)).unwrap().edx &= !(1 << 6);
    assert_eq!(host.physical_address_width(), 32);
}

#[test]
fn blanks_are_filled_from_the_instruction() {
    for (name, host) in testing::all() {
        let all = host.offered();
        let read = |function, index| match all.function(function).next() {
            Some((Leaf { index: None, .. }, registers)) => registers,
            _ => all.get(Leaf::sub(function, index)),
        };
        let mut supported = host.supported.clone();
        NATIVE.into_iter().for_each(|function| supported.remove(function));
        let again = HostCpu { native: fill_blanks(&supported, read), supported, ..host };
        for function in NATIVE {
            let described = |cpuid: &Cpuid| {
                let some = cpuid.function(function).filter(|(_, registers)| !registers.is_zero());
                // The end of a list of caches has nothing but its number.
                some.filter(|(_, registers)| !CACHES.contains(&function) || registers.eax & 0x1f != 0)
                    .collect::<Vec<_>>()
            };
            assert_eq!(described(&again.offered()), described(&all), "{name}: {function:#x}");
        }
        // KVM answers first.
        assert!(fill_blanks(&again.offered(), read).0.keys().all(|leaf| all.leaves_blank(leaf.function)));
    }
}

#[test]
fn this_machine_can_be_read() {
    let native = HostCpu::read_native(&Cpuid::default());
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
