//! `query-qmp-schema`: commands and events with their types, in the form of QEMU's schema.
//!
//! A command and an event have their own names; other types have a number, and a list the name of its elements' type in brackets. Identical
//! types share a name.
//!
//! QEMU, "How to use the QAPI code generator", "Client JSON Protocol introspection".

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::types::{Member, Type};

/// A schema under construction.
#[derive(Debug, Default)]
pub(super) struct Schema {
    /// Commands, events, lists and built-in types, by their names.
    named: BTreeMap<String, Value>,
    /// The numbers of other types, by their description.
    numbered: BTreeMap<String, (usize, Value)>,
}

impl Schema {
    /// Adds a command.
    pub(super) fn command(&mut self, name: &str, arguments: impl Iterator<Item = Member>, returns: Type) {
        let (arguments, returns) = (self.object(arguments), self.name_of(returns));
        let command = json!({"meta-type": "command", "arg-type": arguments, "ret-type": returns});
        self.named.insert(name.to_owned(), command);
    }

    /// Adds an event.
    pub(super) fn event(&mut self, name: &str, data: Type) {
        let data = self.name_of(data);
        self.named.insert(name.to_owned(), json!({"meta-type": "event", "arg-type": data}));
    }

    /// QMP's list of `SchemaInfo`.
    pub(super) fn list(self) -> Value {
        let numbered = self.numbered.into_values().map(|(number, info)| (number.to_string(), info));
        let all = self.named.into_iter().chain(numbered);
        all.map(|(name, mut info)| {
            info["name"] = name.into();
            info
        })
        .collect()
    }

    /// The name of a type, which is added if it is missing.
    fn name_of(&mut self, of: Type) -> String {
        let (name, info) = match of {
            Type::String => ("str".to_owned(), json!({"meta-type": "builtin", "json-type": "string"})),
            Type::Uint64 | Type::Address => {
                ("int".to_owned(), json!({"meta-type": "builtin", "json-type": "int"}))
            }
            Type::Boolean => ("bool".to_owned(), json!({"meta-type": "builtin", "json-type": "boolean"})),
            Type::Any => ("any".to_owned(), json!({"meta-type": "builtin", "json-type": "value"})),
            Type::Array(element) => {
                let element = self.name_of(*element);
                (format!("[{element}]"), json!({"meta-type": "array", "element-type": element}))
            }
            Type::Object(members) => return self.object(members.iter().copied()),
            Type::Enum(values) => {
                let members: Vec<_> = values.iter().map(|value| json!({"name": value})).collect();
                // QEMU gives the values in both forms.
                return self.number(json!({"meta-type": "enum", "members": members, "values": values}));
            }
        };
        self.named.insert(name.clone(), info);
        name
    }

    /// The name of an object type.
    fn object(&mut self, members: impl Iterator<Item = Member>) -> String {
        let members: Vec<_> = members
            .map(|member| {
                let mut info = json!({"name": member.name, "type": self.name_of(member.of)});
                if member.optional {
                    info["default"] = Value::Null;
                }
                info
            })
            .collect();
        self.number(json!({"meta-type": "object", "members": members}))
    }

    /// The name of a type that has none of its own.
    fn number(&mut self, info: Value) -> String {
        let next = self.numbered.len();
        self.numbered.entry(info.to_string()).or_insert((next, info)).0.to_string()
    }
}

#[cfg(test)]
#[path = "schema_test.rs"]
mod tests;
