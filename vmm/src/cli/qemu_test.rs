#[path = "qemu_devices_test.rs"]
mod devices;

use clap::CommandFactory;

use super::*;
use crate::{
    cli::{Cli, MachineAlone},
    config::VmConfig,
};

fn words(line: &str) -> Vec<OsString> {
    ["nvmm"].into_iter().chain(line.split_whitespace()).map(OsString::from).collect()
}

/// nvmm's options, in one line.
fn ours(line: &str) -> String {
    let words = words(line);
    let translated = translate(&words, &MachineAlone::command(), false)
        .unwrap_or_else(|lines| panic!("{line}: {lines:?}"));
    let words: Vec<_> = translated.words[1..].iter().map(|word| word.to_str().unwrap()).collect();
    words.join(" ")
}

/// The lines of the refusal.
fn refused(line: &str) -> Vec<String> {
    translate(&words(line), &MachineAlone::command(), false).map(|it| it.words).expect_err(line)
}

/// The notes, each with whether the guest may miss something.
fn notes(line: &str) -> Vec<(bool, String)> {
    let translated = translate(&words(line), &MachineAlone::command(), false).unwrap();
    let notes = translated.told.notes.into_iter();
    notes
        .map(|note| match note {
            Note::Idle(line) => (false, line),
            Note::Missing(line) => (true, line),
        })
        .collect()
}

#[test]
fn long_options_take_two_dashes() {
    for (line, expected) in [
        ("-cpu host -smp 2", "--cpu host --smp 2"),
        ("-kernel k -initrd i -append quiet", "--kernel k --initramfs i --cmdline quiet"),
        ("-cpu=host", "--cpu host"),
        ("-disk=a", "--disk=a"),
        ("-memory 2G -m 2G", "--memory 2G --memory 2G"),
        ("-version", "--version"),
        ("-help", "--help"),
        ("-S -s -gdb unix:gdb", "--paused --gdb tcp::1234 --gdb unix:gdb"),
        ("-D log -daemonize", "--log-file log --daemonize"),
        ("-runas vm -chroot /srv/vm", "--user vm --chroot /srv/vm"),
        ("-runas 1000:108", "--user 1000:108"),
        ("-run-with async-teardown=on,chroot=/a,,b,user=vm", "--user vm --chroot /a,b"),
        ("-kernel k -- -cpu", "--kernel k -- -cpu"),
        ("-kernel k -append -x", "--kernel k --cmdline=-x"),
        ("-disk -1 -kernel k", "--disk -1 --kernel k"),
        ("-kernal k -v", "-kernal k -v"),
    ] {
        assert_eq!(ours(line), expected, "{line}");
    }
}

#[test]
fn words_of_nvmms_are_not_looked_at() {
    for line in [
        "-m 2G",
        "-m2G",
        "-m=2G",
        "-v",
        "-vv",
        "-vvv",
        "-h",
        "-V",
        "-",
        "-1",
        "cpu",
        "--cpu host",
        "--net user",
        "--kernel k --serial null",
        "-é",
        "--kernel k -- -enable-kvm",
    ] {
        assert!(!may_be_qemus(&words(line)), "{line}");
    }
    for line in [
        "-cpu host",
        "--drive x",
        "-s",
        "-S",
        "-vnc :0",
        "-M q35",
        "-machine q35",
        "--disk a -nic user",
        "-mem-prealloc",
    ] {
        assert!(may_be_qemus(&words(line)), "{line}");
    }
}

#[test]
fn words_that_are_no_text_are_kept() {
    use std::os::unix::ffi::OsStringExt;
    let name = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    let given = [
        "nvmm".into(),
        name(b"-\xff\xfe"),
        "-drive".into(),
        name(b"file=\xe4,,b,format=raw"),
        "-kernel".into(),
        name(b"\xe4,b"),
    ];
    let translated = translate(&given, &MachineAlone::command(), false).unwrap();
    let expected = [
        "nvmm".into(),
        name(b"-\xff\xfe"),
        "--disk".into(),
        name(b"path=\xe4,,b,format=raw,bus=sata"),
        "--kernel".into(),
        name(b"\xe4,b"),
    ];
    assert_eq!(translated.words, expected);
}

