//! The JSON schema of the values, made from their types.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::values::Values;

/// The schema that files of values are checked against: every key may be left out, and `null`
/// deletes a default.
#[must_use]
pub fn values_schema() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
        let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
        let schema = settings.into_generator().into_root_schema_for::<Values>();
        let mut schema = schema.to_value();
        flatten_optional(&mut schema);
        for (component, name) in [
            ("server", "server"),
            ("backgroundServices", "background-services"),
        ] {
            if let Some(schema) = schema.pointer_mut(&format!("/properties/{component}")) {
                name_component(schema, name);
            }
        }
        if let Some(server) = schema.pointer_mut("/properties/server") {
            close(server);
        }
        describe_service_account(&mut schema);
        require_localhost_profile(&mut schema);
        loosen(&mut schema, false);
        schema
    });
    &SCHEMA
}

/// Puts the component's name into the descriptions of blocks that components share.
fn name_component(schema: &mut Value, name: &str) {
    match schema {
        Value::Object(map) => map.values_mut().for_each(|value| name_component(value, name)),
        Value::Array(list) => list.iter_mut().for_each(|value| name_component(value, name)),
        Value::String(text) if text.contains("{component}") => *text = text.replace("{component}", name),
        _ => {}
    }
}

/// The chart's own schema forbids other keys in the blocks of the server.
fn close(schema: &mut Value) {
    let Some(map) = schema.as_object_mut() else { return };
    if map.contains_key("properties") && !map.contains_key("x-leaf") {
        map.insert("additionalProperties".to_owned(), false.into());
    }
    for value in map.values_mut() {
        match value {
            Value::Object(inner) => inner.values_mut().for_each(close),
            Value::Array(list) => list.iter_mut().for_each(close),
            _ => {}
        }
    }
    let quantities = json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {"cpu": {"type": "string"}, "memory": {"type": "string"}},
    });
    for key in ["requests", "limits"] {
        if let Some(Value::Object(block)) =
            schema.pointer_mut(&format!("/properties/resources/properties/{key}"))
            && let Value::Object(quantities) = quantities.clone()
        {
            block.extend(quantities);
            block.insert("x-leaf".to_owned(), true.into());
        }
    }
}

fn describe_service_account(schema: &mut Value) {
    let name = schema
        .pointer_mut("/properties/backgroundServices/properties/serviceAccount/properties/name/description");
    if let Some(Value::String(description)) = name {
        description.push_str(" with \"-background-services\" appended");
    }
}

fn require_localhost_profile(schema: &mut Value) {
    let profile = "/properties/server/properties/podSecurityContext/properties/seccompProfile";
    if let Some(Value::Object(profile)) = schema.pointer_mut(profile) {
        profile.insert(
            "if".to_owned(),
            json!({"required": ["type"], "properties": {"type": {"const": "Localhost"}}}),
        );
        profile.insert("then".to_owned(), json!({"required": ["localhostProfile"]}));
    }
}

/// Makes all keys optional, and null allowed, except within the items of lists.
fn loosen(schema: &mut Value, in_items: bool) {
    let Some(map) = schema.as_object_mut() else { return };
    if !in_items {
        map.remove("required");
    }
    if let Some(Value::Object(properties)) = map.get_mut("properties") {
        for property in properties.values_mut() {
            loosen(property, in_items);
            if !in_items {
                allow_null(property);
            }
        }
    }
    if let Some(items) = map.get_mut("items") {
        loosen(items, true);
    }
}

/// `anyOf: [X, null]`, which an optional block becomes, is made X; null comes back with the others'.
fn flatten_optional(schema: &mut Value) {
    let children: Box<dyn Iterator<Item = &mut Value>> = match schema {
        Value::Object(map) => Box::new(map.values_mut()),
        Value::Array(list) => Box::new(list.iter_mut()),
        _ => return,
    };
    children.for_each(flatten_optional);
    let Some(map) = schema.as_object_mut() else { return };
    name_choices(map);
    let Some(Value::Array(choices)) = map.get("anyOf") else {
        return;
    };
    let [Value::Object(choice), null] = choices.as_slice() else {
        return;
    };
    if *null != json!({"type": "null"}) {
        return;
    }
    let mut choice = choice.clone();
    if let Some(description) = map.get("description") {
        choice.insert("description".to_owned(), description.clone());
    }
    *map = choice;
}

/// `oneOf` texts that are each described are made one `enum`.
fn name_choices(map: &mut Map<String, Value>) {
    let Some(Value::Array(choices)) = map.get("oneOf") else {
        return;
    };
    let texts: Option<Vec<Value>> = choices
        .iter()
        .map(|choice| choice.get("const").cloned())
        .collect();
    if let Some(texts) = texts {
        map.remove("oneOf");
        map.insert("type".to_owned(), "string".into());
        map.insert("enum".to_owned(), texts.into());
    }
}

fn allow_null(schema: &mut Value) {
    let Some(map) = schema.as_object_mut() else { return };
    match map.get_mut("type") {
        Some(Value::String(name)) if name != "null" => {
            let name = std::mem::take(name);
            map.insert("type".to_owned(), json!([name, "null"]));
        }
        Some(Value::Array(names)) if !names.contains(&json!("null")) => names.push(json!("null")),
        _ => {}
    }
    if let Some(Value::Array(choices)) = map.get_mut("anyOf")
        && !choices.contains(&json!({"type": "null"}))
    {
        choices.push(json!({"type": "null"}));
    }
    if let Some(Value::Array(values)) = map.get_mut("enum") {
        values.push(Value::Null);
    }
}
