use std::{fs, io::Write as _, os::fd::AsRawFd};

use arch::cpu::{
    model,
    spec::{CpuSpec, Model, Want},
};
use tempfile::NamedTempFile;

use super::*;
use crate::{
    cli::Cli,
    config::{DeviceConfig, DiskBus, StartConfig, VmConfig},
};

fn file(text: &str) -> NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(".xml").tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

/// The command line `nvmm --domain FILE`, with the options in `beside`.
fn cli(file: &Path, beside: &str) -> Result<Cli, String> {
    let words = ["nvmm".into(), "--domain".into(), OsString::from(file)];
    let words: Vec<_> = words.into_iter().chain(beside.split_whitespace().map(OsString::from)).collect();
    Cli::of(&words).map_err(|error| error.to_string())
}

fn config(file: &Path, beside: &str) -> VmConfig {
    let cli = cli(file, beside).unwrap_or_else(|error| panic!("{error}"));
    VmConfig::new(&cli.machine).unwrap_or_else(|error| panic!("{:#}", cli.told.explain(error)))
}

/// A training machine written by virt-manager of RHEL 7, with this CPU.
fn training(vcpus: u32, cpu: &str) -> String {
    format!(
        "<domain type='kvm' id='3'>
  <name>jiaoshiji</name>
  <uuid>0d9b4f4c-5a0e-4f3b-a6f4-2a1cf2f2d6aa</uuid>
  <memory unit='KiB'>8290304</memory>
  <currentMemory unit='KiB'>8290304</currentMemory>
  <vcpu placement='static'>{vcpus}</vcpu>
  <resource><partition>/machine</partition></resource>
  <os>
    <type arch='x86_64' machine='pc-i440fx-rhel7.0.0'>hvm</type>
    <boot dev='hd'/>
  </os>
  <features><acpi/><apic/></features>
  {cpu}
  <clock offset='utc'>
    <timer name='rtc' tickpolicy='catchup'/>
    <timer name='pit' tickpolicy='delay'/>
    <timer name='hpet' present='no'/>
  </clock>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>restart</on_crash>
  <pm><suspend-to-mem enabled='no'/><suspend-to-disk enabled='no'/></pm>
  <devices>
    <emulator>/usr/libexec/qemu-kvm</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='/var/lib/libvirt/images/jiaoshiji.qcow2'/>
      <backingStore/>
      <target dev='vda' bus='virtio'/>
      <alias name='virtio-disk0'/>
      <address type='pci' domain='0x0000' bus='0x00' slot='0x06' function='0x0'/>
    </disk>
    <controller type='usb' index='0' model='ich9-ehci1'/>
    <controller type='pci' index='0' model='pci-root'/>
    <interface type='network'>
      <mac address='52:54:00:6b:3c:58'/>
      <source network='default' bridge='virbr0'/>
      <target dev='vnet0'/>
      <model type='virtio'/>
    </interface>
    <serial type='pty'><source path='/dev/pts/1'/><target port='0'/></serial>
    <console type='pty' tty='/dev/pts/1'><source path='/dev/pts/1'/><target type='serial' port='0'/></console>
    <channel type='spicevmc'><target type='virtio' name='com.redhat.spice.0' state='disconnected'/></channel>
    <input type='tablet' bus='usb'/>
    <input type='mouse' bus='ps2'/>
    <input type='keyboard' bus='ps2'/>
    <graphics type='vnc' port='5920' autoport='no' listen='0.0.0.0'><listen type='address' address='0.0.0.0'/></graphics>
    <sound model='ich6'/>
    <video><model type='qxl' ram='65536' vram='65536' vgamem='16384' heads='1' primary='yes'/></video>
    <redirdev bus='usb' type='spicevmc'/>
    <memballoon model='virtio'><alias name='balloon0'/></memballoon>
  </devices>
  <seclabel type='dynamic' model='selinux' relabel='yes'/>
</domain>"
    )
}

fn trained(vcpus: u32, cpu: &str) -> CpuSpec {
    let file = file(&training(vcpus, cpu));
    let config = config(file.path(), "");
    assert_eq!(config.name.as_deref(), Some("jiaoshiji"));
    assert_eq!(config.memory.size.0, 8096 << 20);
    assert_eq!(config.topology.vcpus(), vcpus);
    let disks: Vec<_> = config.disks().map(|disk| (disk.name(), disk.bus)).collect();
    assert_eq!(disks, [("vda".to_owned(), DiskBus::Virtio)]);
    let StartConfig::Firmware(firmware) = &config.start else { panic!("{:?}", config.start) };
    assert_eq!(firmware.boot.order, ["disk"]);
    let net = config.devices.iter().find_map(|device| match device {
        DeviceConfig::Net(net) => Some(net.host.to_string()),
        _ => None,
    });
    assert_eq!(net.as_deref(), Some("bridge=virbr0"));
    assert!(config.devices.iter().any(|device| matches!(device, DeviceConfig::Balloon)));
    config.cpu
}

#[test]
fn the_trainers_core2duo_with_vmx_starts() {
    let cpu = trained(
        4,
        "<cpu mode='custom' match='exact'><model fallback='allow'>core2duo</model><feature policy='require' name='vmx'/></cpu>",
    );
    assert_eq!(cpu.model, Model::Named(model::find("core2duo").unwrap()));
    let settings: Vec<_> =
        cpu.settings.iter().map(|setting| (setting.feature.name(), setting.want)).collect();
    assert_eq!(settings, [("vmx", Want::Require)]);
}

