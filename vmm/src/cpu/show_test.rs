use super::*;
use crate::cpu::{
    testing::{haswell, hosts, milan, resolve, sapphire_rapids},
    text::WIDTH,
};

fn text(host: &arch::cpu::host::HostCpu, spec: &str, vcpu: u32) -> String {
    let (profile, topology) = resolve(host, spec);
    Sheet::new(spec, &profile, topology, vcpu).text(Paint::PLAIN)
}

/// The lines of a leaf or an MSR.
fn part<'a>(text: &'a str, title: &str) -> Vec<&'a str> {
    let part = text.split("\n\n").find(|part| part.starts_with(title));
    part.unwrap_or_else(|| panic!("{title}\n{text}")).lines().skip(1).collect()
}

#[test]
fn each_bit_has_the_setting_that_decided_it() {
    let text = text(&haswell(), "Haswell,+vmx,-avx2", 3);
    assert_eq!(
        part(&text, "CPUID.01H "),
        [
            "  EAX         Haswell     signature: family 6, model 60, stepping 4 (0x306c4)",
            "  EBX[15:8]   Haswell     CLFLUSH line: 64 bytes",
            "  EBX[23:16]  topology    logical processors per package: 2",
            "  EBX[31:24]  vcpu        initial APIC id: 3",
            "  ECX         Haswell     pni pclmulqdq ssse3 fma cx16 pcid sse4.1 sse4.2 movbe popcnt tsc-deadline",
            "                          aes xsave avx f16c rdrand",
            "              asked for   vmx",
            "              hypervisor  x2apic hypervisor",
            "  EDX         Haswell     fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36",
            "                          clflush mmx fxsr sse sse2",
            "              topology    ht",
        ]
    );
    assert_eq!(
        part(&text, "CPUID.(EAX=0BH,ECX=0)"),
        [
            "              topology    level: 0, threads: 2 logical processors, 1 bit of the APIC id",
            "  EDX         vcpu        x2APIC id: 3",
        ]
    );
    assert_eq!(
        part(&text, "MSR 0x48d IA32_VMX_TRUE_PINBASED_CTLS"),
        [
            "  either      Haswell     vmx-intr-exit vmx-nmi-exit vmx-vnmi vmx-preemption-timer",
            "  always 1    host        [1] [2] [4]",
        ]
    );
    assert_eq!(
        part(&text, "MSR 0x3a IA32_FEATURE_CONTROL"),
        ["  [0]         hypervisor  locked: yes", "  [2]         hypervisor  VMX outside SMX: yes"]
    );
}

#[test]
fn the_head_shows_the_request_and_what_was_not_given() {
    let text = text(&haswell(), "Haswell,+vmx,-avx2", 0);
    let head = text.split("\n\n").next().unwrap();
    for line in [
        "spec          Haswell,+vmx,-avx2",
        "brand         Intel Core Processor (Haswell)",
        "signature     family 6, model 60, stepping 4 (0x306c4)",
        "topology      2 sockets x 1 die x 1 core x 2 threads; this is vCPU 0",
        "taken away    avx2 (asked for)",
    ] {
        assert!(head.lines().any(|other| other == line), "{line}\n{head}");
    }
    for part in [
        "canonical     Haswell,+vmx,",
        "not given     hle (CPUID.(EAX=07H,ECX=0):EBX[4]), ",
        "nesting       vmx (ept, ",
    ] {
        assert!(head.contains(part), "{part}\n{head}");
    }
}

#[test]
fn removed_features_are_named() {
    let text = text(&milan(), "host-passthrough,-npt,-xsave", 0);
    for part in ["npt (asked for)", "avx (needs xsave)", "arch-capabilities (not on AMD processors)"] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(part(&text, "CPUID.8000000AH").iter().all(|line| !line.contains(" npt")));
}

#[test]
fn every_feature_of_the_guest_is_shown_and_no_other() {
    for host in hosts() {
        for spec in ["host-passthrough", "host-model", "qemu64", "Haswell", "EPYC,+svm"] {
            let (profile, topology) = resolve(&host, spec);
            let sheet = Sheet::new(spec, &profile, topology, 1);
            let leaves = sheet.cpuid.values().map(|leaf| &leaf.says);
            let msrs =
                sheet.msrs.iter().filter(|(index, _)| !msrs::is_older(**index)).map(|(_, msr)| &msr.says);
            let shown = leaves.chain(msrs).flatten().filter(|entry| {
                entry.value.is_none() && entry.label != State::One.name() && !entry.name.starts_with('[')
            });
            let shown = shown.filter_map(|entry| FeatureId::find(&entry.name)).collect();
            let topological = arch::cpu::feature::FeatureSet::parse("ht cmp-legacy");
            let (more, less) = (profile.features() - shown, shown - profile.features() - topological);
            assert!(more.is_empty() && less.is_empty(), "{spec}: not shown {more:?}, shown {less:?}");
        }
    }
}

