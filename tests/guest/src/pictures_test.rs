use vmm::nest::report::{Line, Said};

use super::*;

#[test]
fn a_picture_survives_level_0_s_console() {
    let file: Vec<u8> = (0..u8::MAX).cycle().take(2 * PART + 1).collect();
    let lines = to_lines("a.png", &file);
    assert_eq!(lines.len(), 3);
    let mut pictures = Pictures::default();
    for line in lines {
        assert!(line.len() < 4000);
        let said = Line { level: 0, said: Said::Text(line) }.to_string();
        let Said::Text(text) = Line::parse(said.as_bytes(), 0, 2).said else { panic!("it is text") };
        assert!(pictures.add(&text));
    }
    for other in ["Linux says something", "lab-picture:", "lab-picture:a.png:%"] {
        assert!(!pictures.add(other));
    }
    assert_eq!(pictures.0, [("a.png".to_owned(), file)].into());
}
