#![expect(unsafe_code, reason = "reads what KVM put into a union")]

use std::path::Path;

use kvm_bindings::kvm_irqchip;
use vmm_sys_util::eventfd::EFD_NONBLOCK;

use super::*;
use crate::host::Host;

#[test]
fn destinations_above_255_move_to_the_upper_half() {
    let message = MsiMessage { address: 0xfee0_5040 | 0x0c, data: 0x41 };
    let plain = to_kvm(message, false);
    assert_eq!((plain.address_lo, plain.address_hi, plain.data), (0xfee0_504c, 0, 0x41));
    let wide = to_kvm(message, true);
    assert_eq!((wide.address_lo, wide.address_hi, wide.data), (0xfee0_500c, 0x200, 0x41));
}

/// A machine with one vCPU that never runs, whose local APIC accepts interrupts.
fn machine() -> Option<(Arc<VmFd>, kvm_ioctls::VcpuFd)> {
    let host = match Host::open(Path::new("/dev/kvm")) {
        Ok(host) => host,
        Err(error) => {
            println!("skipped: {error}");
            return None;
        }
    };
    let vm = host.kvm.create_vm().unwrap();
    vm.create_irq_chip().unwrap();
    let vcpu = vm.create_vcpu(0).unwrap();
    let mut lapic = vcpu.get_lapic().unwrap();
    // SVR: the software enable.
    lapic.regs[0xf1] = 1;
    vcpu.set_lapic(&lapic).unwrap();
    Some((Arc::new(vm), vcpu))
}

/// Returns whether the vCPU's local APIC was sent `vector` since the last call.
fn take_requested(vcpu: &kvm_ioctls::VcpuFd, vector: usize) -> bool {
    let mut lapic = vcpu.get_lapic().unwrap();
    let byte = &mut lapic.regs[0x200 + vector / 32 * 16 + vector % 32 / 8];
    let bit = 1 << (vector % 8);
    let requested = *byte & bit != 0;
    *byte &= !bit;
    vcpu.set_lapic(&lapic).unwrap();
    requested
}

/// The kernel may take a moment to send an event that was written before it was attached.
fn wait_for(vcpu: &kvm_ioctls::VcpuFd, vector: usize) {
    let start = std::time::Instant::now();
    while !take_requested(vcpu, vector) {
        assert!(start.elapsed().as_secs() < 60, "vector {vector:#x} is not sent");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

fn message(vector: u32) -> MsiMessage {
    MsiMessage { address: 0xfee0_0000, data: vector }
}

#[test]
fn the_kernel_sends_what_is_written_to_an_event_while_it_is_attached() {
    let Some((vm, vcpu)) = machine() else { return };
    let routes = Arc::new(Routes::new(vm, false));
    let (one, two) = (KvmMsi::new(Arc::clone(&routes)), KvmMsi::new(Arc::clone(&routes)));
    let event = EventFd::new(EFD_NONBLOCK).unwrap();
    one.set_message(message(0x41));
    two.set_message(message(0x51));
    event.write(1).unwrap();
    assert!(!take_requested(&vcpu, 0x41), "it is not attached");
    event.read().unwrap();

    one.attach(&event).unwrap();
    event.write(1).unwrap();
    wait_for(&vcpu, 0x41);
    assert!(!take_requested(&vcpu, 0x51));

    // Another interrupt has its own route, and a changed message is sent in its new form.
    let other = EventFd::new(EFD_NONBLOCK).unwrap();
    two.attach(&other).unwrap();
    one.set_message(message(0x42));
    event.write(1).unwrap();
    wait_for(&vcpu, 0x42);
    assert!(!take_requested(&vcpu, 0x41));
    other.write(1).unwrap();
    wait_for(&vcpu, 0x51);

    // When detached, it keeps the event, and nothing is lost when it is attached again.
    one.detach(&event);
    let _left = event.read();
    event.write(1).unwrap();
    assert!(!take_requested(&vcpu, 0x42));
    one.set_message(message(0x43));
    one.attach(&event).unwrap();
    wait_for(&vcpu, 0x43);
    one.detach(&event);
    two.detach(&other);
}

#[test]
fn gsis_are_above_the_ioapics_pins_and_used_again() {
    let Some((vm, _vcpu)) = machine() else { return };
    let routes = Arc::new(Routes::new(vm, false));
    let event = EventFd::new(EFD_NONBLOCK).unwrap();
    for _ in 0..3 {
        let msi = KvmMsi::new(Arc::clone(&routes));
        msi.attach(&event).unwrap();
        assert_eq!(msi.state().gsi, Some(IOAPIC_PINS));
        msi.detach(&event);
    }
    let all: Vec<_> = std::iter::from_fn(|| routes.allocate().ok()).collect();
    assert_eq!(all, (IOAPIC_PINS..MAX_GSIS).collect::<Vec<_>>());
}

/// The table is replaced as a whole: the lines must keep their routes.
#[test]
fn the_lines_stay_where_they_were() {
    let Some((vm, _vcpu)) = machine() else { return };
    let irr = |vm: &VmFd, pin: u32| {
        let mut chip = kvm_irqchip { chip_id: KVM_IRQCHIP_IOAPIC, ..Default::default() };
        vm.get_irqchip(&mut chip).unwrap();
        // SAFETY: KVM has filled in the IOAPIC's state, which is plain numbers.
        unsafe { chip.chip.ioapic }.irr & 1 << pin != 0
    };
    let routes = Arc::new(Routes::new(Arc::clone(&vm), false));
    let msi = KvmMsi::new(Arc::clone(&routes));
    let event = EventFd::new(EFD_NONBLOCK).unwrap();
    msi.set_message(message(0x41));
    msi.attach(&event).unwrap();
    for pin in [4, 9, 16, 23] {
        vm.set_irq_line(pin, true).unwrap();
        assert!(irr(&vm, pin), "GSI {pin}");
        vm.set_irq_line(pin, false).unwrap();
    }
    let pics = pin_routes().filter(|entry| entry.gsi == 12).count();
    assert_eq!((pin_routes().count(), pics), (40, 2));
}
