use super::*;

fn picture(width: u16, height: u16) -> Picture {
    let mut picture = Picture::default();
    picture.begin(width, height);
    picture
}

fn rect(x: u16, y: u16, width: u16, height: u16) -> Rect {
    Rect { x, y, width, height }
}

#[test]
fn all_of_a_new_picture_has_changed() {
    let empty = Picture::default();
    assert_eq!(empty.size(), (0, 0));
    assert_eq!(empty.changes_since(Stamp::default()), []);
    assert!(empty.row(0, 0..10).is_empty());
    let picture = picture(40, 20);
    assert!(picture.is_resized_since(Stamp::default()));
    assert!(!picture.is_resized_since(picture.stamp()));
    assert_eq!(picture.changes_since(Stamp::default()), [rect(0, 0, 40, 16), rect(0, 16, 40, 4)]);
    assert_eq!(picture.changes_since(picture.stamp()), []);
}

#[test]
fn each_viewer_gets_the_changes_since_its_last_look() {
    let mut picture = picture(64, 32);
    let first = picture.stamp();
    picture.begin(64, 32);
    let mut line = [0; 64];
    (line[0], line[17], line[63]) = (1, 2, 3);
    picture.draw_row(31, &line);
    let second = picture.stamp();
    picture.begin(64, 32);
    picture.draw_row(31, &line);
    picture.draw_row(0, &[0, 7]);
    assert_eq!(picture.changes_since(first), [rect(0, 0, 16, 16), rect(0, 16, 32, 16), rect(48, 16, 16, 16)]);
    assert_eq!(picture.changes_since(second), [rect(0, 0, 16, 16)]);
    assert_eq!(picture.row(31, 16..18), [0_u32, 2]);
    assert_eq!(picture.row(0, 0..3), [0_u32, 7, 0]);
    assert!(!picture.is_resized_since(first));
}

#[test]
fn drawing_is_clipped_to_the_picture() {
    let mut picture = picture(20, 17);
    picture.begin(20, 17);
    let before = picture.stamp();
    picture.begin(20, 17);
    picture.draw_row(17, &[9; 20]);
    picture.draw_row(u16::MAX, &[9; 20]);
    assert_eq!(picture.changes_since(before), []);
    picture.draw_row(16, &[9; 1000]);
    assert_eq!(picture.changes_since(before), [rect(0, 16, 20, 1)]);
    assert_eq!(picture.row(16, 18..100), [9_u32, 9]);
    assert!(picture.row(17, 0..20).is_empty());
    picture.begin(0, 0);
    assert_eq!(picture.changes_since(before), []);
    assert!(picture.is_resized_since(before));
}

#[test]
fn pictures_may_be_of_any_size() {
    let mut picture = picture(u16::MAX, 2);
    let before = picture.stamp();
    picture.begin(u16::MAX, 2);
    picture.draw_row(1, &vec![1; usize::from(u16::MAX)]);
    assert_eq!(picture.changes_since(before), [rect(0, 0, u16::MAX, 2)]);
}
