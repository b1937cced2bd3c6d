use super::*;

#[path = "libvirt/hosts_test.rs"]
mod hosts;
#[path = "libvirt/parts_test.rs"]
mod parts;
#[path = "libvirt/properties_test.rs"]
mod properties;

const CORE2DUO_VMX: &str = include_str!("../../resources/cpu/core2duo-vmx.xml");
const DOMAIN: &str = include_str!("../../resources/cpu/domain.xml");
const HOST_PASSTHROUGH: &str = include_str!("../../resources/cpu/host-passthrough.xml");
const NO_NESTING: &str = include_str!("../../resources/cpu/no-nesting.xml");

/// The `<mode name='host-model'>` of libvirt 12's `virsh domcapabilities` for a Zen 5 host, in a `<cpu>` as its manual describes.
const HOST_MODEL: &str = "<cpu mode='custom' match='exact'>
      <model fallback='forbid'>EPYC-Turin</model>
      <vendor>AMD</vendor>
      <maxphysaddr mode='passthrough' limit='64'/>
      <feature policy='require' name='cmp_legacy'/>
      <feature policy='require' name='flush-l1d'/>
      <feature policy='require' name='hypervisor'/>
      <feature policy='require' name='invtsc'/>
      <feature policy='disable' name='la57'/>
      <feature policy='disable' name='pcid'/>
      <feature policy='disable' name='rdseed'/>
      <feature policy='require' name='spec-ctrl'/>
      <feature policy='require' name='ssbd'/>
      <feature policy='require' name='stibp'/>
      <feature policy='require' name='tsc-deadline'/>
      <feature policy='require' name='tsc_adjust'/>
      <feature policy='require' name='virt-ssbd'/>
      <feature policy='require' name='x2apic'/>
    </cpu>";

fn spec(text: &str) -> CpuSpec {
    parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).spec
}

fn element(spec: CpuSpec, topology: Option<Smp>) -> CpuElement {
    CpuElement { spec, topology, ignored: Vec::new() }
}

fn error(text: &str) -> String {
    match parse(text) {
        Ok(element) => panic!("{text}: {element:?}"),
        Err(error) => error.to_string(),
    }
}

/// A custom CPU with these elements.
fn qemu64(inside: &str) -> String {
    format!("<cpu><model>qemu64</model>{inside}</cpu>")
}

fn named(name: &str) -> Model {
    Model::Named(model::find(name).unwrap())
}

fn arranged(sockets: u32, dies: u32, cores: u32, threads: u32) -> Smp {
    let [sockets, dies, cores, threads] = [sockets, dies, cores, threads].map(Some);
    Smp { sockets, dies, cores, threads, ..Smp::default() }
}

fn setting(name: &str, want: Want) -> Setting {
    Setting { feature: FeatureId::find(name).unwrap(), want }
}

#[test]
fn a_model_and_a_required_feature_are_read() {
    let expected = CpuSpec {
        model: named("core2duo"),
        settings: vec![setting("vmx", Want::Require)],
        policy: Policy::Partial,
        vendor: Some(Vendor::Intel),
        ..CpuSpec::default()
    };
    let topology = arranged(1, 1, 2, 1);
    assert_eq!(parse(CORE2DUO_VMX), Ok(element(expected, Some(topology))));
}

#[test]
fn the_cpu_of_a_whole_domain_is_read() {
    let expected = CpuSpec {
        model: named("EPYC-Rome"),
        settings: vec![
            setting("svm", Want::Require),
            setting("npt", Want::Require),
            setting("nrip-save", Want::Optional),
            setting("xsaves", Want::Off),
        ],
        policy: Policy::Full,
        physical_bits: PhysicalBits::Fixed(40),
        vendor: Some(Vendor::Amd),
        ..CpuSpec::default()
    };
    let topology = arranged(1, 1, 2, 2);
    assert_eq!(parse(DOMAIN), Ok(element(expected, Some(topology))));
}

#[test]
fn a_cpu_deeper_in_a_domain_or_of_another_program_is_not_the_domains() {
    let domain = "<domain xmlns:app='http://example.org'>
        <metadata><cpu mode='maximum'/></metadata>
        <app:cpu mode='maximum'/>
        <cpu mode='host-model'/>
        </domain>";
    assert_eq!(spec(domain).model, Model::HostModel);
}

#[test]
fn the_host_is_passed_through_with_its_caches_but_without_what_cannot_migrate() {
    let expected = CpuSpec {
        model: Model::HostPassthrough,
        migratable: true,
        policy: Policy::Check,
        caches: CacheMode::Passthrough,
        physical_bits: PhysicalBits::Host,
        ..CpuSpec::default()
    };
    let topology = arranged(2, 1, 2, 2);
    assert_eq!(parse(HOST_PASSTHROUGH), Ok(element(expected, Some(topology))));
}

