use std::fs;

use tempfile::tempdir;

use super::*;

fn nest(last_mib: u32) -> Nest {
    let verdict = super::super::record::Verdict::Passed;
    let version = "0".to_owned();
    let run = Record {
        version,
        wanted: 2,
        host: "it".into(),
        seconds: 1.0,
        verdict,
        program: None,
        levels: vec![],
    };
    Nest { format: FORMAT, nvmm: "0".into(), last_mib, run }
}

fn kept(nest: &Nest) -> (tempfile::TempDir, anyhow::Result<Kept>) {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join(NEST), serde_json::to_vec(nest).unwrap()).unwrap();
    let kept = Kept::read(folder.path());
    (folder, kept)
}

#[test]
fn levels_kept_in_this_format_are_read() {
    let (_folder, read) = kept(&nest(512));
    assert_eq!(read.unwrap().record().wanted, 2);
    let (_folder, other) = kept(&Nest { format: FORMAT + 1, nvmm: "9.9".into(), ..nest(512) });
    let error = other.unwrap_err().to_string();
    assert!(error.contains("of nvmm 9.9") && error.contains("keep the levels anew"), "{error}");
    let damaged = tempdir().unwrap();
    fs::write(damaged.path().join(NEST), "").unwrap();
    let error = format!("{:#}", Kept::read(damaged.path()).unwrap_err());
    assert!(error.contains(": nest.json: EOF while parsing"), "{error}");
    let empty = tempdir().unwrap();
    let error = format!("{:#}", Kept::read(empty.path()).unwrap_err());
    assert!(error.contains("nothing was kept there"), "{error}");
}

#[test]
fn files_have_half_of_what_the_last_level_has_left() {
    let (_folder, read) = kept(&nest(512));
    let read = read.unwrap();
    let program = |files_mib| Program { files_mib, ..Program::default() };
    read.fit(&program(160)).unwrap();
    let error = read.fit(&program(161)).unwrap_err().to_string();
    assert!(error.contains("have 161 MiB") && error.contains("room for 160"), "{error}");
}

#[test]
fn a_comma_in_a_path_is_doubled() {
    assert_eq!(
        place("checked", Path::new("/a,b/disk"), ",overlay=temp"),
        "id=checked,format=raw,overlay=temp,path=/a,,b/disk"
    );
}

/// An nvmm that ends before the program does: its last messages are the reason.
#[test]
fn a_copy_that_does_not_start_is_a_failure_of_level_1() {
    let (_folder, read) = kept(&nest(512));
    let parcel = Memfd::new(c"parcel").unwrap();
    let mut said = Vec::new();
    let nvmm = Path::new("/bin/false");
    read.unwrap().run(nvmm, &parcel, &Pace::default(), &mut |line| said.push(line.clone())).unwrap();
    assert!(
        matches!(&said[..], [Line { level: 1, said: Said::Fail(FailureKind::Vmm, why) }] if why.contains("before the program did")),
        "{said:?}"
    );
}
