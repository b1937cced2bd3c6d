use super::*;

fn never() -> bool {
    false
}

#[test]
fn each_piece_is_done_once_and_results_are_in_order() {
    for count in [0, 1, LEAST_EACH - 1, 100] {
        let results = each(count, &never, |number, room| {
            assert_eq!(room.len(), PIECE);
            Ok(number * 3)
        });
        assert_eq!(results.unwrap(), (0..count).map(|number| number * 3).collect::<Vec<_>>());
    }
}

#[test]
fn an_error_ends_it() {
    let done = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&done);
    let failed = each(100_000, &never, move |number, _| {
        if number == 20 {
            bail!("piece {number}");
        }
        counted.fetch_add(1, Ordering::Relaxed);
        Ok(())
    });
    assert_eq!(failed.unwrap_err().to_string(), "piece 20");
    assert!(done.load(Ordering::Relaxed) < 100_000);
}

#[test]
fn work_can_be_given_up() {
    let error = each(1000, &|| true, |_, _| Ok(())).unwrap_err();
    assert_eq!(error.to_string(), "nvmm was told to end");
}