#[test]
fn the_hosts_model_is_taken_with_features_off() {
    let spec = spec(NO_NESTING);
    assert_eq!(spec.model, Model::HostModel);
    assert_eq!(spec.settings, [setting("vmx", Want::Off), setting("svm", Want::Off)]);
    assert_eq!(spec.policy, Policy::Partial);
}

#[test]
fn the_model_that_libvirt_saw_in_a_host_is_read() {
    let spec = spec(HOST_MODEL);
    assert_eq!(spec.model, named("EPYC-Turin"));
    assert_eq!((spec.vendor, spec.physical_bits), (Some(Vendor::Amd), PhysicalBits::HostUpTo(52)));
    assert_eq!(spec.settings.len(), 14);
    assert!(spec.settings.contains(&setting("tsc-adjust", Want::Require)));
    assert!(spec.settings.contains(&setting("pcid", Want::Off)));
}

/// The defaults of libvirt's QEMU driver for the `pc` and `q35` machines, without a check, as it may not run completely anywhere.
#[test]
fn an_element_that_describes_no_cpu_gives_qemus_default_one() {
    let default = CpuSpec { model: named("qemu64"), policy: Policy::Check, ..CpuSpec::default() };
    for text in [
        "<cpu/>",
        "<cpu match='exact'><topology sockets='1' cores='2' threads='1'/></cpu>",
        "<cpu><model> </model></cpu>",
        "<domain><vcpu>2</vcpu></domain>",
    ] {
        assert_eq!(spec(text), default, "{text}");
    }
    assert_eq!(spec("<cpu check='full'/>").policy, Policy::Full);
    assert_eq!(parse("<cpu/>").unwrap().topology, None);
}

#[test]
fn modes_are_read() {
    for (mode, model) in [
        ("host-passthrough", Model::HostPassthrough),
        ("maximum", Model::HostPassthrough),
        ("host-model", Model::HostModel),
    ] {
        assert_eq!(spec(&format!("<cpu mode='{mode}'/>")).model, model);
        let error = error(&format!("<cpu mode='{mode}'>\n <model fallback='allow'>qemu64</model></cpu>"));
        let why = "the mode says what the CPU is; take the name out, or give mode='custom'";
        assert_eq!(error, format!("line 2, column 2: <model>qemu64</model>: {why}"));
    }
    assert_eq!(spec("<cpu mode='custom'><model>qemu64</model></cpu>").model, named("qemu64"));
    assert_eq!(
        error("<cpu mode='host'/>"),
        "line 1, column 6: mode='host' of <cpu>: give custom, host-model, host-passthrough or maximum"
    );
}

#[test]
fn a_models_name_may_stand_between_blanks_and_comments() {
    let text = "<cpu>\n  <!-- old --><model>\n    core2<!-- two -->duo\n  </model>\n</cpu>";
    assert_eq!(spec(text).model, named("core2duo"));
}

#[test]
fn a_name_that_is_no_models_is_an_error() {
    let unknown = error("<cpu>\n  <model fallback='allow'>Core2Dou</model>\n</cpu>");
    assert!(unknown.starts_with("line 2, column 3: unknown CPU \"Core2Dou\""), "{unknown}");
    let Problem::Name(SpecError::Model { given, .. }) =
        *parse("<cpu><model>x</model></cpu>").unwrap_err().problem
    else {
        panic!("another error");
    };
    assert_eq!(given, "x");
    assert_eq!(
        error("<cpu><model>host-model</model></cpu>"),
        "line 1, column 6: <model>host-model</model>: that is a mode; \
         give <cpu mode='host-passthrough'/> or <cpu mode='host-model'/>"
    );
}

#[test]
fn checks_are_policies_and_a_fallback_changes_none() {
    for (attributes, policy) in [
        ("check='none'", Policy::Check),
        ("check='partial'", Policy::Partial),
        ("check='full'", Policy::Full),
        ("", Policy::Partial),
    ] {
        for fallback in ["allow", "forbid"] {
            let text = format!("<cpu {attributes}><model fallback='{fallback}'>qemu64</model></cpu>");
            assert_eq!(spec(&text).policy, policy, "{text}");
        }
    }
    assert_eq!(spec("<cpu mode='host-model'/>").policy, Policy::Partial);
    assert_eq!(spec("<cpu mode='maximum'/>").policy, Policy::Check);
    assert_eq!(spec("<cpu mode='host-passthrough' check='full'/>").policy, Policy::Full);
    assert_eq!(
        error("<cpu><model fallback='deny'>qemu64</model></cpu>"),
        "line 1, column 13: fallback='deny' of <model>: give allow or forbid"
    );
}

