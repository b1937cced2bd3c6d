//! Saves that are killed or run out of space, and snapshots that were damaged afterwards.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use rustix::{
    fs::{CWD, FallocateFlags, FileType, Mode, fallocate, mknodat, statvfs},
    mount::{MountFlags, MountPropagationFlags, mount, mount_change},
    process::{Pid, Resource, Rlimit, prlimit},
    thread::{UnshareFlags, unshare_unsafe},
};

use crate::{
    control::{Machine, ctl},
    load::{Random, number},
    saved::{GUEST, Restored, Saved, WAYS, ask, info, names, path, restore},
    support::{Running, no_kvm, nvmm},
};

#[test]
fn a_killed_save_leaves_nothing_that_looks_whole() {
    if no_kvm() {
        return;
    }
    let mut random = Random(number("NVMM_SEED", 1));
    let folder = tempfile::tempdir().unwrap();
    let snap = folder.path().join("snap");
    let mut whole = 0;
    for _ in 0..number("NVMM_SAVES", 20) {
        let mut machine = Machine::start(GUEST, &[]);
        machine.prints("ready\n");
        let mut save = ctl(&machine.socket, &["snapshot", snap.to_str().unwrap()])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        thread::sleep(Duration::from_micros(random.below(60_000)));
        machine.process().kill().unwrap();
        machine.nvmm.status();
        save.wait().unwrap();
        if snap.exists() {
            let output = info(&snap, &["--check"]);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let mut again = Restored::start(&mut restore(machine.folder.path(), &snap, &[]));
            assert_eq!(again.ask(), "same");
            again.quit();
            fs::remove_dir_all(&snap).unwrap();
            whole += 1;
        }
    }
    println!("{whole} were whole before the kill");
    // The next save removes the leftovers.
    let mut machine = Machine::start(GUEST, &[]);
    machine.prints("ready\n");
    machine.ask(&["snapshot", snap.to_str().unwrap()]);
    assert_eq!(names(folder.path()), ["snap"]);
}

#[test]
fn a_limit_of_files_stops_the_save_and_not_the_machine() {
    if no_kvm() {
        return;
    }
    let mut machine = Machine::start(GUEST, &[]);
    machine.prints("ready\n");
    for limit in [0, 4096, 20_000, 100_000, 8 << 20] {
        let pid = Pid::from_child(machine.process());
        prlimit(Some(pid), Resource::Fsize, Rlimit { current: Some(limit), maximum: None }).unwrap();
        let output = machine.ctl(&["snapshot", path(&machine, "snap").to_str().unwrap(), "--stop"]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("File too large") && said.contains("snap: "), "{said}");
        assert_eq!(ask(&mut machine.nvmm), "same", "it goes on");
        assert_eq!(names(machine.folder.path()), ["qmp"], "nothing is left");
    }
}

#[test]
fn a_full_host_stops_the_save_and_not_the_machine() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let test = || {
        if let Err(error) = own_tmpfs(folder.path()) {
            return println!("skipped: a tmpfs can't be mounted: {error}");
        }
        let mut machine = Machine::start(GUEST, &[]);
        machine.prints("ready\n");
        let filler = folder.path().join("filler");
        for left in [0, 1, 3, 6, 9, 12, 20] {
            let free = statvfs(folder.path()).unwrap();
            fallocate(
                File::create(&filler).unwrap(),
                FallocateFlags::empty(),
                0,
                (free.f_bavail - left) * free.f_bsize,
            )
            .unwrap();
            let output = machine.ctl(&["snapshot", folder.path().join("snap").to_str().unwrap()]);
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{left} pages: {said}");
            assert!(said.contains("No space left on device") && said.contains("snap: "), "{said}");
            assert_eq!(ask(&mut machine.nvmm), "same", "it goes on");
            assert_eq!(names(folder.path()), ["filler"], "nothing is left");
            fs::remove_file(&filler).unwrap();
        }
        machine.ask(&["snapshot", folder.path().join("snap").to_str().unwrap()]);
    };
    // The threads and programs that a thread starts share its private mounts. These end with them.
    thread::scope(|scope| scope.spawn(test).join().unwrap());
}

/// Mounts a tmpfs that only this thread, and its children, can see.
fn own_tmpfs(folder: &Path) -> rustix::io::Result<()> {
    // SAFETY: The thread keeps its file descriptors.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS)? };
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    mount("tmpfs", folder, "tmpfs", MountFlags::empty(), c"size=16M")
}

/// A change of any byte is detected in `machine.json`, `state.json`, and memory that is not zeros.
#[test]
fn a_changed_byte_is_refused() {
    if no_kvm() {
        return;
    }
    let saved = Saved::new(&[]);
    let mut random = Random(number("NVMM_SEED", 1));
    for (name, times) in [("machine.json", 20), ("state.json", 20), ("memory", 10)] {
        let file = File::options().read(true).write(true).open(saved.path().join(name)).unwrap();
        let bytes = fs::read(saved.path().join(name)).unwrap();
        let places: Vec<_> = (0..bytes.len()).filter(|&at| bytes[at] != 0).collect();
        for _ in 0..times {
            let at = places[usize::try_from(random.below(places.len() as u64)).unwrap()];
            let changed = bytes[at] ^ 1 << random.below(8);
            file.write_all_at(&[changed], at as u64).unwrap();
            let said = saved.refusal(1, &[]);
            assert!(said.contains(name), "{name} at {at}: {said}");
            let known = ["changed or damaged", "it has format", "trailing", "expected", "UTF-8"];
            assert!(known.iter().any(|known| said.contains(known)), "{name} at {at}: {said}");
            assert_eq!(saved.info(&["--check"]).status.code(), Some(1));
            file.write_all_at(&bytes[at..=at], at as u64).unwrap();
        }
        for len in [0, bytes.len() / 2, bytes.len() - 1] {
            file.set_len(len as u64).unwrap();
            for way in WAYS {
                assert!(saved.refusal(1, &["--restore-memory", way]).contains(name));
            }
            file.set_len(0).unwrap();
            file.write_all_at(&bytes, 0).unwrap();
        }
        fs::rename(saved.path().join(name), saved.path().join("away")).unwrap();
        assert!(saved.command(&[]).output().unwrap().status.code().is_some_and(|code| code != 0));
        fs::rename(saved.path().join("away"), saved.path().join(name)).unwrap();
    }
    let mut machine = saved.restore(&[]);
    assert_eq!(machine.ask(), "same", "it is whole again");
    machine.quit();
}

