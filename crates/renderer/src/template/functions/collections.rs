//! Lists and maps. None of these changes what it is given.

use std::{collections::BTreeMap, rc::Rc};

use super::{Args, Datum, Entry, MANY, texts, to_text};
use crate::template::evaluate::field;

pub(super) const FUNCTIONS: &[Entry] = &[
    ("append", 2..=2, |args| {
        let mut items = args.list(0)?.to_vec();
        items.push(args.get(1).clone());
        Ok(Datum::list(items))
    }),
    ("compact", 1..=1, |args| keep(args.list(0)?, Datum::is_true)),
    ("concat", 0..=MANY, |args| {
        let mut items = Vec::new();
        for index in 0..args.items.len() {
            items.extend(args.list(index)?.iter().cloned());
        }
        Ok(Datum::list(items))
    }),
    ("dict", 0..=MANY, dict),
    ("dig", 3..=MANY, dig),
    ("first", 1..=1, |args| {
        Ok(args.list(0)?.first().cloned().unwrap_or(Datum::Nil))
    }),
    ("get", 2..=2, |args| {
        Ok(args
            .map(0)?
            .get(args.text(1)?)
            .cloned()
            .unwrap_or_else(|| Datum::text("")))
    }),
    ("has", 2..=2, |args| {
        Ok(Datum::Bool(
            args.list(1)?.iter().any(|item| same(item, &args.items[0])),
        ))
    }),
    ("hasKey", 2..=2, |args| {
        Ok(Datum::Bool(args.map(0)?.contains_key(args.text(1)?)))
    }),
    ("index", 1..=MANY, index),
    ("initial", 1..=1, |args| {
        let items = args.list(0)?;
        Ok(Datum::list(items[..items.len().saturating_sub(1)].to_vec()))
    }),
    ("keys", 0..=MANY, |args| {
        let mut keys = Vec::new();
        for index in 0..args.items.len() {
            keys.extend(args.map(index)?.keys().map(|key| Datum::text(key.as_str())));
        }
        Ok(Datum::list(keys))
    }),
    ("last", 1..=1, |args| {
        Ok(args.list(0)?.last().cloned().unwrap_or(Datum::Nil))
    }),
    ("len", 1..=1, len),
    ("list", 0..=MANY, |args| Ok(Datum::list(args.items.to_vec()))),
    ("merge", 1..=MANY, |args| merged(args, false)),
    ("mergeOverwrite", 1..=MANY, |args| merged(args, true)),
    ("omit", 1..=MANY, |args| pick(args, false)),
    ("pick", 1..=MANY, |args| pick(args, true)),
    ("pluck", 1..=MANY, |args| {
        let key = args.text(0)?;
        let mut items = Vec::new();
        for index in 1..args.items.len() {
            items.extend(args.map(index)?.get(key).cloned());
        }
        Ok(Datum::list(items))
    }),
    ("prepend", 2..=2, |args| {
        let mut items = vec![args.get(1).clone()];
        items.extend(args.list(0)?.iter().cloned());
        Ok(Datum::list(items))
    }),
    ("rest", 1..=1, |args| {
        Ok(Datum::list(args.list(0)?.iter().skip(1).cloned().collect()))
    }),
    ("reverse", 1..=1, |args| {
        Ok(Datum::list(args.list(0)?.iter().rev().cloned().collect()))
    }),
    ("slice", 1..=3, slice),
    ("sortAlpha", 1..=1, |args| {
        let mut items = match args.get(0) {
            Datum::List(_) => texts(&args.items[0]),
            other => vec![to_text(other)],
        };
        items.sort();
        Ok(Datum::list(items.into_iter().map(Datum::text).collect()))
    }),
    ("toStrings", 1..=1, |args| {
        let items = texts(args.get(0)).into_iter();
        Ok(Datum::list(items.map(Datum::text).collect()))
    }),
    ("uniq", 1..=1, |args| {
        let mut items: Vec<Datum> = Vec::new();
        for item in args.list(0)?.iter() {
            if !items.iter().any(|known| same(known, item)) {
                items.push(item.clone());
            }
        }
        Ok(Datum::list(items))
    }),
    ("until", 1..=1, |args| {
        Ok(count(0, args.int(0)?, if args.int(0)? < 0 { -1 } else { 1 }))
    }),
    ("untilStep", 3..=3, |args| {
        Ok(count(args.int(0)?, args.int(1)?, args.int(2)?))
    }),
    ("values", 1..=1, |args| {
        let mut values = Vec::new();
        for index in 0..args.items.len() {
            values.extend(args.map(index)?.values().cloned());
        }
        Ok(Datum::list(values))
    }),
    ("without", 1..=MANY, |args| {
        let unwanted = &args.items[1..];
        keep(args.list(0)?, |item| {
            !unwanted.iter().any(|other| same(item, other))
        })
    }),
];

