use std::fmt::Write as _;

use super::*;

fn beside(given: &[&str]) -> Beside {
    Beside { given: given.iter().map(|&word| word.to_owned()).collect() }
}

fn read_beside(text: &str, given: &[&str]) -> Result<Domain, Vec<String>> {
    let bridge_of = |network: &str| match network {
        "default" => Ok("virbr0".to_owned()),
        _ => Err("there is no such network".to_owned()),
    };
    read(text, Path::new("vm.xml"), &beside(given), &bridge_of)
}

/// A domain with these elements, and these devices on line 3.
fn with(elements: &str, devices: &str) -> String {
    format!(
        "<domain type='kvm'><memory unit='MiB'>512</memory>\n{elements}\n<devices>{devices}</devices></domain>"
    )
}

fn words_of(domain: &Domain) -> Vec<String> {
    let said = |word: &Word| match &word.value {
        Some(value) => format!("{} {value}", word.option),
        None => word.option.to_owned(),
    };
    domain.words.iter().map(said).collect()
}

/// The values of one option, for a domain with these elements and devices.
fn of(option: &str, elements: &str, devices: &str) -> Vec<String> {
    let domain =
        read_beside(&with(elements, devices), &[]).unwrap_or_else(|lines| panic!("{devices}: {lines:?}"));
    let words = domain.words.into_iter().filter(|word| word.option == option);
    words.map(|word| word.value.unwrap_or_default()).collect()
}

fn disk(inside: &str) -> Vec<String> {
    of("disk", "", &format!("<disk type='file'><source file='/d.img'/>{inside}</disk>"))
}

fn refused(elements: &str, devices: &str) -> Vec<String> {
    read_beside(&with(elements, devices), &[]).expect_err(devices)
}

fn missing(elements: &str, devices: &str) -> Vec<String> {
    read_beside(&with(elements, devices), &[]).unwrap_or_else(|lines| panic!("{devices}: {lines:?}")).missing
}

#[test]
fn an_empty_machine_has_what_libvirt_gives_it() {
    let domain = read_beside(&with("", ""), &[]).unwrap();
    assert_eq!(words_of(&domain), ["memory 512M", "cpu file:vm.xml", "firmware bios", "rng off"]);
}

#[test]
fn disks_have_the_words_of_the_command_line() {
    let vda = "<target dev='vda' bus='virtio'/>";
    for (inside, words) in [
        (vda.to_owned(), "path=/d.img,format=raw,id=vda"),
        ("<target dev='sda' bus='sata'/>".to_owned(), "path=/d.img,format=raw,bus=sata,id=sda"),
        ("<target dev='hda'/>".to_owned(), "path=/d.img,format=raw,bus=sata,id=hda"),
        (format!("{vda}<readonly/><transient/>"), "path=/d.img,format=raw,readonly=on,id=vda"),
        (format!("{vda}<transient/>"), "path=/d.img,format=raw,overlay=temp,id=vda"),
        (format!("{vda}<serial>a,b</serial>"), "path=/d.img,format=raw,serial=a,,b,id=vda"),
        (
            format!(
                "{vda}<driver name='qemu' type='qcow2' cache='directsync' io='native' discard='unmap' queues='4' queue_size='256'/>"
            ),
            "path=/d.img,format=qcow2,direct=on,cache=writethrough,aio=io_uring,discard=on,queues=4,queue-size=256,id=vda",
        ),
        (
            format!(
                "{vda}<iotune><total_bytes_sec>1000</total_bytes_sec><total_iops_sec>7</total_iops_sec></iotune>"
            ),
            "path=/d.img,format=raw,iops=7,bw=1000B,id=vda",
        ),
    ] {
        assert_eq!(disk(&inside), [words], "{inside}");
    }
    let transitional = "<disk type='block' model='virtio-transitional'><source dev='disks/a,b'/><target dev='vdb' bus='virtio'/></disk>";
    assert_eq!(of("disk", "", transitional), ["path=./disks/a,,b,format=raw,legacy=on,id=vdb"]);
}

