//! Topologies, caches and addresses, and what is refused.

use super::*;

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
fn unsupported_settings_are_named() {
    for (text, message) in [
        (
            "<cpu mode='host-model'>\n  <numa>\n    <cell id='0'/><cell id='1'/>\n  </numa>\n</cpu>",
            "line 2, column 3: <numa> in <cpu>: nvmm's guests have one NUMA node; take the element out",
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
fn broken_xml_is_reported_with_its_place() {
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
