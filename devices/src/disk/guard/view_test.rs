use super::*;

#[test]
fn parts_of_what_is_read_are_replaced() {
    let view = View(vec![(24, vec![1, 2, 3, 4]), (30, vec![5, 6])]);
    let within =
        |start, end| view.within(start, end).map(|(at, bytes)| (at, bytes.to_vec())).collect::<Vec<_>>();
    assert_eq!(within(0, 512), [(24, vec![1, 2, 3, 4]), (30, vec![5, 6])]);
    assert_eq!(within(26, 31), [(0, vec![3, 4]), (4, vec![5])]);
    assert_eq!(within(25, 26), [(0, vec![2])]);
    for (start, end) in [(0, 24), (28, 30), (32, u64::MAX), (24, 24)] {
        assert_eq!(within(start, end), []);
    }
}

#[test]
fn names_that_are_not_utf8_keep_their_length() {
    let mut view = View::default();
    view.name(512, &"b\u{e4}se".into());
    assert!(view.is_plain());
    view.name(512, &b"b\xe4se".into());
    assert_eq!(view.0, [(512, b"b_se".to_vec())]);
}
