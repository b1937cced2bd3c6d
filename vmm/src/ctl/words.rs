//! `KEY=VALUE` words as the arguments of a command.

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

use super::error::UsageError;
use crate::size::Size;

/// Converts the words by `kinds`, the command's arguments as listed by `query-commands`. QEMU does not list them: then a value is what it
/// looks like.
///
/// # Errors
///
/// A word is not `KEY=VALUE`, comes twice, or has a value of the wrong kind.
pub(super) fn arguments(words: &[String], kinds: &[Value]) -> Result<Map<String, Value>, UsageError> {
    let mut arguments = Map::new();
    for word in words {
        let Some((key, text)) = word.split_once('=') else {
            return Err(UsageError(format!("{word}: give KEY=VALUE, or all arguments as one JSON object")));
        };
        let kind = kinds.iter().find(|kind| kind["name"] == key).and_then(|kind| kind["type"].as_str());
        let value = value(text, kind).map_err(|why| UsageError(format!("{word}: {why:#}")))?;
        if arguments.insert(key.to_owned(), value).is_some() {
            return Err(UsageError(format!("{word}: '{key}' is there twice")));
        }
    }
    Ok(arguments)
}

fn value(text: &str, kind: Option<&str>) -> Result<Value> {
    Ok(match kind {
        Some("string") => text.into(),
        Some("boolean") => match text {
            "on" | "true" | "yes" => true.into(),
            "off" | "false" | "no" => false.into(),
            _ => bail!("give on or off"),
        },
        Some("uint64") => number(text)
            .context("give a whole number, 0x and hexadecimal digits, or a size such as 20G")?
            .into(),
        // An address, which may also be given as a negative number.
        Some("int64") => match (number(text), text.parse::<i64>()) {
            (Some(number), _) => number.into(),
            (None, Ok(number)) => number.into(),
            (None, Err(_)) => bail!("give a whole number, or 0x and hexadecimal digits"),
        },
        Some(_) => serde_json::from_str(text).context("give JSON")?,
        None => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
    })
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok().or_else(|| text.parse::<Size>().ok().map(|Size(bytes)| bytes)),
    }
}

#[cfg(test)]
#[path = "words_test.rs"]
mod tests;
