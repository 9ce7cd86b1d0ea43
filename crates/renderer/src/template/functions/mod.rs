//! The functions of expressions: Go's own, sprig's and helm's, as far as they give the same result on
//! every call.

mod collections;
mod encoding;
mod logic;
mod numbers;
mod texts;

use std::{ops::RangeInclusive, rc::Rc};

use super::{
    datum::Datum,
    evaluate::{Evaluator, unknown_field},
};
use crate::{check::nearest, error::suggestion};

/// A function's name and what it is given.
pub(super) struct Args<'a> {
    pub(super) name: &'a str,
    pub(super) items: &'a [Datum],
}

/// A function of values alone.
type Function = fn(&Args<'_>) -> Result<Datum, String>;

/// A function's name, how many arguments it takes, and the function.
type Entry = (&'static str, RangeInclusive<usize>, Function);

/// As many arguments as there are.
const MANY: usize = usize::MAX;

/// Functions that take a missing field as empty.
const TOLERANT: [&str; 15] = [
    "all", "any", "coalesce", "compact", "default", "dict", "dig", "empty", "eq", "kindIs", "kindOf", "list",
    "ne", "not", "ternary",
];

/// Calls a function.
pub(super) fn call(evaluator: &mut Evaluator, args: &Args<'_>) -> Result<Datum, String> {
    if !TOLERANT.contains(&args.name) {
        for item in args.items {
            if let Datum::Missing(missing) = item
                && args.name != "required"
            {
                return Err(unknown_field(missing));
            }
        }
    }
    match args.name {
        "include" => {
            args.expect(&(2..=2))?;
            evaluator.include(args.text(0)?, &args.items[1]).map(Datum::text)
        }
        "tpl" => {
            args.expect(&(2..=2))?;
            evaluator.nested(args.text(0)?, &args.items[1]).map(Datum::text)
        }
        name => {
            let (_, count, function) = find(name).ok_or_else(|| unknown(name))?;
            args.expect(count)?;
            evaluator.spend(args.price())?;
            let value = function(args)?;
            evaluator.spend(value.size())?;
            Ok(value)
        }
    }
}

fn find(name: &str) -> Option<&'static Entry> {
    TABLES
        .iter()
        .flat_map(|table| table.iter())
        .find(|(known, ..)| *known == name)
}

const TABLES: [&[Entry]; 5] = [
    collections::FUNCTIONS,
    encoding::FUNCTIONS,
    logic::FUNCTIONS,
    numbers::FUNCTIONS,
    texts::FUNCTIONS,
];

fn unknown(name: &str) -> String {
    let mut known: Vec<String> = TABLES
        .iter()
        .flat_map(|table| table.iter())
        .map(|(known, ..)| (*known).to_owned())
        .collect();
    known.extend(["and", "include", "or", "tpl"].map(str::to_owned));
    known.sort();
    let hint = suggestion(nearest(name, &known).as_deref(), &known);
    format!("unknown function `{name}`{hint}")
}

impl Args<'_> {
    /// What a call costs before it is made: what it reads, and what it is about to make.
    fn price(&self) -> usize {
        let read: usize = self.items.iter().map(Datum::size).sum();
        let made = match (self.name, self.items) {
            ("repeat" | "indent" | "nindent", [count, text]) => {
                let per = match (self.name, text) {
                    ("repeat", Datum::Text(text)) => text.len() / 16 + 1,
                    (_, Datum::Text(text)) => text.matches('\n').count() + 1,
                    _ => 1,
                };
                whole(count).saturating_mul(per)
            }
            ("uniq", [Datum::List(items)]) => items.len().saturating_mul(read),
            ("without", [Datum::List(items), ..]) => items.len().saturating_mul(self.items.len()),
            ("regexReplaceAll" | "regexReplaceAllLiteral", [_, text, new]) => match (text, new) {
                (Datum::Text(text), Datum::Text(new)) => {
                    (text.len().saturating_mul(new.len()) / 16).saturating_add(REGEX)
                }
                _ => REGEX,
            },
            ("regexMatch" | "regexFind", _) => REGEX,
            ("until", [count]) => whole(count),
            ("untilStep", [start, stop, step]) => (whole(start) + whole(stop))
                .checked_div(whole(step))
                .unwrap_or_default(),
            ("replace", [old, new, text]) => match (old, new, text) {
                (Datum::Text(old), Datum::Text(new), Datum::Text(text)) => {
                    let places = if old.is_empty() {
                        text.len()
                    } else {
                        text.matches(&**old).count()
                    };
                    places.saturating_mul(new.len()) / 16
                }
                _ => 0,
            },
            ("join", [between, Datum::List(items)]) => items.len().saturating_mul(between.size()),
            _ => 0,
        };
        read.saturating_add(made)
    }

    fn expect(&self, count: &RangeInclusive<usize>) -> Result<(), String> {
        let given = self.items.len();
        if count.contains(&given) {
            return Ok(());
        }
        let wanted = match (count.start(), count.end()) {
            (least, &MANY) => format!("at least {least}"),
            (least, most) if least == most => least.to_string(),
            (least, most) => format!("{least} to {most}"),
        };
        Err(format!("`{}` takes {wanted} arguments, not {given}", self.name))
    }

    /// An argument that is there: the function's entry says how many there are.
    fn get(&self, index: usize) -> &Datum {
        &self.items[index]
    }

    fn text(&self, index: usize) -> Result<&str, String> {
        match self.get(index) {
            Datum::Text(text) => Ok(text),
            other => Err(self.wrong(index, other, "a string")),
        }
    }

    fn int(&self, index: usize) -> Result<i64, String> {
        match self.get(index) {
            Datum::Int(number) => Ok(*number),
            other => Err(self.wrong(index, other, "an int; `int` makes one")),
        }
    }

    /// An int that is not negative.
    fn count(&self, index: usize) -> Result<usize, String> {
        let number = self.int(index)?;
        usize::try_from(number).map_err(|_| {
            format!(
                "argument {} of `{}` is {number}, allowed is 0 or more",
                index + 1,
                self.name
            )
        })
    }

    fn list(&self, index: usize) -> Result<&Rc<Vec<Datum>>, String> {
        match self.get(index) {
            Datum::List(items) => Ok(items),
            other => Err(self.wrong(index, other, "a list")),
        }
    }

    fn map(&self, index: usize) -> Result<&Rc<std::collections::BTreeMap<String, Datum>>, String> {
        match self.get(index) {
            Datum::Map(entries) => Ok(entries),
            other => Err(self.wrong(index, other, "a map")),
        }
    }

    fn wrong(&self, index: usize, found: &Datum, wanted: &str) -> String {
        format!(
            "argument {} of `{}` is {}, allowed is {wanted}",
            index + 1,
            self.name,
            found.type_name()
        )
    }
}

/// The price of reading a regular expression.
const REGEX: usize = 1000;

/// A count, as far as it costs anything.
fn whole(datum: &Datum) -> usize {
    match datum {
        Datum::Int(number) => usize::try_from(number.unsigned_abs()).unwrap_or(usize::MAX / 4),
        _ => 0,
    }
}

/// A value as sprig turns it into a text.
fn to_text(datum: &Datum) -> String {
    match datum {
        Datum::Text(text) => text.to_string(),
        other => other.print(),
    }
}

/// The items of a list as texts, as sprig makes them: those that are nil are left out, and what is no list
/// is one item.
fn texts(datum: &Datum) -> Vec<String> {
    match datum {
        Datum::List(items) => items.iter().filter(|item| !item.is_nil()).map(to_text).collect(),
        nil if nil.is_nil() => Vec::new(),
        other => vec![to_text(other)],
    }
}
