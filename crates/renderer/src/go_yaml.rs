//! YAML as helm's `toYaml` writes it (go-yaml 2.4), to the character: checksums are made of it, and
//! template expressions are evaluated inside it.

use std::cmp::Ordering;

use serde_json::Value;

/// Lines longer than this are folded at blanks.
const WIDTH: usize = 80;

/// A value as `toYaml` writes it, without the line break at the end.
pub(crate) fn to_yaml(value: &Value) -> String {
    let mut writer = Writer { text: String::new() };
    match value {
        Value::Object(map) if !map.is_empty() => writer.map(map, 0, true),
        Value::Array(list) if !list.is_empty() => writer.sequence(list, 0, true),
        scalar => {
            writer.scalar(scalar, 0, false);
            writer.text.push('\n');
        }
    }
    let end = writer.text.strip_suffix('\n').map_or(writer.text.len(), str::len);
    writer.text.truncate(end);
    writer.text
}

struct Writer {
    text: String,
}

impl Writer {
    /// Writes the entries; the first continues the current line when `inline`.
    fn map(&mut self, map: &serde_json::Map<String, Value>, indent: usize, mut inline: bool) {
        for (key, value) in in_natural_order(map.iter().collect()) {
            if !inline {
                self.pad(indent);
            }
            inline = false;
            let complex = key.chars().count() > 128 || key.contains('\n');
            if complex {
                self.text.push_str("? ");
                self.string(key, indent + 2, false);
                self.text.push('\n');
                self.pad(indent);
            } else {
                self.string(key, indent, true);
            }
            self.text.push(':');
            match value {
                Value::Object(inner) if !inner.is_empty() => {
                    self.text.push('\n');
                    self.map(inner, indent + 2, false);
                }
                Value::Array(items) if !items.is_empty() => {
                    self.text.push('\n');
                    self.sequence(items, indent, false);
                }
                scalar => {
                    self.text.push(' ');
                    self.scalar(scalar, indent + 2, false);
                    self.text.push('\n');
                }
            }
        }
    }

    fn sequence(&mut self, items: &[Value], indent: usize, mut inline: bool) {
        for item in items {
            if !inline {
                self.pad(indent);
            }
            inline = false;
            self.text.push_str("- ");
            match item {
                Value::Object(map) if !map.is_empty() => self.map(map, indent + 2, true),
                Value::Array(items) if !items.is_empty() => self.sequence(items, indent + 2, true),
                scalar => {
                    self.scalar(scalar, indent + 2, false);
                    self.text.push('\n');
                }
            }
        }
    }

    fn scalar(&mut self, value: &Value, indent: usize, is_key: bool) {
        match value {
            Value::Null => self.text.push_str("null"),
            Value::Bool(value) => self.text.push_str(if *value { "true" } else { "false" }),
            Value::Number(number) => match number.as_i64() {
                Some(whole) => self.text.push_str(&whole.to_string()),
                None => self.text.push_str(&number.as_u64().map_or_else(
                    || crate::template::format_float(number.as_f64().unwrap_or_default()),
                    |whole| whole.to_string(),
                )),
            },
            Value::String(text) => self.string(text, indent, is_key),
            Value::Array(_) => self.text.push_str("[]"),
            Value::Object(_) => self.text.push_str("{}"),
        }
    }

    fn string(&mut self, text: &str, indent: usize, is_key: bool) {
        let shape = Shape::of(text);
        if text.contains('\n') && shape.block_allowed && !is_key {
            self.literal(text, indent);
        } else if text.contains('\n') || resolves_to_other_type(text) {
            self.double_quoted(text, indent, is_key);
        } else if shape.plain_allowed && !text.is_empty() {
            self.folded(text, indent, is_key, |c, into| into.push(c));
        } else if shape.single_quoted_allowed {
            self.text.push('\'');
            self.folded(text, indent, is_key, |c, into| match c {
                '\'' => into.push_str("''"),
                c => into.push(c),
            });
            self.text.push('\'');
        } else {
            self.double_quoted(text, indent, is_key);
        }
    }

