use std::fs;

use super::*;

#[test]
fn a_network_is_found_by_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let has = |name: &str, text: &str| fs::write(folder.path().join(format!("{name}.xml")), text).unwrap();
    has(
        "lab",
        "<!-- made by libvirt -->\n<network><name>lab</name><forward mode='nat'/><bridge name='virbr7' stp='on'/></network>",
    );
    has(
        "direct",
        "<network><name>direct</name><forward mode='bridge'><interface dev='eth0'/></forward></network>",
    );
    has("other", "<domain><bridge name='virbr7'/></domain>");
    has("broken", "<network>");
    assert_eq!(find(folder.path(), "lab").unwrap(), "virbr7");
    for network in ["direct", "other", "broken"] {
        assert!(find(folder.path(), network).unwrap_err().contains(".xml names no bridge; "), "{network}");
    }
    let missing = find(folder.path(), "nowhere").unwrap_err();
    assert!(missing.contains("nowhere.xml: ") && missing.contains("virsh net-info"), "{missing}");
}

#[test]
fn the_default_network_is_libvirts() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(find(folder.path(), "default").unwrap(), "virbr0");
    fs::write(folder.path().join("default.xml"), "<network><bridge name='br9'/></network>").unwrap();
    assert_eq!(find(folder.path(), "default").unwrap(), "br9");
}

#[test]
fn a_name_leads_to_no_other_folder() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["", "../networks/default", "/etc/passwd", ".hidden", "a\0b"] {
        assert_eq!(find(folder.path(), name).unwrap_err(), "that is no network's name", "{name:?}");
    }
}
