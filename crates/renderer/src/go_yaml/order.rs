//! The order of keys.

use std::cmp::Ordering;

use serde_json::Value;

/// Sorts by merging. The order is go-yaml's and not proven to be total, which the sorts of the
/// standard library may answer with a panic.
pub(super) fn in_natural_order<'a>(
    mut entries: Vec<(&'a String, &'a Value)>,
) -> Vec<(&'a String, &'a Value)> {
    if entries.len() < 2 {
        return entries;
    }
    let second = in_natural_order(entries.split_off(entries.len() / 2));
    let first = in_natural_order(entries);
    let mut sorted = Vec::with_capacity(first.len() + second.len());
    let (mut first, mut second) = (first.into_iter().peekable(), second.into_iter().peekable());
    while let (Some(left), Some(right)) = (first.peek(), second.peek()) {
        let next = if natural_order(left.0, right.0).is_le() {
            first.next()
        } else {
            second.next()
        };
        sorted.extend(next);
    }
    sorted.extend(first);
    sorted.extend(second);
    sorted
}

/// The order in which go-yaml writes keys: numbers in them count as numbers.
fn natural_order(a: &str, b: &str) -> Ordering {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    for index in 0..a.len().min(b.len()) {
        let (left, right) = (a[index], b[index]);
        if left == right {
            continue;
        }
        let (left_letter, right_letter) = (left.is_alphabetic(), right.is_alphabetic());
        if left_letter && right_letter {
            return left.cmp(&right);
        }
        if left_letter || right_letter {
            return if right_letter {
                Ordering::Less
            } else {
                Ordering::Greater
            };
        }
        return number_at(&a, index, right)
            .cmp(&number_at(&b, index, left))
            .then_with(|| left.cmp(&right));
    }
    a.len().cmp(&b.len())
}

/// The number that starts at a position, and where it ends. A zero on either side makes both start
/// higher when digits lie before it.
fn number_at(text: &[char], start: usize, other: char) -> (u64, usize) {
    let mut number: u64 = 0;
    if text[start] == '0' || other == '0' {
        let digits_before = text[..start].iter().rev().take_while(|c| c.is_numeric());
        number = u64::from(digits_before.into_iter().any(|c| *c != '0'));
    }
    let mut end = start;
    while let Some(digit) = text.get(end).and_then(|c| c.to_digit(10)) {
        number = number.wrapping_mul(10).wrapping_add(u64::from(digit));
        end += 1;
    }
    (number, end)
}
