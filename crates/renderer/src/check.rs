//! Checks values against the schema, and says what is wrong with them in the user's terms.

use serde_json::{Map, Value};

use crate::{
    error::{Place, ValuesError},
    schema::values_schema,
    values::{SeccompProfileKind, Values, postgresql::UNSUPPORTED},
};

/// Keys that the chart had once, and what to use now.
const REMOVED: &[(&str, &str)] = &[
    (
        "global.prefect.prefectApiUrl",
        "use `server.uiConfig.prefectUiApiUrl` instead",
    ),
    (
        "global.prefect.prefectApiHost",
        "use `server.uiConfig.prefectUiApiUrl` instead",
    ),
    (
        "server.uiConfig.prefectUiUrl",
        "the UI's URL is inferred from `server.uiConfig.prefectUiApiUrl`",
    ),
];

/// Says where the value of a path was set.
type Locate<'a> = dyn Fn(&[String]) -> Place + 'a;

/// Checks the user's values, before the defaults are laid under them. Settings that are not
/// implemented and have no effect are taken out.
pub(crate) fn check(values: &mut Value, locate: &Locate<'_>) -> Result<(), ValuesError> {
    Checker {
        locate,
        path: Vec::new(),
    }
    .check(values, values_schema())
}

/// Checks what a schema of single keys cannot say.
pub(crate) fn check_complete(values: &Values, locate: &Locate<'_>) -> Result<(), ValuesError> {
    let context = values.server.pod_security_context.as_ref();
    let profile = context.and_then(|context| context.seccomp_profile.as_ref());
    if let Some(profile) = profile
        && profile.kind == SeccompProfileKind::Localhost
        && profile.localhost_profile.is_none()
    {
        let path = [
            "server",
            "podSecurityContext",
            "seccompProfile",
            "localhostProfile",
        ]
        .map(str::to_owned);
        return Err(ValuesError::Missing {
            place: locate(&path),
            key: path.join("."),
            reason: "the seccomp profile's type is Localhost",
        });
    }
    Ok(())
}

struct Checker<'a> {
    locate: &'a Locate<'a>,
    path: Vec<String>,
}

impl Checker<'_> {
    fn check(&mut self, value: &mut Value, schema: &Value) -> Result<(), ValuesError> {
        let Some(rules) = schema.as_object() else {
            return Ok(());
        };
        if let Some(Value::Array(choices)) = rules.get("anyOf") {
            return match choices.iter().any(|choice| has_type(value, choice.get("type"))) {
                true => Ok(()),
                false => Err(self.not_allowed(value, schema)),
            };
        }
        if !has_type(value, rules.get("type")) {
            return Err(self.not_allowed(value, schema));
        }
        if let Some(Value::Array(allowed)) = rules.get("enum")
            && !allowed.contains(value)
        {
            return Err(self.not_allowed(value, schema));
        }
        if let (Value::String(text), Some(_)) = (&*value, rules.get("pattern"))
            && !text.starts_with('/')
        {
            return Err(self.not_allowed(value, schema));
        }
        match value {
            Value::Object(map) => self.check_map(map, rules),
            Value::Array(list) => self.check_list(list, rules),
            _ => Ok(()),
        }
    }

    fn check_list(&mut self, list: &mut [Value], rules: &Map<String, Value>) -> Result<(), ValuesError> {
        let Some(items) = rules.get("items") else {
            return Ok(());
        };
        for (index, item) in list.iter_mut().enumerate() {
            self.path.push(index.to_string());
            self.check(item, items)?;
            self.path.pop();
        }
        Ok(())
    }

    fn check_map(
        &mut self,
        map: &mut Map<String, Value>,
        rules: &Map<String, Value>,
    ) -> Result<(), ValuesError> {
        let empty = Map::new();
        let properties = rules
            .get("properties")
            .and_then(Value::as_object)
            .unwrap_or(&empty);
        let closed = rules.get("additionalProperties") == Some(&Value::Bool(false));
        let mut inert = Vec::new();
        for (key, value) in &mut *map {
            self.path.push(key.clone());
            match properties.get(key) {
                Some(schema) => self.check(value, schema)?,
                None if closed && self.is_inert(value)? => inert.push(key.clone()),
                None if closed => return Err(self.unknown(properties)),
                None => {}
            }
            self.path.pop();
        }
        for key in inert {
            map.shift_remove(&key);
        }
        for key in rules
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            if !map.contains_key(key) {
                self.path.push(key.to_owned());
                return Err(ValuesError::Missing {
                    place: (self.locate)(&self.path),
                    key: self.key(),
                    reason: "each item needs it",
                });
            }
        }
        Ok(())
    }

    /// Whether the current key is a setting that is not implemented, at a value without effect.
    fn is_inert(&self, value: &Value) -> Result<bool, ValuesError> {
        let key = self.key();
        let Some(setting) = key.strip_prefix("postgresql.") else {
            return Ok(false);
        };
        let Some((_, harmless)) = UNSUPPORTED.iter().find(|(name, _)| *name == setting) else {
            return Ok(false);
        };
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Null => return Ok(true),
            other => other.to_string(),
        };
        if harmless.contains(&text.as_str()) {
            return Ok(true);
        }
        Err(ValuesError::Unsupported {
            place: (self.locate)(&self.path),
            key,
        })
    }

    fn unknown(&self, properties: &Map<String, Value>) -> ValuesError {
        let key = self.key();
        let place = (self.locate)(&self.path);
        if let Some((_, instead)) = REMOVED.iter().find(|(name, _)| *name == key) {
            return ValuesError::Removed { place, key, instead };
        }
        let known: Vec<String> = properties.keys().cloned().collect();
        let nearest = self.path.last().and_then(|name| nearest(name, &known));
        ValuesError::UnknownKey {
            place,
            key,
            nearest,
            known,
        }
    }

    fn not_allowed(&self, value: &Value, schema: &Value) -> ValuesError {
        let secret = self.path.last().is_some_and(|name| is_secret(name));
        ValuesError::NotAllowed {
            place: (self.locate)(&self.path),
            key: self.key(),
            found: describe(value, secret),
            allowed: allowed(schema),
        }
    }

    fn key(&self) -> String {
        self.path.join(".")
    }
}

