//! Parses options with `key=value` parts: with serde if they have only these, and by hand if they begin with a word.

use arch::suggest::nearest;
use devices::printable::ToPrintable;
use serde::Deserialize;
use serde_aco::Error;

use super::{error::ConfigError, words};

/// Parses `text`, which is the encoded form of what was `given` to `option`.
pub(super) fn keys<'a, T: Deserialize<'a>>(
    option: &'static str,
    given: &str,
    text: &'a str,
) -> Result<T, ConfigError> {
    // To serde_aco, a value that begins with `id_` is a reference: here it stands for itself.
    let values = text.split(',').filter_map(|part| part.split_once('=').map(|(_, value)| value));
    let themselves = values.filter(|value| value.starts_with("id_")).map(|value| (value, value)).collect();
    serde_aco::from_args(text, &themselves).map_err(|error| {
        let why = match error {
            Error::Message(message) => {
                let ours = unknown_key(&message).or_else(|| unknown_value(&message, text));
                ours.or_else(|| repeated_key(&message)).unwrap_or(message)
            }
            Error::ExpectedInteger => "give a whole number".to_owned(),
            Error::Overflow => "the number is too large".to_owned(),
            Error::ExpectedBool => "give on or off".to_owned(),
            Error::ExpectedMapEq => "give key=value, with commas between".to_owned(),
            Error::Trailing(rest) => format!("'{rest}' is left over"),
            other => other.to_string(),
        };
        ConfigError::Keys {
            option,
            given: given.to_owned(),
            why: words::decode(&why).printable().to_string(),
        }
    })
}

/// Rewrites serde's message about an unknown key, if it is one: it lists all keys there are, even if one of them is meant.
fn unknown_key(message: &str) -> Option<String> {
    let (key, known) = unknown(message, "field")?;
    Some(format!("no such key '{key}'; {}", advice(key, &known)))
}

/// Rewrites serde's message about an unknown value, if it is one: it does not name the key in `text` that has the value.
fn unknown_value(message: &str, text: &str) -> Option<String> {
    let (value, known) = unknown(message, "variant")?;
    let part = text.split(',').find(|part| part.split_once('=').is_some_and(|(_, it)| it == value));
    Some(format!("{}: {}", part.unwrap_or(value), advice(value, &known)))
}

/// Rewrites serde's message about a key that is given again, if it is one.
fn repeated_key(message: &str) -> Option<String> {
    let key = message.strip_prefix("duplicate field `")?.strip_suffix('`')?;
    Some(format!("'{key}' is there twice"))
}

/// The unknown name in serde's message, and the names that it lists.
fn unknown<'m>(message: &'m str, kind: &str) -> Option<(&'m str, Vec<&'m str>)> {
    let rest = message.strip_prefix("unknown ")?.strip_prefix(kind)?.strip_prefix(" `")?;
    let (name, known) = rest.rsplit_once("`, expected ")?;
    Some((name, known.split('`').skip(1).step_by(2).collect()))
}

/// The way out for someone who gave a `name` that is not a `known` one.
fn advice(name: &str, known: &[&str]) -> String {
    match (nearest(name, known.iter().copied()).first(), known) {
        (Some(near), _) => format!("did you mean {near}?"),
        (None, [others @ .., last]) if !others.is_empty() => format!("give {} or {last}", others.join(", ")),
        (None, known) => format!("give {}", known.concat()),
    }
}

/// Adds a hint to an error about an unknown key: the option's first part, which contains it, may be meant as a file name.
pub(super) fn with_hint(error: ConfigError, first: &str) -> ConfigError {
    let shown = words::decode(first).printable().to_string();
    let key = shown.split('=').next().unwrap_or_default();
    match error {
        ConfigError::Keys { option, given, why } if why.starts_with(&format!("no such key '{key}';")) => {
            let name = shown.replace(',', ",,");
            let or = if why.ends_with('?') { " Or" } else { ";" };
            let why = format!("{why}{or} if '{name}' is a file's name, write path={name}");
            ConfigError::Keys { option, given, why }
        }
        other => other,
    }
}

/// The parts after an option's first word: `KEY` or `KEY=VALUE`.
pub(super) struct Keys<'a>(Vec<(&'a str, Option<&'a str>)>);

impl<'a> Keys<'a> {
    /// Makes the parts, in which each key may occur once.
    pub(super) fn of(parts: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        Self::with_list(parts, "")
    }

    /// Makes the parts, in which only the key `list` may occur repeatedly: of other keys that occur twice, it would be unclear which one
    /// counts.
    pub(super) fn with_list(parts: impl Iterator<Item = &'a str>, list: &str) -> Result<Self, String> {
        let mut keys = Vec::new();
        for part in parts {
            let (key, value) = match part.split_once('=') {
                Some((key, value)) => (key, Some(value)),
                None => (part, None),
            };
            if key != list && keys.iter().any(|(before, _)| *before == key) {
                return Err(format!("'{}' is there twice", words::decode(key).printable()));
            }
            keys.push((key, value));
        }
        Ok(Self(keys))
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.0.iter().any(|(name, _)| *name == key)
    }

    fn take(&mut self, key: &str) -> Option<Option<&'a str>> {
        let at = self.0.iter().position(|(name, _)| *name == key)?;
        Some(self.0.remove(at).1)
    }

    /// Takes out `KEY`, `KEY=on` or `KEY=off`.
    pub(super) fn switch(&mut self, key: &str) -> Result<bool, String> {
        match self.take(key) {
            None | Some(Some("off")) => Ok(false),
            Some(None | Some("on")) => Ok(true),
            Some(Some(other)) => {
                Err(format!("'{key}={}': give {key}=on or {key}=off", words::decode(other).printable()))
            }
        }
    }

    /// Takes out `KEY=VALUE`. `what` describes the value in errors.
    pub(super) fn value(&mut self, key: &str, what: &str) -> Result<Option<&'a str>, String> {
        match self.take(key) {
            None => Ok(None),
            Some(Some(value)) => Ok(Some(value)),
            Some(None) => Err(format!("'{key}' needs a value: {key}={what}")),
        }
    }

    /// Takes out every `KEY=VALUE`.
    pub(super) fn list(&mut self, key: &str, what: &str) -> Result<Vec<&'a str>, String> {
        std::iter::from_fn(|| self.value(key, what).transpose()).collect()
    }

    /// The first key that was not taken out.
    pub(super) fn first(&self) -> Option<&'a str> {
        self.0.first().map(|(key, _)| *key)
    }

    /// Refuses keys that were not taken out.
    pub(super) fn end(self, known: &str) -> Result<(), String> {
        match self.first() {
            None => Ok(()),
            Some(key) => {
                Err(format!("'{}' means nothing here; give {known}", words::decode(key).printable()))
            }
        }
    }
}
