//! The values that template expressions compute with, and how Go prints them.

use std::{collections::BTreeMap, fmt::Write as _, rc::Rc};

use serde_json::Value;

/// A value of an expression. Numbers from values files are floats, as helm reads them; whole numbers
/// come from literals and functions.
#[derive(Debug, Clone)]
pub(super) enum Datum {
    Nil,
    /// Nil, because a field is not there: where it was looked for, and what is there
    Missing(Rc<Missing>),
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Rc<str>),
    List(Rc<Vec<Datum>>),
    Map(Rc<BTreeMap<String, Datum>>),
}

/// A field that was looked for in vain.
#[derive(Debug)]
pub(super) struct Missing {
    pub(super) field: String,
    pub(super) known: Vec<String>,
}

impl Datum {
    pub(super) fn text(text: impl Into<Rc<str>>) -> Self {
        Self::Text(text.into())
    }

    pub(super) fn list(items: Vec<Self>) -> Self {
        Self::List(Rc::new(items))
    }

    pub(super) fn map(entries: impl IntoIterator<Item = (String, Self)>) -> Self {
        Self::Map(Rc::new(entries.into_iter().collect()))
    }

    pub(super) fn is_nil(&self) -> bool {
        matches!(self, Self::Nil | Self::Missing(_))
    }

    /// Go's notion of truth: everything but zero, empty and nil.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Nil | Self::Missing(_) => false,
            Self::Bool(value) => *value,
            Self::Int(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::List(items) => !items.is_empty(),
            Self::Map(entries) => !entries.is_empty(),
        }
    }

    /// Go's name of the kind.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Nil | Self::Missing(_) => "invalid",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
            Self::List(_) => "slice",
            Self::Map(_) => "map",
        }
    }

    /// Go's name of the type.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Nil | Self::Missing(_) => "<nil>",
            Self::List(_) => "[]interface {}",
            Self::Map(_) => "map[string]interface {}",
            other => other.kind(),
        }
    }

    /// The value as Go prints it with `%v`.
    pub(super) fn print(&self) -> String {
        let mut text = String::new();
        self.print_to(&mut text);
        text
    }

    fn print_to(&self, into: &mut String) {
        match self {
            Self::Nil | Self::Missing(_) => into.push_str("<nil>"),
            Self::Bool(value) => {
                let _ = write!(into, "{value}");
            }
            Self::Int(value) => {
                let _ = write!(into, "{value}");
            }
            Self::Float(value) => into.push_str(&format_float(*value)),
            Self::Text(text) => into.push_str(text),
            Self::List(items) => {
                into.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        into.push(' ');
                    }
                    item.print_to(into);
                }
                into.push(']');
            }
            Self::Map(entries) => {
                into.push_str("map[");
                for (index, (key, value)) in entries.iter().enumerate() {
                    if index > 0 {
                        into.push(' ');
                    }
                    let _ = write!(into, "{key}:");
                    value.print_to(into);
                }
                into.push(']');
            }
        }
    }

    /// The JSON form.
    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Nil | Self::Missing(_) => Value::Null,
            Self::Bool(value) => (*value).into(),
            Self::Int(value) => (*value).into(),
            Self::Float(value) => crate::yaml::number(*value).map_or(Value::Null, Value::Number),
            Self::Text(text) => text.as_ref().into(),
            Self::List(items) => items.iter().map(Self::to_json).collect(),
            Self::Map(entries) => Value::Object(
                entries
                    .iter()
                    .map(|(key, value)| (key.clone(), value.to_json()))
                    .collect(),
            ),
        }
    }

    /// How many values this one is made of: the price of building or printing it.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Text(text) => 1 + text.len() / 16,
            Self::List(items) => 1 + items.iter().map(Self::size).sum::<usize>(),
            Self::Map(entries) => 1 + entries.values().map(Self::size).sum::<usize>(),
            _ => 1,
        }
    }
}

impl From<&Value> for Datum {
    fn from(value: &Value) -> Self {
        match value {
            Value::Null => Self::Nil,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => Self::Float(number.as_f64().unwrap_or_default()),
            Value::String(text) => Self::text(text.as_str()),
            Value::Array(items) => Self::list(items.iter().map(Self::from).collect()),
            Value::Object(entries) => Self::map(
                entries
                    .iter()
                    .map(|(key, value)| (key.clone(), Self::from(value))),
            ),
        }
    }
}

/// A float as Go prints it with `%v`: the shortest digits that read back the same, with an exponent
/// from 1e+06 on and below 1e-04.
pub(crate) fn format_float(float: f64) -> String {
    if float.is_nan() {
        return "NaN".to_owned();
    }
    if float.is_infinite() {
        return if float > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{float:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>().unwrap_or_default() {
        exponent if exponent < -4 => format!("{mantissa}e-{:02}", -exponent),
        exponent if exponent >= 6 => format!("{mantissa}e+{exponent:02}"),
        _ => format!("{float}"),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// Printed by Go 1.24.
    #[rstest]
    #[case(100_000.0, "100000")]
    #[case(1_000_000.0, "1e+06")]
    #[case(1_234_567.5, "1.2345675e+06")]
    #[case(1_001_650_000.0, "1.00165e+09")]
    #[case(0.0001, "0.0001")]
    #[case(0.00001, "1e-05")]
    #[case(1e21, "1e+21")]
    #[case(1.5, "1.5")]
    #[case(0.0, "0")]
    #[case(-4200.0, "-4200")]
    fn floats_are_printed_as_go_prints_them(#[case] float: f64, #[case] expected: &str) {
        assert_eq!(format_float(float), expected);
    }
}
