use std::{
    sync::atomic::AtomicU32,
    thread,
    time::{Duration, Instant},
};

use proptest::prelude::*;
use vmm_sys_util::eventfd::EFD_NONBLOCK;

use super::*;
use crate::testing::FakeMsi;

const ENABLED: MessageControl = MessageControl::new().with_enable(true);

fn new(count: usize) -> (Msix, Vec<Arc<FakeMsi>>) {
    let fakes: Vec<_> = (0..count).map(|_| Arc::new(FakeMsi::default())).collect();
    let vectors = fakes.iter().map(|fake| fake.clone() as Arc<dyn Msi>).collect();
    (Msix::new(vectors), fakes)
}

fn write(msix: &mut Msix, vector: u64, field: u64, value: u32) {
    msix.write_table(vector * 16 + field, &value.to_le_bytes());
}

fn program(msix: &mut Msix, vector: u64, data: u32) {
    write(msix, vector, 0, 0xfee0_1000);
    write(msix, vector, 4, 0);
    write(msix, vector, 8, data);
}

fn mask(msix: &mut Msix, vector: u64, masked: bool) {
    write(msix, vector, 12, u32::from(masked));
}

fn pending(msix: &Msix) -> u64 {
    let mut data = [0; 8];
    msix.read_pending(0, &mut data);
    u64::from_le_bytes(data)
}

#[test]
fn a_message_is_set_once_when_it_is_unmasked() {
    let (mut msix, fakes) = new(3);
    msix.set_control(ENABLED);
    program(&mut msix, 1, 0x41);
    assert_eq!(fakes[1].take_sets(), 0, "still masked");
    mask(&mut msix, 1, false);
    assert_eq!(fakes[1].take_sets(), 1);
    assert_eq!(fakes[1].message(), MsiMessage { address: 0xfee0_1000, data: 0x41 });
    mask(&mut msix, 1, true);
    program(&mut msix, 1, 0x41);
    mask(&mut msix, 1, false);
    msix.set_control(ENABLED.with_function_mask(true));
    msix.set_control(ENABLED);
    assert_eq!(fakes[1].take_sets(), 0, "the same message");
    mask(&mut msix, 1, true);
    program(&mut msix, 1, 0x42);
    mask(&mut msix, 1, false);
    assert_eq!(fakes[1].take_sets(), 1);
    assert_eq!(fakes[0].take_sets() + fakes[2].take_sets(), 0);
}

#[test]
fn a_vector_programmed_before_msix_is_enabled_works() {
    let (mut msix, fakes) = new(1);
    program(&mut msix, 0, 0x30);
    mask(&mut msix, 0, false);
    assert!(!msix.vectors().enabled());
    msix.set_control(ENABLED);
    assert!(msix.vectors().enabled());
    assert_eq!(fakes[0].message().data, 0x30);
    msix.vectors().signal(0);
    assert_eq!(fakes[0].take_signals(), 1);
}

#[test]
fn a_masked_vector_is_pending_until_unmasked() {
    let (mut msix, fakes) = new(2);
    msix.set_control(ENABLED);
    msix.vectors().signal(1);
    msix.vectors().signal(1);
    assert_eq!(pending(&msix), 0b10);
    assert_eq!(fakes[1].take_signals(), 0);
    mask(&mut msix, 1, false);
    assert_eq!(fakes[1].take_signals(), 1, "once");
    assert_eq!(pending(&msix), 0);

    msix.set_control(ENABLED.with_function_mask(true));
    msix.vectors().signal(1);
    assert_eq!(pending(&msix), 0b10);
    mask(&mut msix, 1, true);
    msix.set_control(ENABLED);
    assert_eq!(fakes[1].take_signals(), 0, "masked on its own");
    mask(&mut msix, 1, false);
    assert_eq!(fakes[1].take_signals(), 1);
}

#[test]
fn disabling_msix_drops_pending_vectors() {
    let (mut msix, fakes) = new(1);
    msix.set_control(ENABLED);
    msix.vectors().signal(0);
    msix.set_control(MessageControl::new());
    msix.set_control(ENABLED);
    mask(&mut msix, 0, false);
    assert_eq!(fakes[0].take_signals(), 0);
}

#[test]
fn vectors_that_are_not_there_are_ignored() {
    let (mut msix, fakes) = new(1);
    msix.set_control(ENABLED);
    mask(&mut msix, 0, false);
    mask(&mut msix, 1, false);
    msix.vectors().signal(1);
    msix.vectors().signal(u16::MAX);
    msix.write_table(u64::MAX - 7, &[0; 8]);
    assert_eq!(fakes[0].take_signals(), 0);
}

#[test]
fn the_table_reads_as_written_by_double_and_quad_words() {
    let (mut msix, _fakes) = new(2);
    msix.write_table(16, &0x1122_3344_fee0_0fff_u64.to_le_bytes());
    msix.write_table(24, &0xffff_fffe_5566_7788_u64.to_le_bytes());
    // The table doesn't support accesses of these sizes.
    msix.write_table(16, &[0xff]);
    msix.write_table(16, &[0xff; 2]);
    msix.write_table(18, &[0xff; 4]);
    msix.write_table(20, &[0xff; 8]);
    let mut entry = [0; 16];
    msix.read_table(16, &mut entry);
    assert_eq!(entry[..8], 0x1122_3344_fee0_0ffc_u64.to_le_bytes(), "double word aligned");
    assert_eq!(entry[8..], 0x5566_7788_u64.to_le_bytes(), "reserved bits stay zero");
    msix.read_table(0, &mut entry);
    assert_eq!(entry[12], 1, "masked at reset");
    msix.read_table(30, &mut entry);
    assert_eq!(entry[2..], [0; 14], "past the end");
}

