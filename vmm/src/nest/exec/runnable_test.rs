use std::fs;

use super::*;

const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

/// An ELF file of 64 bits; with a loader, a dynamic one that needs `libraries`.
fn elf(machine: u16, kind: u16, loader: Option<&str>, libraries: &[&str]) -> Vec<u8> {
    let mut strings = vec![0];
    let mut dynamic: Vec<u64> = Vec::new();
    for library in libraries {
        dynamic.extend([1, strings.len() as u64]);
        strings.extend(library.bytes().chain([0]));
    }
    dynamic.extend([0, 0]);
    let loader_text: Vec<u8> = loader.iter().flat_map(|loader| loader.bytes().chain([0])).collect();
    let (headers, segments) = (64, 1 + u16::from(loader.is_some()));
    let dynamic_at = headers + 56 * u64::from(segments);
    let strings_at = dynamic_at + 8 * dynamic.len() as u64;
    let loader_at = strings_at + strings.len() as u64;
    let sections_at = (loader_at + loader_text.len() as u64).next_multiple_of(8);

    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    file.extend([kind, machine].iter().flat_map(|half| half.to_le_bytes()));
    file.extend(1_u32.to_le_bytes());
    file.extend([0x40_0000, headers, sections_at].iter().flat_map(|word| word.to_le_bytes()));
    file.extend(0_u32.to_le_bytes());
    file.extend([64, 56, segments, 64, 3, 2].iter().flat_map(|half: &u16| half.to_le_bytes()));
    let mut segment = |kind: u32, at: u64, len: u64| {
        file.extend([kind, 5].iter().flat_map(|word| word.to_le_bytes()));
        file.extend([at, at, at, len, len, 8].iter().flat_map(|word| word.to_le_bytes()));
    };
    segment(1, 0, sections_at);
    if loader.is_some() {
        segment(3, loader_at, loader_text.len() as u64);
    }
    file.extend(dynamic.iter().flat_map(|word| word.to_le_bytes()));
    file.extend(strings.iter().chain(&loader_text));
    file.resize(usize::try_from(sections_at).unwrap(), 0);
    let mut section = |kind: u32, at: u64, len: u64, link: u32, entry: u64| {
        file.extend([0, kind].iter().flat_map(|word| word.to_le_bytes()));
        file.extend([0, at, at, len].iter().flat_map(|word| word.to_le_bytes()));
        file.extend([link, 0].iter().flat_map(|word| word.to_le_bytes()));
        file.extend([8, entry].iter().flat_map(|word: &u64| word.to_le_bytes()));
    };
    section(0, 0, 0, 0, 0);
    section(6, dynamic_at, 8 * dynamic.len() as u64, 2, 16);
    section(3, strings_at, strings.len() as u64, 0, 0);
    file
}

fn program(loader: Option<&str>, libraries: &[&str]) -> Vec<u8> {
    elf(62, 2, loader, libraries)
}

/// The level's files, all of them executable, by their paths; the directory has them on the host.
fn level(files: &[(&str, &[u8])]) -> (tempfile::TempDir, Tree) {
    let folder = tempfile::tempdir().unwrap();
    let mut tree = Tree::default();
    for (number, (guest, data)) in files.iter().enumerate() {
        let host = folder.path().join(format!("{number}-{}", guest.rsplit('/').next().unwrap()));
        fs::write(&host, data).unwrap();
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&host, permissions).unwrap();
        tree.add(&host, Path::new(guest)).unwrap();
    }
    (folder, tree)
}

#[track_caller]
fn refused(files: &[(&str, &[u8])], parts: &[&str]) {
    let (_folder, tree) = level(files);
    let refusal = format!("{:#}", check(&tree, Path::new(files[0].0)).unwrap_err());
    for part in parts {
        assert!(refusal.contains(part), "no {part:?} in {refusal}");
    }
}

#[track_caller]
fn runs(files: &[(&str, &[u8])]) {
    let (_folder, tree) = level(files);
    check(&tree, Path::new(files[0].0)).unwrap();
}

#[test]
fn static_programs_run() {
    runs(&[("/exec/test", &program(None, &[]))]);
    // Position-independent, and of 32 bits' processors.
    runs(&[("/exec/test", &elf(62, 3, None, &[]))]);
    runs(&[("/exec/test", &fs::read("/proc/self/exe").unwrap())]);
}