#[test]
fn disks_of_a_bus_are_in_the_order_of_their_names() {
    let disk = |name: &str, bus: &str| {
        format!("<disk type='file'><source file='/{name}'/><target dev='{name}' bus='{bus}'/></disk>")
    };
    let devices = [
        disk("vdaa", "virtio"),
        disk("sdb", "sata"),
        disk("vdb", "virtio"),
        disk("sda", "sata"),
        disk("vda", "virtio"),
    ];
    let ids: Vec<_> = of("disk", "", &devices.concat())
        .iter()
        .map(|words| words.rsplit("id=").next().unwrap().to_owned())
        .collect();
    assert_eq!(ids, ["vda", "sda", "vdb", "sdb", "vdaa"]);
}

#[test]
fn cdroms_are_on_sata() {
    let cdrom = |inside: &str| {
        of(
            "cdrom",
            "",
            &format!(
                "<disk type='file' device='cdrom'>{inside}<target dev='hdc' bus='ide'/><readonly/></disk>"
            ),
        )
    };
    assert_eq!(cdrom("<source file='/a.iso'/><driver name='qemu' type='raw'/>"), ["/a.iso"]);
    assert_eq!(cdrom("<source file='none'/>"), ["./none"]);
    assert_eq!(cdrom(""), ["none"]);
}

#[test]
fn interfaces_have_the_words_of_the_command_line() {
    let mac = "<mac address='52:54:00:00:00:01'/><model type='virtio'/>";
    for (kind, inside, words) in [
        ("bridge", "<source bridge='br0'/>", "bridge=br0,mac=52:54:00:00:00:01"),
        ("network", "<source network='default'/>", "bridge=virbr0,mac=52:54:00:00:00:01"),
        (
            "network",
            "<source network='any' portid='1' bridge='virbr3'/>",
            "bridge=virbr3,mac=52:54:00:00:00:01",
        ),
        (
            "ethernet",
            "<target dev='tap0' managed='no'/><mtu size='9000'/>",
            "tap=tap0,mac=52:54:00:00:00:01,mtu=9000",
        ),
        ("ethernet", "<driver name='vhost' queues='4'/>", "tap,mac=52:54:00:00:00:01,vhost=on,queues=4"),
        ("user", "<backend type='passt'/><driver name='qemu'/>", "user,mac=52:54:00:00:00:01"),
        (
            "user",
            "<portForward proto='tcp' address='127.0.0.1'><range start='2022' to='22'/></portForward>\
             <portForward proto='udp'><range start='5' end='6'/></portForward>",
            "user,hostfwd=tcp:127.0.0.1:2022-:22,hostfwd=udp:0.0.0.0:5-:5,hostfwd=udp:0.0.0.0:6-:6,mac=52:54:00:00:00:01",
        ),
    ] {
        let element = format!("<interface type='{kind}'>{mac}{inside}</interface>");
        assert_eq!(of("net", "", &element), [words], "{inside}");
    }
    assert_eq!(
        of("net", "", "<interface type='user'><model type='VirtIO-transitional'/></interface>"),
        ["user,legacy=on"]
    );
}

#[test]
fn other_cards_become_virtios_with_a_warning() {
    for model in ["", "<model type='rtl8139'/>", "<model type='e1000'/>"] {
        let element = format!("<interface type='user'>{model}</interface>");
        assert_eq!(of("net", "", &element), ["user"]);
        assert!(missing("", &element)[0].contains("the guest gets a card by virtio"), "{model}");
    }
}