#[test]
fn machine_and_memory() {
    for (line, expected) in [
        (
            "-machine q35,accel=kvm,usb=off,vmport=off,dump-guest-core=off -M pc -accel kvm -enable-kvm -kernel k",
            "--kernel k",
        ),
        ("-machine accel=kvm:tcg -kernel k", "--kernel k"),
        ("-m 8096 -M q35", "--memory 8096"),
        ("-m size=2G -mem-prealloc", "--memory size=2G,prefault=on"),
        ("-m 2G -mem-path /dev/hugepages", "--memory size=2G,hugepages=on"),
        ("-mem-path /dev/hugepages -mem-prealloc", "--memory size=512M,hugepages=on,prefault=on"),
        (
            "-m 2G -object memory-backend-memfd,id=m,size=2G,hugetlb=on,share=on -machine q35,memory-backend=m",
            "--memory size=2G,hugepages=on",
        ),
        (
            "-m 2G -object memory-backend-ram,id=m,size=2G,prealloc=on -numa node,nodeid=0,memdev=m",
            "--memory size=2G,prefault=on",
        ),
        (
            "-rtc base=utc,driftfix=slew -name guest=a,process=b -nodefaults -usb -no-user-config -kernel k",
            "--name a --kernel k",
        ),
        ("-no-reboot -kernel k", "--on-reboot exit --kernel k"),
        ("-device pvpanic -action reboot=shutdown,panic=pause", "--on-panic pause --on-reboot exit"),
        ("-device pvpanic,ioport=0x505", "--on-panic exit"),
        ("-device isa-debug-exit,iobase=0xf4,iosize=0x04", "--debug-exit 0xf4"),
        ("-device isa-debug-exit", "--debug-exit 0x501"),
        ("-object rng-random,id=r,filename=/dev/hwrng -device virtio-rng-pci,rng=r", "--rng /dev/hwrng"),
        ("-device virtio-rng-pci,rng=r -object rng-builtin,id=r -kernel k", "--kernel k"),
        ("-device virtio-balloon-pci,free-page-reporting=on", "--balloon"),
        ("-device vhost-vsock-pci,guest-cid=3,id=v", "--vsock cid=3"),
        (
            "-object iothread,id=t -device usb-tablet -device qemu-xhci -device pcie-root-port,port=1 -kernel k",
            "--kernel k",
        ),
    ] {
        assert_eq!(ours(line), expected, "{line}");
    }
    for (line, expected) in [
        ("-machine microvm", "microvm: nvmm's machine is a PC with PCI Express"),
        ("-machine accel=tcg", "accel=tcg: nvmm runs guests on KVM alone"),
        ("-accel tcg", "nvmm runs guests on KVM alone"),
        ("-accel kvm,frob=1", "'frob=1': nvmm has nothing like it"),
        ("-machine q35,smm=on", "nvmm has no System Management Mode"),
        ("-machine q35,memory-backend=m", "there is no -object with id=m"),
        ("-object rng-random,id=r,filename=f", "no -device or -machine takes r"),
        ("-object rng-random,id=r,filename=f -machine q35,memory-backend=r", "it is no memory"),
        ("-m 2G,slots=2,maxmem=8G -M q35", "slots=: nvmm can't add memory later"),
        ("-mem-path /tmp", "nvmm's memory is in no file"),
        ("-numa node -numa node", "nvmm has one NUMA node"),
        ("-rtc base=2026-01-01", "base=2026-01-01: nvmm's real-time clock has the host's time in UTC"),
        ("-action shutdown=pause", "nvmm ends when the guest powers off"),
        ("-device pvpanic,ioport=1", "nvmm's is at 0x505"),
        ("-device isa-debug-exit,iobase=0xffff", "give the first of four I/O ports"),
        ("-device isa-debug-exit,iosize=9", "the port takes 1, 2 or 4 bytes"),
        ("-device virtio-rng-pci,max-bytes=1", "as many random bytes as it asks for"),
        ("-device vhost-vsock-pci", "it needs guest-cid=N"),
        ("-device frobnicator", "-device frobnicator is QEMU's: nvmm has no such device"),
        ("-device", "-device needs a value"),
        ("-device=", "-device is QEMU's: nvmm has no such device"),
        ("-object tls-creds-x509,id=s", "-object tls-creds-x509 is QEMU's: nvmm has no TLS"),
        ("-device virtconsole,chardev=c", "nvmm's consoles are serial ports"),
        ("-snapshot=on", "-snapshot takes no value"),
        ("-usbdevice disk", "-usbdevice disk is QEMU's: nvmm has no USB"),
    ] {
        let lines = refused(line);
        assert!(lines.iter().any(|line| line.contains(expected)), "{line}: {lines:?}");
    }
}