    /// Writes characters and breaks the line at single blanks beyond the width.
    fn folded(&mut self, text: &str, indent: usize, is_key: bool, mut write: impl FnMut(char, &mut String)) {
        let mut column = self.column();
        let mut after_space = false;
        let mut rest = text.chars().enumerate().peekable();
        let length = text.chars().count();
        while let Some((index, c)) = rest.next() {
            let next_is_space = rest.peek().is_some_and(|(_, next)| *next == ' ');
            let breakable = !is_key && !after_space && column > WIDTH && index > 0 && index + 1 < length;
            if c == ' ' {
                if breakable && !next_is_space {
                    self.text.push('\n');
                    self.pad(indent);
                    column = indent;
                } else {
                    self.text.push(' ');
                    column += 1;
                }
                after_space = true;
            } else {
                write(c, &mut self.text);
                column += 1;
                after_space = false;
            }
        }
    }

    fn literal(&mut self, text: &str, indent: usize) {
        self.text.push('|');
        if text.starts_with([' ', '\n']) {
            self.text.push('2');
        }
        let breaks = text.chars().rev().take_while(|c| *c == '\n').count();
        match breaks {
            0 => self.text.push('-'),
            1 if text.len() > 1 => {}
            _ => self.text.push('+'),
        }
        self.text.push('\n');
        let body = text.strip_suffix('\n').unwrap_or(text);
        for (index, line) in body.split('\n').enumerate() {
            if index > 0 {
                self.text.push('\n');
            }
            if !line.is_empty() {
                self.pad(indent);
                self.text.push_str(line);
            }
        }
    }

    fn double_quoted(&mut self, text: &str, indent: usize, is_key: bool) {
        self.text.push('"');
        let characters: Vec<char> = text.chars().collect();
        let mut after_space = false;
        let mut column = self.column();
        for (index, &c) in characters.iter().enumerate() {
            let before = self.text.len();
            if c == ' ' {
                let inside = index > 0 && index + 1 < characters.len();
                if !is_key && !after_space && column > WIDTH && inside {
                    self.text.push('\n');
                    self.pad(indent);
                    column = indent;
                    if characters[index + 1] == ' ' {
                        self.text.push('\\');
                        column += 1;
                    }
                } else {
                    self.text.push(' ');
                    column += 1;
                }
                after_space = true;
                continue;
            }
            after_space = false;
            escape(c, &mut self.text);
            column += self.text[before..].chars().count();
        }
        self.text.push('"');
    }

    fn column(&self) -> usize {
        self.text.rsplit('\n').next().unwrap_or_default().chars().count()
    }

    fn pad(&mut self, indent: usize) {
        self.text.extend(std::iter::repeat_n(' ', indent));
    }
}

fn escape(c: char, into: &mut String) {
    let short = match c {
        '\0' => '0',
        '\u{7}' => 'a',
        '\u{8}' => 'b',
        '\t' => 't',
        '\n' => 'n',
        '\u{b}' => 'v',
        '\u{c}' => 'f',
        '\r' => 'r',
        '\u{1b}' => 'e',
        '"' => '"',
        '\\' => '\\',
        '\u{85}' => 'N',
        '\u{a0}' => '_',
        '\u{2028}' => 'L',
        '\u{2029}' => 'P',
        c if is_printable(c) => return into.push(c),
        c => {
            let code = u32::from(c);
            let escaped = match code {
                0..=0xff => format!("\\x{code:02X}"),
                0x100..=0xffff => format!("\\u{code:04X}"),
                _ => format!("\\U{code:08X}"),
            };
            return into.push_str(&escaped);
        }
    };
    into.push('\\');
    into.push(short);
}

fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}') && c != '\u{feff}'
}

/// Which styles a text may be written in: libyaml's analysis of a scalar outside flow collections.
struct Shape {
    plain_allowed: bool,
    single_quoted_allowed: bool,
    block_allowed: bool,
}

