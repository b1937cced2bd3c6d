//! The arguments of commands: their description in a table, and the check of the ones that a client gives.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::types::{Member, Type};
use crate::questions::Refusal;

/// An argument that a command takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Argument {
    pub(super) name: &'static str,
    pub(super) of: Type,
    pub(super) optional: bool,
    pub(super) help: &'static str,
}

/// A command's arguments, checked against its table.
#[derive(Debug)]
pub(super) struct Arguments(Map<String, Value>);

impl Argument {
    /// A required argument.
    pub(super) const fn new(name: &'static str, of: Type, help: &'static str) -> Self {
        Self { name, of, optional: false, help }
    }

    /// An optional argument.
    pub(super) const fn optional(name: &'static str, of: Type, help: &'static str) -> Self {
        Self { name, of, optional: true, help }
    }

    /// The argument as a member of the object that a command takes.
    pub(super) fn member(&self) -> Member {
        Member { name: self.name, of: self.of, optional: self.optional }
    }

    /// The argument in the description that clients can query.
    pub(super) fn describe(&self) -> Value {
        let mut described = json!({
            "name": self.name,
            "type": self.of.name(),
            "optional": self.optional,
            "help": self.help,
        });
        if let Type::Enum(values) = self.of {
            described["values"] = json!(values);
        }
        described
    }
}

impl Arguments {
    /// Checks the given arguments against the ones that a command takes.
    ///
    /// # Errors
    ///
    /// The first fault, in QEMU's words.
    pub(super) fn check(given: Map<String, Value>, known: &[Argument]) -> Result<Self, Refusal> {
        for Argument { name, of, optional, .. } in known {
            match given.get(*name) {
                None if *optional => {}
                None => return Err(Refusal(format!("Parameter '{name}' is missing"))),
                Some(value) if !of.fits(value) => {
                    let kind = of.name();
                    return Err(Refusal(format!("Invalid parameter type for '{name}', expected: {kind}")));
                }
                Some(Value::String(value)) => {
                    if let Type::Enum(values) = of
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
    /// The value has the wrong form.
    pub(super) fn take<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, Refusal> {
        let taken = self.0.remove(name).map(serde_json::from_value);
        taken.transpose().map_err(|error| Refusal(format!("Parameter '{name}': {error}")))
    }

    /// Takes all of them at once.
    ///
    /// # Errors
    ///
    /// A value has the wrong form.
    pub(super) fn all<T: DeserializeOwned>(&mut self) -> Result<T, Refusal> {
        let given = std::mem::take(&mut self.0);
        serde_json::from_value(Value::Object(given)).map_err(|error| Refusal(error.to_string()))
    }

    /// Takes the value of a required argument.
    ///
    /// # Errors
    ///
    /// The same as those of [`Arguments::take`].
    pub(super) fn need<T: DeserializeOwned>(&mut self, name: &str) -> Result<T, Refusal> {
        self.take(name)?.ok_or_else(|| Refusal(format!("Parameter '{name}' is missing")))
    }
}

#[cfg(test)]
#[path = "arguments_test.rs"]
mod tests;