#[test]
fn firmware_and_the_order_of_devices() {
    for (line, expected) in [
        ("-bios a,b.fd -M q35", "--firmware a,,b.fd"),
        ("-bios bios -M q35", "--firmware ./bios"),
        ("-pflash OVMF.fd", "--firmware OVMF.fd"),
        (
            "-drive if=pflash,format=raw,readonly=on,file=CODE.fd -drive if=pflash,format=raw,file=VARS.fd",
            "--firmware CODE.fd,vars=VARS.fd",
        ),
        (
            "-drive if=pflash,unit=1,file=VARS.fd -drive if=pflash,unit=0,readonly,file=CODE.fd",
            "--firmware CODE.fd,vars=VARS.fd",
        ),
        (
            "-blockdev file,node-name=c,filename=CODE.fd,read-only=on -blockdev file,node-name=v,filename=VARS.fd -M q35,pflash0=c,pflash1=v",
            "--firmware CODE.fd,vars=VARS.fd",
        ),
        ("-boot d -M q35", "--boot order=d"),
        ("-boot order=dc,menu=on,splash-time=5000,strict=off -M q35", "--boot order=dc,menu=on"),
        ("-boot menu=on -M q35", "--boot menu=on"),
        ("-boot once=d -no-reboot", "--boot order=d --on-reboot exit"),
        ("-boot order=disk1,net0 -M q35", "--boot order=disk1,net0"),
        ("-boot c -kernel k", "--kernel k"),
        ("-boot c -kernel k -bios b", "--boot order=c --kernel k --firmware b"),
        (
            "-disk x -drive if=none,id=d,file=a -drive if=virtio,file=v -device virtio-blk-pci,drive=d,bootindex=2 -netdev user,id=n -device virtio-net-pci,netdev=n,bootindex=1 -device ide-cd,bootindex=3 -boot menu=on",
            "--disk x --disk path=v --disk path=a,id=d --net user,id=n --cdrom none --boot order=n,d,cdrom1,menu=on",
        ),
    ] {
        assert_eq!(ours(line), expected, "{line}");
    }
    for (line, expected) in [
        ("-boot once=d -M q35", "once=d: nvmm has one order for all starts; say order=d"),
        ("-drive if=pflash,unit=1,file=v", "these are the variables alone"),
        ("-pflash a -pflash b -pflash c", "-pflash c: nvmm has two flash chips"),
        ("-drive if=pflash,file=a,format=qcow2", "format=qcow2: nvmm's firmware and its variables are raw"),
        ("-pflash a -pflash b -snapshot", "nvmm writes the variables into their file"),
        ("-machine q35,pflash0=x", "there is no -blockdev with node-name=x"),
        (
            "-device ide-cd,bootindex=1 -drive if=none,id=d,file=a -device virtio-blk,drive=d,bootindex=1",
            "another device has bootindex=1",
        ),
    ] {
        let lines = refused(line);
        assert!(lines.iter().any(|line| line.contains(expected)), "{line}: {lines:?}");
    }
}

