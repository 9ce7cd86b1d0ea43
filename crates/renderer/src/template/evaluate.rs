//! Evaluates a parsed template.

use std::{collections::BTreeMap, rc::Rc};

use super::{
    Fault,
    datum::{Datum, Missing},
    functions::{self, Args},
    named,
    parser::parse,
    tree::{Command, Node, Operand, Pipeline, Term, Tree},
};
use crate::{check::nearest, error::suggestion};

/// Most steps of one evaluation. A step is a node, a call, an item made or sixteen bytes written: a
/// values file that needs more is a mistake or an attack.
const BUDGET: usize = 200_000;

/// Deepest nesting of templates in templates.
const MAX_DEPTH: usize = 50;

/// Evaluates a template with the context as its dot.
pub(super) fn run(source: &str, context: &Datum) -> Result<String, Fault> {
    let mut evaluator = Evaluator {
        defined: BTreeMap::new(),
        variables: Vec::new(),
        budget: BUDGET,
        depth: 0,
    };
    evaluator.template(source, context)
}

pub(super) struct Evaluator {
    defined: BTreeMap<String, Rc<Vec<Node>>>,
    variables: Vec<(String, Datum)>,
    budget: usize,
    depth: usize,
}

/// Whether a loop goes on.
#[derive(Clone, Copy, PartialEq)]
enum Flow {
    On,
    Break,
    Continue,
}

impl Evaluator {
    fn template(&mut self, source: &str, dot: &Datum) -> Result<String, Fault> {
        self.spend(source.len() / 16 + 1)
            .map_err(|problem| Fault::new(0, problem))?;
        let Tree { body, defined } = parse(source)?;
        self.defined.extend(defined);
        self.body(&body, dot)
    }

    /// Evaluates a body with variables of its own.
    fn body(&mut self, body: &[Node], dot: &Datum) -> Result<String, Fault> {
        if self.depth >= MAX_DEPTH {
            return Err(Fault::new(0, "templates call each other too deeply"));
        }
        self.depth += 1;
        let outer = std::mem::replace(&mut self.variables, vec![("$".to_owned(), dot.clone())]);
        let mut output = String::new();
        let outcome = self.nodes(body, dot, &mut output);
        self.variables = outer;
        self.depth -= 1;
        outcome.map(|_| output)
    }

    pub(super) fn spend(&mut self, steps: usize) -> Result<(), String> {
        match self.budget.checked_sub(steps) {
            Some(rest) => {
                self.budget = rest;
                Ok(())
            }
            None => {
                self.budget = 0;
                Err("the template does too much; it was stopped".to_owned())
            }
        }
    }

    fn write(&mut self, text: &str, at: usize, output: &mut String) -> Result<(), Fault> {
        self.spend(text.len() / 16 + 1)
            .map_err(|problem| Fault::new(at, problem))?;
        output.push_str(text);
        Ok(())
    }

    fn nodes(&mut self, nodes: &[Node], dot: &Datum, output: &mut String) -> Result<Flow, Fault> {
        for node in nodes {
            match self.node(node, dot, output)? {
                Flow::On => {}
                stop => return Ok(stop),
            }
        }
        Ok(Flow::On)
    }

    fn node(&mut self, node: &Node, dot: &Datum, output: &mut String) -> Result<Flow, Fault> {
        match node {
            Node::Text(text) => self.write(text, 0, output)?,
            Node::Print(pipeline) => {
                let value = self.pipeline(pipeline, dot)?;
                if pipeline.variables.is_empty() {
                    let text = printed(&value).map_err(|problem| Fault::new(pipeline.at, problem))?;
                    self.write(&text, pipeline.at, output)?;
                }
            }
            Node::If(branches, otherwise) => {
                let variables = self.variables.len();
                let flow = self.branch(branches, otherwise, dot, false, output);
                self.variables.truncate(variables);
                return flow;
            }
            Node::With(branches, otherwise) => {
                let variables = self.variables.len();
                let flow = self.branch(branches, otherwise, dot, true, output);
                self.variables.truncate(variables);
                return flow;
            }
            Node::Range(over, body, otherwise) => return self.range(over, body, otherwise, dot, output),
            Node::Template { name, argument, at } => {
                let argument = match argument {
                    Some(pipeline) => self.pipeline(pipeline, dot)?,
                    None => Datum::Nil,
                };
                let text = self
                    .include(name, &argument)
                    .map_err(|problem| Fault::new(*at, problem))?;
                self.write(&text, *at, output)?;
            }
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::On)
    }

