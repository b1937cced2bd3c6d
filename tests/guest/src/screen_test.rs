use super::*;

/// A picture with these rows of characters, in a font in which each character's pixels are the bits of its code.
fn picture(rows: &[&str]) -> Pixels {
    let width = 100 * WIDTH;
    let mut picture = Pixels { width, rows: vec![vec![0; 3 * width]; rows.len() * HEIGHT] };
    for (row, text) in rows.iter().enumerate() {
        for (column, byte) in text.bytes().enumerate() {
            for bit in (0..8).filter(|bit| (byte - b' ') >> bit & 1 != 0) {
                picture.rows[HEIGHT * row + 3][3 * (WIDTH * column + bit) + 1] = 170;
            }
        }
    }
    picture
}

#[test]
fn text_is_read_by_the_font_in_the_first_row() {
    let all: String = CHARACTERS.map(char::from).collect();
    let mut picture = picture(&[&all, "", WORDS]);
    assert_eq!(picture.text().unwrap(), [&all, "", WORDS]);
    assert!(!picture.is_blank());
    // A single pixel is no known character.
    picture.rows[2 * HEIGHT][0] = 255;
    assert_eq!(picture.text().unwrap()[2], WORDS.replacen('W', "?", 1));
}

#[test]
fn a_picture_of_one_colour_is_blank() {
    let mut picture = picture(&["", ""]);
    assert!(picture.is_blank());
    picture.rows[HEIGHT][3] = 1;
    assert!(!picture.is_blank());
}

#[test]
fn a_screen_without_a_font_has_no_text() {
    for rows in [["", WORDS], [WORDS, WORDS]] {
        assert!(picture(&rows).text().unwrap_err().to_string().ends_with("look the same"));
    }
}

#[test]
fn warnings_about_the_screen_are_distinguished_from_other_messages() {
    let message = |priority, text: &str| Message { priority, text: text.to_owned() };
    let about = "WARNING: CPU: 0 PID: 1 at drivers/gpu/drm/drm_a.c:1";
    assert_eq!(warning(message(4, about)), Some(about.to_owned()));
    for (priority, other) in [(6, "fb0: EFI VGA"), (12, "fbset's warning"), (4, "hrtimer")] {
        assert_eq!(warning(message(priority, other)), None);
    }
}