#[test]
fn serial_ports_have_the_words_of_the_command_line() {
    for (port, words) in [
        ("<serial type='pty'><source path='/dev/pts/3'/></serial>", vec!["pty"]),
        ("<serial type='stdio'/>", vec!["stdio"]),
        (
            "<serial type='file'><source path='/a,b' append='on'/><log file='/l'/></serial>",
            vec!["file=/a,,b,append=on,log=/l"],
        ),
        (
            "<serial type='tcp'><source mode='bind' host='::1' service='44'/><protocol type='telnet'/></serial>",
            vec!["tcp=[::1]:44,server,telnet=on"],
        ),
        ("<serial type='tcp'><source mode='connect' host='h' service='44'/></serial>", vec!["tcp=h:44"]),
        ("<serial type='unix'><source mode='bind' path='/s'/></serial>", vec!["unix=/s,server"]),
        // A console is another name for the first port.
        ("<serial type='pty'/><console type='pty'><target type='serial' port='0'/></console>", vec!["pty"]),
        ("<console type='pty' tty='/dev/pts/2'><target type='serial' port='0'/></console>", vec!["pty"]),
        (
            "<serial type='null'><target type='isa-serial' port='2'><model name='isa-serial'/></target></serial>\
             <serial type='pty'><target port='1'/></serial>",
            vec!["null", "pty", "null"],
        ),
    ] {
        assert_eq!(of("serial", "", port), words, "{port}");
    }
}

#[test]
fn small_devices_have_the_words_of_the_command_line() {
    let rng = |backend: &str| of("rng", "", &format!("<rng model='virtio'>{backend}</rng>"));
    assert_eq!(rng("<backend model='random'>/dev/hwrng</backend>"), ["/dev/hwrng"]);
    assert_eq!(rng("<backend model='builtin'/>"), ["/dev/urandom"]);
    assert_eq!(of("vsock", "", "<vsock model='virtio'><cid auto='no' address='5'/></vsock>"), ["cid=5"]);
    assert_eq!(of("balloon", "", "<memballoon model='virtio'><stats period='10'/></memballoon>"), [""]);
    assert!(of("balloon", "", "<memballoon model='none'/>").is_empty());
    let huge = "<memoryBacking><hugepages/></memoryBacking>";
    assert!(of("balloon", huge, "<memballoon model='virtio'/>").is_empty());
    for (action, word) in [("destroy", "exit"), ("restart", "reset"), ("preserve", "pause")] {
        let on_crash = format!("<on_crash>{action}</on_crash>");
        assert_eq!(of("on-panic", &on_crash, "<panic model='isa'/>"), [word]);
        assert!(of("on-panic", &on_crash, "").is_empty());
    }
    assert_eq!(of("on-reboot", "<on_reboot>destroy</on_reboot>", ""), ["exit"]);
    assert!(of("on-reboot", "<on_reboot>restart</on_reboot>", "").is_empty());
}

#[test]
fn a_screen_is_vncs() {
    for (graphics, word) in [
        ("<graphics type='vnc' port='5904' autoport='no' listen='0.0.0.0'/>", "vnc=0.0.0.0:4"),
        (
            "<graphics type='vnc' port='-1' autoport='yes'><listen type='address' address='::1'/></graphics>",
            "vnc=[::1]:0,to=59635",
        ),
        ("<graphics type='vnc'/>", "vnc=:0,to=59635"),
        ("<graphics type='vnc'><listen type='none'/></graphics>", "vga"),
        (
            "<graphics type='vnc' port='5900'><listen type='address' address='::1'/><listen type='network'/></graphics>",
            "vnc=[::1]:0",
        ),
        // The port of a machine run by libvirt.
        ("<graphics type='vnc' port='5904' autoport='yes'/>", "vnc=:0,to=59635"),
        ("<graphics type='vnc'><listen type='socket' socket='/s'/></graphics>", "vnc=unix:/s"),
    ] {
        assert_eq!(of("display", "", graphics), [word], "{graphics}");
    }
    // A network that is examined counts, and others create one.
    let spice = "<graphics type='spice' autoport='yes'><listen type='address'/></graphics>";
    assert_eq!(of("display", "", spice), ["vga"]);
    let both = format!("{spice}<graphics type='vnc' port='5901'/><graphics type='vnc' port='5902'/>");
    assert_eq!(of("display", "", &both), ["vnc=:1"]);
    assert!(of("display", "", "<video><model type='qxl'/></video>").is_empty());
}