/// `nvmm snapshot info` sees, without reading them, that the other files can't be what was saved; and nothing waits for a pipe.
#[test]
fn missing_cut_and_strange_files_are_refused_at_once() {
    type Damage = fn(&Path);

    if no_kvm() {
        return;
    }
    let damages: [(&str, &str, Damage); 5] = [
        ("missing", "No such file", |_| {}),
        ("empty", "its length is wrong", |path| fs::write(path, "").unwrap()),
        ("cut", "its length is wrong", |path| fs::write(path, "{").unwrap()),
        ("a directory", "that is no regular file", |path| fs::create_dir(path).unwrap()),
        ("a pipe", "that is no regular file", |path| {
            mknodat(CWD, path, FileType::Fifo, Mode::RWXU, 0).unwrap();
        }),
    ];
    let saved = Saved::new(&[]);
    let away = saved.folder.path().join("away");
    let refusal = |command: &mut Command| {
        let mut nvmm = Running::start(command.stdout(Stdio::null()).stderr(Stdio::piped()));
        let status = nvmm.status_in_time();
        (status, std::io::read_to_string(nvmm.0.stderr.take().unwrap()).unwrap())
    };
    for name in ["machine.json", "state.json", "memory"] {
        let path = saved.path().join(name);
        fs::rename(&path, &away).unwrap();
        for (damage, why, make) in damages {
            make(&path);
            let why = if name == "machine.json" && !why.contains("regular") { "" } else { why };
            let (status, said) = refusal(nvmm().args(["snapshot", "info"]).arg(saved.path()));
            assert_eq!(status, Some(1), "{name}, {damage}: {said}");
            assert!(said.contains(name) && said.contains(why), "{name}, {damage}: {said}");
            let (status, said) = refusal(&mut saved.command(&[]));
            assert!(matches!(status, Some(1 | 2)), "{name}, {damage}: {status:?}: {said}");
            assert!(said.contains(name) && said.contains(why), "{name}, {damage}: {said}");
            let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path));
        }
        fs::rename(&away, &path).unwrap();
    }
    assert_eq!(saved.info(&["--kvm", "/dev/null"]).status.code(), Some(1));
    let said = String::from_utf8(saved.info(&["--kvm", "/nowhere"]).stdout).unwrap();
    assert!(said.contains("can't run it: /nowhere"), "{said}");
    saved.restore(&[]).quit();
}

#[test]
fn a_damaged_file_is_named_once() {
    if no_kvm() {
        return;
    }
    let saved = Saved::new(&[]);
    fs::write(saved.path().join("memory"), "").unwrap();
    let said = String::from_utf8(saved.info(&["--check"]).stderr).unwrap();
    let snap = saved.path();
    assert!(said.starts_with(&format!("nvmm: {}: memory: it was changed", snap.display())), "{said}");
}

/// Wrong values with correct checksums, as written by hand or by a faulty nvmm.
#[test]
fn values_that_fit_nowhere_are_refused() {
    if no_kvm() {
        return;
    }
    let saved = Saved::new(&[]);
    let text = fs::read_to_string(saved.path().join("machine.json")).unwrap();
    let (first, rest) = text.split_at(text.find("\n  \"format\"").unwrap() + 1);
    assert!(first.starts_with("{\n  \"crc32\": "));
    for (from, to, why) in [
        ("\"format\": 1", "\"format\": 2", "it has format 2, of nvmm"),
        ("\"16M\"", "\"32M\"", "it has no memory of"),
        ("\"folder\": \"", "\"unknown\": 1,\n  \"folder\": \"", "unknown field"),
        ("\"offset\": 0", "\"offset\": 4096", "machine.json gives impossible places for it"),
        ("\"len\": 16777216", "\"len\": 9223372036854775808", "machine.json gives impossible places for it"),
        ("\"len\": 16777216", "\"len\": 0", "machine.json gives impossible places for it"),
    ] {
        assert!(rest.contains(from), "{from} in {rest}");
        let rest = rest.replacen(from, to, 1);
        let sum = crc32(rest.as_bytes());
        fs::write(saved.path().join("machine.json"), format!("{{\n  \"crc32\": \"{sum:08x}\",\n{rest}"))
            .unwrap();
        let output = saved.command(&[]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(1 | 2)), "{from}: {:?}: {said}", output.status);
        assert!(said.contains(why), "{from}: {said}");
        if why.contains("impossible") {
            let info = saved.info(&[]);
            assert_eq!(info.status.code(), Some(1), "{to}");
            assert!(String::from_utf8_lossy(&info.stderr).contains(why), "{to}: {info:?}");
        }
    }
}

/// zlib's CRC-32, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| crc >> 1 ^ (if crc & 1 == 1 { 0xedb8_8320 } else { 0 }))
    })
}