#[test]
fn a_screen_is_where_nvmm_has_one() {
    assert_eq!(ours("-display none -vga std -kernel k"), "--kernel k");
    assert_eq!(ours("-vnc none -vga none -kernel k"), "--kernel k");
    for line in ["-display gtk", "-display sdl,gl=on", "-sdl"] {
        assert!(refused(line)[0].contains("nvmm opens no windows"), "{line}");
    }
    assert!(refused("-spice port=1")[0].contains("nvmm has no SPICE"));
    assert!(refused("-vga qxl")[0].contains("say -vga std"));
    assert_eq!(
        ours("-display vga,xres=800,yres=600 -kernel k"),
        "--display vga,xres=800,yres=600 --kernel k"
    );
    // QEMU's empty host means every address, nvmm's only this host.
    for (line, expected) in [
        ("-vnc :1", "vnc=0.0.0.0:1"),
        ("-vnc 0.0.0.0:20", "vnc=0.0.0.0:20"),
        ("-vnc localhost:1,to=99,share=force-shared,lossy=on", "vnc=localhost:1,to=99"),
        ("-vnc [::1]:1,password=off", "vnc=[::1]:1"),
        ("-vnc 127.0.0.1:0,password-file=a,,b", "vnc=127.0.0.1:0,password-file=a,,b"),
        ("-vnc unix:/run/a,,b", "vnc=unix:/run/a,,b"),
        ("-vga std -display vnc=:1", "vnc=:1"),
        ("-M q35 -display vnc=10.0.0.1:1,xres=800,yres=600", "vnc=10.0.0.1:1,xres=800,yres=600"),
    ] {
        assert_eq!(ours(&format!("{line} -kernel k")), format!("--display {expected} --kernel k"), "{line}");
    }
    for (line, expected) in [
        (
            "-vnc 0.0.0.0:20,password=on",
            "password: nvmm reads the password from a file: say --display vnc=HOST:N,password-file=PATH",
        ),
        ("-vnc :0,password", "password-file=PATH"),
        ("-vnc :0,websocket=on", "websockify makes one of it"),
        ("-vnc :0,tls-creds=tls0", "an SSH tunnel"),
        ("-vnc :0,frob=1", "'frob=1': nvmm has nothing like it"),
        ("-display vnc=none", "say :0, or another display"),
    ] {
        assert!(refused(line)[0].contains(expected), "{line}: {:?}", refused(line));
    }
}

#[test]
fn all_faults_are_reported_at_once_and_each_once_in_their_order() {
    let lines = refused("-fda a -m 2G -tpmdev x -hda a -kernel k --fda a -device scsi-hd -loadvm x");
    let starts: Vec<_> = lines.iter().map(|line| line.split(" is QEMU's").next().unwrap()).collect();
    assert_eq!(starts, ["-fda", "-tpmdev", "-device scsi-hd", "-loadvm"]);
    let error = Cli::of(&words("-fda a -tpmdev x")).unwrap_err();
    assert_eq!(error.status(), crate::exit::USAGE);
    assert!(error.to_string().starts_with("-fda is QEMU's: "), "{error}");
}

