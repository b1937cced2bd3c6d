//! Damage to JSON values, in one place at a time.

use serde_json::Value;

/// The digits of a structure's field in hexadecimal text.
const FIELD: usize = 16;

/// The places of all values except the outermost, as JSON pointers.
pub(crate) fn places(value: &Value) -> Vec<String> {
    let mut all = Vec::new();
    add_places(value, "", &mut all);
    all
}

fn add_places(value: &Value, at: &str, all: &mut Vec<String>) {
    let mut add = |key: &str, value: &Value| {
        let place = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
        add_places(value, &place, all);
        all.push(place);
    };
    match value {
        Value::Object(members) => members.iter().for_each(|(key, value)| add(key, value)),
        Value::Array(items) => items.iter().enumerate().for_each(|(at, value)| add(&at.to_string(), value)),
        _ => {}
    }
}

/// Changes a value by a random number: in a text, a digit, a field or the length; a number to another of the same size, an extreme or any;
/// and in a list or an object, the length.
pub(crate) fn change(value: &mut Value, by: u64) {
    let (how, by) = (by % 8, by / 8);
    let below = |end: usize| usize::try_from(by % end.max(1) as u64).unwrap_or_default();
    match value {
        Value::String(text) if text.is_ascii() && !text.is_empty() => match how {
            0 => text.truncate(below(text.len())),
            1 => text.push_str("00"),
            2 | 3 => {
                let start = below(text.len().div_ceil(FIELD)) * FIELD;
                let end = text.len().min(start + FIELD);
                let digit = if how == 2 { "f" } else { "0" };
                text.replace_range(start..end, &digit.repeat(end - start));
            }
            _ => {
                let at = below(text.len());
                text.replace_range(at..=at, &format!("{:x}", by >> 32 & 0xf));
            }
        },
        Value::String(text) => text.push('0'),
        Value::Bool(bool) => *bool = !*bool,
        Value::Number(number) => {
            let bits = number.as_u64().map_or(64, |number| 64 - number.leading_zeros()).max(3);
            *value = match how {
                0 => by.into(),
                1 => (u64::MAX >> (by % 64)).into(),
                2 => (1_u64 << (by % 64)).into(),
                3 => 0.into(),
                _ => (by & u64::MAX >> (64 - bits)).into(),
            };
        }
        Value::Array(items) if !items.is_empty() => {
            let at = below(items.len());
            if how < 4 {
                items.remove(at);
            } else {
                items.insert(at, items[at].clone());
            }
        }
        Value::Object(members) if !members.is_empty() => {
            let key = members.keys().nth(below(members.len())).cloned().unwrap_or_default();
            members.remove(&key);
        }
        other => *other = by.into(),
    }
}
