use super::{
    super::test_viewer::{TestScreen, TestViewer, Told},
    *,
};

/// A painter and its viewer.
struct Pair {
    screen: TestScreen,
    painter: Painter,
    viewer: TestViewer,
}

const ALL: Request = Request { all_of: Some(Rect { x: 0, y: 0, width: u16::MAX, height: u16::MAX }) };
const CHANGES: Request = Request { all_of: None };

impl Pair {
    fn new(size: (u16, u16), encodings: &[i32]) -> Self {
        let screen = TestScreen::default();
        screen.draw(size, |x, y| u32::from(x) << 8 | u32::from(y));
        let mut painter = Painter::new(&screen);
        painter.set_encodings(encodings);
        let viewer = TestViewer::new(painter.size());
        Self { screen, painter, viewer }
    }

    /// Makes the viewer take an update, which may consist of two messages.
    fn paint(&mut self, request: Request) -> Vec<Vec<Told>> {
        let mut bytes = Vec::new();
        let painted = self.painter.paint(&self.screen, request, &mut bytes).unwrap();
        assert_eq!(painted, !bytes.is_empty());
        let (mut rest, mut told) = (&bytes[..], Vec::new());
        while !rest.is_empty() {
            let (rects, len) = self.viewer.update(rest).unwrap();
            told.push(rects);
            rest = &rest[len..];
        }
        told
    }

    fn is_seen(&self) -> bool {
        self.viewer.pixels == self.screen.pixels(self.viewer.size)
    }
}

fn told(at: [u16; 4], encoding: i32) -> Told {
    Told { at, encoding }
}

#[test]
fn a_viewer_sees_all_and_then_what_changes() {
    for encoding in [RAW, ZLIB, ZRLE] {
        let mut pair = Pair::new((100, 70), &[7, encoding, 0]);
        assert_eq!(pair.paint(ALL), [[told([0, 0, 100, 70], encoding)]]);
        assert!(pair.is_seen());
        assert!(pair.paint(CHANGES).is_empty());
        // Each stream continues.
        for change in 1..20 {
            let at = change * 3;
            pair.screen.draw((100, 70), |x, y| {
                if (x, y) == (at, at) { 0x00ab_cdef } else { u32::from(x) << 8 | u32::from(y) }
            });
            let changes = pair.paint(CHANGES);
            assert!(pair.is_seen(), "{encoding} {change}");
            let pixels: usize =
                changes[0].iter().map(|rect| usize::from(rect.at[2]) * usize::from(rect.at[3])).sum();
            assert!(pixels <= 3 * 16 * 16, "{changes:?}");
        }
        assert!(pair.paint(CHANGES).is_empty());
        let all = pair.paint(ALL);
        assert_eq!(all, [[told([0, 0, 100, 70], encoding)]], "though nothing changed");
    }
}

#[test]
fn a_part_can_be_asked_for_and_changes_elsewhere_come_with_it() {
    let mut pair = Pair::new((64, 64), &[0]);
    pair.paint(ALL);
    let area = Rect { x: 50, y: 10, width: 100, height: 7 };
    assert_eq!(pair.paint(Request { all_of: Some(area) }), [[told([50, 10, 14, 7], 0)]]);
    pair.screen.draw((64, 64), |x, y| u32::from((x, y) == (3, 60)));
    let area = Rect { x: 0, y: 0, width: 64, height: 16 };
    pair.paint(Request { all_of: Some(area) });
    assert!(pair.is_seen());
    let outside = Rect { x: 64, y: 0, width: 1, height: 1 };
    assert!(pair.paint(Request { all_of: Some(outside) }).is_empty());
}

#[test]
fn areas_that_are_asked_for_add_up() {
    let mut request = Request::default();
    request.add(Rect { x: 10, y: 10, width: 5, height: 5 });
    request.add(Rect { x: 0, y: 12, width: 5, height: u16::MAX });
    assert_eq!(request.all_of, Some(Rect { x: 0, y: 10, width: 15, height: u16::MAX - 10 }));
}

#[test]
fn tiles_below_each_other_are_one_rectangle() {
    let mut pair = Pair::new((128, 128), &[0]);
    pair.paint(ALL);
    // A column of three tiles with a gap, and a wider one beside it.
    pair.screen.draw((128, 128), |x, y| match (x / 16, y / 16) {
        (0, 0..3 | 5) | (2..4, 1..3) => 0xff,
        _ => u32::from(x) << 8 | u32::from(y),
    });
    let changes = &pair.paint(CHANGES)[0];
    let expected = [[0, 0, 16, 48], [32, 16, 32, 32], [0, 80, 16, 16]].map(|at| told(at, 0));
    assert_eq!(changes, &expected);
    assert!(pair.is_seen());
}

