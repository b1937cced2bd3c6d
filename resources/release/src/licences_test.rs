use serde_json::json;

use super::*;

#[test]
fn crates_that_are_linked_in_are_told_with_their_texts() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("one", "MIT\r\n"), ("two", "MIT\n"), ("shows", "GPL\n"), ("builds", "GPL\n")] {
        fs::create_dir(folder.path().join(name)).unwrap();
        fs::write(folder.path().join(name).join("LICENSE-x"), text).unwrap();
        fs::write(folder.path().join(name).join("README"), "read me\n").unwrap();
    }
    let package = |name: &str, kind: &str| {
        let manifest = folder.path().join(name).join("Cargo.toml");
        let source = if name == "vmm" { json!(null) } else { json!("registry") };
        json!({ "id": name, "name": name, "version": "1.0.0", "license": "MIT", "source": source,
                "manifest_path": manifest, "targets": [{ "kind": [kind] }] })
    };
    let to = |name: &str, kind: &str| {
        let kind = if kind.is_empty() { json!(null) } else { json!(kind) };
        json!({ "pkg": name, "dep_kinds": [{ "kind": kind }] })
    };
    let metadata = json!({
        "packages": [package("vmm", "lib"), package("one", "lib"), package("two", "lib"), package("shows", "proc-macro"),
                     package("builds", "lib")],
        "resolve": { "nodes": [
            { "id": "vmm", "deps": [to("one", ""), to("shows", ""), to("builds", "build")] },
            { "id": "one", "deps": [to("two", ""), to("builds", "dev")] },
            { "id": "two", "deps": [] },
        ] },
    });
    let text = told(&packages(&metadata).unwrap());
    assert!(text.contains("\n  one 1.0.0: MIT\n  two 1.0.0: MIT\n"), "{text}");
    assert!(text.contains("\none 1.0.0, two 1.0.0\n"), "{text}");
    assert_eq!(text.matches("\n\nMIT\n").count(), 1, "{text}");
    assert!(!text.contains("GPL") && !text.contains("read me") && !text.contains("vmm 1.0.0"), "{text}");
}