#[test]
fn firmware_or_a_kernel_starts() {
    let firmware = |os: &str| of("firmware", os, "");
    assert_eq!(firmware("<os><type arch='x86_64' machine='pc-i440fx-rhel7.0.0'>hvm</type></os>"), ["bios"]);
    assert_eq!(firmware("<os firmware='efi'/>"), ["uefi"]);
    assert_eq!(firmware("<os firmware='efi'><nvram>/v,1</nvram></os>"), ["uefi,vars=/v,,1"]);
    assert_eq!(
        firmware(
            "<os><loader readonly='yes' type='pflash'>/OVMF.fd</loader><nvram template='/t'>/v</nvram></os>"
        ),
        ["/OVMF.fd,vars=/v"]
    );
    let kernel = "<os><kernel>/k</kernel><initrd>/i</initrd><cmdline>quiet root=/dev/vda</cmdline><boot dev='hd'/></os>";
    let domain = read_beside(&with(kernel, ""), &[]).unwrap();
    let words = words_of(&domain);
    assert_eq!(
        words,
        [
            "kernel /k",
            "initramfs /i",
            "cmdline quiet root=/dev/vda",
            "memory 512M",
            "cpu file:vm.xml",
            "rng off"
        ]
    );
    // libvirt has no command line of its own.
    assert_eq!(of("cmdline", "<os><kernel>/k</kernel></os>", ""), [""]);
}

#[test]
fn boot_names_devices_that_are_there() {
    let disk = |name: &str, boot: &str| {
        format!("<disk type='file'><source file='/{name}'/><target dev='{name}' bus='virtio'/>{boot}</disk>")
    };
    let net = |boot: &str| format!("<interface type='user'><model type='virtio'/>{boot}</interface>");
    let order = |number: u32| format!("<boot order='{number}'/>");
    let devices = [disk("vda", &order(2)), net(""), net(&order(1)), disk("vdb", "")].concat();
    assert_eq!(of("boot", "", &devices), ["order=net1,vda"]);
    let os = "<os><boot dev='network'/><boot dev='cdrom'/><boot dev='hd'/><bootmenu enable='yes'/></os>";
    assert_eq!(
        of("boot", os, &devices.replace(&order(1), "").replace(&order(2), "")),
        ["order=net,disk,menu=on"]
    );
    assert!(of("boot", "<os><boot dev='hd'/></os>", "").is_empty());
}

#[test]
fn memory_and_vcpus_are_counted() {
    let memory = |elements: &str| {
        let text = format!("<domain type='kvm'>{elements}</domain>");
        read_beside(&text, &[]).unwrap_or_else(|lines| panic!("{elements}: {lines:?}")).words[0]
            .value
            .clone()
            .unwrap()
    };
    assert_eq!(memory("<memory>219100</memory>"), "214M");
    assert_eq!(memory("<memory unit='GiB'>8</memory><currentMemory unit='GiB'>4</currentMemory>"), "8192M");
    let backing = "<memoryBacking><hugepages/><allocation mode='immediate'/></memoryBacking>";
    assert_eq!(
        memory(&format!("<memory unit='MiB'>511</memory>{backing}")),
        "size=512M,hugepages=on,prefault=on"
    );
    assert_eq!(
        memory("<memory>1</memory><cpu><numa><cell id='0' memory='2' unit='GiB'/></numa></cpu>"),
        "2048M"
    );
    assert_eq!(of("smp", "<vcpu placement='static' cpuset='0-3'>4</vcpu>", ""), ["4"]);
    assert_eq!(of("smp", "<vcpu current='2'>4</vcpu>", ""), ["2"]);
    let topology = "<cpu><topology sockets='2' cores='2' threads='1'/></cpu>";
    assert_eq!(of("smp", &format!("<vcpu current='2'>4</vcpu>{topology}"), ""), ["4"]);
}

