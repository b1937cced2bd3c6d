use serde_json::{Value, json};

use super::*;

fn parsed(given: &Value) -> Result<Screendump, String> {
    let given = given.as_object().unwrap().clone();
    let arguments = Arguments::check(given, ARGUMENTS);
    arguments.and_then(|mut arguments| screendump(&mut arguments)).map_err(|refusal| refusal.0)
}

#[test]
fn the_format_is_the_given_one_or_follows_from_the_name() {
    for (name, format, expected) in [
        ("a.png", None, ImageFormat::Png),
        ("a.PNG", None, ImageFormat::Png),
        ("a.ppm", None, ImageFormat::Ppm),
        ("png", None, ImageFormat::Ppm),
        ("a.png", Some("ppm"), ImageFormat::Ppm),
        ("a", Some("png"), ImageFormat::Png),
    ] {
        let mut given = json!({"filename": name, "device": "vga", "head": 0});
        if let Some(format) = format {
            given["format"] = format.into();
        }
        assert_eq!(parsed(&given), Ok(Screendump { path: name.into(), format: expected }), "{given}");
    }
}

#[test]
fn there_is_one_screen() {
    for (given, why) in [
        (json!({}), "Parameter 'filename' is missing"),
        (json!({"filename": "a", "device": "card1"}), "Device 'card1' not found"),
        (json!({"filename": "a", "head": 1}), "there is no head 1: the device has one screen, 0"),
        (json!({"filename": "a", "format": "gif"}), "Parameter 'format' does not accept value 'gif'"),
    ] {
        assert_eq!(parsed(&given), Err(why.to_owned()), "{given}");
    }
}
