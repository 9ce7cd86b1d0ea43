//! Template expressions in values: the part of Go's text/template and sprig that values of this chart
//! use, complete for what it knows, and an error for everything else.
//!
//! Where helm prints nothing for a field that does not exist, this is an error that names the fields
//! that do; `default`, `if` and their like take such a field as empty, as helm does.

mod datum;
mod evaluate;
mod functions;
mod lexer;
mod named;
mod parser;
mod printf;
mod tree;

pub(crate) use datum::format_float;

use datum::Datum;
use serde_json::Value;

/// What is wrong with a template, and where: a byte of its source.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fault {
    pub(crate) at: usize,
    pub(crate) problem: String,
}

impl Fault {
    fn new(at: usize, problem: impl Into<String>) -> Self {
        Self {
            at,
            problem: problem.into(),
        }
    }
}

/// What templates see at the top: `.Values`, `.Release` and so on.
pub(crate) struct Context(Datum);

impl Context {
    pub(crate) fn new(root: &Value) -> Self {
        Self(Datum::from(root))
    }
}

/// Evaluates a template.
pub(crate) fn evaluate(source: &str, context: &Context) -> Result<String, Fault> {
    evaluate::run(source, &context.0)
}

/// What the simplest templates ask for.
#[derive(Clone, Copy)]
pub(crate) enum Simple<'a> {
    /// Fields of the top, like `.Release.Name`
    Field(&'a [String]),
    /// `include` of a named template with the top as its dot
    Include(&'a str),
}

/// Evaluates a template that is no more than texts and what [`Simple`] has, like `{{ .Release.Name }}-x`.
/// Nothing comes back for all others, and where `lookup` does not know the answer.
pub(crate) fn substitute(source: &str, lookup: impl Fn(Simple<'_>) -> Option<String>) -> Option<String> {
    let tree = parser::parse(source).ok()?;
    let mut text = String::new();
    for node in tree.body.iter() {
        match node {
            tree::Node::Text(part) => text.push_str(part),
            tree::Node::Print(pipeline) => text.push_str(&lookup(pipeline.as_simple()?)?),
            _ => return None,
        }
    }
    Some(text)
}

/// A scalar as templates print it.
pub(crate) fn print(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(Datum::from(value).print()),
        _ => None,
    }
}

#[cfg(test)]
pub(crate) mod tests;
