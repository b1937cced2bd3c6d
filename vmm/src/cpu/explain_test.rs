use super::*;
use crate::cpu::testing::{haswell, milan};

fn lines(feature: &str, host: Option<&HostCpu>) -> Vec<String> {
    let text = Explanation::new(feature, host).unwrap().text(Paint::PLAIN);
    text.lines().map(str::to_owned).collect()
}

#[track_caller]
fn has(lines: &[String], line: &str) {
    assert!(lines.iter().any(|other| other == line), "{line}\n{lines:#?}");
}

#[test]
fn a_feature_is_explained() {
    let lines = lines("sse4_1", Some(&haswell()));
    assert_eq!(lines[0], "sse4.1: SSE4.1");
    has(&lines, "place        CPUID.01H:ECX[19]");
    has(&lines, "described    SDM 2A, \"CPUID—CPU Identification\", leaf 01H");
    has(&lines, "host         KVM offers it (Intel(R) Core(TM) i7-4770 CPU @ 3.40GHz)");
}

#[test]
fn a_control_has_its_needs() {
    let lines = lines("vmx-unrestricted-guest", Some(&milan()));
    has(&lines, "place        MSR(48BH)[7] in both halves: it may be 0, and it may be 1");
    has(&lines, "needs        vmx-ept (and vmx vmx-secondary-ctls)");
    has(&lines, "host         KVM does not offer it (AMD EPYC 7713 64-Core Processor)");
    has(&lines, "             which have it once they have vmx");
}

#[test]
fn all_of_vmx_is_one_word() {
    let all = FeatureId::all().filter(|id| id.name().starts_with("vmx-")).count();
    has(&lines("vmx", None), &format!("needed by    vmx-* (all {all})"));
    assert_eq!(Explanation::new("vmx", None).unwrap().needed_by.len(), all);
}

#[test]
fn features_decided_by_the_hypervisor_are_reported() {
    let amd = milan();
    let host =
        |feature| lines(feature, Some(&amd)).into_iter().find(|line| line.starts_with("host")).unwrap();
    assert!(
        host("tsc-deadline")
            .starts_with("host         KVM does not name it, but guests get it: hypervisor (")
    );
    assert!(host("arch-capabilities").contains("but guests don't get it: not on AMD processors ("));
    assert!(host("ht").contains("as the guest's topology needs"));
    has(&lines("svm", None), "             on KVM no model has it by itself: MODEL,+svm, or --nested on");
    has(&lines("kvm-pv-eoi", None), "             on KVM every model has it");
    assert!(lines("avx2", None).iter().all(|line| !line.starts_with("host")));
}

#[test]
fn a_name_that_is_none_gets_suggestions() {
    let error = Explanation::new("avx512", None).unwrap_err();
    assert!(error.is::<UsageError>());
    assert!(error.to_string().contains("did you mean avx512f"), "{error}");
}

#[test]
fn json_names_every_model() {
    let json = serde_json::to_value(Explanation::new("hle", Some(&haswell())).unwrap()).unwrap();
    let models: Vec<_> = json["models"].as_array().unwrap().iter().filter_map(|name| name.as_str()).collect();
    assert!(models.contains(&"Haswell-v1") && !models.contains(&"Haswell-v2"), "{models:?}");
    assert_eq!(json["place"], "CPUID.(EAX=07H,ECX=0):EBX[4]");
    assert_eq!(json["host"]["kvm"], false);
}