impl Shape {
    fn of(text: &str) -> Self {
        let characters: Vec<char> = text.chars().collect();
        let mut indicators = text.starts_with("---") || text.starts_with("...");
        let (mut special, mut line_breaks, mut break_space, mut space_break) = (false, false, false, false);
        let (mut previous_space, mut previous_break) = (false, false);
        let mut preceded_by_blank = true;
        for (index, &c) in characters.iter().enumerate() {
            let followed_by_blank = characters
                .get(index + 1)
                .is_none_or(|next| is_blank(*next) || is_break(*next));
            indicators |= match c {
                '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@'
                | '`'
                    if index == 0 =>
                {
                    true
                }
                '?' | ':' | '-' if index == 0 => followed_by_blank,
                ':' => followed_by_blank,
                '#' => preceded_by_blank,
                _ => false,
            };
            special |= !is_printable(c) && !is_break(c);
            if c == ' ' {
                break_space |= previous_break;
                (previous_space, previous_break) = (true, false);
            } else if is_break(c) {
                line_breaks = true;
                space_break |= previous_space;
                (previous_space, previous_break) = (false, true);
            } else {
                (previous_space, previous_break) = (false, false);
            }
            preceded_by_blank = is_blank(c) || is_break(c);
        }
        let edge = |c: Option<&char>| c.is_some_and(|c| *c == ' ' || is_break(*c));
        let at_edge = edge(characters.first()) || edge(characters.last());
        let broken = space_break || special;
        Self {
            plain_allowed: !(indicators || at_edge || break_space || broken || line_breaks),
            single_quoted_allowed: !(break_space || broken),
            block_allowed: !(broken || characters.last() == Some(&' ')),
        }
    }
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t')
}

fn is_break(c: char) -> bool {
    matches!(c, '\r' | '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Whether go-yaml would read the text, unquoted, as something else.
fn resolves_to_other_type(text: &str) -> bool {
    const WORDS: [&str; 33] = [
        "", "~", "y", "Y", "n", "N", "yes", "Yes", "YES", "no", "No", "NO", "on", "On", "ON", "off", "Off",
        "OFF", "true", "True", "TRUE", "false", "False", "FALSE", "null", "Null", "NULL", ".nan", ".NaN",
        ".NAN", ".inf", ".Inf", ".INF",
    ];
    if WORDS.contains(&text) {
        return true;
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") {
        return true;
    }
    text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c))
        && (is_number(text) || is_timestamp(text) || is_base_60(text))
}

fn is_number(text: &str) -> bool {
    if text.starts_with('.') {
        return is_decimal(text);
    }
    let plain = text.replace('_', "");
    let unsigned = plain.strip_prefix(['+', '-']).unwrap_or(&plain);
    let radix = |prefix: [&str; 2], radix: u32| {
        let digits = prefix.iter().find_map(|prefix| unsigned.strip_prefix(prefix));
        digits.is_some_and(|digits| u64::from_str_radix(digits, radix).is_ok() && !digits.starts_with('+'))
    };
    if radix(["0x", "0X"], 16) || radix(["0b", "0B"], 2) || radix(["0o", "0O"], 8) {
        return true;
    }
    is_decimal(unsigned)
}

/// Digits, at most one point, and an exponent if any: `1`, `.5`, `1.`, `1e3`.
fn is_decimal(text: &str) -> bool {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    let mantissa_fits = match mantissa.split_once('.') {
        Some(("", fraction)) => !fraction.is_empty() && digits(fraction),
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => !mantissa.is_empty() && digits(mantissa),
    };
    let exponent_fits = exponent.is_none_or(|exponent| {
        let unsigned = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !unsigned.is_empty() && digits(unsigned)
    });
    mantissa_fits && exponent_fits
}

