use arch::cpu::{cpuid::Leaf, feature::Place, host::HostCpu, profile::CpuProfile, topology::Topology};
use proptest::{collection::vec, prelude::*, sample::select};

use super::*;

const CORE2DUO_VMX: &str = include_str!("../../resources/cpu/core2duo-vmx.xml");
const DOMAIN: &str = include_str!("../../resources/cpu/domain.xml");
const HOST_PASSTHROUGH: &str = include_str!("../../resources/cpu/host-passthrough.xml");
const NO_NESTING: &str = include_str!("../../resources/cpu/no-nesting.xml");

/// What `virsh domcapabilities` of libvirt 12 has in `<mode name='host-model'>` for a Zen 5 host, in a `<cpu>` as its manual says.
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

/// A custom CPU with this in it.
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

/// What libvirt's QEMU driver fills in: the default of the `pc` and `q35` machines, checked by nobody, as it may not run whole anywhere.
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
    // Nobody compares it.
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
    // Without a check nothing is insisted on.
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
fn what_cannot_migrate_goes_unless_it_is_asked_for() {
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
fn the_makers_of_hosts_are_told_apart() {
    for (name, vendor) in [("Intel", Vendor::Intel), ("AMD", Vendor::Amd), ("Hygon", Vendor::Hygon)] {
        assert_eq!(spec(&qemu64(&format!("<vendor>{name}</vendor>"))).vendor, Some(vendor));
    }
    let error = error(&qemu64("<vendor>GenuineIntel</vendor>"));
    assert_eq!(
        error,
        "line 1, column 27: <vendor>GenuineIntel</vendor>: give Intel, AMD, Hygon, Zhaoxin CentaurHauls or Zhaoxin Shanghai"
    );
}

#[test]
fn topologies_are_read() {
    let topology = |text: &str| parse(&format!("<cpu>{text}</cpu>"));
    let full = topology("<topology sockets='2' dies='3' clusters='1' cores='5' threads='7'/>").unwrap();
    assert_eq!(full.topology, Some(arranged(2, 3, 5, 7)));
    for (text, message) in [
        ("<topology sockets='1' cores='2'/>", "6: <topology> has no threads"),
        ("<topology sockets='1' threads='2'/>", "6: <topology> has no cores"),
        ("<topology cores='1' threads='2'/>", "6: <topology> has no sockets"),
        (
            "<topology sockets='0' cores='1' threads='1'/>",
            "16: sockets='0' of <topology>: give a number from 1 to 4294967295",
        ),
        (
            "<topology sockets='1' cores='two' threads='1'/>",
            "28: cores='two' of <topology>: give a number from 1 to 4294967295",
        ),
        (
            "<topology sockets='1' clusters='2' cores='2' threads='1'/>",
            "28: clusters='2' of <topology>: an x86 die has no clusters; take it out",
        ),
    ] {
        assert_eq!(topology(text).unwrap_err().to_string(), format!("line 1, column {message}"));
    }
}

#[test]
fn caches_are_the_models_the_hosts_or_none() {
    for (attributes, caches) in [
        ("level='3' mode='emulate'", CacheMode::Model),
        ("mode='emulate'", CacheMode::Model),
        ("mode='passthrough'", CacheMode::Passthrough),
        ("mode='disable'", CacheMode::Disable),
    ] {
        assert_eq!(spec(&qemu64(&format!("<cache {attributes}/>"))).caches, caches);
    }
    for (attributes, message) in [
        ("level='2' mode='emulate'", "34: level='2' of <cache>: with mode='emulate', give level='3' or none"),
        (
            "level='3' mode='disable'",
            "34: level='3' of <cache>: that mode is about all the caches at once; take the level out",
        ),
        ("level='4' mode='disable'", "34: level='4' of <cache>: give 1, 2 or 3"),
        ("level='3'", "27: <cache> has no mode"),
        ("mode='off'", "34: mode='off' of <cache>: give emulate, passthrough or disable"),
    ] {
        assert_eq!(error(&qemu64(&format!("<cache {attributes}/>"))), format!("line 1, column {message}"));
    }
    let emulated = spec("<cpu mode='host-passthrough'><cache level='3' mode='emulate'/></cpu>");
    assert_eq!(emulated.caches, CacheMode::Emulate);
}

#[test]
fn physical_addresses_are_as_wide_as_asked() {
    for (attributes, bits) in [
        ("mode='passthrough'", PhysicalBits::Host),
        ("mode='passthrough' limit='39'", PhysicalBits::HostUpTo(39)),
        ("mode='passthrough' limit='64'", PhysicalBits::HostUpTo(52)),
        ("mode='emulate'", PhysicalBits::Model),
        ("mode='emulate' bits='32'", PhysicalBits::Fixed(32)),
        ("mode='emulate' bits='52'", PhysicalBits::Fixed(52)),
    ] {
        assert_eq!(
            spec(&qemu64(&format!("<maxphysaddr {attributes}/>"))).physical_bits,
            bits,
            "{attributes}"
        );
    }
    for (attributes, message) in [
        ("bits='40'", "27: <maxphysaddr> has no mode"),
        ("mode='emulate' bits='53'", "55: bits='53' of <maxphysaddr>: give a number from 32 to 52"),
        ("mode='emulate' bits='31'", "55: bits='31' of <maxphysaddr>: give a number from 32 to 52"),
        (
            "mode='passthrough' bits='40'",
            "59: bits='40' of <maxphysaddr>: only mode='emulate' has it; take it out",
        ),
        ("mode='passthrough' limit='31'", "59: limit='31' of <maxphysaddr>: give 32 or more, or take it out"),
        (
            "mode='emulate' limit='40'",
            "55: limit='40' of <maxphysaddr>: only mode='passthrough' has it; take it out",
        ),
    ] {
        assert_eq!(
            error(&qemu64(&format!("<maxphysaddr {attributes}/>"))),
            format!("line 1, column {message}")
        );
    }
}

#[test]
fn what_nvmm_does_not_do_is_named() {
    for (text, message) in [
        (
            "<cpu mode='host-model'>\n  <numa>\n    <cell id='0'/>\n  </numa>\n</cpu>",
            "line 2, column 3: <numa> in <cpu>: nvmm has no NUMA cells; take the element out",
        ),
        (
            "<cpu><model vendor_id='KVM,KVM,KVM,'>qemu64</model></cpu>",
            "line 1, column 13: vendor_id='KVM,KVM,KVM,' of <model>: \
             give 12 letters without a comma, such as GenuineIntel or AuthenticAMD",
        ),
        (
            "<cpu mode='host-model'><model vendor_id='Intel'/></cpu>",
            "line 1, column 31: vendor_id='Intel' of <model>: \
             give 12 letters without a comma, such as GenuineIntel or AuthenticAMD",
        ),
        (
            "<domain>\n <cpu><arch>x86_64</arch></cpu></domain>",
            "line 2, column 7: <arch> in <cpu>: nvmm knows no such element; take it out",
        ),
        (
            "<cpu deprecated_features='off'/>",
            "line 1, column 6: deprecated_features='off' of <cpu>: nvmm knows no such attribute; take it out",
        ),
        (
            "<cpu xmlns:a='b'><a:model>qemu64</a:model></cpu>",
            "line 1, column 18: <model> in <cpu>: nvmm knows no such element; take it out",
        ),
        (
            "<cpu xmlns:a='b' a:mode='custom'/>",
            "line 1, column 18: mode='custom' of <cpu>: nvmm knows no such attribute; take it out",
        ),
        (
            "<cpu><model><b/>qemu64</model></cpu>",
            "line 1, column 13: <b> in <model>: nvmm knows no such element; take it out",
        ),
        (
            "<cpu>\n  host-model\n</cpu>",
            "line 2, column 3: <cpu> has the text \"host-model\" in it; take it out",
        ),
        ("<cpu>\r\n\u{3000}x</cpu>", "line 2, column 2: <cpu> has the text \"x\" in it; take it out"),
        (
            "<cpu mode='maximum'><feature name='vmx'>on</feature></cpu>",
            "line 1, column 41: <feature> has the text \"on\" in it; take it out",
        ),
    ] {
        assert_eq!(error(text), message);
    }
}

#[test]
fn a_file_has_one_cpu_and_an_element_one_of_each() {
    for (text, message) in [
        ("<domain><cpu/>\n<cpu/></domain>", "line 2, column 1: a second <cpu> in <domain>; keep one"),
        (
            "<!-- x -->\n<domainCapabilities><cpu/></domainCapabilities>",
            "line 2, column 1: <domainCapabilities>: give libvirt's <cpu>, alone or inside a <domain>",
        ),
        (
            "<cpu><model>qemu64</model><model>qemu64</model></cpu>",
            "line 1, column 27: a second <model> in <cpu>; keep one",
        ),
        (
            "<cpu mode='maximum'><cache mode='disable'/><cache mode='disable'/></cpu>",
            "line 1, column 44: a second <cache> in <cpu>; keep one",
        ),
    ] {
        assert_eq!(error(text), message);
    }
}

#[test]
fn broken_xml_says_where() {
    for (text, start) in [
        ("", "line 1, column 1: no XML: "),
        ("host,+vmx", "line 1, column 1: no XML: "),
        (
            "<cpu>\n  <model>qemu64</modle>\n</cpu>",
            "line 2, column 16: no XML: expected 'model' tag, not 'modle'",
        ),
        ("<cpu mode='a' mode='b'/>", "line 1, column 15: no XML: attribute 'mode' is already defined"),
        ("<!DOCTYPE cpu [<!ENTITY a 'b'>]><cpu/>", "line 1, column 1: no XML: "),
    ] {
        let error = error(text);
        assert!(error.starts_with(start), "{error}");
        assert!(!error.ends_with(" at 1:1") && !error.contains(" at 2:"), "{error}");
    }
}

#[test]
fn elements_may_be_nested_deeper_than_a_stack() {
    let depth = 200_000;
    let text = format!("<domain>{}{}<cpu/></domain>", "<a>".repeat(depth), "</a>".repeat(depth));
    assert_eq!(spec(&text).model, named("qemu64"));
}

#[test]
fn a_hosts_features_answer_the_policies() {
    let broadwell = host(include_str!("../../resources/hosts/broadwell-ep.json"));
    let milan = host(include_str!("../../resources/hosts/milan.json"));
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

/// What libvirt does with each of these on a Cascade Lake, on the same without one of Haswell's features, and on a Milan: `Ok` with
/// what is said to be missing, or `Err`.
#[test]
fn a_cpu_starts_where_libvirt_starts_it() {
    const HASWELL: &str =
        "<cpu mode='custom' match='exact'CHECK><model fallback='allow'>Haswell-noTSX</model></cpu>";
    let cascade_lake = || host(include_str!("../../resources/hosts/cascade-lake.json"));
    let hosts = [
        cascade_lake(),
        without(cascade_lake(), "movbe"),
        host(include_str!("../../resources/hosts/milan.json")),
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
    // A fallback is about names.
    let forbid = haswell(" check='none'").replace("allow", "forbid");
    assert_eq!(started(&forbid), [Ok(0), Ok(1), Ok(0)]);
    // The list counts as the model does, and what it forbids.
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
    // A vendor is compared, unless nothing is.
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
    // The host's own CPU has what it has.
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
    let milan = host(include_str!("../../resources/hosts/milan.json"));
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
    let milan = host(include_str!("../../resources/hosts/milan.json"));
    let spec = spec("<cpu match='strict'><model>Nehalem</model></cpu>");
    let error =
        CpuProfile::resolve(&milan, &spec, &Topology::flat(2).unwrap()).map(|_| ()).unwrap_err().to_string();
    assert!(error.starts_with("this host has more than what is described: "), "{error}");
    assert!(error.contains("avx2") && !error.contains("kvm"), "{error}");
}

#[test]
fn a_guest_is_told_of_the_maker_that_the_element_names() {
    let milan = host(include_str!("../../resources/hosts/milan.json"));
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

/// What XML and this element are made of.
const VOCABULARY: &str = "<cpu <model <vendor <topology <feature <cache <maxphysaddr <numa <domain > /> </cpu> </model> </domain> \
    mode= match= check= policy= name= level= bits= limit= sockets= cores= threads= fallback= 'custom' 'host-model' \
    'maximum' 'require' 'vmx' '3' 'emulate' 'forbid' '99999999999' qemu64 &amp; &#x0; <![CDATA[ ]]> é 🦀";

/// Words that mean something here, in an order that need not.
fn words() -> impl Strategy<Value = String> {
    let words: Vec<_> = VOCABULARY
        .split(' ')
        .flat_map(|word| [word.to_owned(), format!("{word} "), format!("{word}\r\n\u{3000}")])
        .collect();
    vec(select(words), 0..40).prop_map(|words| words.concat())
}

/// A file that is good but for one place.
fn nearly_good() -> impl Strategy<Value = String> {
    let files = vec![CORE2DUO_VMX, DOMAIN, HOST_PASSTHROUGH, HOST_MODEL];
    (select(files), any::<prop::sample::Index>(), 0..4_usize, ".{0,3}").prop_map(|(file, at, cut, put)| {
        let at = at.index(file.len());
        let mut bytes = file.as_bytes().to_vec();
        bytes.splice(at..(at + cut).min(file.len()), put.into_bytes());
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

proptest! {
    #[test]
    fn any_text_gives_a_cpu_or_says_where_not(text in prop_oneof![".{0,200}", words(), nearly_good()]) {
        if let Err(error) = parse(&text) {
            let lines = text.split('\n').count();
            prop_assert!((1..=lines).contains(&usize::try_from(error.line).unwrap()), "{error}");
            let line = text.split('\n').nth(usize::try_from(error.line).unwrap() - 1).unwrap();
            prop_assert!(usize::try_from(error.column).unwrap() <= line.chars().count() + 1, "{error}");
        }
    }
}
