use std::path::Path;

use super::*;

#[test]
fn destinations_above_255_move_to_the_upper_half() {
    let message = MsiMessage { address: 0xfee0_5040 | 0x0c, data: 0x41 };
    let plain = to_kvm(message, false);
    assert_eq!((plain.address_lo, plain.address_hi, plain.data), (0xfee0_504c, 0, 0x41));
    let wide = to_kvm(message, true);
    assert_eq!((wide.address_lo, wide.address_hi, wide.data), (0xfee0_500c, 0x200, 0x41));
}

/// Without TSC scaling KVM says that it can't set a VM's rate, and can: the hosts that need it are just these.
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
    // Taken by a KVM without scaling only if it is the host's own rate.
    vcpu.set_tsc_khz(now).unwrap();
}