#[test]
fn the_machine_has_the_files_names() {
    let sysinfo = "<sysinfo type='smbios'><system><entry name='product'>a, b</entry></system>\
                   <oemStrings><entry>one</entry><entry>two=2</entry></oemStrings></sysinfo>";
    let named = format!("<os><smbios mode='sysinfo'/></os>{sysinfo}");
    assert_eq!(of("smbios", &named, ""), ["type=1,product=a,, b", "type=11,value=one,value=two=2"]);
    assert!(of("smbios", sysinfo, "").is_empty());
    assert_eq!(
        of("uuid", "<uuid>6c0e5a52-3f3c-4d7e-9d0b-5f6d1f0b7a11</uuid>", ""),
        ["6c0e5a52-3f3c-4d7e-9d0b-5f6d1f0b7a11"]
    );
}

#[test]
fn options_beside_it_replace_the_files() {
    let text = with(
        "<os><kernel>/k</kernel><cmdline>a</cmdline></os>",
        "<disk type='network'/><disk type='file'><source file='/d'/><target dev='vda'/></disk><interface type='direct'/><serial type='udp'/>",
    );
    // An element that is replaced is not examined.
    let domain = read_beside(&text, &["disk", "net", "serial", "memory", "cpu", "rng"]).unwrap();
    assert_eq!(words_of(&domain), ["kernel /k", "cmdline a"]);
    let started = |given: &[&str]| {
        words_of(&read_beside(&with("<os><kernel>/k</kernel><cmdline>a</cmdline></os>", ""), given).unwrap())
    };
    assert_eq!(started(&["memory", "cpu", "rng", "kernel"]), ["cmdline a"]);
    assert!(started(&["memory", "cpu", "rng", "firmware"]).is_empty());
    let boots = with("<os><boot dev='hd'/></os>", "");
    assert_eq!(
        words_of(&read_beside(&boots, &["memory", "cpu", "rng", "disk"]).unwrap()),
        ["firmware bios", "boot order=disk"]
    );
    assert!(words_of(&read_beside(&boots, &["memory", "cpu", "rng", "disk", "kernel"]).unwrap()).is_empty());
}

#[test]
fn elements_that_the_guest_would_miss_are_refused_with_their_line() {
    for (elements, devices, line) in [
        (
            "",
            "<hostdev mode='subsystem' type='pci'><source/></hostdev>",
            "line 3: <hostdev type='pci'>: nvmm passes no devices",
        ),
        (
            "",
            "<tpm model='tpm-crb'><backend type='emulator'/></tpm>",
            "line 3: <tpm model='tpm-crb'>: nvmm has no TPM",
        ),
        ("", "<filesystem type='mount'/>", "line 3: <filesystem type='mount'>: nvmm shares no folders"),
        (
            "",
            "<disk type='network'><source protocol='rbd'/></disk>",
            "line 3: <disk type='network'>: nvmm opens files",
        ),
        ("", "<disk device='floppy'/>", "line 3: <disk>: nvmm has no floppy drive"),
        (
            "",
            "<disk><source file='/d'/><target dev='sda' bus='scsi'/></disk>",
            "line 3: bus='scsi' of <target>: nvmm has no such bus",
        ),
        ("", "<disk><target dev='vda'/></disk>", "line 3: <disk>: it has no <source>"),
        (
            "",
            "<interface type='direct'><source dev='eth0'/></interface>",
            "line 3: <interface type='direct'>: nvmm makes no macvtap",
        ),
        (
            "",
            "<interface type='network'><source network='lab'/></interface>",
            "line 3: network='lab' of <source>: there is no such network",
        ),
        (
            "",
            "<interface type='user'><model type='tin'/></interface>",
            "line 3: <model type='tin'>: nvmm has no tin",
        ),
        (
            "",
            "<console type='pty'><target type='virtio'/></console>",
            "line 3: <console type='pty'>: nvmm has no virtio console",
        ),
        (
            "",
            "<graphics type='vnc' passwd='secret'/>",
            "line 3: <graphics type='vnc'>: nvmm reads a password from a file",
        ),
        ("<cpu><numa><cell/><cell/></numa></cpu>", "", "line 2: <cell>: nvmm's guests have one NUMA node"),
        (
            "<os><type arch='aarch64'>hvm</type></os>",
            "",
            "line 2: arch='aarch64' of <type>: nvmm's guests are x86",
        ),
        (
            "<os><type machine='microvm'>hvm</type></os>",
            "",
            "line 2: machine='microvm' of <type>: nvmm has one machine",
        ),
        (
            "<os><loader secure='yes'>/f</loader></os>",
            "",
            "line 2: secure='yes' of <loader>: nvmm has no SMM",
        ),
        ("<features><smm state='on'/></features>", "", "line 2: <smm>: nvmm has no SMM"),
        ("<launchSecurity type='sev'/>", "", "line 2: <launchSecurity type='sev'>: nvmm doesn't encrypt"),
        ("<vcpu>many</vcpu>", "", "line 2: <vcpu>: give the number of vCPUs"),
    ] {
        let lines = refused(elements, devices);
        assert!(lines.iter().any(|it| it.starts_with(line)), "{line}: {lines:?}");
        assert_eq!(lines.len(), 1, "{lines:?}");
    }
    let qemus = "<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><memory>1024</memory>\n\
                 <qemu:commandline><qemu:arg value='-s'/></qemu:commandline></domain>";
    let lines = read_beside(qemus, &[]).unwrap_err();
    assert_eq!(
        lines,
        [
            "line 2: <qemu:commandline>: nvmm is no QEMU; take the element out, and give nvmm's options beside --domain"
        ]
    );
}