#[test]
fn lines_fit_and_colour_changes_no_letter() {
    for host in hosts() {
        for spec in ["host-passthrough", "host-model", "SapphireRapids,+vmx,check=off", "EPYC-Milan,+svm"] {
            let (profile, topology) = resolve(&host, spec);
            let sheet = Sheet::new(spec, &profile, topology, 0);
            let plain = sheet.text(Paint::PLAIN);
            for line in plain.lines() {
                assert!(line.chars().count() <= WIDTH && line.trim_end() == line, "{spec}: {line:?}");
            }
            let coloured = sheet.text(Paint::COLOURED);
            assert!(coloured.contains("\x1b[1m"));
            assert_eq!(crate::cpu::text::without_colour(&coloured), plain);
        }
    }
}

#[test]
fn json_has_all_of_it() {
    let (profile, topology) = resolve(&haswell(), "host-passthrough,-avx2");
    let sheet = Sheet::new("host-passthrough,-avx2", &profile, topology, 2);
    let json: serde_json::Value = serde_json::to_value(&sheet).unwrap();
    assert_eq!(json["canonical"], "host-passthrough,-avx2");
    assert_eq!(json["topology"], serde_json::json!({"sockets": 2, "dies": 1, "cores": 1, "threads": 2}));
    assert_eq!(json["nesting"]["kind"], "vmx");
    assert_eq!(json["removed"], serde_json::json!([{"name": "avx2", "by": "asked for"}]));
    let leaf = &json["cpuid"]["0x00000001"];
    assert_eq!(leaf["registers"].as_str().unwrap(), profile.leaves(2).get(Leaf::new(1)).to_string());
    let says = leaf["says"].as_array().unwrap();
    let vmx = serde_json::json!({"place": "CPUID.01H:ECX[5]", "name": "vmx", "by": "host"});
    assert!(says.contains(&vmx), "{says:#?}");
    let id = serde_json::json!(
        {"place": "CPUID.01H:EBX[31:24]", "name": "initial APIC id", "value": "2", "by": "vcpu"}
    );
    assert!(says.contains(&id), "{says:#?}");
    assert_eq!(json["msrs"]["0x3a"]["value"], "0x0000000000000005");
}

#[test]
fn words_set_fields_that_are_no_features() {
    let text = text(
        &milan(),
        "EPYC,vendor=GenuineIntel,family=6,level=0xd,model-id=One of mine,tsc-frequency=2G,vmware-cpuid-freq",
        0,
    );
    for line in [
        "              asked for   vendor: GenuineIntel",
        "  EAX         asked for   last leaf: 0xd",
        "  EAX         asked for   signature: family 6, model 1, stepping 2 (0x612)",
        "              asked for   brand: One of mine",
        "  EAX         asked for   TSC frequency: 2000000 kHz",
        "  EBX         asked for   APIC bus frequency: 1000000 kHz",
    ] {
        assert!(text.lines().any(|other| other == line), "{line}\n{text}");
    }
}

#[test]
fn features_hidden_by_a_setting_are_attributed_to_it() {
    let text = text(&milan(), "host,kvm=off,pmu=off,migratable=on,level=7", 0);
    let words: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in ["kvmclock (kvm=off)", "perfctr-core (pmu=off)", "invtsc (migratable=on)", "xsave (level)"] {
        assert!(words.contains(part), "{part}\n{text}");
    }
}

#[test]
fn a_models_counters_are_the_hosts() {
    let text = text(&sapphire_rapids(), "Haswell,pmu=on", 0);
    let counters = part(&text, "CPUID.0AH ");
    assert!(counters.iter().any(|line| line.starts_with("  EAX[7:0]    host  ")), "{counters:?}");
}

#[test]
fn registers_fit_a_narrow_terminal() {
    let whole = "eax=0x00830f10 ebx=0x00010800 ecx=0xf6f83203 edx=0x078bfbff";
    assert_eq!(registers(whole, 100), whole);
    assert_eq!(registers(whole, 80), "eax=00830f10 ebx=00010800 ecx=f6f83203 edx=078bfbff");
    assert_eq!(registers(whole, 80).len() + LEAF + 2, 80);
    let indent = " ".repeat(LEAF + 2);
    assert_eq!(registers(whole, 60), format!("eax=00830f10 ebx=00010800\n{indent}ecx=f6f83203 edx=078bfbff"));
}
