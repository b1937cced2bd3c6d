use super::*;

fn error(text: &str) -> String {
    text.parse::<CpuSpec>().unwrap_err().to_string()
}

#[test]
fn hosts_go_by_several_names() {
    for name in ["host-passthrough", "host", "max"] {
        assert_eq!(name.parse::<CpuSpec>().unwrap().to_string(), "host-passthrough");
    }
    assert_eq!("host-model".parse::<CpuSpec>().unwrap().model, Model::HostModel);
}

#[test]
fn check_does_not_revoke_enforce() {
    let policy = |words: &str| format!("qemu64,{words}").parse::<CpuSpec>().unwrap().policy;
    for words in ["enforce,check", "enforce,check=off", "check=off,enforce"] {
        assert_eq!(policy(words), Policy::Enforce, "{words}");
    }
    assert_eq!(policy("check=off,enforce=off"), Policy::Ignore);
    assert_eq!(policy("enforce,enforce=off"), Policy::Check);
}

#[test]
fn settings_keep_their_order() {
    let spec: CpuSpec = "Haswell-noTSX,+vmx,-avx,avx=on,sse4_1=off,phys-bits=39,enforce".parse().unwrap();
    assert_eq!(spec.to_string(), "Haswell-noTSX,+vmx,-avx,+avx,-sse4.1,phys-bits=39,enforce");
    assert_eq!(spec.policy, Policy::Enforce);
    assert_eq!(spec.to_string().parse::<CpuSpec>().unwrap(), spec);
    assert_eq!("host,check=off".parse::<CpuSpec>().unwrap().policy, Policy::Ignore);
    let limited: CpuSpec = "kvm64,host-phys-bits-limit=39".parse().unwrap();
    assert_eq!(limited.to_string(), "kvm64,host-phys-bits-limit=39");
    let wide: CpuSpec = "kvm64,host-phys-bits=on".parse().unwrap();
    assert_eq!(
        (wide.physical_bits, wide.to_string()),
        (PhysicalBits::Host, "kvm64,host-phys-bits=on".to_owned())
    );
}

