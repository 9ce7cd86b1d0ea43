//! `${postgres.host}` and the like: what is known only when a scenario runs.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::format::Requirements;

/// What the placeholders of a scenario stand for.
#[derive(Debug, Clone, Default)]
pub struct Placeholders(BTreeMap<String, String>);

/// A scenario names something that its requirements do not make.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`${{{name}}}` stands for nothing here{}", self.hint())]
pub struct UnknownPlaceholder {
    /// The name between the braces.
    pub name: String,
    /// What is known.
    pub known: Vec<String>,
}

impl UnknownPlaceholder {
    fn hint(&self) -> String {
        if self.known.is_empty() {
            return "; `requires.externalPostgres` makes `${postgres.host}` and the like".into();
        }
        format!("; known are {}", self.known.join(", "))
    }
}

/// How a PostgreSQL that a scenario requires is reached.
#[derive(Debug, Clone)]
pub struct PostgresAccess {
    /// Its address as pods see it.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The user that owns the database.
    pub user: String,
    /// The user's password.
    pub password: String,
    /// The database's name.
    pub database: String,
    /// PEM of the authority that signed its certificate; empty without TLS.
    pub ca: String,
    /// PEM of an authority that did not.
    pub other_ca: String,
}

impl PostgresAccess {
    /// One that is not there, to check values with.
    #[must_use]
    pub fn stand_in() -> Self {
        Self {
            host: "postgres.invalid".into(),
            port: 5432,
            user: "user".into(),
            password: "password".into(),
            database: "database".into(),
            ca: "authority".into(),
            other_ca: "another authority".into(),
        }
    }
}

impl Placeholders {
    /// What placeholders stand for where a scenario is looked at and not run.
    #[must_use]
    pub fn stand_in_for(requires: &Requirements) -> Self {
        match requires.external_postgres {
            Some(_) => Self::of_postgres(&PostgresAccess::stand_in()),
            None => Self::default(),
        }
    }

    /// What `${postgres.…}` stands for.
    #[must_use]
    pub fn of_postgres(access: &PostgresAccess) -> Self {
        let mut known = Self::default();
        known.insert("postgres.host", &access.host);
        known.insert("postgres.port", access.port.to_string());
        known.insert("postgres.user", &access.user);
        known.insert("postgres.password", &access.password);
        known.insert("postgres.database", &access.database);
        known.insert("postgres.ca", &access.ca);
        known.insert("postgres.otherCa", &access.other_ca);
        known
    }

    /// Lets `${name}` stand for `value`.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.insert(name.into(), value.into());
    }

    /// `text` with its placeholders replaced.
    ///
    /// # Errors
    /// When a name is not known.
    pub fn fill(&self, text: &str) -> Result<String, UnknownPlaceholder> {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let Some((name, after)) = after.split_once('}') else {
                break;
            };
            filled.push_str(before);
            filled.push_str(self.value(name)?);
            rest = after;
        }
        filled.push_str(rest);
        Ok(filled)
    }

    /// `values` with the placeholders of all its strings replaced. A string that is one placeholder
    /// and becomes digits becomes a number, so that ports keep their type.
    ///
    /// # Errors
    /// When a name is not known.
    pub fn fill_values(&self, values: &Map<String, Value>) -> Result<Map<String, Value>, UnknownPlaceholder> {
        values
            .iter()
            .map(|(key, value)| Ok((key.clone(), self.fill_value(value)?)))
            .collect()
    }

    fn fill_value(&self, value: &Value) -> Result<Value, UnknownPlaceholder> {
        match value {
            Value::String(text) => {
                let filled = self.fill(text)?;
                let alone = text.starts_with("${") && text.find('}') == Some(text.len() - 1);
                match filled.parse::<u64>() {
                    Ok(number) if alone => Ok(number.into()),
                    _ => Ok(filled.into()),
                }
            }
            Value::Array(items) => items.iter().map(|item| self.fill_value(item)).collect(),
            Value::Object(map) => self.fill_values(map).map(Value::Object),
            other => Ok(other.clone()),
        }
    }

    fn value(&self, name: &str) -> Result<&str, UnknownPlaceholder> {
        self.0
            .get(name)
            .map(String::as_str)
            .ok_or_else(|| UnknownPlaceholder {
                name: name.to_owned(),
                known: self.0.keys().map(|known| format!("${{{known}}}")).collect(),
            })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn known() -> Placeholders {
        let mut placeholders = Placeholders::default();
        placeholders.insert("postgres.host", "10.244.0.1");
        placeholders.insert("postgres.port", "5432");
        placeholders
    }

    #[rstest]
    #[case("plain", "plain")]
    #[case("${postgres.host}:${postgres.port}/db", "10.244.0.1:5432/db")]
    #[case("$100 and ${open", "$100 and ${open")]
    fn names_are_replaced(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(known().fill(text).unwrap(), expected);
    }

    #[test]
    fn a_placeholder_alone_keeps_the_type_of_a_port() {
        let Value::Object(values) =
            json!({"secret": {"port": "${postgres.port}", "url": ["h:${postgres.port}"]}})
        else {
            unreachable!()
        };
        let filled = Value::Object(known().fill_values(&values).unwrap());
        assert_eq!(filled, json!({"secret": {"port": 5432, "url": ["h:5432"]}}));
    }

    #[test]
    fn an_unknown_name_tells_the_known_ones() {
        let error = known().fill("${postgres.hots}").unwrap_err();
        let expected =
            "`${postgres.hots}` stands for nothing here; known are ${postgres.host}, ${postgres.port}";
        assert_eq!(error.to_string(), expected);
    }
}