    fn branch(
        &mut self,
        branches: &[(Pipeline, Vec<Node>)],
        otherwise: &[Node],
        dot: &Datum,
        rebinds: bool,
        output: &mut String,
    ) -> Result<Flow, Fault> {
        for (condition, body) in branches {
            let value = self.pipeline(condition, dot)?;
            if value.is_true() {
                return self.nodes(body, if rebinds { &value } else { dot }, output);
            }
        }
        self.nodes(otherwise, dot, output)
    }

    fn range(
        &mut self,
        over: &Pipeline,
        body: &[Node],
        otherwise: &[Node],
        dot: &Datum,
        output: &mut String,
    ) -> Result<Flow, Fault> {
        let variables = self.variables.len();
        let value = self.commands(over, dot)?;
        let entries: Vec<(Datum, Datum)> = match &value {
            Datum::List(items) => {
                let indices = (0_i64..).map(Datum::Int);
                indices.zip(items.iter().cloned()).collect()
            }
            Datum::Map(entries) => entries
                .iter()
                .map(|(key, value)| (Datum::text(key.as_str()), value.clone()))
                .collect(),
            Datum::Int(count) => {
                let count = usize::try_from(*count).unwrap_or_default();
                self.spend(count)
                    .map_err(|problem| Fault::new(over.at, problem))?;
                (0_i64..)
                    .take(count)
                    .map(|index| (Datum::Int(index), Datum::Int(index)))
                    .collect()
            }
            other if other.is_nil() => Vec::new(),
            other => {
                let problem = format!("`range` cannot go over a {}", other.kind());
                return Err(Fault::new(over.at, problem));
            }
        };
        if entries.is_empty() {
            return self.nodes(otherwise, dot, output);
        }
        for (key, item) in entries {
            self.spend(1).map_err(|problem| Fault::new(over.at, problem))?;
            match over.variables.as_slice() {
                [] => {}
                [name] => self.set(over, name, item.clone()),
                [index, name, ..] => {
                    self.set(over, index, key);
                    self.set(over, name, item.clone());
                }
            }
            let flow = self.nodes(body, &item, output)?;
            if over.declares {
                self.variables.truncate(variables);
            }
            if flow == Flow::Break {
                break;
            }
        }
        self.variables.truncate(variables);
        Ok(Flow::On)
    }

    fn set(&mut self, pipeline: &Pipeline, name: &str, value: Datum) {
        if pipeline.declares {
            self.variables.push((name.to_owned(), value));
        } else if let Some((_, old)) = self.variables.iter_mut().rev().find(|(known, _)| known == name) {
            *old = value;
        }
    }

    fn pipeline(&mut self, pipeline: &Pipeline, dot: &Datum) -> Result<Datum, Fault> {
        let value = self.commands(pipeline, dot)?;
        if let Some(name) = pipeline.variables.first() {
            self.set(pipeline, name, value.clone());
        }
        Ok(value)
    }

    fn commands(&mut self, pipeline: &Pipeline, dot: &Datum) -> Result<Datum, Fault> {
        let mut value = None;
        for command in &pipeline.commands {
            value = Some(self.command(command, value, dot)?);
        }
        Ok(value.unwrap_or(Datum::Nil))
    }

    fn command(&mut self, command: &Command, piped: Option<Datum>, dot: &Datum) -> Result<Datum, Fault> {
        self.spend(1).map_err(|problem| Fault::new(command.at, problem))?;
        let Some((first, rest)) = command.operands.split_first() else {
            return Ok(Datum::Nil);
        };
        if let Term::Function(name) = &first.term {
            if let Some(field) = first.fields.first() {
                return Err(Fault::new(
                    first.at,
                    format!("`{name}` is a function and has no field `{field}`"),
                ));
            }
            return self.call(name, rest, piped, first.at, dot);
        }
        if matches!(first.term, Term::Nil) && rest.is_empty() && piped.is_none() {
            return Err(Fault::new(first.at, "nil is no command"));
        }
        if !rest.is_empty() || piped.is_some() {
            return Err(Fault::new(first.at, "only functions take arguments"));
        }
        self.operand(first, dot)
    }

