use super::*;

fn at(x: u16) -> Pointer {
    Pointer { x, ..Pointer::default() }
}

#[test]
fn reports_come_in_order_and_one_after_the_other() {
    let reports = Reports::new().unwrap();
    assert_eq!(reports.next(), None);
    (1..=3).for_each(|x| reports.pointer(at(x)));
    assert_eq!(reports.wake().read().unwrap(), 3);
    assert_eq!(reports.next(), Some((None, at(1))));
    reports.done();
    assert_eq!(reports.next(), Some((Some(at(1)), at(2))));
    reports.keep_newest();
    assert_eq!(reports.next(), Some((Some(at(1)), at(3))));
    reports.done();
    assert_eq!((reports.next(), reports.told()), (None, Some(at(3))));
}

#[test]
fn waiting_events_are_bounded_and_include_the_newest() {
    let reports = Reports::new().unwrap();
    (0..1000).for_each(|x| reports.pointer(at(x)));
    let mut all = Vec::new();
    while let Some((_, next)) = reports.next() {
        all.push(next.x);
        reports.done();
    }
    assert_eq!(all.len(), MOST);
    assert_eq!((all[0], all[MOST - 2], all[MOST - 1]), (0, 62, 999));
}

#[test]
fn a_new_driver_begins_with_the_newest() {
    let reports = Reports::new().unwrap();
    reports.pointer(at(1));
    reports.done();
    (2..5).for_each(|x| reports.pointer(at(x)));
    reports.restore(None);
    assert_eq!(reports.next(), Some((None, at(4))));
}