#[test]
fn a_new_size_of_the_screen_is_sent_before_its_pixels() {
    for (wishes, size) in [
        (&[0, DESKTOP_SIZE][..], told([0, 0, 80, 40], DESKTOP_SIZE)),
        (&[0, EXTENDED_DESKTOP_SIZE], told([0, 0, 80, 40], EXTENDED_DESKTOP_SIZE)),
    ] {
        let mut pair = Pair::new((50, 50), wishes);
        pair.paint(ALL);
        pair.screen.draw((80, 40), |x, _| u32::from(x));
        assert_eq!(pair.paint(CHANGES), [[size], [told([0, 0, 80, 40], 0)]]);
        assert!(pair.is_seen());
        assert!(pair.paint(CHANGES).is_empty());
        // There and back: nothing of the previous picture remains.
        pair.screen.draw((50, 50), |_, _| 1);
        pair.screen.draw((80, 40), |_, _| 2);
        assert_eq!(pair.paint(CHANGES), [[told([0, 0, 80, 40], 0)]]);
        assert!(pair.is_seen());
    }
}

#[test]
fn a_viewer_of_a_fixed_size_sees_what_fits() {
    let mut pair = Pair::new((50, 50), &[0]);
    pair.paint(ALL);
    for size in [(80, 40), (20, 80), (50, 50)] {
        pair.screen.draw(size, |x, y| 7 + u32::from(x) * u32::from(y));
        assert_eq!(pair.paint(CHANGES), [[told([0, 0, 50, 50], 0)]]);
        assert!(pair.is_seen(), "and black around it");
        pair.screen.draw(size, |_, _| 3);
        pair.paint(CHANGES);
        assert!(pair.is_seen());
    }
}

#[test]
fn a_screen_that_shows_nothing_yet_is_black() {
    let screen = TestScreen::default();
    let mut painter = Painter::new(&screen);
    painter.set_encodings(&[ZRLE, DESKTOP_SIZE]);
    assert_eq!(painter.size(), EMPTY);
    let viewer = TestViewer::new(EMPTY);
    let mut pair = Pair { screen, painter, viewer };
    assert_eq!(pair.paint(ALL), [[told([0, 0, 640, 480], ZRLE)]]);
    assert!(pair.viewer.pixels.iter().all(|pixel| *pixel == 0));
    assert!(pair.paint(CHANGES).is_empty());
    pair.screen.draw((720, 400), |x, _| u32::from(x));
    pair.paint(CHANGES);
    assert_eq!(pair.viewer.size, (720, 400));
    assert!(pair.is_seen());
}

#[test]
fn wishes_are_answered_by_the_next_update() {
    let mut pair = Pair::new((50, 50), &[]);
    pair.paint(ALL);
    pair.painter.set_encodings(&[ZRLE, EXTENDED_KEYS, EXTENDED_DESKTOP_SIZE]);
    let [size, keys] = [EXTENDED_DESKTOP_SIZE, EXTENDED_KEYS].map(|wish| told([0, 0, 50, 50], wish));
    assert_eq!(pair.paint(CHANGES), [[size.clone()], [keys]]);
    assert!(pair.paint(CHANGES).is_empty());
    // Only the guest decides on the size.
    pair.painter.refuse_size();
    assert_eq!(pair.paint(CHANGES), [[told([1, 1, 50, 50], EXTENDED_DESKTOP_SIZE)]]);
    // According to the community's document, a viewer that requests everything also gets the size.
    assert_eq!(pair.paint(ALL)[0], [size]);

    let mut pair = Pair::new((50, 50), &[DESKTOP_SIZE]);
    pair.paint(ALL);
    pair.painter.refuse_size();
    assert!(pair.paint(CHANGES).is_empty());
}

#[test]
fn pixels_of_two_bytes_are_packed_like_others() {
    let mut pair = Pair::new((40, 40), &[RAW]);
    let format = [16, 16, 0, 1, 0, 31, 0, 63, 0, 31, 11, 5, 0, 0, 0, 0];
    pair.painter.set_format(PixelFormat::parse(&format).unwrap());
    pair.screen.draw((40, 40), |_, _| 0x00ff_0000);
    let mut bytes = Vec::new();
    pair.painter.paint(&pair.screen, ALL, &mut bytes).unwrap();
    assert_eq!(bytes.len(), 4 + 12 + 40 * 40 * 2);
    assert_eq!(bytes[16..18], [0x00, 0xf8]);
}