#[test]
fn files_other_than_programs_are_refused() {
    let mut short = program(None, &[]);
    short.truncate(130);
    let mut of_16_bits = program(None, &[]);
    of_16_bits[4] = 7;
    for (data, why) in [
        (&b""[..], "it is empty"),
        (b"echo hello\n", "neither an ELF program nor a script"),
        (&elf(183, 2, None, &[]), "another processor than x86 (ELF machine 183)"),
        (&elf(62, 1, None, &[]), "an ELF file, but no program"),
        (&elf(62, 4, None, &[]), "an ELF file, but no program"),
        (&short, "not a whole ELF file"),
        (b"\x7fELF\x02\x01\x01", "not a whole ELF file"),
        (&of_16_bits, "32 or 64 bits"),
    ] {
        refused(&[("/exec/test", data)], &["0-test", why]);
    }
    let (folder, tree) = level(&[("/exec/test", &program(None, &[]))]);
    let host = folder.path().join("0-test");
    fs::set_permissions(&host, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    check(&tree, Path::new("/exec/test")).unwrap();
    let mut tree = Tree::default();
    tree.add(&host, Path::new("/exec/test")).unwrap();
    let refusal = check(&tree, Path::new("/exec/test")).unwrap_err().to_string();
    assert!(refusal.ends_with("0-test is not executable; chmod +x makes it so"), "{refusal}");
}

#[test]
fn a_script_needs_its_interpreter() {
    let busybox = program(None, &[]);
    for line in ["#!/bin/sh\n", "#! /bin/sh -eu\n", "#!\t/bin/sh", "#!/bin/sh -e\r\n"] {
        runs(&[("/exec/test", line.as_bytes()), ("/bin/sh", &busybox)]);
        refused(
            &[("/exec/test", line.as_bytes())],
            &["0-test is a script for /bin/sh", "--add HOST:/bin/sh"],
        );
    }
    refused(&[("/t", b"#!/bin/sh\r\n"), ("/bin/sh", &busybox)], &["carriage return"]);
    refused(&[("/t", b"#!sh\n"), ("/sh", &busybox)], &["no interpreter by its whole path"]);
    refused(&[("/t", b"#!\n")], &["no interpreter by its whole path"]);
    // An interpreter may need something itself.
    let shell = program(Some(LOADER), &[]);
    refused(&[("/t", b"#!/bin/sh"), ("/bin/sh", &shell)], &["1-sh is a dynamic program", LOADER]);
    refused(&[("/t", b"#!/t")], &["script for a script"]);
}

#[test]
fn a_dynamic_program_needs_loader_and_libraries() {
    let test = program(Some(LOADER), &["libfoo.so.1", "libnowhere.so", "ld-linux-x86-64.so.2"]);
    refused(&[("/t", &test)], &["0-t is a dynamic program", LOADER, "libfoo.so.1, libnowhere.so;", "--add "]);
    let loader = program(None, &[]);
    refused(&[("/t", &test), (LOADER, &loader)], &["lacks libfoo.so.1, libnowhere.so; link it statically"]);
    refused(
        &[("/t", &test), (LOADER, &loader), ("/opt/libfoo.so.1", b"")],
        &["lacks libnowhere.so; link it statically, or give it what it needs: --add HOST:GUEST"],
    );
    let libraries: [(&str, &[u8]); 3] =
        [(LOADER, &loader), ("/opt/libfoo.so.1", b""), ("/lib/libnowhere.so", b"")];
    runs(&[&[("/t", &test[..])], &libraries[..]].concat());
    // musl's loader is its C library.
    let musl = "/lib/ld-musl-x86_64.so.1";
    let test = program(Some(musl), &["libc.musl-x86_64.so.1"]);
    refused(&[("/t", &test)], &[musl]);
    runs(&[("/t", &test), (musl, &loader)]);
}

#[test]
fn files_that_the_host_has_are_named_as_the_remedy() {
    let found = LIBRARIES.iter().find_map(|folder| {
        let entry = fs::read_dir(folder).ok()?.flatten().find(|entry| entry.path().is_file())?;
        entry.file_name().into_string().ok()
    });
    let Some(name) = found else { return println!("skipped: this machine has no libraries") };
    let test = program(Some("/no/such/loader"), &[&name]);
    let add = on_the_host(Path::new(&name)).unwrap();
    refused(
        &[("/t", &test)],
        &[&format!("lacks /no/such/loader, {name};"), &format!(": --add {}", add.display())],
    );
}
