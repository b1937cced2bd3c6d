use std::thread;

use super::*;

#[test]
fn each_kind_has_its_own_count() {
    let counters = Counters::new(2);
    counters.queue(0).record(RequestKind::Read, 4096, true);
    counters.queue(1).record(RequestKind::Read, 512, true);
    counters.queue(1).record(RequestKind::Write, 1 << 20, true);
    counters.queue(0).record(RequestKind::Flush, 0, true);
    counters.queue(0).record(RequestKind::Discard, 1 << 30, true);
    counters.queue(1).record(RequestKind::WriteZeroes, 100, true);
    assert_eq!(
        counters.total(),
        Totals {
            read: Total { requests: 2, bytes: 4608 },
            written: Total { requests: 1, bytes: 1 << 20 },
            flushes: 1,
            discarded: Total { requests: 1, bytes: 1 << 30 },
            zeroed: Total { requests: 1, bytes: 100 },
            errors: 0,
        }
    );
}

#[test]
fn failures_count_only_as_errors() {
    let counters = Counters::default();
    for kind in [
        RequestKind::Read,
        RequestKind::Write,
        RequestKind::Flush,
        RequestKind::Discard,
        RequestKind::WriteZeroes,
    ] {
        counters.queue(0).record(kind, 512, false);
    }
    assert_eq!(counters.total(), Totals { errors: 5, ..Totals::default() });
}

#[test]
fn no_count_is_lost_between_threads() {
    let counters = Counters::new(3);
    thread::scope(|scope| {
        // The fourth thread shares a set of counters.
        for index in 0..4 {
            let counters = &counters;
            scope.spawn(move || {
                (0..1000).for_each(|_| counters.queue(index).record(RequestKind::Read, 3, true));
            });
        }
    });
    assert_eq!(counters.total().read, Total { requests: 4000, bytes: 12000 });
}

#[test]
fn queues_share_no_pair_of_cache_lines() {
    assert_eq!(align_of::<QueueCounters>(), 128);
    assert_eq!(size_of::<QueueCounters>(), 128);
}

#[test]
fn a_line_for_a_person() {
    assert_eq!(
        Totals::default().to_string(),
        "read 0 requests, 0 bytes; written 0 requests, 0 bytes; 0 flushes; discarded 0 requests, 0 bytes; \
         zeroed 0 requests, 0 bytes; 0 errors"
    );
    let totals = Totals {
        read: Total { requests: 1234, bytes: 5_054_464 },
        written: Total { requests: 1, bytes: 1 },
        flushes: 1,
        discarded: Total { requests: 2, bytes: (1 << 20) - 1 },
        zeroed: Total { requests: 3, bytes: u64::MAX },
        errors: 1,
    };
    assert_eq!(
        totals.to_string(),
        "read 1234 requests, 4.8 MiB; written 1 request, 1 byte; 1 flush; discarded 2 requests, 1 MiB; \
         zeroed 3 requests, 16 EiB; 1 error"
    );
}
