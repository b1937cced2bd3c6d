//! The arguments of commands: how a table describes them, and the check of what a client gives.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::questions::Refusal;

/// An argument that a command takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Argument {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) optional: bool,
    pub(super) help: &'static str,
}

/// The kind of an argument's value, in QAPI's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    String,
    /// One of these strings.
    Enum(&'static [&'static str]),
    /// A whole number that is not negative.
    Uint64,
    /// An address, of which the upper half may be given as negative numbers, as QEMU's clients do.
    Address,
    Boolean,
    Object,
    Array,
}

/// A command's arguments, which are as its table has them.
#[derive(Debug)]
pub(super) struct Arguments(Map<String, Value>);

impl Argument {
    /// An argument that has to be there.
    pub(super) const fn new(name: &'static str, kind: Kind, help: &'static str) -> Self {
        Self { name, kind, optional: false, help }
    }

    /// An argument that may be left out.
    pub(super) const fn optional(name: &'static str, kind: Kind, help: &'static str) -> Self {
        Self { name, kind, optional: true, help }
    }

    /// It for those who ask.
    pub(super) fn describe(&self) -> Value {
        let mut described = json!({
            "name": self.name,
            "type": self.kind.name(),
            "optional": self.optional,
            "help": self.help,
        });
        if let Kind::Enum(values) = self.kind {
            described["values"] = json!(values);
        }
        described
    }
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::String | Self::Enum(_) => "string",
            Self::Uint64 => "uint64",
            Self::Address => "int64",
            Self::Boolean => "boolean",
            Self::Object => "object",
            Self::Array => "array",
        }
    }

    fn fits(self, value: &Value) -> bool {
        match self {
            Self::String | Self::Enum(_) => value.is_string(),
            Self::Uint64 => value.is_u64(),
            Self::Address => value.is_u64() || value.is_i64(),
            Self::Boolean => value.is_boolean(),
            Self::Object => value.is_object(),
            Self::Array => value.is_array(),
        }
    }
}

impl Arguments {
    /// Checks what was given against what a command takes.
    ///
    /// # Errors
    ///
    /// The first fault, in QEMU's words.
    pub(super) fn check(given: Map<String, Value>, known: &[Argument]) -> Result<Self, Refusal> {
        for Argument { name, kind, optional, .. } in known {
            match given.get(*name) {
                None if *optional => {}
                None => return Err(Refusal(format!("Parameter '{name}' is missing"))),
                Some(value) if !kind.fits(value) => {
                    let kind = kind.name();
                    return Err(Refusal(format!("Invalid parameter type for '{name}', expected: {kind}")));
                }
                Some(Value::String(value)) => {
                    if let Kind::Enum(values) = kind
                        && !values.contains(&value.as_str())
                    {
                        return Err(Refusal(format!("Parameter '{name}' does not accept value '{value}'")));
                    }
                }
                Some(_) => {}
            }
        }
        match given.keys().find(|name| known.iter().all(|known| known.name != name.as_str())) {
            Some(name) => Err(Refusal(format!("Parameter '{name}' is unexpected"))),
            None => Ok(Self(given)),
        }
    }

    /// Takes the value of an argument, if it was given.
    ///
    /// # Errors
    ///
    /// The value has another form.
    pub(super) fn take<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, Refusal> {
        let taken = self.0.remove(name).map(serde_json::from_value);
        taken.transpose().map_err(|error| Refusal(format!("Parameter '{name}': {error}")))
    }

    /// Takes all of them at once.
    ///
    /// # Errors
    ///
    /// A value has another form.
    pub(super) fn all<T: DeserializeOwned>(&mut self) -> Result<T, Refusal> {
        let given = std::mem::take(&mut self.0);
        serde_json::from_value(Value::Object(given)).map_err(|error| Refusal(error.to_string()))
    }

    /// Takes the value of an argument that has to be there.
    ///
    /// # Errors
    ///
    /// As for [`Arguments::take`].
    pub(super) fn need<T: DeserializeOwned>(&mut self, name: &str) -> Result<T, Refusal> {
        self.take(name)?.ok_or_else(|| Refusal(format!("Parameter '{name}' is missing")))
    }
}

#[cfg(test)]
#[path = "arguments_test.rs"]
mod tests;
