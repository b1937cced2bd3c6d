use super::*;

fn noted(written: &Written) -> Vec<u64> {
    let pages = |(word, bits): (usize, u64)| {
        (0..WORD).filter(move |bit| bits & 1 << bit != 0).map(move |bit| word as u64 * WORD + bit)
    };
    written.take().enumerate().flat_map(pages).collect()
}

#[test]
fn each_page_of_a_write_is_noted_once() {
    let written = Written::default();
    written.switch_on(100 * PAGE);
    written.add(0, 1);
    written.add(3 * PAGE - 1, 2);
    written.add(63 * PAGE, 2 * PAGE);
    written.add(7 * PAGE, 0);
    assert_eq!(noted(&written), [0, 2, 3, 63, 64]);
    assert_eq!(noted(&written), [0; 0]);
}

/// For page N, Linux sets bit N % 8 of byte N / 8: drivers/vhost/vhost.c, `log_write`.
#[test]
fn notes_of_a_kernel_are_taken_too() {
    let written = Written::default();
    written.switch_on(200 * PAGE);
    written.add(9 * PAGE, 1);
    let pages = [0, 10, 63, 64, 130, 199];
    for page in pages {
        let mut bytes = [0; 8];
        bytes[page / 8 % 8] = 1 << (page % 8);
        written.words()[page / 64].fetch_or(u64::from_ne_bytes(bytes), Ordering::SeqCst);
    }
    assert_eq!(noted(&written), [0, 9, 10, 63, 64, 130, 199]);
    assert_eq!(noted(&written), [0; 0]);
}

#[test]
fn writes_outside_of_memory_and_of_the_time_are_not() {
    let written = Written::default();
    written.add(0, 1);
    assert_eq!(noted(&written), [0; 0]);
    written.switch_on(PAGE);
    written.add(64 * PAGE, 1);
    written.add(u64::MAX, 10);
    assert_eq!(noted(&written), [0; 0]);
    written.add(0, 1);
    written.switch_off();
    written.add(0, 1);
    written.switch_on(PAGE);
    assert_eq!(noted(&written), [0; 0]);
}
