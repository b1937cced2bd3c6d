use super::*;

/// Register C of a chip with every cause pending, and these interrupts enabled.
fn all_pending(enabled: u8) -> (Pc, u8) {
    let mut pc = Pc::new();
    for index in [SECONDS_ALARM, MINUTES_ALARM, HOURS_ALARM] {
        pc.write(index, 0xff);
    }
    pc.write(B, enabled | HOURS_TO_24);
    pc.clock.pass(2 * SECOND);
    let flags = pc.read(C);
    (pc, flags)
}

#[test]
fn flags_are_set_without_their_enable_bits_and_show_in_irqf_with_them() {
    for enabled in (0..0x80).step_by(0x10) {
        let (mut pc, flags) = all_pending(enabled);
        let irqf = if enabled == 0 { 0 } else { IRQF };
        assert_eq!(flags, irqf | PIE | AIE | UIE);
        assert_eq!(pc.read(C), 0, "reading acknowledges");
        assert!(!pc.irq.high());
        assert_eq!(pc.clock.at().is_some(), enabled != 0);
    }
}

#[test]
fn enabling_what_is_pending_interrupts_at_once() {
    let mut pc = Pc::new();
    pc.clock.pass(2 * SECOND);
    pc.write(B, UIE | HOURS_TO_24);
    assert!(pc.irq.high());
    pc.write(B, HOURS_TO_24);
    assert!(!pc.irq.high());
}

#[test]
fn the_line_is_high_until_register_c_is_read() {
    let mut pc = Pc::new();
    pc.write(B, PIE | UIE | HOURS_TO_24);
    pc.clock.pass(SECOND);
    pc.ports.on_wakeup();
    assert!(pc.irq.high());
    assert_eq!(pc.clock.at(), None, "nothing can happen to it until then");
    pc.clock.pass(SECOND);
    pc.ports.on_wakeup();
    assert_eq!((pc.irq.take_edges(), pc.irq.high()), (1, true));
    assert_eq!(pc.read(C), IRQF | PIE | UIE);
    assert!(!pc.irq.high() && pc.clock.at().is_some());
}

#[test]
fn periodic_interrupts_have_the_rates_of_the_data_sheet() {
    // "Periodic interrupt rate and square wave output frequency", with a crystal of 32.768 kHz and with the faster ones.
    let rates = |divider: u8| -> Vec<usize> {
        let count = |rate| {
            let mut pc = Pc::new();
            pc.write(A, divider << 4 | rate);
            pc.write(B, PIE | HOURS_TO_24);
            pc.irq.take_edges();
            let rises = pc.run(SECOND);
            assert!(rises.iter().all(|(_, flags)| flags & (IRQF | PIE) == IRQF | PIE));
            rises.len()
        };
        (0..16).map(count).collect()
    };
    let slower = [8192, 4096, 2048, 1024, 512, 256, 128, 64, 32, 16, 8, 4, 2];
    assert_eq!(rates(0b010), [&[0, 256, 128][..], &slower].concat());
    for fast in [0b000, 0b001] {
        assert_eq!(rates(fast), [&[0, 32768, 16384][..], &slower].concat());
    }
}

#[test]
fn periodic_interrupts_are_in_step_with_updates() {
    let mut pc = Pc::new();
    pc.clock.pass(SECOND / 3);
    pc.write(A, 0x2f);
    pc.read(C);
    pc.write(B, PIE | UIE | HOURS_TO_24);
    let rises = pc.run(2 * SECOND);
    let flags: Vec<_> = rises.iter().map(|(_, flags)| flags & !IRQF & !AIE).collect();
    assert_eq!(flags, [PIE, PIE | UIE, PIE, PIE | UIE]);
    assert_eq!(rises[1].0 - rises[0].0, SECOND / 2);
    pc.write(A, 0x20);
    assert!(pc.run(2 * SECOND).iter().all(|(_, flags)| flags & PIE == 0), "rate 0 is none");
}

#[test]
fn updates_interrupt_every_second() {
    let mut pc = Pc::new();
    pc.clock.pass(SECOND / 4);
    pc.write(B, UIE | HOURS_TO_24);
    let rises: Vec<_> = pc.run(3 * SECOND).into_iter().map(|(at, _)| at).collect();
    assert_eq!(rises, [SECOND * 3 / 4, SECOND * 7 / 4, SECOND * 11 / 4]);
}

#[test]
fn an_alarm_interrupts_in_its_second() {
    let mut pc = Pc::new();
    pc.write(HOURS_ALARM, 0x12);
    pc.write(MINUTES_ALARM, 0x01);
    pc.write(SECONDS_ALARM, 0x30);
    pc.write(B, AIE | HOURS_TO_24);
    assert_eq!(pc.clock.at().map(|at| at - pc.clock.now()), Some(90 * SECOND));
    let rises = pc.run(3 * 86400 * SECOND);
    let day = |n: u32| 90 * SECOND + n * 86400 * SECOND;
    assert_eq!(rises.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [day(0), day(1), day(2)]);
    assert!(rises.iter().all(|(_, flags)| flags & (IRQF | AIE) == IRQF | AIE));
    // Each minute.
    pc.write(HOURS_ALARM, 0xff);
    pc.write(MINUTES_ALARM, 0xc0);
    assert_eq!(pc.run(600 * SECOND).len(), 10);
    // Never.
    pc.write(SECONDS_ALARM, 0x60);
    assert_eq!(pc.clock.at(), None);
    // Frozen time meets no alarm.
    pc.write(SECONDS_ALARM, 0xff);
    pc.write(B, SET | AIE | HOURS_TO_24);
    assert_eq!(pc.clock.at(), None);
}

#[test]
fn setting_the_hosts_clock_loses_no_alarm() {
    let mut pc = Pc::new();
    pc.write(HOURS_ALARM, 0x12);
    pc.write(MINUTES_ALARM, 0x30);
    pc.write(SECONDS_ALARM, 0x00);
    pc.write(B, AIE | HOURS_TO_24);
    pc.read(C);
    // Longer than that, and the timer reports that the clock was set.
    pc.clock.pass(3600 * SECOND);
    pc.ports.on_wakeup();
    assert_eq!((pc.irq.take_edges(), pc.read(C) & AIE), (1, AIE));
    // Set back: it comes again.
    let now = pc.clock.now();
    pc.clock.set_now(now - 3000 * SECOND);
    pc.ports.on_wakeup();
    assert_eq!(pc.irq.take_edges(), 0);
    assert_eq!(pc.run(1300 * SECOND).len(), 1);
}

#[test]
fn a_reset_disables_interrupts_and_keeps_the_rest() {
    let (mut pc, _) = all_pending(PIE | AIE | UIE | 0x08 | DM);
    pc.write(0x40, 0x5a);
    pc.write(SECONDS_ALARM, 0x12);
    pc.clock.pass(SECOND);
    let mut pc = pc.reset();
    assert_eq!((pc.read(B), pc.read(C)), (DM | HOURS_TO_24, 0));
    assert_eq!((pc.read(0x40), pc.read(SECONDS_ALARM), pc.time()), (0x5a, 0x12, [12, 0, 3]));
    assert_eq!((pc.irq.high(), pc.clock.at()), (false, None));
}
