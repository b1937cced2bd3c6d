//! The keys in the value of an option: `KEY=VALUE,KEY=VALUE` with `,,` for a comma, or JSON.

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
};

use serde_json::Value;

use crate::config::words;

/// Keys that may be given more than once.
const LISTS: [&str; 3] = ["hostfwd", "guestfwd", "value"];

/// The keys and values of an option, in order. Values are in the form of [`words`].
#[derive(Clone, Debug, Default)]
pub(super) struct Keys(Vec<(String, String)>);

impl Keys {
    pub(super) fn of(value: &OsStr, implied: &str) -> Result<Self, String> {
        let keys = match value.as_encoded_bytes().first() {
            Some(b'{') => Self::of_json(value)?,
            _ => Self::of_words(&words::encode(value), implied),
        };
        let mut seen = BTreeSet::new();
        match keys.0.iter().find(|(key, _)| !seen.insert(key) && !LISTS.contains(&key.as_str())) {
            Some((key, _)) => Err(format!("'{key}' is there twice")),
            None => Ok(keys),
        }
    }

    /// A key without a value is a switch: `KEY`, or `noKEY`.
    fn of_words(text: &str, implied: &str) -> Self {
        let keys = text.split(',').enumerate().filter(|(_, part)| !part.is_empty());
        let pairs = keys.map(|(at, part)| match part.split_once('=') {
            Some((key, value)) => (key, value),
            None if at == 0 && !implied.is_empty() => (implied, part),
            None => part.strip_prefix("no").map_or((part, "on"), |key| (key, "off")),
        });
        Self(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
    }

    /// Parses an object, in libvirt's form; members of nested objects become keys with dots.
    fn of_json(value: &OsStr) -> Result<Self, String> {
        let parsed: Value = serde_json::from_slice(value.as_encoded_bytes())
            .map_err(|error| format!("this is no JSON: {error}"))?;
        let mut keys = Self::default();
        keys.add_json("", &parsed)?;
        Ok(keys)
    }

    fn add_json(&mut self, key: &str, value: &Value) -> Result<(), String> {
        let below = |name: &str| if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") };
        let text = match value {
            Value::Object(members) => {
                return members.iter().try_for_each(|(name, value)| self.add_json(&below(name), value));
            }
            Value::Array(list) => {
                return list
                    .iter()
                    .enumerate()
                    .try_for_each(|(at, value)| self.add_json(&below(&at.to_string()), value));
            }
            Value::Null => String::new(),
            Value::Bool(on) => if *on { "on" } else { "off" }.to_owned(),
            Value::Number(number) => number.to_string(),
            Value::String(text) => words::whole(OsStr::new(text)),
        };
        self.0.push((key.to_owned(), text));
        Ok(())
    }

    /// The value of a key, which is kept.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// Removes a key, and returns its value.
    pub(super) fn take(&mut self, key: &str) -> Option<String> {
        let at = self.0.iter().position(|(name, _)| name == key)?;
        Some(self.0.remove(at).1)
    }

    /// Removes a key that has several names, and returns its value.
    pub(super) fn take_of(&mut self, names: &[&str]) -> Result<Option<String>, String> {
        let mut found = None;
        for name in names {
            if let Some(value) = self.take(name)
                && found.replace(value).is_some()
            {
                return Err(format!("'{}' are the same; leave one of them out", names.join("' and '")));
            }
        }
        Ok(found)
    }

    /// Removes a switch, by any of its names.
    pub(super) fn switch(&mut self, names: &[&str]) -> Result<Option<bool>, String> {
        match self.take_of(names)?.as_deref() {
            None => Ok(None),
            Some("on" | "yes" | "true" | "y") => Ok(Some(true)),
            Some("off" | "no" | "false" | "n") => Ok(Some(false)),
            Some(other) => Err(format!("'{}={other}': give on or off", names[0])),
        }
    }

    /// Removes a number, in decimal or, after `0x`, in hexadecimal.
    pub(super) fn number(&mut self, key: &str) -> Result<Option<u64>, String> {
        let Some(text) = self.take(key) else { return Ok(None) };
        let number = match text.strip_prefix("0x") {
            Some(hex) if hex.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                u64::from_str_radix(hex, 16).ok()
            }
            Some(_) => None,
            None => words::number(&text),
        };
        number.map(Some).ok_or_else(|| format!("'{key}={text}': give a whole number"))
    }

    /// Removes the keys that have no effect with the listed values, or with any value if none are listed. Returns the removed ones.
    pub(super) fn take_idle(&mut self, idle: &[(&str, &[&str])]) -> Vec<String> {
        let is_idle = |(key, value): &(String, String)| {
            idle.iter()
                .any(|(name, values)| name == key && (values.is_empty() || values.contains(&value.as_str())))
        };
        let (taken, left) = std::mem::take(&mut self.0).into_iter().partition(is_idle);
        self.0 = left;
        taken.into_iter().map(|(key, value): (String, String)| format!("{key}={value}")).collect()
    }

    /// The remaining keys with their values.
    pub(super) fn rest(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Refuses the remaining keys.
    pub(super) fn end(&self) -> Result<(), String> {
        let left: Vec<_> = self.rest().map(|(key, value)| format!("'{key}={value}'")).collect();
        match left.is_empty() {
            true => Ok(()),
            false => Err(format!("{}: nvmm has nothing like it; leave it out", left.join(", "))),
        }
    }
}

/// Joins keys to the value of one of nvmm's options, with commas in them doubled.
pub(super) fn joined<'a>(parts: impl IntoIterator<Item = &'a str>) -> OsString {
    words::escaped(&parts.into_iter().collect::<Vec<_>>().join(","))
}