#[test]
fn harmless_differences_are_warnings_with_their_lines() {
    let devices = "\n<input type='tablet' bus='usb'/>\n<controller type='usb'/>\n<controller type='usb'/>\n\
                   <sound model='ich9'/><channel type='spicevmc'><target type='virtio' name='x'/></channel>";
    let lines = missing("", devices);
    let starts = [
        "line 4: <input type='tablet'>: ",
        "lines 5 and 6: <controller type='usb'>: nvmm has no USB",
        "line 7: <sound model='ich9'>: ",
    ];
    for start in starts {
        assert!(lines.iter().any(|line| line.starts_with(start)), "{start}: {lines:?}");
    }
    for (elements, word) in [
        ("<clock offset='localtime'/>", "UTC"),
        ("<maxMemory>1</maxMemory>", "no memory later"),
        ("<cputune><shares>1</shares></cputune>", "cgroup"),
        ("<on_poweroff>restart</on_poweroff>", "powers off"),
        ("<features><vmport state='on'/></features>", "VMware"),
    ] {
        let lines = missing(elements, "");
        assert!(lines.len() == 1 && lines[0].contains(word), "{lines:?}");
    }
    assert!(
        missing("<clock offset='utc'/><features><acpi/><apic/><vmport state='off'/></features>", "")
            .is_empty()
    );
}

#[test]
fn a_screen_has_a_keyboard_and_a_tablet() {
    let inputs = "<input type='tablet' bus='usb'><address type='usb' bus='0' port='1'/></input><input type='keyboard' bus='ps2'/>";
    let before = missing("", inputs);
    let is_input = |line: &&String| line.contains("<input");
    assert_eq!(before.iter().filter(is_input).count(), 2, "{before:?}");
    let with_screen = missing("", &format!("{inputs}<graphics type='spice'/>"));
    assert_eq!(with_screen.iter().filter(is_input).count(), 0, "{with_screen:?}");
    // One from the command line also counts.
    let domain = read_beside(&with("", inputs), &["display"]).unwrap();
    assert_eq!(domain.missing.iter().filter(is_input).count(), 0, "{:?}", domain.missing);
    let mouse = missing("", "<graphics type='spice'/><input type='mouse' bus='ps2'/>");
    assert!(
        mouse.iter().any(|line| line.contains("<input type='mouse'>: nvmm has no pointer but")),
        "{mouse:?}"
    );
}

