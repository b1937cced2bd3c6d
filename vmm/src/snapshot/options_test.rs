use std::os::unix::ffi::OsStrExt;

use super::*;

fn options(line: &[&str]) -> Options {
    let words: Vec<_> = ["nvmm"].iter().chain(line).map(OsString::from).collect();
    Options::of_line(&words).unwrap()
}

fn restored(saved: &[&str], given: &[&str]) -> Result<Vec<String>, Vec<String>> {
    let words = options(saved).restored_by(&options(given))?;
    Ok(words.into_iter().map(|word| word.into_string().unwrap()).collect())
}

#[test]
fn options_come_back_from_their_text_but_for_those_of_the_run() {
    let line = [
        "--kernel",
        "k",
        "--memory=1G",
        "--qmp",
        "s",
        "-vv",
        "--balloon",
        "--disk",
        "a",
        "--disk",
        "b",
        "--send",
        "x",
    ];
    let kept = options(&line).without_run();
    let text = serde_json::to_string(&kept).unwrap();
    assert_eq!(text, r#"[["kernel","k"],["memory","1G"],["disk","a"],["disk","b"],["balloon",null]]"#);
    assert_eq!(serde_json::from_str::<Options>(&text).unwrap(), kept);
    let words = kept.words();
    assert_eq!(words, ["--kernel=k", "--memory=1G", "--disk=a", "--disk=b", "--balloon"]);
}

#[test]
fn values_may_be_any_bytes() {
    let bytes = OsStr::from_bytes(b"a\xff,,b");
    let kept = Options::of_line(&["nvmm".into(), "--disk".into(), bytes.to_owned()]).unwrap();
    let kept: Options = serde_json::from_str(&serde_json::to_string(&kept).unwrap()).unwrap();
    assert_eq!(kept.words()[0].as_bytes(), b"--disk=a\xff,,b");
    let given = Options::of_line(&["nvmm".into(), "--disk=id=disk1,overlay=o,,p".into()]).unwrap();
    assert_eq!(
        kept.restored_by(&given).unwrap()[0].as_bytes(),
        b"--disk=path=a\xff,,b,id=disk1,overlay=o,,p"
    );
}

#[test]
fn a_restore_has_its_own_run() {
    let words = restored(&["--kernel", "k", "--qmp", "old", "--paused"], &["--qmp", "new", "-v"]).unwrap();
    assert_eq!(words, ["--kernel=k", "--qmp=new", "--verbose"]);
}

#[test]
fn disks_are_found_by_their_names() {
    let saved = [
        "--disk",
        "a.raw",
        "--disk",
        "path=b.raw,format=raw,id=data,serial=S,queues=2,overlay=o",
        "--kernel=k",
    ];
    let words = |given: &str| restored(&saved, &["--disk", given]);
    assert_eq!(
        words("id=data,path=o,overlay=temp").unwrap()[1..3],
        ["--disk=path=a.raw", "--disk=id=data,serial=S,queues=2,path=o,overlay=temp"].map(|word| word
            .replace("path=a.raw", "a.raw")
            .replace("id=data,serial=S,queues=2,path=o", "serial=S,queues=2,id=data,path=o"))
    );
    assert_eq!(words("id=disk1,overlay=temp").unwrap()[1], "--disk=path=a.raw,id=disk1,overlay=temp");
    assert_eq!(
        words("id=data,iops=5").unwrap()[2],
        "--disk=path=b.raw,format=raw,serial=S,queues=2,overlay=o,id=data,iops=5"
    );
    let refused = |given| words(given).unwrap_err().join("\n");
    assert!(refused("c.raw").contains("give id=NAME too"));
    assert!(refused("id=disk2,path=c").contains("the guest has no 'disk2'; it has disk1, data"));
    let alone = restored(&["--kernel=k"], &["--disk", "id=disk1,path=c"]).unwrap_err().join("\n");
    assert!(alone.contains("the guest has no 'disk1'; it has no --disk at all"), "{alone}");
    assert!(refused("id=data,serial=T").contains("'serial' is not about the host"));
}

#[test]
fn a_name_is_given_once() {
    let saved = ["--disk=a", "--net=user,id=x", "--kernel=k"];
    let refused = |given: [&str; 2]| restored(&saved, &given).unwrap_err();
    for [one, other] in
        [["--disk=id=disk1,path=b", "--disk=id=disk1,path=c"], ["--net=tap=t0,id=x", "--net=user,id=x"]]
    {
        let shown = other.replacen('=', " ", 1);
        assert_eq!(refused([one, other]), [format!("{shown}: another one has this id; give each id once")]);
    }
    assert!(restored(&saved, &["--disk=path=b,id=disk1", "--net=user,id=x"]).is_ok());
}

#[test]
fn networks_keep_what_the_guest_sees() {
    let saved =
        ["--net", "user,hostfwd=tcp::1-:2,mtu=1400", "--net", "tap=t0,id=x,queues=2,vhost=off", "--kernel=k"];
    let mut kept = options(&saved);
    kept.keep_mac(0, "52:54:00:00:00:01");
    kept.keep_mac(1, "52:54:00:00:00:02");
    kept.keep_mac(2, "52:54:00:00:00:03");
    kept.keep_mac(0, "52:54:00:00:00:04");
    let given = options(&["--net", "id=net0,tap=t7", "--net", "tap=t8,id=x,vhost=on"]);
    // nvmm itself expects the place first.
    let words = kept.restored_by(&given).unwrap();
    assert_eq!(words[1], "--net=tap=t7,id=net0,mtu=1400,mac=52:54:00:00:00:01");
    assert_eq!(words[2], "--net=tap=t8,vhost=on,id=x,queues=2,mac=52:54:00:00:00:02");
    let refused = kept.restored_by(&options(&["--net=user,id=x,mac=1"])).unwrap_err();
    assert!(refused[0].contains("'mac' is not about the host"));
}

#[test]
fn serial_ports_are_as_many() {
    let saved = ["--serial=stdio", "--serial=null", "--kernel=k"];
    let words = restored(&saved, &["--serial=null", "--serial=file=x"]).unwrap();
    assert_eq!(words, ["--kernel=k", "--serial=null", "--serial=file=x"]);
    assert!(restored(&saved, &["--serial=null"]).unwrap_err()[0].contains("the guest has 2 serial ports"));
    assert!(restored(&["--kernel=k"], &["--serial=null"]).is_ok());
}

#[test]
fn the_guests_own_options_stay() {
    let refused = restored(&["--kernel=k"], &["--memory=2G", "--smp=4", "--kernel=other"]).unwrap_err();
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert!(refused[0].starts_with("--smp 4: that is as it was"), "{refused:?}");
    assert!(refused[1].starts_with("--memory 2G: that is as it was"), "{refused:?}");
    assert_eq!(
        restored(&["--kernel=k", "--vsock=cid=3,uds=a"], &["--vsock=uds=b"]).unwrap()[1],
        "--vsock=cid=3,uds=b"
    );
    assert!(restored(&["--kernel=k"], &["--vsock=cid=4"]).is_err());
}

#[test]
fn a_fresh_identity_has_another_uuid_and_the_addresses_that_follow_from_it() {
    let saved = [
        "--kernel=k",
        "--uuid=00000000-0000-4000-8000-000000000001",
        "--smbios=type=1,uuid=00000000-0000-4000-8000-000000000001",
        "--smbios=type=1,serial=a,,b,uuid=00000000-0000-4000-8000-000000000001",
        "--smbios=type=11,value=uuid",
        "--net=user,mac=52:54:00:00:00:01,id=a,mtu=1400",
        "--net=tap,macaddr=52:54:00:00:00:02",
    ];
    let mut words = restored(&saved, &["--restore=d", "--fresh-identity", "--net=tap=clone,id=a"]).unwrap();
    let uuid = words.pop().unwrap();
    let uuid: Uuid = uuid.strip_prefix("--uuid=").unwrap().parse().unwrap();
    assert_eq!(uuid.get_version_num(), 4);
    words.sort();
    let expected = [
        "--fresh-identity",
        "--kernel=k",
        "--net=tap",
        "--net=tap=clone,id=a,mtu=1400",
        "--restore=d",
        "--smbios=type=1,serial=a,,b",
        "--smbios=type=11,value=uuid",
    ];
    assert_eq!(words, expected);
    let again = restored(&saved, &["--restore=d", "--fresh-identity"]).unwrap().pop().unwrap();
    assert!(again.starts_with("--uuid=") && !again.ends_with(&uuid.to_string()), "{again}");
    assert!(
        !options(&["--restore", "d", "--fresh-identity"])
            .without_run()
            .words()
            .contains(&"--fresh-identity".into())
    );
}

/// A new option must be added to one of the three kinds.
#[test]
fn every_option_is_of_one_kind() {
    // The guest sees them.
    const GUESTS: [&str; 18] = [
        "cmdline",
        "boot",
        "cpu",
        "nested",
        "smp",
        "memory",
        "balloon",
        "cloud-init",
        "ssh-key",
        "hostname",
        "uuid",
        "smbios",
        "fw-cfg",
        "on-panic",
        "debug-exit",
        "disk",
        "net",
        "vsock",
    ];
    for argument in MachineArgs::command().get_arguments() {
        let name = argument.get_long().unwrap();
        let kinds = [RUN.contains(&name), PLACES.contains(&name), GUESTS.contains(&name), name == "serial"];
        assert_eq!(kinds.into_iter().filter(|kind| *kind).count(), 1, "--{name}");
    }
}