fn keep(items: &[Datum], wanted: impl Fn(&Datum) -> bool) -> Result<Datum, String> {
    Ok(Datum::list(
        items.iter().filter(|item| wanted(item)).cloned().collect(),
    ))
}

/// Whether two values are alike in type and content.
fn same(a: &Datum, b: &Datum) -> bool {
    a.kind() == b.kind() && a.to_json() == b.to_json()
}

/// A map of keys and values in turn; the last key may lack its value.
fn dict(args: &Args<'_>) -> Result<Datum, String> {
    let pairs = args.items.chunks(2).map(|pair| {
        let value = pair.get(1).cloned().unwrap_or_else(|| Datum::text(""));
        (to_text(&pair[0]), value)
    });
    Ok(Datum::map(pairs))
}

/// The value under some keys of a map, or the default that stands before the map.
fn dig(args: &Args<'_>) -> Result<Datum, String> {
    let (path, ends) = args.items.split_at(args.items.len() - 2);
    let mut value = ends[1].clone();
    for index in 0..path.len() {
        value = match &value {
            Datum::Map(entries) => match entries.get(args.text(index)?) {
                Some(next) => next.clone(),
                None => return Ok(ends[0].clone()),
            },
            other => return Err(args.wrong(args.items.len() - 1, other, "a map")),
        };
    }
    Ok(value)
}

fn index(args: &Args<'_>) -> Result<Datum, String> {
    let mut value = args.get(0).clone();
    for position in 1..args.items.len() {
        value = match &value {
            Datum::Map(_) => field(&value, args.text(position)?)?,
            Datum::List(items) => {
                let at = args.int(position)?;
                let item = usize::try_from(at).ok().and_then(|at| items.get(at));
                item.cloned()
                    .ok_or_else(|| format!("a list of {} has no item {at}", items.len()))?
            }
            Datum::Missing(missing) => return Err(crate::template::evaluate::unknown_field(missing)),
            other => return Err(format!("a {} has no items", other.kind())),
        };
    }
    Ok(value)
}

fn len(args: &Args<'_>) -> Result<Datum, String> {
    let length = match args.get(0) {
        Datum::Text(text) => text.len(),
        Datum::List(items) => items.len(),
        Datum::Map(entries) => entries.len(),
        other => return Err(args.wrong(0, other, "a string, a list or a map")),
    };
    Ok(Datum::Int(i64::try_from(length).unwrap_or(i64::MAX)))
}

/// sprig's `slice`: the items from one position to before another.
fn slice(args: &Args<'_>) -> Result<Datum, String> {
    let items = args.list(0)?;
    let bound = |position: usize, default: usize| match args.items.get(position) {
        None => Ok(default),
        Some(_) => usize::try_from(args.int(position)?).map_err(|_| "a negative bound".to_owned()),
    };
    let (start, end) = (bound(1, 0)?, bound(2, items.len())?);
    let part = items.get(start..end);
    part.map(|items| Datum::list(items.to_vec()))
        .ok_or_else(|| format!("{start} to {end} lies outside of 0 to {}", items.len()))
}

fn pick(args: &Args<'_>, picked: bool) -> Result<Datum, String> {
    let mut names = Vec::new();
    for index in 1..args.items.len() {
        names.push(args.text(index)?);
    }
    let entries = args
        .map(0)?
        .iter()
        .filter(|(key, _)| names.contains(&key.as_str()) == picked);
    Ok(Datum::map(
        entries.map(|(key, value)| (key.clone(), value.clone())),
    ))
}

fn merged(args: &Args<'_>, overwrites: bool) -> Result<Datum, String> {
    let mut result = BTreeMap::clone(args.map(0)?);
    for index in 1..args.items.len() {
        merge_into(&mut result, args.map(index)?, overwrites);
    }
    Ok(Datum::Map(Rc::new(result)))
}

fn merge_into(below: &mut BTreeMap<String, Datum>, above: &BTreeMap<String, Datum>, overwrites: bool) {
    for (key, value) in above {
        match (below.get_mut(key), value) {
            (Some(Datum::Map(old)), Datum::Map(new)) => merge_into(Rc::make_mut(old), new, overwrites),
            (Some(old), value) if overwrites || !(old.is_true() || value.is_nil()) => *old = value.clone(),
            (None, value) if overwrites || !value.is_nil() => {
                below.insert(key.clone(), value.clone());
            }
            _ => {}
        }
    }
}

/// The numbers from a start to before an end.
fn count(start: i64, stop: i64, step: i64) -> Datum {
    let mut numbers = Vec::new();
    let mut number = start;
    while (step > 0 && number < stop) || (step < 0 && number > stop) {
        numbers.push(Datum::Int(number));
        number = number.saturating_add(step);
    }
    Datum::list(numbers)
}