#[test]
fn the_trainers_host_model_starts() {
    assert_eq!(trained(4, "<cpu mode='host-model'><model fallback='allow'/></cpu>").model, Model::HostModel);
}

#[test]
fn the_trainers_host_passthrough_with_topology_starts() {
    let arranged = "<cpu mode='host-passthrough'><topology sockets='2' cores='2' threads='2'/></cpu>";
    assert_eq!(trained(8, arranged).model, Model::HostPassthrough);
    let file = file(&training(8, arranged));
    let topology = config(file.path(), "").topology;
    assert_eq!((topology.sockets(), topology.cores_per_socket(), topology.threads_per_socket()), (2, 2, 4));
}

#[test]
fn options_beside_it_count() {
    let file = file(&training(8, "<cpu mode='host-model'/>"));
    let given =
        config(file.path(), "-m 1G --smp 2 --cpu host-passthrough --disk a.img --net none --serial null");
    assert_eq!(given.memory.size.0, 1 << 30);
    assert_eq!((given.topology.vcpus(), given.cpu.model), (2, Model::HostPassthrough));
    assert_eq!(given.disks().map(|disk| disk.path.clone()).collect::<Vec<_>>(), [Path::new("a.img")]);
    assert!(!given.devices.iter().any(|device| matches!(device, DeviceConfig::Net(_))));
    let StartConfig::Kernel(kernel) = config(file.path(), "--kernel k --cmdline quiet").start else {
        panic!()
    };
    assert_eq!((kernel.path.as_path(), kernel.cmdline.as_str()), (Path::new("k"), "quiet"));
}

#[test]
fn qemus_words_stand_beside_it_too() {
    let file = file(&training(8, "<cpu mode='host-model'/>"));
    let given = config(file.path(), "-drive file=b.qcow2,if=virtio -nic none -enable-kvm");
    assert_eq!(given.disks().map(|disk| disk.path.clone()).collect::<Vec<_>>(), [Path::new("b.qcow2")]);
}

#[test]
fn an_error_of_an_options_names_the_element() {
    let file = file(
        "<domain type='kvm'>\n<memory>1</memory>\n<devices>\n<disk type='file'><source file='/d'/>\
         <driver type='qed'/><target dev='vda' bus='virtio'/></disk></devices></domain>",
    );
    let cli = cli(file.path(), "").unwrap();
    let error = format!("{:#}", cli.told.explain(VmConfig::new(&cli.machine).unwrap_err()));
    let start = format!(
        "--domain {}: line 4, <disk type='file'>: --disk path=/d,format=qed,id=vda: ",
        file.path().display()
    );
    assert!(error.starts_with(&start), "{error}");
}

#[test]
fn notes_tell_the_file_and_the_line() {
    let file = file(
        "<domain type='kvm'>\n<memory>1024</memory>\n<maxMemory>1</maxMemory>\n<title>t</title></domain>",
    );
    let start = format!("--domain {}: ", file.path().display());
    let cli = cli(file.path(), "").unwrap();
    let [missing, idle, words @ ..] = &cli.told.notes[..] else { panic!("{:?}", cli.told) };
    assert!(
        matches!(missing, Note::Missing(line) if line.starts_with(&format!("{start}line 3: <maxMemory>: "))),
        "{missing:?}"
    );
    assert!(
        matches!(idle, Note::Idle(line) if line.starts_with(&format!("{start}line 4: <title>: "))),
        "{idle:?}"
    );
    let memory = Note::Idle(format!("{start}line 1, <domain type='kvm'>: --memory 1M"));
    assert!(words.contains(&memory), "{words:?}");
}

#[test]
fn a_file_that_is_none_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let not_there = folder.path().join("vm.xml");
    assert!(cli(&not_there, "").unwrap_err().contains("vm.xml: No such file"));
    fs::write(&not_there, b"<domain type='kvm'>\xff</domain>").unwrap();
    assert!(cli(&not_there, "").unwrap_err().contains("vm.xml: it is no text in UTF-8"));
    assert!(cli(folder.path(), "").unwrap_err().contains("Is a directory"));
    // No part of an error is lost.
    let two = file("<domain type='kvm'>\n<memory>1</memory>\n<one/>\n<two/></domain>");
    let error = cli(two.path(), "").unwrap_err();
    assert!(error.contains("line 3: <one>: ") && error.contains("line 4: <two>: "), "{error}");
}

#[test]
fn a_file_is_read_once() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let text = training(2, "<cpu mode='host-model'/>");
    let writing = std::thread::spawn(move || writer.write_all(text.as_bytes()));
    let path = format!("/dev/fd/{}", reader.as_raw_fd());
    assert_eq!(config(Path::new(&path), "").cpu.model, Model::HostModel);
    writing.join().unwrap().unwrap();
}

#[test]
fn a_kernel_has_the_files_command_line_alone() {
    for (cmdline, expected) in [("", ""), ("<cmdline>-x a=b,c</cmdline>", "-x a=b,c")] {
        let text =
            format!("<domain type='kvm'><memory>1024</memory><os><kernel>/k</kernel>{cmdline}</os></domain>");
        let file = file(&text);
        let StartConfig::Kernel(kernel) = config(file.path(), "").start else { panic!() };
        assert_eq!(kernel.cmdline, expected);
    }
}
