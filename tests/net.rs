//! The network: machines on a bridge in a separate namespace, with a tiny guest that answers.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "support/control.rs"]
mod control;
#[path = "support/network.rs"]
mod network;
#[path = "support/mod.rs"]
mod support;

use std::{
    fs,
    process::{Command, Output},
};

use control::Machine;
use network::Namespace;
use serde_json::{Value, json};
use support::{expect, expect_end, guest, in_time, no_kvm};

/// Returns a namespace in which to run machines; none if the test must be skipped.
fn namespace() -> Option<Namespace> {
    if no_kvm() { None } else { Namespace::new() }
}

/// Starts the guest `network` with this command line.
fn start(namespace: &Namespace, cmdline: &str, options: &[&str]) -> Machine {
    Machine::start_by(namespace.nvmm(), "network", &[&["--cmdline", cmdline], options].concat())
}

/// Waits until the guest is ready, and returns its address.
fn ready(machine: &mut Machine) -> String {
    let said = expect(machine.process().stdout.as_mut().unwrap(), "ready\n");
    said.lines().find_map(|line| line.strip_prefix("address ")).unwrap().to_owned()
}

/// Runs a machine to its end.
fn run(namespace: &Namespace, options: &[&str]) -> Output {
    let mut command = namespace.nvmm();
    command.arg("--kernel").arg(guest("power_off")).args(["--memory", "16M"]).args(options);
    command.output().unwrap()
}