/// The name that is spelt most like `name`, if one is near enough to be meant.
#[must_use]
pub fn nearest(name: &str, known: &[String]) -> Option<String> {
    let alike = |candidate: &&String| strsim::jaro_winkler(&name.to_lowercase(), &candidate.to_lowercase());
    let best = known.iter().max_by(|a, b| alike(a).total_cmp(&alike(b)))?;
    (alike(&best) > 0.8).then(|| best.clone())
}

fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    ["password", "authstring"].iter().any(|word| name.contains(word))
}

/// A value in words; of a secret only the type is told.
pub(crate) fn describe(value: &Value, secret: bool) -> String {
    let (kind, shown) = match value {
        Value::Null => return "null".to_owned(),
        Value::Bool(value) => ("a boolean", format!("`{value}`")),
        Value::Number(value) => ("a number", format!("`{value}`")),
        Value::String(text) => ("a text", format!("the text `{text}`")),
        Value::Array(_) => return "a list".to_owned(),
        Value::Object(_) => return "a map".to_owned(),
    };
    match value {
        _ if secret => kind.to_owned(),
        Value::String(_) => shown,
        _ => format!("{} {shown}", kind.replacen("a ", "the ", 1)),
    }
}

fn has_type(value: &Value, types: Option<&Value>) -> bool {
    match types {
        Some(Value::String(name)) => is_type(value, name),
        Some(Value::Array(names)) => names
            .iter()
            .filter_map(Value::as_str)
            .any(|name| is_type(value, name)),
        _ => true,
    }
}

fn is_type(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}

/// What a schema allows, in words.
fn allowed(schema: &Value) -> String {
    if let Some(Value::Array(values)) = schema.get("enum") {
        let names: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
        return format!("one of {}", names.join(", "));
    }
    if schema.get("pattern").is_some() {
        return "a path that begins with `/`".to_owned();
    }
    let mut types = Vec::new();
    let choices = schema.get("anyOf").and_then(Value::as_array);
    for schema in choices.map_or(std::slice::from_ref(schema), Vec::as_slice) {
        match schema.get("type") {
            Some(Value::String(name)) => types.push(name.as_str()),
            Some(Value::Array(names)) => types.extend(names.iter().filter_map(Value::as_str)),
            _ => {}
        }
    }
    let words: Vec<&str> = types.into_iter().filter_map(in_words).collect();
    words.join(" or ")
}

fn in_words(name: &str) -> Option<&'static str> {
    Some(match name {
        "boolean" => "true or false",
        "integer" => "a whole number",
        "string" => "a text",
        "array" => "a list",
        "object" => "a map",
        _ => return None,
    })
}