/// Dates, with or without a time, as go-yaml knows them.
fn is_timestamp(text: &str) -> bool {
    let mut parts = text.splitn(3, '-');
    let numeric = |part: Option<&str>, widths: std::ops::RangeInclusive<usize>| {
        part.is_some_and(|part| widths.contains(&part.len()) && part.chars().all(|c| c.is_ascii_digit()))
    };
    if !numeric(parts.next(), 4..=4) || !numeric(parts.next(), 1..=2) {
        return false;
    }
    let rest = parts.next().unwrap_or_default();
    let day = rest.split(['T', 't', ' ']).next();
    if day == Some(rest) {
        return numeric(day, 1..=2);
    }
    numeric(day, 1..=2) && rest.contains(':')
}

/// Numbers like `1:30`, which old YAML reads to the base of 60.
fn is_base_60(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let mut parts = unsigned.split(':');
    let first = parts.next().unwrap_or_default();
    if first.is_empty() || !first.chars().all(|c| c.is_ascii_digit() || c == '_') {
        return false;
    }
    let mut count = 0;
    let mut rest: Vec<&str> = parts.collect();
    if let Some(last) = rest.last_mut() {
        *last = last.split('.').next().unwrap_or_default();
    }
    for part in rest {
        count += 1;
        let fits = (1..=2).contains(&part.len())
            && part.chars().all(|c| c.is_ascii_digit())
            && part.parse::<u8>().is_ok_and(|number| number < 60);
        if !fits {
            return false;
        }
    }
    count > 0
}

/// Sorts by merging. The order is go-yaml's and not proven to be total, which the sorts of the
/// standard library may answer with a panic.
fn in_natural_order<'a>(mut entries: Vec<(&'a String, &'a Value)>) -> Vec<(&'a String, &'a Value)> {
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

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case(json!({"b": 1, "a": {"c": [1, {"d": "e", "f": []}, [2]]}, "g": {}}), "a:\n  c:\n  - 1\n  - d: e\n    f: []\n  - - 2\nb: 1\ng: {}")]
    #[case(json!({"a": "{{ .Release.Name }}", "p": "p{{ .Values.x }}"}), "a: '{{ .Release.Name }}'\np: p{{ .Values.x }}")]
    #[case(json!({"a": "line1\nline2\n", "b": "x\ny"}), "a: |\n  line1\n  line2\nb: |-\n  x\n  y")]
    #[case(json!({"a": "1", "b": "true", "c": "0x1f", "d": "1e3", "e": "~", "f": "on", "g": ""}), "a: \"1\"\nb: \"true\"\nc: \"0x1f\"\nd: \"1e3\"\ne: \"~\"\nf: \"on\"\ng: \"\"")]
    #[case(json!({"a10": 1, "a9": 2}), "a9: 2\na10: 1")]
    #[case(json!({"5a": 1, "54": 2, "5-": 3, "a100": 4, "a1": 5, "a01": 6}), "5-: 3\n\"54\": 2\n5a: 1\na1: 5\na01: 6\na100: 4")]
    #[case(json!({"a": ".5", "b": "._9", "c": "1_0"}), "a: \".5\"\nb: ._9\nc: \"1_0\"")]
    #[case(json!("x"), "x")]
    #[case(json!({}), "{}")]
    #[case(json!({"a": "it's: so", "b": "tab\there", "c": " lead"}), "a: 'it''s: so'\nb: \"tab\\there\"\nc: ' lead'")]
    #[case(json!({"t": "2026-01-01", "h": "1:30", "s": "- a", "n": null}), "h: \"1:30\"\n\"n\": null\ns: '- a'\nt: \"2026-01-01\"")]
    fn values_are_written_as_helm_writes_them(#[case] value: Value, #[case] expected: &str) {
        assert_eq!(to_yaml(&value), expected);
    }

    #[test]
    fn long_lines_are_folded_at_blanks() {
        let words =
            "aaaa bbbbbbbbbbbbbbbb cccccccccccccccccccc ddddddddddddddddddddd eeeeeeeeeeeeeeeeee ffffffffff";
        let expected = "long: aaaa bbbbbbbbbbbbbbbb cccccccccccccccccccc ddddddddddddddddddddd eeeeeeeeeeeeeeeeee\n  ffffffffff";
        assert_eq!(to_yaml(&json!({"long": words})), expected);
    }
}
