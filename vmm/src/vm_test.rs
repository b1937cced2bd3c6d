use std::path::Path;

use super::*;

/// Without TSC scaling, KVM reports that it can't set a VM's rate, although it can: exactly those hosts need it.
#[test]
fn vcpus_get_the_hosts_tsc_rate() {
    let host = match Host::open(Path::new("/dev/kvm")) {
        Ok(host) => host,
        Err(error) => return println!("skipped: {error}"),
    };
    let vm = host.kvm.create_vm().unwrap();
    let usual = vm.create_vcpu(0).unwrap().get_tsc_khz();
    let vm = host.kvm.create_vm().unwrap();
    if !set_tsc_rate(&vm) {
        return println!("skipped: this KVM sets the rate of vCPUs alone");
    }
    let vcpu = vm.create_vcpu(0).unwrap();
    let (Ok(usual), Ok(now)) = (usual, vcpu.get_tsc_khz()) else {
        return println!("skipped: this KVM does not tell a vCPU's rate");
    };
    assert!(now.abs_diff(usual) <= usual / 100, "{now} kHz, and by default {usual} kHz");
    // A KVM without scaling accepts it only if it is the host's own rate.
    vcpu.set_tsc_khz(now).unwrap();
}
