//! Arithmetic.

use super::{Args, Datum, Entry, MANY};

pub(super) const FUNCTIONS: &[Entry] = &[
    ("add", 0..=MANY, |args| fold(args, |a, b| Some(a.wrapping_add(b)))),
    ("add1", 1..=1, |args| {
        Ok(Datum::Int(to_int(args.get(0)).wrapping_add(1)))
    }),
    ("atoi", 1..=1, |args| {
        Ok(Datum::Int(args.text(0)?.parse().unwrap_or_default()))
    }),
    ("ceil", 1..=1, |args| {
        Ok(Datum::Float(to_float(args.get(0)).ceil()))
    }),
    ("div", 2..=2, |args| fold(args, i64::checked_div)),
    ("float64", 1..=1, |args| Ok(Datum::Float(to_float(args.get(0))))),
    ("floor", 1..=1, |args| {
        Ok(Datum::Float(to_float(args.get(0)).floor()))
    }),
    ("int", 1..=1, |args| Ok(Datum::Int(to_int(args.get(0))))),
    ("int64", 1..=1, |args| Ok(Datum::Int(to_int(args.get(0))))),
    ("max", 1..=MANY, |args| fold(args, |a, b| Some(a.max(b)))),
    ("min", 1..=MANY, |args| fold(args, |a, b| Some(a.min(b)))),
    ("mod", 2..=2, |args| fold(args, i64::checked_rem)),
    ("mul", 1..=MANY, |args| fold(args, |a, b| Some(a.wrapping_mul(b)))),
    ("round", 2..=2, round),
    ("sub", 2..=2, |args| fold(args, |a, b| Some(a.wrapping_sub(b)))),
];

fn fold(args: &Args<'_>, step: impl Fn(i64, i64) -> Option<i64>) -> Result<Datum, String> {
    let mut numbers = args.items.iter().map(to_int);
    // `add` alone is 0
    let first = numbers.next().unwrap_or_default();
    let result = numbers.try_fold(first, step);
    result
        .map(Datum::Int)
        .ok_or_else(|| format!("`{}` by zero, or beyond 64 bits", args.name))
}

/// Rounds half away from zero at a number of decimals.
fn round(args: &Args<'_>) -> Result<Datum, String> {
    let places = i32::try_from(args.int(1)?.clamp(-300, 300)).unwrap_or_default();
    let scale = 10_f64.powi(places);
    Ok(Datum::Float((to_float(args.get(0)) * scale).round() / scale))
}

/// A whole number as sprig makes one: what is no number is zero.
pub(super) fn to_int(datum: &Datum) -> i64 {
    match datum {
        Datum::Bool(value) => i64::from(*value),
        Datum::Int(number) => *number,
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a cast cuts and saturates, which is what is asked for"
        )]
        Datum::Float(number) => *number as i64,
        Datum::Text(text) => {
            let (negative, digits) = match text.strip_prefix('-') {
                Some(digits) => (true, digits),
                None => (false, text.strip_prefix('+').unwrap_or(text)),
            };
            let number = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
                Some(digits) => i64::from_str_radix(digits, 16).unwrap_or_default(),
                None => match digits.strip_prefix('0') {
                    Some(octal) if !octal.is_empty() => i64::from_str_radix(octal, 8).unwrap_or_default(),
                    _ => digits.parse().unwrap_or_default(),
                },
            };
            if negative { -number } else { number }
        }
        _ => 0,
    }
}

fn to_float(datum: &Datum) -> f64 {
    match datum {
        #[expect(clippy::cast_precision_loss, reason = "Go converts with the same loss")]
        Datum::Int(number) => *number as f64,
        Datum::Float(number) => *number,
        Datum::Bool(value) => f64::from(u8::from(*value)),
        Datum::Text(text) => text.parse().unwrap_or_default(),
        _ => 0.0,
    }
}