#[test]
fn pending_bits_are_packed() {
    let (mut msix, _fakes) = new(70);
    msix.set_control(ENABLED);
    for vector in [0, 7, 8, 63, 64, 69] {
        msix.vectors().signal(vector);
    }
    let mut data = [0xaa; 24];
    msix.read_pending(0, &mut data);
    assert_eq!(data[..8], (1_u64 << 63 | 1 << 8 | 1 << 7 | 1).to_le_bytes());
    assert_eq!(data[8..16], (1_u64 << 5 | 1).to_le_bytes());
    assert_eq!(data[16..], [0; 8]);
    let mut byte = [0];
    msix.read_pending(8, &mut byte);
    assert_eq!(byte, [0x21]);
}

#[test]
fn no_interrupt_is_lost_to_a_race_with_unmasking() {
    const END: u32 = u32::MAX;
    let (mut msix, fakes) = new(1);
    msix.set_control(ENABLED);
    let vectors = msix.vectors().clone();
    // Odd values are the signaller's turn. Both spin, to meet as closely as possible.
    let turn = Arc::new(AtomicU32::new(0));
    let wait = |turn: &AtomicU32, least| {
        for spins in 0.. {
            if turn.load(Ordering::SeqCst) >= least {
                return;
            }
            if spins > 1000 {
                thread::yield_now();
            }
        }
    };
    let signaller = {
        let turn = Arc::clone(&turn);
        thread::spawn(move || {
            for round in 0.. {
                wait(&turn, 2 * round + 1);
                if turn.load(Ordering::SeqCst) == END {
                    return;
                }
                vectors.signal(0);
                turn.fetch_add(1, Ordering::SeqCst);
            }
        })
    };
    let begin = Instant::now();
    for round in 0.. {
        mask(&mut msix, 0, true);
        if begin.elapsed() > Duration::from_millis(300) {
            break;
        }
        turn.fetch_add(1, Ordering::SeqCst);
        mask(&mut msix, 0, false);
        wait(&turn, 2 * round + 2);
        assert_eq!(fakes[0].take_signals(), 1, "round {round}");
        assert_eq!(pending(&msix), 0);
    }
    turn.store(END, Ordering::SeqCst);
    signaller.join().unwrap();
}

proptest! {
    /// Every signal is sent or pending, and never both, whatever the guest writes.
    #[test]
    fn signals_are_sent_or_pending(
        steps in prop::collection::vec(
            (0_u64..64, prop::collection::vec(any::<u8>(), 0..9), any::<u16>(), 0_u16..4), 0..60),
    ) {
        let (mut msix, fakes) = new(3);
        for (offset, data, control, vector) in steps {
            msix.write_table(offset, &data);
            msix.set_control(MessageControl::from(control & 0xc000));
            for fake in &fakes {
                fake.take_signals();
            }
            let before = pending(&msix);
            msix.vectors().signal(vector);
            let after = pending(&msix);
            if let Some(fake) = fakes.get(usize::from(vector)) {
                let sent = fake.take_signals();
                prop_assert_eq!(sent == 1, after >> vector & 1 == 0);
                prop_assert_eq!(before & !(1 << vector), after & !(1 << vector));
            }
        }
    }
}

fn event() -> Arc<EventFd> {
    Arc::new(EventFd::new(EFD_NONBLOCK).unwrap())
}

/// Vectors that the kernel sends itself are never masked or disabled.
#[test]
fn events_are_attached_while_their_vector_is_open() {
    let (mut msix, fakes) = new(2);
    let [one, two] = [event(), event()];
    let attached = |events: &[&Arc<EventFd>]| {
        let events: Vec<_> = events.iter().map(|event| std::os::fd::AsRawFd::as_raw_fd(&***event)).collect();
        (fakes[0].attached(), fakes[1].attached()) == (vec![], events)
    };
    msix.vectors().attach(1, &one);
    msix.vectors().attach(2, &two);
    assert!(attached(&[]), "MSI-X is disabled, and there is no vector 2");
    msix.set_control(ENABLED);
    program(&mut msix, 1, 0x41);
    assert!(attached(&[]), "masked");
    mask(&mut msix, 1, false);
    assert!(attached(&[&one]));
    assert_eq!(fakes[1].message().data, 0x41);
    msix.vectors().attach(1, &two);
    assert!(attached(&[&one, &two]));
    mask(&mut msix, 1, false);
    program(&mut msix, 1, 0x42);
    assert!(attached(&[&one, &two]), "each once");
    msix.set_control(ENABLED.with_function_mask(true));
    assert!(attached(&[]));
    msix.set_control(ENABLED);
    msix.vectors().detach(1, &one);
    assert!(attached(&[&two]));
    msix.set_control(MessageControl::new());
    assert!(attached(&[]));
    msix.vectors().detach(1, &two);
    msix.set_control(ENABLED);
    assert!(attached(&[]));
}