#[test]
fn a_named_model_can_be_matched() {
    for (word, matching) in [("exact", Match::Exact), ("minimum", Match::Minimum), ("strict", Match::Strict)]
    {
        let text = format!("<cpu match='{word}'><model>qemu64</model></cpu>");
        assert_eq!((spec(&text).matching, spec(&text).policy), (matching, Policy::Partial), "{text}");
    }
    // It is not compared.
    assert_eq!(spec("<cpu match='strict' check='none'><model>qemu64</model></cpu>").matching, Match::Exact);
    assert_eq!(spec("<cpu mode='host-model' match='exact'/>").matching, Match::Exact);
    for text in ["<cpu match='strict'/>", "<cpu match='strict' mode='host-model'/>"] {
        assert_eq!(
            error(text),
            "line 1, column 6: match='strict' of <cpu>: only a CPU with a <model> can be matched so; take it out"
        );
    }
}

#[test]
fn policies_are_wants() {
    for (policy, want) in [
        (" policy='force'", Want::Force),
        (" policy='require'", Want::Require),
        ("", Want::Require),
        (" policy='optional'", Want::Optional),
        (" policy='disable'", Want::Off),
        (" policy='forbid'", Want::Forbid),
    ] {
        let text = qemu64(&format!("<feature{policy} name='svm'/>"));
        assert_eq!(spec(&text).settings, [setting("svm", want)], "{text}");
    }
    // Without a check, nothing is required.
    for (policy, want) in [
        ("force", Want::Force),
        ("require", Want::On),
        ("optional", Want::Optional),
        ("disable", Want::Off),
        ("forbid", Want::Off),
    ] {
        let text =
            format!("<cpu check='none'><model>qemu64</model><feature policy='{policy}' name='svm'/></cpu>");
        assert_eq!(spec(&text).settings, [setting("svm", want)], "{text}");
    }
    let text = "<cpu><model>qemu64</model>\n<feature policy='maybe' name='svm'/></cpu>";
    assert_eq!(
        error(text),
        "line 2, column 10: policy='maybe' of <feature>: give force, require, optional, disable or forbid"
    );
}

#[test]
fn features_stand_in_order_once_each_and_with_a_cpu() {
    let text = qemu64("<feature name='sse4.1'/><feature name='lahf_lm' policy='disable'/>");
    assert_eq!(spec(&text).settings, [setting("sse4.1", Want::Require), setting("lahf-lm", Want::Off)]);
    let twice = "<feature policy='disable' name='pni'/><feature name='sse3'/>";
    assert_eq!(
        error(&qemu64(twice)),
        "line 1, column 74: name='sse3' of <feature>: the feature stands here twice; keep one"
    );
    assert_eq!(
        error("<cpu><feature name='vmx'/></cpu>"),
        "line 1, column 6: <feature> in <cpu>: there is no <model> that it would change; give one, or a mode"
    );
    assert_eq!(error(&qemu64("<feature/>")), "line 1, column 27: <feature> has no name");
    let unknown = error(&qemu64("\n<feature name='vmxx'/>"));
    assert!(unknown.starts_with("line 2, column 10: unknown CPU feature \"vmxx\""), "{unknown}");
}

#[test]
fn features_that_cannot_migrate_are_removed_unless_requested() {
    for (mode, attribute, migratable) in [
        ("maximum", "migratable='off'", false),
        ("maximum", "", true),
        ("host-passthrough", "", true),
        ("host-passthrough", "migratable='on'", true),
        ("host-model", "", false),
    ] {
        assert_eq!(
            spec(&format!("<cpu mode='{mode}' {attribute}/>")).migratable,
            migratable,
            "{mode} {attribute}"
        );
    }
    assert_eq!(
        error("<cpu mode='host-model' migratable='on'/>"),
        "line 1, column 24: migratable='on' of <cpu>: only modes host-passthrough and maximum have it; take it out"
    );
}

#[test]
fn the_vendors_of_hosts_are_distinguished() {
    for (name, vendor) in [("Intel", Vendor::Intel), ("AMD", Vendor::Amd), ("Hygon", Vendor::Hygon)] {
        assert_eq!(spec(&qemu64(&format!("<vendor>{name}</vendor>"))).vendor, Some(vendor));
    }
    let error = error(&qemu64("<vendor>GenuineIntel</vendor>"));
    assert_eq!(
        error,
        "line 1, column 27: <vendor>GenuineIntel</vendor>: give Intel, AMD, Hygon, Zhaoxin CentaurHauls or Zhaoxin Shanghai"
    );
}