#[test]
fn no_element_is_silently_ignored() {
    for (elements, devices, line) in [
        ("<sundial/>", "", "line 2: <sundial>: nvmm knows no such element; take it out"),
        (
            "<vcpu sun='1'>1</vcpu>",
            "",
            "line 2: sun='1' of <vcpu>: nvmm knows no such attribute; take it out",
        ),
        ("<os>text</os>", "", "line 2: <os>: it has the text 'text' in it; take it out"),
        ("", "<sundial/>", "line 3: <sundial>: nvmm knows no such element; take it out"),
        (
            "",
            "<disk><source file='/d' sun='1'/><target dev='vda'/></disk>",
            "line 3: sun='1' of <source>: nvmm knows no such attribute; take it out",
        ),
        (
            "",
            "<disk><source file='/d'/><target dev='vda'/><sun/></disk>",
            "line 3: <sun>: nvmm knows no such element; take it out",
        ),
        ("", "<o:disk xmlns:o='urn:o'/>", "line 3: <o:disk>: nvmm knows no such element; take it out"),
        ("<features><sun/></features>", "", "line 2: <sun>: nvmm knows no such element; take it out"),
    ] {
        assert_eq!(refused(elements, devices), [line]);
    }
}

#[test]
fn bad_files_are_errors_for_a_person() {
    let long = format!("<domain type='kvm'><memory {}='1'>1</memory></domain>", "a".repeat(100_000));
    let deep = format!("<domain type='kvm'>{}{}</domain>", "<a>".repeat(50_000), "</a>".repeat(50_000));
    let value = format!("<domain type='{}'/>", "x".repeat(1_000_000));
    let bomb =
        "<!DOCTYPE d [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;&a;'>]><domain type='kvm'>&b;</domain>".to_owned();
    for (text, start) in [
        (String::new(), "line 1: no XML: "),
        ("\0".to_owned(), "line 1: no XML: "),
        ("<domain type='kvm'>&undefined;</domain>".to_owned(), "line 1: no XML: "),
        ("<domain type='kvm'>".to_owned(), "line 1: no XML: "),
        (bomb, "line 1: a DOCTYPE, which no domain has"),
        ("\n<network/>".to_owned(), "line 2: <network>: give libvirt's <domain>"),
        ("<d:domain xmlns:d='urn:d'/>".to_owned(), "line 1: <d:domain>: give libvirt's <domain>"),
        (
            "<domain type='xen'><memory>1</memory></domain>".to_owned(),
            "line 1: type='xen' of <domain>: nvmm runs guests on KVM alone",
        ),
        ("<domain type='kvm'/>".to_owned(), "line 1: <domain type='kvm'>: it has no <memory>"),
        (
            "<domain type='kvm'>
<memory unit='pint'>1</memory></domain>"
                .to_owned(),
            "line 2: <memory>: give a whole number",
        ),
        (with("<memory>1</memory>", ""), "line 2: <memory>: there can be only one"),
        (deep, "line 1: "),
        (long, "line 1: "),
        (value, "line 1: "),
    ] {
        let lines = read_beside(&text, &[]).unwrap_err();
        assert!(lines.iter().any(|line| line.starts_with(start)), "{start}: {lines:?}");
        assert!(lines.iter().all(|line| line.len() < 500), "{start}: {lines:?}");
    }
}

#[test]
fn ten_thousand_disks_are_no_flood() {
    let mut devices = String::new();
    for number in 0..10_000 {
        writeln!(
            devices,
            "<disk type='file'><source file='/{number}'/><target dev='vd{number}' bus='virtio'/></disk>"
        )
        .unwrap();
    }
    let lines = refused("", &devices);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].starts_with(
            "lines 1003, 1004, 1005, 1006, 1007 and 8995 more: <disk type='file'>: 1000 disks are before it"
        ),
        "{lines:?}"
    );
    // Each is a different fault.
    let lines =
        refused("", &devices.replace("vd", "hdx").replace("virtio", "scsi").replace("/>", " a='1'/>"));
    assert!(lines.len() < 50, "{}", lines.len());
}
