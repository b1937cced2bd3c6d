use arch::cpu::{
    feature::FeatureId,
    spec::{Model, Setting, Want},
};

use crate::libvirt::{CpuElement, parse};

fn domain(inside: &str) -> CpuElement {
    let text = format!("<domain type='kvm'>{inside}<cpu mode='host-passthrough'/></domain>");
    parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The warnings, without their columns.
fn ignored(inside: &str) -> Vec<String> {
    let ignored = domain(inside).ignored;
    ignored.iter().map(|ignored| ignored.problem.to_string()).collect()
}

fn settings(inside: &str) -> Vec<(&'static str, Want)> {
    domain(inside).spec.settings.iter().map(|Setting { feature, want }| (feature.name(), *want)).collect()
}

const HYPER_V: &str =
    "<hyperv> in <features>: nvmm has no Hyper-V enlightenments; the guest runs without them";

#[test]
fn a_hidden_kvm_and_no_counters_are_honoured_and_enlightenments_named() {
    let text = "<vcpu>4</vcpu><features><kvm><hidden state='on'/></kvm><pmu state='off'/>\n\
        <hyperv><relaxed state='on'/></hyperv></features>";
    let element = domain(text);
    assert_eq!(element.spec.model, Model::HostPassthrough);
    assert!(element.spec.hide_kvm);
    assert_eq!(element.spec.pmu, Some(false));
    assert_eq!(element.ignored.len(), 1);
    assert_eq!(element.ignored[0].to_string(), format!("line 2, column 1: {HYPER_V}"));
}

#[test]
fn settings_of_the_cpu_in_features_are_read() {
    let spec = |features: &str| domain(&format!("<features>{features}</features>")).spec;
    assert!(!spec("<kvm><hidden state='off'/></kvm>").hide_kvm);
    assert_eq!(spec("<acpi/><apic/><pae/>"), domain("").spec);
    assert_eq!(spec("<pmu state='on'/>").pmu, Some(true));
    assert_eq!(spec("<pmu/>").pmu, Some(true));
    let kvm = "<features><kvm><hint-dedicated state='on'/><poll-control state='on'/><pv-ipi state='off'/></kvm>\
        <apic eoi='off'/><pvspinlock state='on'/></features>";
    let expected = [
        ("kvm-hint-dedicated", Want::On),
        ("kvm-poll-control", Want::On),
        ("kvm-pv-ipi", Want::Off),
        ("kvm-pv-eoi", Want::Off),
        ("kvm-pv-unhalt", Want::On),
    ];
    assert_eq!(settings(kvm), expected);
    assert!(expected.iter().all(|(name, _)| FeatureId::find(name).is_some()));
    let dirty_ring = "<features><kvm><dirty-ring state='on' size='4096'/></kvm></features>";
    assert_eq!(ignored(dirty_ring), ["<dirty-ring> in <kvm>: nvmm does not do that"]);
}

#[test]
fn enlightenments_that_are_off_are_no_matter() {
    let hyperv = |inside: &str| ignored(&format!("<features>{inside}</features>"));
    assert_eq!(hyperv("<hyperv/>"), [""; 0]);
    assert_eq!(
        hyperv("<hyperv mode='custom'><relaxed state='off'/><vpindex state='off'/></hyperv>"),
        [""; 0]
    );
    assert_eq!(hyperv("<hyperv><vendor_id state='on' value='x'/></hyperv>"), [HYPER_V]);
    assert_eq!(hyperv("<hyperv mode='passthrough'/>"), [HYPER_V]);
}

#[test]
fn timers_are_honoured_or_named() {
    let clock = |timers: &str| format!("<clock offset='utc'>{timers}</clock>");
    let tsc = |hz: &str| clock(&format!("<timer name='tsc' frequency='{hz}'/>"));
    assert_eq!(domain(&tsc("2500000999")).spec.tsc_khz, Some(2_500_000));
    let error = |hz: &str| parse(&format!("<domain>{}</domain>", tsc(hz))).unwrap_err().to_string();
    for hz in ["0", "fast", "99999999999999999999", "999999"] {
        let column = "line 1, column 47: ";
        let why = "give a rate in Hz, from 1000000 to 4294967295999";
        assert_eq!(error(hz), format!("{column}frequency='{hz}' of <timer>: {why}"));
    }
    assert_eq!(settings(&clock("<timer name='kvmclock' present='no'/>")), [("kvmclock", Want::Off)]);
    assert_eq!(settings(&clock("<timer name='kvmclock'/>")), []);
    for quiet in [
        "<timer name='hpet' present='no'/>",
        "<timer name='rtc' present='no'/>",
        "<timer name='hypervclock' present='no'/>",
        "<timer name='pit' tickpolicy='delay'/>",
        "<timer name='platform' present='no'/>",
        "<timer name='tsc' mode='native'/>",
    ] {
        assert_eq!(ignored(&clock(quiet)), [""; 0], "{quiet}");
    }
    for (timer, why) in [
        (
            "name='rtc' tickpolicy='catchup'",
            "nvmm's real-time clock makes up for no lost ticks; the guest runs with that",
        ),
        ("name='hpet' present='yes'", "nvmm has no HPET; the guest runs without it"),
        ("name='hypervclock' present='yes'", "nvmm has no Hyper-V clock; the guest runs without it"),
        ("name='pit' present='no'", "nvmm's machine has a PIT; the guest runs with it"),
        (
            "name='pit' tickpolicy='discard'",
            "KVM's PIT makes up for lost ticks with a delay; the guest runs with that",
        ),
        ("name='tsc' mode='emulate'", "the TSC is the processor's, or scaled by it; the guest gets it so"),
        ("name='sundial'", "nvmm has no such timer; the guest runs without it"),
    ] {
        assert_eq!(
            ignored(&clock(&format!("<timer {timer}/>"))),
            [format!("<timer> in <clock>: {why}")],
            "{timer}"
        );
    }
}

#[test]
fn wrong_words_are_errors_here_too() {
    for (inside, message) in [
        ("<features><kvm><hidden state='yes'/></kvm></features>", "state='yes' of <hidden>: give on or off"),
        ("<features><pmu state='1'/></features>", "state='1' of <pmu>: give on or off"),
        ("<clock><timer name='hpet' present='off'/></clock>", "present='off' of <timer>: give yes or no"),
        ("<clock><timer present='no'/></clock>", "<timer> has no name"),
        ("<features/><features/>", "a second <features> in <domain>; keep one"),
    ] {
        let error = parse(&format!("<domain>{inside}</domain>")).unwrap_err();
        assert_eq!(error.problem.to_string(), message);
    }
    // From another program.
    let foreign = "<domain xmlns:q='urn:q'><q:features><q:pmu state='off'/></q:features><features><q:pmu state='off'/></features></domain>";
    assert_eq!(parse(foreign).unwrap().spec.pmu, None);
}
