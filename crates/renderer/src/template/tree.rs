//! The parts of a template.

use std::{collections::BTreeMap, rc::Rc};

use super::Simple;

/// A parsed template.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) body: Rc<Vec<Node>>,
    pub(super) defined: BTreeMap<String, Rc<Vec<Node>>>,
}

/// A part of a template.
#[derive(Debug)]
pub(super) enum Node {
    Text(String),
    Print(Pipeline),
    If(Vec<(Pipeline, Vec<Node>)>, Vec<Node>),
    With(Vec<(Pipeline, Vec<Node>)>, Vec<Node>),
    Range(Pipeline, Vec<Node>, Vec<Node>),
    Template {
        name: String,
        argument: Option<Pipeline>,
        at: usize,
    },
    Break,
    Continue,
}

/// Commands that hand their results on.
#[derive(Debug)]
pub(super) struct Pipeline {
    pub(super) variables: Vec<String>,
    pub(super) declares: bool,
    pub(super) commands: Vec<Command>,
    pub(super) at: usize,
}

impl Pipeline {
    /// The pipeline, where it is one of the simplest.
    pub(super) fn as_simple(&self) -> Option<Simple<'_>> {
        let ([], [Command { operands, .. }]) = (self.variables.as_slice(), self.commands.as_slice()) else {
            return None;
        };
        match operands.as_slice() {
            [
                Operand {
                    term: Term::Dot,
                    fields,
                    ..
                },
            ] if !fields.is_empty() => Some(Simple::Field(fields)),
            [function, name, dot] if dot.fields.is_empty() && function.fields.is_empty() => {
                match (&function.term, &name.term, &dot.term) {
                    (Term::Function(function), Term::Text(name), Term::Dot) if function == "include" => {
                        Some(Simple::Include(name))
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

/// A function or a value with arguments.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) operands: Vec<Operand>,
    pub(super) at: usize,
}

/// A value and the fields that are taken from it.
#[derive(Debug)]
pub(super) struct Operand {
    pub(super) term: Term,
    pub(super) fields: Vec<String>,
    pub(super) at: usize,
}

/// Where a value comes from.
#[derive(Debug)]
pub(super) enum Term {
    Dot,
    Variable(String),
    Function(String),
    Bool(bool),
    Nil,
    Int(i64),
    Float(f64),
    Text(Rc<str>),
    Pipeline(Box<Pipeline>),
}
