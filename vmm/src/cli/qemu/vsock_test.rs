use super::*;

fn words(line: &str) -> Vec<OsString> {
    ["nvmm"].into_iter().chain(line.split_whitespace()).map(OsString::from).collect()
}

fn respelled(line: &str) -> Result<String, Vec<String>> {
    let words = words(line);
    let (ours, faults) = as_vsock(&words);
    let line = ours[1..].iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ");
    if faults.is_empty() { Ok(line) } else { Err(faults) }
}

#[test]
fn the_kernels_socket_device_is_taken() {
    for (line, expected) in [
        ("--kernel k --device vhost-vsock-pci,guest-cid=3 -m 1G", "--kernel k --vsock guest-cid=3 -m 1G"),
        (
            "--device=vhost-vsock-pci-non-transitional,id=vsock0,seqpacket=auto,vectors=4,disable-legacy=on,guest-cid=0x7",
            "--vsock guest-cid=0x7",
        ),
        // That one is there twice is for --vsock to say.
        ("--device vhost-vsock-pci,guest-cid=3,guest-cid=4", "--vsock guest-cid=3,guest-cid=4"),
    ] {
        assert_eq!(respelled(line), Ok(expected.to_owned()));
    }
    for line in ["--vsock cid=3", "--device pvpanic", "--device vhost-user-vsock-pci,chardev=c"] {
        assert!(matches!(as_vsock(&words(line)), (Cow::Borrowed(_), faults) if faults.is_empty()), "{line}");
    }
}

#[test]
fn what_it_can_not_have_is_told() {
    for (keys, part) in [
        ("", "the guest's address is missing; add guest-cid=N"),
        (",guest-cid=3,vhostfd=5", "nvmm's device has no 'vhostfd=5'; leave it out"),
        (",guest-cid=3,seqpacket=off", "no 'seqpacket=off'"),
        (",guest-cid=3,disable-modern=on", "no 'disable-modern=on'"),
    ] {
        let faults = respelled(&format!("--device vhost-vsock-pci{keys} --kernel k")).unwrap_err();
        let [fault] = &faults[..] else { panic!("{faults:?}") };
        assert!(fault.starts_with("-device vhost-vsock-pci is QEMU's: ") && fault.contains(part), "{fault}");
    }
}
