use super::*;
use crate::nest::explain::cost::Reason;
use crate::nest::explain::work::Work;

fn cost(reasons: &[(u32, &str, f64)]) -> Cost {
    let reasons = reasons.iter().map(|&(level, reason, exits)| Reason {
        level: Some(level),
        reason: reason.into(),
        exits,
    });
    Cost {
        work: Work::Cpuid,
        measured: 2000,
        exits: 10.0,
        reasons: reasons.collect(),
        places: vec![],
        msrs: vec![],
        ports: vec![],
        parameters: [
            ("enable_shadow_vmcs".into(), "N".into()),
            ("vls".into(), "0".into()),
            ("vgif".into(), "1".into()),
        ]
        .into(),
        advice: vec![],
    }
}

fn texts(cost: &Cost, features: &[&str]) -> Vec<String> {
    let features: Vec<_> = features.iter().map(|&feature| feature.to_owned()).collect();
    advice(cost, 0, &features)
        .into_iter()
        .map(|advice| format!("{:.1} {}", advice.exits, advice.text))
        .collect()
}

#[test]
fn a_cpu_without_shadow_vmcs_differs_from_a_kvm_that_does_not_use_it() {
    let cost = cost(&[(1, "vmread", 4.0), (1, "vmwrite", 3.0), (1, "vmresume", 1.0), (2, "vmread", 5.0)]);
    let [text] = &texts(&cost, &[])[..] else { panic!("one piece of advice") };
    assert!(text.starts_with("7.0 level 0's CPU has no shadow VMCS"), "{text}");
    let [text] = &texts(&cost, &["vmx-shadow_vmcs"])[..] else { panic!("one piece of advice") };
    assert!(text.starts_with("7.0 load kvm_intel with enable_shadow_vmcs=1 on level 0"), "{text}");
}

#[test]
fn enabled_settings_are_not_advised() {
    let stgi = cost(&[(1, "stgi", 1.0), (1, "clgi", 1.0)]);
    assert_eq!(texts(&stgi, &["vgif"]), [""; 0]);
    assert_eq!(texts(&stgi, &[]).len(), 1);
}

#[test]
fn rare_exits_are_worth_no_advice_and_frequent_ones_come_first() {
    let mut cost = cost(&[(1, "vmload", 0.1), (1, "npf", 0.5)]);
    cost.msrs = vec![
        Access { number: 0x1d9, write: false, times: 1.0 },
        Access { number: 0x6e0, write: true, times: 0.1 },
        Access { number: 0xc000_0080, write: true, times: 9.0 },
    ];
    cost.ports = vec![
        Access { number: 0x3f8, write: true, times: 0.5 },
        Access { number: 0x3fd, write: false, times: 0.2 },
    ];
    let texts = texts(&cost, &[]);
    let starts = ["1.0 level 1's KVM reads DEBUGCTL", "0.7 level 1 prints", "0.5 level 1 touches memory"];
    assert_eq!(texts.len(), starts.len(), "{texts:?}");
    for (text, start) in texts.iter().zip(starts) {
        assert!(text.starts_with(start), "{texts:?}");
    }
}

#[test]
fn msrs_that_hypervisors_use_have_names() {
    assert_eq!(
        (msr_name(0x1d9), msr_name(0x6e0), msr_name(0x1234)),
        (Some("DEBUGCTL"), Some("TSC_DEADLINE"), None)
    );
}