#[test]
fn options_without_effect_are_reported_on_request() {
    for (line, missing, expected) in [
        ("-enable-kvm", false, "-enable-kvm: nvmm always runs its guests on KVM"),
        ("-no-shutdown", true, "-no-shutdown: nvmm ends when the guest powers off"),
        ("-hda a", false, "-hda a: the disk is on SATA"),
        ("-drive file=a,if=virtio,l2-cache-size=1M", false, "l2-cache-size=1M changes nothing here"),
        ("-device AC97", true, "-device AC97: nvmm has no sound, and the guest does without"),
        ("-kernel k -hda a", false, "the machine has no network card"),
        ("-pflash a", true, "what UEFI keeps is lost at the end"),
        ("-hda a -boot strict=on", true, "strict=on: if nothing of the order starts, firmware goes on"),
        (
            "-netdev user,id=a -device virtio-net-pci,netdev=a,addr=3",
            true,
            "addr=3: nvmm gives each device its place",
        ),
        (
            "-netdev tap,fd=3,vhost=on,vhostfd=4,id=a -device virtio-net-pci,netdev=a",
            false,
            "vhostfd=4 changes nothing",
        ),
        ("-rtc base=localtime", true, "the guest's clock shows the host's time in UTC"),
        ("-sandbox on,obsolete=deny,spawn=allow", false, "spawn=allow changes nothing"),
        ("-no-acpi", false, "nvmm's machine always has ACPI"),
        ("-M q35,acpi=off", false, "acpi=off changes nothing"),
        ("-object secret,id=s,file=f", false, "nvmm has no secrets"),
        ("-audiodev {\"id\":\"a\",\"driver\":\"none\"}", false, "nvmm has no sound in any case"),
        ("-audiodev pa,id=a", true, "nvmm has no sound, and the guest does without"),
        ("-watchdog-action reset", true, "nvmm has no watchdog"),
        ("-global ICH9-LPC.noreboot=off", false, "it changes nothing here"),
        (
            "-device virtio-serial -chardev spicevmc,id=c -device virtserialport,chardev=c,name=n",
            true,
            "nvmm has no virtio-serial",
        ),
    ] {
        let notes = notes(line);
        assert!(
            notes.iter().any(|(is_missing, note)| *is_missing == missing && note.contains(expected)),
            "{line}: {notes:?}"
        );
    }
    assert_eq!(notes("-kernel k -cpu host"), []);
    assert!(!notes("-hda a -nic none").iter().any(|(_, note)| note.contains("network card")));
}

#[test]
fn errors_of_nvmms_words_name_qemus() {
    for (line, expected) in [
        (
            "-kernel k -drive file=a,format=vdi,if=virtio",
            "-drive file=a,format=vdi,if=virtio: --disk path=a,format=vdi: ",
        ),
        ("-kernel k -m 2X -M q35", "-m 2X: --memory 2X"),
        (
            "-kernel k -nic user,restrict=on",
            "-nic user,restrict=on: --net user,restrict=on: 'restrict' means nothing here",
        ),
        ("-kernel k -cpu frob", "--cpu"),
    ] {
        let Cli { machine, told, .. } = Cli::of(&words(line)).unwrap();
        let error = format!("{:#}", told.explain(VmConfig::new(&machine).expect_err(line)));
        assert!(error.starts_with(expected), "{line}: {error}");
    }
}

#[test]
fn long_values_are_cut_short_in_messages() {
    let line = format!("-drive file=a,{}", "é".repeat(5000));
    let lines = refused(&line);
    assert!(lines[0].starts_with("-drive file=a,éé") && lines[0].contains("é...: "), "{lines:?}");
}

#[test]
fn ten_thousand_of_anything_are_read_at_once() {
    for (option, count) in [
        ("-drive file=d{},if=virtio", 10_000),
        ("-hda d{}", 0),
        ("-drive file=d{}", 10_000),
        ("-drive if=none,id=d{},file=f{} -device virtio-blk,drive=d{},bootindex={}", 10_000),
        ("-drive if=none,id=d{},file=f{} -device scsi-hd,drive=d{}", 0),
        ("-device virtio-net-pci,netdev={}", 0),
        ("-chardev null,id={}", 0),
    ] {
        let line: String =
            (0..10_000).map(|number| option.replace("{}", &number.to_string()) + " ").collect();
        match translate(&words(&line), &MachineAlone::command(), false) {
            Ok(translated) => {
                assert_eq!(
                    translated.words.iter().filter(|word| *word == "--disk").count(),
                    count,
                    "{option}"
                );
            }
            Err(lines) => assert!(count == 0 && !lines.is_empty(), "{option}: {:?}", lines.first()),
        }
    }
}
