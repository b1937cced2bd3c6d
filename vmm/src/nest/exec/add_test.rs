use super::*;

fn add(text: &str) -> Result<(String, String), String> {
    let add = Add::parse(text.as_ref()).map_err(|error| error.to_string())?;
    Ok((add.host.display().to_string(), add.guest().display().to_string()))
}

#[test]
fn the_last_colon_before_a_slash_parts_host_and_guest() {
    let parts = |host: &str, guest: &str| Ok((host.to_owned(), guest.to_owned()));
    assert_eq!(add("lib.so:/lib/lib.so"), parts("lib.so", "/lib/lib.so"));
    assert_eq!(add("a:b:/c"), parts("a:b", "/c"));
    assert_eq!(add("a:/b:/c:d"), parts("a:/b", "/c:d"));
    assert_eq!(add("/lib64/ld.so"), parts("/lib64/ld.so", "/lib64/ld.so"));
    assert_eq!(add("no/such:/"), parts("no/such", "/such"));
}

#[test]
fn a_file_goes_into_a_folder_that_is_named_with_a_slash() {
    let folder = tempfile::tempdir().unwrap();
    let host = folder.path().join("tool");
    std::fs::write(&host, "x").unwrap();
    let guest = |text: String| add(&text).unwrap().1;
    assert_eq!(guest(format!("{}:/bin/", host.display())), "/bin/tool");
    assert_eq!(guest(format!("{}:/bin", host.display())), "/bin");
    // A directory itself is put there.
    assert_eq!(guest(format!("{}:/bin/", folder.path().display())), "/bin/");
}

#[test]
fn impossible_paths_are_refused() {
    for (text, why) in [
        ("tool:bin/tool", "HOST:/bin/tool"),
        ("tool", "HOST:/tool"),
        ("", "HOST is missing"),
        (":/bin", "HOST is missing"),
        ("tool:/bin/../init", ".."),
        ("tool:/proc/self", "/proc/self"),
        ("tool:/dev/tool", "/dev/tool"),
    ] {
        let refusal = add(text).unwrap_err();
        assert!(refusal.contains(why), "{text}: {refusal}");
    }
}
