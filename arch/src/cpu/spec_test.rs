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
fn settings_keep_their_order() {
    let spec: CpuSpec = "Haswell-noTSX,+vmx,-avx,avx=on,sse4_1=off,phys-bits=39,enforce".parse().unwrap();
    assert_eq!(spec.to_string(), "Haswell-noTSX,+vmx,-avx,+avx,-sse4.1,phys-bits=39,enforce");
    assert_eq!(spec.policy, Policy::Enforce);
    assert_eq!(spec.to_string().parse::<CpuSpec>().unwrap(), spec);
    assert_eq!("host,check=off".parse::<CpuSpec>().unwrap().policy, Policy::Ignore);
    assert_eq!("host,enforce,check".parse::<CpuSpec>().unwrap().policy, Policy::Check);
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
    assert_eq!(error("host,avx"), r#""avx": give +avx or -avx, or avx=on or avx=off"#);
    assert_eq!(error("host,"), r#"an empty part in "host,": give MODEL,+feature,-feature"#);
    assert_eq!(error("host,+"), r#"an empty part in "host,+": give MODEL,+feature,-feature"#);
    assert_eq!(error("host,phys-bits=99"), "phys-bits=99: give a number from 32 to 52");
    assert!(error("").starts_with(r#"unknown CPU """#));
}
