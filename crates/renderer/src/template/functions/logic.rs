//! Truth, comparison and choice.

use std::cmp::Ordering;

use super::{Args, Datum, Entry, MANY};

pub(super) const FUNCTIONS: &[Entry] = &[
    ("all", 0..=MANY, |args| {
        Ok(Datum::Bool(args.items.iter().all(Datum::is_true)))
    }),
    ("any", 0..=MANY, |args| {
        Ok(Datum::Bool(args.items.iter().any(Datum::is_true)))
    }),
    ("coalesce", 0..=MANY, |args| {
        Ok(args
            .items
            .iter()
            .find(|item| item.is_true())
            .cloned()
            .unwrap_or(Datum::Nil))
    }),
    ("default", 1..=2, default),
    ("empty", 1..=1, |args| Ok(Datum::Bool(!args.get(0).is_true()))),
    ("eq", 2..=MANY, eq),
    ("fail", 1..=1, |args| Err(args.text(0)?.to_owned())),
    ("ge", 2..=2, |args| compare(args, Ordering::is_ge)),
    ("gt", 2..=2, |args| compare(args, Ordering::is_gt)),
    ("kindIs", 2..=2, |args| {
        Ok(Datum::Bool(args.text(0)? == args.get(1).kind()))
    }),
    ("kindOf", 1..=1, |args| Ok(Datum::text(args.get(0).kind()))),
    ("le", 2..=2, |args| compare(args, Ordering::is_le)),
    ("lt", 2..=2, |args| compare(args, Ordering::is_lt)),
    ("ne", 2..=2, |args| {
        Ok(Datum::Bool(!equal(&args.items[0], &args.items[1])?))
    }),
    ("not", 1..=1, |args| Ok(Datum::Bool(!args.items[0].is_true()))),
    ("required", 2..=2, required),
    ("ternary", 3..=3, ternary),
    ("typeIs", 2..=2, |args| {
        Ok(Datum::Bool(args.text(0)? == args.get(1).type_name()))
    }),
    ("typeOf", 1..=1, |args| Ok(Datum::text(args.get(0).type_name()))),
];

/// The second argument, or the first where the second is empty or not given.
fn default(args: &Args<'_>) -> Result<Datum, String> {
    match args.items.get(1) {
        Some(given) if given.is_true() => Ok(given.clone()),
        _ => Ok(args.items[0].clone()),
    }
}

fn required(args: &Args<'_>) -> Result<Datum, String> {
    match &args.items[1] {
        nil if nil.is_nil() => Err(args.text(0)?.to_owned()),
        Datum::Text(text) if text.is_empty() => Err(args.text(0)?.to_owned()),
        value => Ok(value.clone()),
    }
}

fn ternary(args: &Args<'_>) -> Result<Datum, String> {
    match &args.items[2] {
        Datum::Bool(true) => Ok(args.items[0].clone()),
        Datum::Bool(false) => Ok(args.items[1].clone()),
        other => Err(args.wrong(2, other, "a bool")),
    }
}

fn eq(args: &Args<'_>) -> Result<Datum, String> {
    for other in &args.items[1..] {
        if equal(&args.items[0], other)? {
            return Ok(Datum::Bool(true));
        }
    }
    Ok(Datum::Bool(false))
}

fn equal(a: &Datum, b: &Datum) -> Result<bool, String> {
    match (a, b) {
        (a, b) if a.is_nil() || b.is_nil() => Ok(a.is_nil() && b.is_nil()),
        (Datum::Bool(a), Datum::Bool(b)) => Ok(a == b),
        (Datum::Int(a), Datum::Int(b)) => Ok(a == b),
        (Datum::Float(a), Datum::Float(b)) => Ok(a == b),
        (Datum::Text(a), Datum::Text(b)) => Ok(a == b),
        _ => Err(incomparable(a, b)),
    }
}

fn compare(args: &Args<'_>, wanted: fn(Ordering) -> bool) -> Result<Datum, String> {
    let (a, b) = (&args.items[0], &args.items[1]);
    let ordering = match (a, b) {
        (Datum::Int(a), Datum::Int(b)) => Some(a.cmp(b)),
        (Datum::Float(a), Datum::Float(b)) => a.partial_cmp(b),
        (Datum::Text(a), Datum::Text(b)) => Some(a.cmp(b)),
        _ => return Err(incomparable(a, b)),
    };
    Ok(Datum::Bool(ordering.is_some_and(wanted)))
}

fn incomparable(a: &Datum, b: &Datum) -> String {
    format!(
        "a {} and a {} cannot be compared; `int` and `toString` make them alike",
        a.kind(),
        b.kind()
    )
}
