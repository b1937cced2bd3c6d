use super::*;

fn manifest() -> Manifest {
    Manifest {
        levels: 3,
        cmdline: String::new(),
        first_cmdline: "first".into(),
        files: vec![],
        virtio: vec![],
        kvm: vec![],
    }
}

#[test]
fn a_level_has_memory_for_those_it_starts() {
    for level in 0..3 {
        assert!(memory_mib(level, 3) > memory_mib(level + 1, 3));
    }
    assert_eq!(memory_mib(3, 3), LAST_MIB);
}

#[test]
fn each_level_is_told_its_number() {
    assert_eq!(kernel_parameters(2, &manifest()), "console=ttyS0 quiet panic=-1 nvmm.level=2");
    assert!(kernel_parameters(1, &manifest()).ends_with(" nvmm.level=1 first"));
    let manifest = Manifest { cmdline: "a=b".into(), ..manifest() };
    assert!(kernel_parameters(0, &manifest).ends_with(" nvmm.level=0 a=b"));
}

/// Runs a level by a shell script in place of nvmm. The script finds its disk in `$disk`.
fn run(script: &str) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let nvmm = dir.path().join("nvmm");
    let script = format!("#!/bin/sh\nfor disk; do :; done\ndisk=${{disk#path=}}\n{script}\n");
    // Not written by this process: while another thread forks, a file open for writing can't be executed.
    let mut write = Command::new("sh");
    write.args(["-c", r#"printf %s "$1" > "$0" && chmod +x "$0""#]).arg(&nvmm).arg(&script);
    assert!(write.status().unwrap().success());
    let image = Memfd::new(c"test").unwrap();
    let level =
        Level { number: 1, manifest: &manifest(), nvmm: &nvmm, kernel: Path::new("/vmlinuz"), image: &image };
    let mut said = Vec::new();
    level.run(None, &mut |line| said.push(line.to_string())).unwrap();
    assert_eq!(said.remove(0), r#"@nest[1,"start"]"#);
    said
}

fn claim(outside: (u32, u32)) -> String {
    format!(r#"@nest[1,{{"disk":{{"read":{},"wrote":{}}}}}]"#, outside.0, outside.1)
}

#[test]
fn a_level_whose_disk_is_as_it_says_is_done() {
    let outside = disk::outside(&disk::make(1).unwrap()).unwrap();
    assert_eq!(run(&format!("echo '{}'", claim(outside))), [claim(outside), r#"@nest[1,"done"]"#.into()]);
}

#[test]
fn a_level_whose_disk_is_not_as_it_says_fails() {
    let outside = disk::outside(&disk::make(1).unwrap()).unwrap();
    let said = run(&format!("echo '{}'; printf x | dd of=$disk conv=notrunc 2>/dev/null", claim(outside)));
    assert!(said[1].starts_with(r#"@nest[1,{"fail":"its disk holds data with CRCs "#), "{said:?}");
}

#[test]
fn each_way_to_end_early_is_told_apart() {
    assert_eq!(run("exit 0"), [r#"@nest[1,{"fail":"it ended before its disk check"}]"#]);
    assert_eq!(
        run("echo oops >&2; exit 3"),
        ["@1|oops", r#"@nest[1,{"fail":"nvmm ended with exit status: 3"}]"#]
    );
    // The first failure is the cause.
    let cause = r#"@nest[2,{"fail":"no KVM"}]"#;
    assert_eq!(run(&format!("echo '{cause}'; exit 1")), [cause]);
}

#[test]
fn a_level_past_its_deadline_is_ended() {
    let mut command = Command::new("sleep");
    command.arg("1000");
    let mut child = Child::spawn(command).unwrap();
    assert!(!relay(&mut child, 1, Some(Instant::now()), &mut |_| {}).unwrap());
}