#[test]
fn wrong_words_are_named() {
    assert_eq!(
        error("Haswel"),
        r#"unknown CPU "Haswel" (did you mean Haswell, Haswell-v1 or Haswell-v2?): `nvmm cpu list` shows all"#
    );
    assert!(
        error("host,+avx3").starts_with(r#"unknown CPU feature "avx3" (did you mean avx"#),
        "{}",
        error("host,+avx3")
    );
    assert!(error("hots").contains("did you mean host"), "{}", error("hots"));
    assert_eq!(error("host,avx=maybe"), "avx=maybe: give on or off");
    assert_eq!(error("host,"), r#"an empty part in "host,": give MODEL,+feature,-feature"#);
    assert_eq!(error("host,+"), r#"an empty part in "host,+": give MODEL,+feature,-feature"#);
    assert_eq!(error("host,phys-bits=99"), "phys-bits=99: give a number from 32 to 52");
    assert!(error("").starts_with(r#"unknown CPU """#));
}

/// Checks the reading of a word, and that its own writing is read as the same.
#[track_caller]
fn reads(words: &str, written: &str) {
    let spec: CpuSpec = format!("host,{words}").parse().unwrap_or_else(|error| panic!("{words}: {error}"));
    assert_eq!(spec.to_string(), format!("host-passthrough{written}"), "{words}");
    assert_eq!(spec.to_string().parse::<CpuSpec>().unwrap(), spec, "{words}");
}

#[test]
fn a_bare_word_means_on() {
    reads("topoext", ",+topoext");
    reads("invtsc,migratable", ",+invtsc,migratable=on");
    reads("host-phys-bits,host_cache_info", ",host-phys-bits=on,host-cache-info=on");
    reads("-pmu,+kvm", ",pmu=off");
}

#[test]
fn properties_are_read_as_qemu_reads_them() {
    for (words, written) in [
        ("migratable=off", ""),
        ("migratable=no", ""),
        ("migratable=on", ",migratable=on"),
        ("kvm=on", ""),
        ("kvm=off", ",kvm=off"),
        ("kvm=off,kvm=on", ""),
        ("pmu=on", ",pmu=on"),
        ("pmu=off", ",pmu=off"),
        ("l3-cache=on", ""),
        ("l3_cache=off", ",l3-cache=off"),
        ("host-cache-info=off", ",host-cache-info=off"),
        ("vmware-cpuid-freq=off", ""),
        ("vmware-cpuid-freq", ",vmware-cpuid-freq=on"),
        ("kvm-pv-enforce-cpuid=on", ",kvm-pv-enforce-cpuid=on"),
        ("guest-phys-bits=40", ",guest-phys-bits=40"),
        ("tsc-frequency=2500000000", ",tsc-frequency=2500000000"),
        ("tsc_freq=2.5G", ",tsc-frequency=2500000000"),
        ("tsc-freq=2399.998M", ",tsc-frequency=2399998000"),
        ("vendor=AuthenticAMD", ",vendor=AuthenticAMD"),
        ("vendor=  Shanghai  ", ",vendor=  Shanghai  "),
        ("family=6,model=0x5e,stepping=3", ",family=6,model=94,stepping=3"),
        ("model_id=A CPU = mine", ",model-id=A CPU = mine"),
        ("level=0xd,xlevel=0x80000008", ",level=0xd,xlevel=0x80000008"),
        ("min-level=11,min-xlevel=0x8000001e", ",min-level=0xb,min-xlevel=0x8000001e"),
        ("level=13,min-level=20", ",level=0xd"),
    ] {
        reads(words, written);
    }
}

#[test]
fn values_out_of_range_are_refused_with_the_range() {
    for (word, allowed) in [
        ("family=271", "a number from 0 to 270"),
        ("family=six", "a number from 0 to 270"),
        ("model=256", "a number from 0 to 255"),
        ("stepping=16", "a number from 0 to 15"),
        ("stepping=-1", "a number from 0 to 15"),
        ("level=0", "a basic leaf, from 1 to 0x3fffffff"),
        ("min-level=0x40000000", "a basic leaf, from 1 to 0x3fffffff"),
        ("xlevel=8", "an extended function, from 0x80000000 to 0xbfffffff"),
        ("min-xlevel=0xc0000000", "an extended function, from 0x80000000 to 0xbfffffff"),
        ("vendor=Intel", "12 letters, such as GenuineIntel or AuthenticAMD"),
        ("vendor=Genuine\u{1b}ntel", "12 letters, such as GenuineIntel or AuthenticAMD"),
        ("vendor=off", "12 letters, such as GenuineIntel or AuthenticAMD"),
        ("model-id=caf\u{e9}", "up to 48 ASCII letters without a comma"),
        ("tsc-frequency=0", "1M to 4294G, in Hz or with K, M or G"),
        ("tsc-frequency=4295G", "1M to 4294G, in Hz or with K, M or G"),
        ("tsc-frequency=2.5", "1M to 4294G, in Hz or with K, M or G"),
        ("tsc-frequency=G", "1M to 4294G, in Hz or with K, M or G"),
        ("tsc-frequency=99999999999999999999999", "1M to 4294G, in Hz or with K, M or G"),
        ("guest-phys-bits=31", "a number from 32 to 52"),
        ("kvm=maybe", "on or off"),
        ("migratable=2", "on or off"),
    ] {
        assert_eq!(error(&format!("host,{word}")), format!("{word}: give {allowed}"));
    }
    let long = format!("model-id={}", "x".repeat(49));
    assert_eq!(
        error(&format!("host,{long}")),
        format!("{long}: give up to 48 ASCII letters without a comma")
    );
    assert_eq!(
        error("host,vendor"),
        "vendor: give vendor=VALUE, 12 letters, such as GenuineIntel or AuthenticAMD"
    );
    assert_eq!(error("host,tsc-freq"), "tsc-freq: give tsc-freq=VALUE, 1M to 4294G, in Hz or with K, M or G");
}

#[test]
fn unsupported_settings_are_named() {
    let hyper_v = "nvmm has no Hyper-V enlightenments, which make Windows faster; take the word out";
    for word in
        ["hv_relaxed", "hv-time=on", "hv_spinlocks=0x1fff", "hv-passthrough", "+hv-vpindex", "hv-vendor-id=x"]
    {
        let name = word.trim_start_matches('+').split('=').next().unwrap().replace('_', "-");
        assert_eq!(error(&format!("host,{word}")), format!("{name}: {hyper_v}"));
    }
    // A feature that is off changes nothing.
    reads("hv_relaxed=off,-hv-time", "");
    let qemu = "nvmm does not have this property of QEMU's; take the word out";
    assert_eq!(error("host,ucode_rev=1"), format!("ucode-rev: {qemu}"));
    assert_eq!(error("host,x-force-features=on"), format!("x-force-features: {qemu}"));
    // Properties are suggested too.
    assert!(
        error("host,migrateable=on").contains("did you mean migratable"),
        "{}",
        error("host,migrateable=on")
    );
    assert!(error("host,famly=6").contains("did you mean family"), "{}", error("host,famly=6"));
}