fn error_of(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_guest_is_reached_over_a_bridge_also_after_pauses_and_resets() {
    let Some(namespace) = namespace() else { return };
    let mut machine =
        start(&namespace, "a2", &["--net", "bridge=br0,mac=52:54:00:00:00:02,id=lan,vhost=off"]);
    assert_eq!(ready(&mut machine), "52:54:00:00:00:02");
    assert!(namespace.answers("10.0.0.2/7"));
    let interfaces = namespace.interfaces();
    assert_eq!(interfaces.len(), 1, "{interfaces:?}");

    let mut client = machine.client();
    client.call("stop", &json!({})).unwrap();
    assert_eq!(namespace.udp("10.0.0.2/7", "hello").stdout, b"");
    client.call("cont", &json!({})).unwrap();
    assert!(namespace.answers("10.0.0.2/7"));
    client.call("system_reset", &json!({})).unwrap();
    assert_eq!(ready(&mut machine), "52:54:00:00:00:02");
    assert!(namespace.answers("10.0.0.2/7"));
    assert_eq!(namespace.interfaces(), interfaces);

    let told = client.call("nvmm-network", &json!({})).unwrap();
    let [lan] = told.as_array().unwrap().as_slice() else { panic!("{told}") };
    assert_eq!((&lan["name"], &lan["mac"]), (&json!("lan"), &json!("52:54:00:00:00:02")));
    assert_eq!(lan["place"], json!(format!("type=tap,ifname={},br=br0", interfaces[0])));
    for way in ["received", "sent"] {
        assert!(
            lan[way]["frames"].as_u64().unwrap() >= 3 && lan[way]["bytes"].as_u64().unwrap() >= 3 * 42,
            "{told}"
        );
    }
    let shown = machine.ask(&["info", "network"]);
    let card = "lan: index=0,type=nic,model=virtio-net-pci,macaddr=52:54:00:00:00:02\n";
    assert_eq!(shown, format!("{card} \\ lan: index=0,type=tap,ifname={},br=br0\n", interfaces[0]));
}

/// The guest drives a transitional device by the rules before virtio 1.0.
#[test]
fn a_guest_from_before_virtio_1_0_is_reached() {
    let Some(namespace) = namespace() else { return };
    for vhost in ["off", "auto"] {
        let net = format!("bridge=br0,mac=52:54:00:00:00:02,id=lan,vhost={vhost},legacy=on");
        let mut machine = start(&namespace, "a2", &["--net", &net]);
        assert_eq!(ready(&mut machine), "52:54:00:00:00:02");
        assert!(namespace.answers("10.0.0.2/7"));
        assert!(machine.ask(&["info", "pci"]).contains("1af4:1000"));
        pause_and_reset(&namespace, &mut machine, || {});
    }
}

/// Pauses the machine, runs a check meanwhile, and resets it. Its guest answers after each.
fn pause_and_reset(namespace: &Namespace, machine: &mut Machine, meanwhile: impl FnOnce()) {
    let mut client = machine.client();
    client.call("stop", &json!({})).unwrap();
    meanwhile();
    client.call("cont", &json!({})).unwrap();
    assert!(namespace.answers("10.0.0.2/7"));
    client.call("system_reset", &json!({})).unwrap();
    ready(machine);
    assert!(namespace.answers("10.0.0.2/7"));
}

/// If the kernel has no vhost-net, or the user may not open it, `vhost=on` says so.
#[test]
fn vhost_net_moves_the_frames_or_is_refused() {
    let Some(namespace) = namespace() else { return };
    let net = "bridge=br0,id=lan,vhost=on";
    if fs::OpenOptions::new().read(true).write(true).open("/dev/vhost-net").is_err() {
        let output = run(&namespace, &["--net", net]);
        assert_eq!(output.status.code(), Some(1));
        let error = error_of(&output);
        assert!(error.contains("--net bridge=br0: vhost=on: can't open /dev/vhost-net"), "{error}");
        assert!(error.contains("`modprobe vhost_net`"), "{error}");
        return assert!(in_time(|| namespace.interfaces().is_empty()));
    }
    let mut machine = start(&namespace, "a2", &["--net", net]);
    ready(&mut machine);
    assert!(namespace.answers("10.0.0.2/7"));
    assert!(machine.ask(&["info", "network"]).contains(",br=br0,vhost=on\n"));
    pause_and_reset(&namespace, &mut machine, || {
        assert_eq!(namespace.udp("10.0.0.2/7", "hello").stdout, b"");
    });
}

#[test]
fn two_machines_on_a_bridge_reach_each_other() {
    let Some(namespace) = namespace() else { return };
    let mut two = start(&namespace, "a2", &["--net", "bridge=br0"]);
    let address = ready(&mut two);
    let mut three = start(&namespace, "q3 2", &["-nic", "bridge,br=br0,model=virtio-net-pci"]);
    let own = ready(&mut three);
    assert_ne!(address, own);
    three.prints(&format!("answered by {address}\n"));
    assert_eq!(three.nvmm.status_in_time(), Some(21 << 1 | 1));
    assert!(in_time(|| namespace.interfaces().len() == 1));
}

#[test]
fn a_link_is_pulled_out_and_plugged_in() {
    let Some(namespace) = namespace() else { return };
    let mut machine = start(&namespace, "a2", &["--net", "bridge=br0"]);
    ready(&mut machine);
    assert!(namespace.answers("10.0.0.2/7"));
    let mut client = machine.client();
    let set = |up: bool| json!({"name": "net0", "up": up});
    assert_eq!(client.call("set_link", &set(false)), Ok(json!({})));
    machine.prints("link down\n");
    assert_eq!(namespace.udp("10.0.0.2/7", "hello").stdout, b"");
    let told = client.call("nvmm-network", &json!({})).unwrap();
    assert_eq!(told[0]["link-up"], json!(false));
    // The setting survives the machine's reset.
    client.call("system_reset", &json!({})).unwrap();
    ready(&mut machine);
    machine.prints("link down\n");
    assert_eq!(machine.ask(&["set_link", "name=net0", "up=true"]), "");
    machine.prints("link up\n");
    assert!(namespace.answers("10.0.0.2/7"));
    // The tiny guest has set no filter.
    let filters = client.call("query-rx-filter", &json!({"name": "net0"})).unwrap();
    let [filter] = &filters.as_array().unwrap()[..] else { panic!("{filters}") };
    assert_eq!((&filter["name"], &filter["promiscuous"]), (&json!("net0"), &json!(true)));
    let refusal = client.call("query-rx-filter", &json!({"name": "net1"})).unwrap_err();
    assert!(refusal.contains("invalid net client name: net1"), "{refusal}");
    for (interfaces, expected) in [(json!([]), true), (json!(["net0"]), true), (json!(["net1"]), false)] {
        let answer = client.call("announce-self", &json!({"interfaces": interfaces}));
        assert_eq!(answer.is_ok(), expected, "{interfaces}: {answer:?}");
    }
    let refusal = client.call("set_link", &json!({"name": "net1", "up": true})).unwrap_err();
    assert!(refusal.contains("Device 'net1' not found"), "{refusal}");
}

/// Frames go by nvmm's own threads and, if there is vhost-net, by the kernel's.
#[test]
fn a_guest_sees_its_link_down_for_good_when_its_tap_is_deleted() {
    let Some(namespace) = namespace() else { return };
    for net in ["bridge=br0,vhost=off", "bridge=br0,vhost=auto"] {
        let mut machine = start(&namespace, "a2", &["--net", net]);
        ready(&mut machine);
        assert!(namespace.answers("10.0.0.2/7"));
        let [tap] = namespace.interfaces().try_into().unwrap();
        namespace.ip(&format!("link del {tap}"));
        machine.prints("link down\n");
        let refusal = machine.client().call("set_link", &json!({"name": "net0", "up": true})).unwrap_err();
        let gone = format!("net0: tap {tap} on bridge br0 is gone; start nvmm again to have one");
        assert!(refusal.contains(&gone), "{refusal}");
        let told = machine.client().call("nvmm-network", &json!({})).unwrap();
        assert_eq!(told[0]["link-up"], json!(false));
        // Frames from the guest are dropped, and don't wait forever.
        machine.client().call("system_reset", &json!({})).unwrap();
        ready(&mut machine);
        machine.prints("link down\n");
    }
}

#[test]
fn a_guest_sees_its_link_down_for_good_when_passt_ends() {
    let Some(namespace) = namespace() else { return };
    if let Err(error) = Command::new("passt").arg("--version").output() {
        return println!("skipped: passt: {error}");
    }
    namespace.ip("route add default via 10.0.0.1 dev br0");
    let mut machine = start(&namespace, "a2", &["--net", "user"]);
    ready(&mut machine);
    // The process of nvmm is `nsenter`'s, which has executed it.
    let nvmm = machine.nvmm.0.id();
    let children = || {
        let tasks = fs::read_dir(format!("/proc/{nvmm}/task")).unwrap();
        let of_task =
            |task: fs::DirEntry| fs::read_to_string(task.path().join("children")).unwrap_or_default();
        tasks.map(|task| of_task(task.unwrap())).collect::<String>()
    };
    let passt = children();
    assert!(Command::new("kill").args(["-9", passt.trim()]).status().unwrap().success(), "{passt}");
    machine.prints("link down\n");
    assert_eq!(children(), "", "it is no zombie");
    let refusal = machine.client().call("set_link", &json!({"name": "net0", "up": true})).unwrap_err();
    assert!(
        refusal.contains(
            "net0: user by passt is gone; start nvmm again to have one: passt has ended (signal: 9 (SIGKILL))"
        ),
        "{refusal}"
    );
    machine.process().kill().unwrap();
    let said = expect_end(machine.process().stderr.as_mut().unwrap());
    assert!(
        said.contains(
            "the host's side is gone (passt has ended (signal: 9 (SIGKILL))); the guest sees its link down"
        ),
        "{said}"
    );
}

#[test]
fn a_tap_of_the_bridge_is_gone_however_nvmm_ends() {
    let Some(namespace) = namespace() else { return };
    let mut machine = start(&namespace, "a2", &["--net", "bridge=br0,queues=2"]);
    ready(&mut machine);
    assert_eq!(namespace.interfaces().len(), 1);
    let output = namespace.command("bridge").args(["link", "show"]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("master br0"), "{}", error_of(&output));
    machine.process().kill().unwrap();
    machine.nvmm.status();
    assert!(in_time(|| namespace.interfaces().is_empty()));

    let output = run(&namespace, &["--net", "bridge=br0", "--net", "tap"]);
    assert_eq!(output.status.code(), Some(0), "{}", error_of(&output));
    assert!(in_time(|| namespace.interfaces().is_empty()));
}

#[test]
fn a_tap_that_was_there_is_used_by_one_and_stays() {
    let Some(namespace) = namespace() else { return };
    namespace.ip("tuntap add t0 mode tap multi_queue");
    namespace.ip("link set t0 master br0");
    let mut machine = start(
        &namespace,
        "a2",
        &[
            "-netdev",
            "tap,id=n,ifname=t0,script=no,downscript=no",
            "-device",
            "virtio-net-pci,netdev=n,mac=52:54:00:00:00:07",
        ],
    );
    assert_eq!(ready(&mut machine), "52:54:00:00:00:07");
    assert!(namespace.answers("10.0.0.2/7"));
    let second = run(&namespace, &["--net", "tap=t0"]);
    assert_eq!(second.status.code(), Some(1));
    let error = error_of(&second);
    assert!(error.contains("--net tap=t0: another program has the tap t0 open"), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    machine.process().kill().unwrap();
    machine.nvmm.status();
    assert_eq!(namespace.interfaces(), ["t0"]);
}

#[test]
fn missing_interfaces_are_refused_before_the_machine_starts() {
    let Some(namespace) = namespace() else { return };
    for (option, why) in [
        ("bridge=br7", "--net bridge=br7: there is no bridge br7"),
        ("tap=lo", "--net tap=lo: the interface lo is no tap"),
        ("tap,fd=99", "--net tap,fds=99: descriptor 99 is none that nvmm was started with"),
    ] {
        let output = run(&namespace, &["--net", option]);
        let error = error_of(&output);
        assert_eq!((output.status.code(), error.lines().count()), (Some(1), 1), "{error}");
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn a_dry_run_describes_the_devices_and_creates_nothing() {
    let Some(namespace) = namespace() else { return };
    let options =
        ["--dry-run", "--net", "tap,mac=52:54:00:00:00:01,queues=2", "--net", "bridge=br7,mtu=1400,id=lan"];
    let output = run(&namespace, &options);
    let plan = String::from_utf8(output.stdout).unwrap();
    let expected = "\nNetwork\n  net0: tap, address 52:54:00:00:00:01\n    2 pairs of queues, offload=on\n  \
                    lan: bridge=br7, another address at each start\n    1 pair of queues, offload=on, MTU 1400\n\n";
    assert!(plan.contains(expected), "{plan}");
    assert!(plan.lines().any(|line| line.contains("virtio-net") && line.ends_with("bridge=br7")), "{plan}");
    let uuid = ["--json", "--uuid", "00112233-4455-6677-8899-aabbccddeeff"];
    let output = run(&namespace, &[&options[..], &uuid].concat());
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    let expected = json!({
        "name": "lan", "host": "bridge=br7", "mac": "3a:61:d0:cc:93:4b", "mac_from": "uuid",
        "mtu": 1400, "queues": 1, "offload": true, "legacy": false,
    });
    assert_eq!(plan["networks"][1], expected);
    assert_eq!(namespace.interfaces(), [""; 0]);
}

#[test]
fn addresses_last_and_no_two_machines_have_the_same() {
    let Some(namespace) = namespace() else { return };
    let address = |options: &[&str]| {
        let mut machine = start(&namespace, "a2", &[&["--net", "bridge=br0"], options].concat());
        ready(&mut machine)
    };
    assert_ne!(address(&[]), address(&[]));
    let uuid = ["--uuid", "00112233-4455-6677-8899-aabbccddeeff"];
    assert_eq!([address(&uuid), address(&uuid)], ["96:18:4f:3b:4a:b6"; 2].map(ToOwned::to_owned));
    let folder = tempfile::tempdir().unwrap();
    let disk = |name: &str, more: &str| {
        let path = folder.path().join(name);
        fs::write(&path, [0; 512]).unwrap();
        address(&["--disk", &format!("path={},format=raw{more}", path.display())])
    };
    let first = disk("a", "");
    assert_ne!(first, disk("b", ""));
    assert_ne!(disk("a", ",readonly=on"), disk("a", ",readonly=on"), "others may read it, too");
    if fs::read_to_string("/etc/machine-id").is_ok_and(|id| id.trim().len() == 32) {
        assert_eq!(first, disk("a", ""));
    }
}

#[test]
fn a_forwarded_port_leads_to_the_guest_without_a_tap() {
    let Some(namespace) = namespace() else { return };
    if let Err(error) = Command::new("passt").arg("--version").output() {
        return println!("skipped: passt: {error}");
    }
    // A default route, without which passt has no address for the guest.
    namespace.ip("route add default via 10.0.0.1 dev br0");
    let options = ["-nic", "user,hostfwd=udp::7777-:7,hostfwd=tcp::7778-:22,mac=52:54:00:00:00:02"];
    let mut machine = start(&namespace, "a2", &options);
    ready(&mut machine);
    assert!(namespace.answers("127.0.0.1/7777"));
    assert_eq!(namespace.interfaces(), [""; 0]);
    let told = machine.client().call("nvmm-network", &json!({})).unwrap();
    let place = "type=user,hostfwd=udp:127.0.0.1:7777-:7,hostfwd=tcp:127.0.0.1:7778-:22";
    assert_eq!(told[0]["place"], json!(place));

    machine.client().call("system_reset", &json!({})).unwrap();
    ready(&mut machine);
    assert!(namespace.answers("127.0.0.1/7777"));
    let second = run(&namespace, &["--net", "user,hostfwd=udp::7777-:7"]);
    let error = error_of(&second);
    assert_eq!((second.status.code(), error.lines().count()), (Some(1), 1), "{error}");
    assert!(error.contains("forwarding udp:127.0.0.1:7777-:7: Address already in use"), "{error}");

    machine.process().kill().unwrap();
    machine.nvmm.status();
    // passt has also ended.
    assert!(in_time(|| {
        let output = run(&namespace, &["--net", "user,hostfwd=udp::7777-:7"]);
        output.status.code() == Some(0)
    }));
}
