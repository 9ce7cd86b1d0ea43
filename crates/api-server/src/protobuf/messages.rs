//! The messages and their fields.
//!
//! `messages.txt` has a line a message: its name, then its fields as `NUMBER[^]NAME=TYPE`. A `^` marks an
//! embedded message whose fields lie in the outer one; `*` a pointer, `[]` a list and `{}` a map with
//! strings as keys. It is printed by the example `protobuf_messages` from the Go types of
//! `k8s.io/api` 0.34.4.

use std::{collections::HashMap, sync::LazyLock};

/// A field of a message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    pub(super) number: u32,
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    pub(super) of: Type,
}

/// How often a field has a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Once, and zero when it is left out.
    Value,
    /// Once or never.
    Pointer,
    List,
    Map,
    /// Once, its fields among those of the outer message.
    Inline,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Type {
    Plain(Plain),
    /// The message of this name.
    Message(&'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plain {
    String,
    Int,
    Bool,
    Double,
    Bytes,
    Quantity,
    IntOrString,
    /// JSON.
    Raw,
    /// A list of strings as a message of its own.
    Strings,
    Time,
    MicroTime,
}

static MESSAGES: LazyLock<HashMap<&'static str, Vec<Field>>> = LazyLock::new(|| {
    let lines = include_str!("messages.txt").lines();
    lines
        .filter_map(|line| line.split_once(' '))
        .map(|(name, fields)| (name, parse_fields(fields)))
        .collect()
});

/// The fields of a message.
pub(super) fn message(name: &str) -> Option<&'static [Field]> {
    MESSAGES.get(name).map(Vec::as_slice)
}

fn parse_fields(fields: &'static str) -> Vec<Field> {
    fields.split(' ').filter_map(parse_field).collect()
}

fn parse_field(text: &'static str) -> Option<Field> {
    let (name, of) = text.split_once('=')?;
    let digits = name.find(|c: char| !c.is_ascii_digit())?;
    let (number, name) = name.split_at(digits);
    let (shape, of) = match (name, of) {
        ("^", of) => (Shape::Inline, of),
        (_, of) => [("[]", Shape::List), ("{}", Shape::Map), ("*", Shape::Pointer)]
            .into_iter()
            .find_map(|(prefix, shape)| Some((shape, of.strip_prefix(prefix)?)))
            .unwrap_or((Shape::Value, of)),
    };
    Some(Field {
        number: number.parse().ok()?,
        name,
        shape,
        of: parse_type(of),
    })
}

fn parse_type(text: &'static str) -> Type {
    Type::Plain(match text {
        "string" => Plain::String,
        "int" => Plain::Int,
        "bool" => Plain::Bool,
        "double" => Plain::Double,
        "bytes" => Plain::Bytes,
        "quantity" => Plain::Quantity,
        "int_or_string" => Plain::IntOrString,
        "raw" => Plain::Raw,
        "strings" => Plain::Strings,
        "time" => Plain::Time,
        "micro_time" => Plain::MicroTime,
        message => return Type::Message(message),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::KINDS;

    #[test]
    fn every_line_is_understood() {
        for line in include_str!("messages.txt").lines() {
            let (name, fields) = line.split_once(' ').unwrap();
            assert_eq!(message(name).unwrap().len(), fields.split(' ').count(), "{name}");
        }
    }

    #[test]
    fn every_message_that_is_named_is_there() {
        for (name, fields) in MESSAGES.iter() {
            for field in fields {
                if let Type::Message(other) = field.of {
                    assert!(message(other).is_some(), "{name}: {other}");
                }
            }
        }
    }

    #[test]
    fn every_kind_is_known() {
        for kind in KINDS {
            let name = super::super::message_name(&kind.api_version(), kind.kind);
            assert!(message(&name).is_some(), "{name}");
        }
    }
}