    fn operand(&mut self, operand: &Operand, dot: &Datum) -> Result<Datum, Fault> {
        let mut value = match &operand.term {
            Term::Dot => dot.clone(),
            Term::Variable(name) => {
                let found = self.variables.iter().rev().find(|(known, _)| known == name);
                found.map_or(Datum::Nil, |(_, value)| value.clone())
            }
            Term::Function(name) => {
                if let Some(field) = operand.fields.first() {
                    let problem = format!("`{name}` is a function and has no field `{field}`");
                    return Err(Fault::new(operand.at, problem));
                }
                self.call(name, &[], None, operand.at, dot)?
            }
            Term::Bool(value) => Datum::Bool(*value),
            Term::Nil => Datum::Nil,
            Term::Int(number) => Datum::Int(*number),
            Term::Float(number) => Datum::Float(*number),
            Term::Text(text) => Datum::Text(Rc::clone(text)),
            Term::Pipeline(pipeline) => self.pipeline(pipeline, dot)?,
        };
        for name in &operand.fields {
            value = field(&value, name).map_err(|problem| Fault::new(operand.at, problem))?;
        }
        Ok(value)
    }

    fn call(
        &mut self,
        name: &str,
        operands: &[Operand],
        piped: Option<Datum>,
        at: usize,
        dot: &Datum,
    ) -> Result<Datum, Fault> {
        if matches!(name, "and" | "or") {
            return self.short_circuit(name == "and", operands, piped, at, dot);
        }
        let mut items = Vec::with_capacity(operands.len() + 1);
        for operand in operands {
            items.push(self.operand(operand, dot)?);
        }
        items.extend(piped);
        functions::call(self, &Args { name, items: &items }).map_err(|problem| Fault::new(at, problem))
    }

    /// `and` and `or` evaluate no more arguments than they need.
    fn short_circuit(
        &mut self,
        until: bool,
        operands: &[Operand],
        piped: Option<Datum>,
        at: usize,
        dot: &Datum,
    ) -> Result<Datum, Fault> {
        let mut last = None;
        for operand in operands {
            let value = self.operand(operand, dot)?;
            if value.is_true() != until {
                return Ok(value);
            }
            last = Some(value);
        }
        piped
            .or(last)
            .ok_or_else(|| Fault::new(at, "`and` and `or` need an argument"))
    }

    /// Evaluates a named template: one that the template defines, or one of the charts'.
    pub(super) fn include(&mut self, name: &str, argument: &Datum) -> Result<String, String> {
        if let Some(body) = self.defined.get(name).map(Rc::clone) {
            return self.body(&body, argument).map_err(|fault| within(name, fault));
        }
        named::evaluate(self, name, argument)
    }

    /// `tpl`: evaluates a text as a template.
    pub(super) fn nested(&mut self, source: &str, dot: &Datum) -> Result<String, String> {
        let defined = self.defined.clone();
        let outcome = self.template(source, dot);
        self.defined = defined;
        outcome.map_err(|fault| within(source, fault))
    }
}

/// A fault in a template that another one calls; of many layers the innermost is told.
fn within(template: &str, fault: Fault) -> String {
    if fault.problem.starts_with("in `") {
        fault.problem
    } else {
        format!("in `{template}`: {}", fault.problem)
    }
}

/// A field of a map. One that is not there is a nil that remembers what was looked for.
pub(super) fn field(value: &Datum, name: &str) -> Result<Datum, String> {
    match value {
        Datum::Map(entries) => Ok(entries.get(name).cloned().unwrap_or_else(|| {
            let known = entries.keys().cloned().collect();
            Datum::Missing(Rc::new(Missing {
                field: name.to_owned(),
                known,
            }))
        })),
        Datum::Missing(missing) => Err(unknown_field(missing)),
        Datum::Nil => Err(format!("nil has no field `{name}`")),
        other => Err(format!("a {} has no field `{name}`", other.kind())),
    }
}

pub(super) fn unknown_field(missing: &Missing) -> String {
    let Missing { field, known } = missing;
    let hint = match known.as_slice() {
        [] => "; there are none".to_owned(),
        known => suggestion(nearest(field, known).as_deref(), known),
    };
    format!("unknown field `{field}`{hint}")
}

/// A value as an action prints it.
fn printed(value: &Datum) -> Result<String, String> {
    match value {
        Datum::Missing(missing) => Err(unknown_field(missing)),
        Datum::Nil => Ok(String::new()),
        Datum::Text(text) => Ok(text.to_string()),
        other => Ok(other.print()),
    }
}
