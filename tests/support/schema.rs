//! The schema of `query-qmp-schema`, and checks of values against it.

use serde_json::Value;

/// The description of a command, an event or a type.
pub(crate) fn find<'a>(schema: &'a Value, name: &str) -> Result<&'a Value, String> {
    let mut found = schema.as_array().into_iter().flatten().filter(|info| info["name"] == name);
    match (found.next(), found.next()) {
        (Some(info), None) => Ok(info),
        (None, _) => Err(format!("{name} is not in the schema")),
        (Some(_), Some(_)) => Err(format!("{name} is in the schema twice")),
    }
}

/// Checks a value, with all of its members, against the type of that name.
pub(crate) fn check(schema: &Value, of: &Value, value: &Value) -> Result<(), String> {
    let of = of.as_str().ok_or_else(|| format!("{of} is no type's name"))?;
    let info = find(schema, of)?;
    let differs = || Err(format!("{value} is not of type {info}"));
    let list = |key: &str| info[key].as_array().into_iter().flatten();
    match info["meta-type"].as_str().unwrap_or_default() {
        "builtin" => match (info["json-type"].as_str().unwrap_or_default(), value) {
            ("string", Value::String(_)) | ("boolean", Value::Bool(_)) | ("value", _) => Ok(()),
            ("int", Value::Number(number)) if !number.is_f64() => Ok(()),
            _ => differs(),
        },
        "enum" if list("values").any(|known| known == value) => Ok(()),
        "array" => match value {
            Value::Array(values) => {
                values.iter().try_for_each(|value| check(schema, &info["element-type"], value))
            }
            _ => differs(),
        },
        "object" => {
            let Value::Object(given) = value else { return differs() };
            for member in list("members") {
                let name = member["name"].as_str().unwrap_or_default();
                match given.get(name) {
                    Some(value) => check(schema, &member["type"], value)?,
                    None if member.get("default") == Some(&Value::Null) => {}
                    None => return Err(format!("{name} is missing in {value}")),
                }
            }
            match given.keys().find(|name| list("members").all(|member| member["name"] != **name)) {
                Some(name) => Err(format!("{name} is not in the schema: {value}")),
                None => Ok(()),
            }
        }
        _ => differs(),
    }
}
