//! YAML as helm's `toYaml` writes it (go-yaml 2.4), to the character: checksums are made of it, and
//! template expressions are evaluated inside it.

mod order;
mod scalar;

use serde_json::Value;

use order::in_natural_order;
use scalar::{Shape, escape, resolves_to_other_type};

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
                let before = self.text.len();
                write(c, &mut self.text);
                // a quote is written as two
                column += self.text[before..].chars().count();
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

    /// `A77` stands for 77 letters; what is expected is what `toYaml` of helm 3.18.6 prints.
    fn spelt(short: &str) -> String {
        let letters = regex::Regex::new(r"A(\d+)").unwrap();
        let letters = letters.replace_all(short, |found: &regex::Captures<'_>| {
            "a".repeat(found[1].parse().unwrap())
        });
        letters.into_owned()
    }

    #[rstest]
    #[case::plain_of_the_width("A77 b", "k: A77 b")]
    #[case::plain_beyond("A78 b", "k: A78\n  b")]
    #[case::plain_at_two_blanks("A78  b", "k: A78  b")]
    #[case::plain_of_the_width_again("A78 A78 b", "k: A78\n  A78 b")]
    #[case::plain_beyond_again("A78 A79 b", "k: A78\n  A79\n  b")]
    #[case::plain_after_a_blank("A75 b aa b", "k: A75 b aa\n  b")]
    #[case::letters_not_bytes("éA76 b", "k: éA76 b")]
    #[case::letters_beyond("éA77 b", "k: éA77\n  b")]
    #[case::single_of_the_width("'A74 b", "k: '''A74 b'")]
    #[case::single_beyond("'A75 b", "k: '''A75\n  b'")]
    #[case::single_at_its_end("'A75 ", "k: '''A75 '")]
    #[case::single_at_two_blanks("'A75  b", "k: '''A75  b'")]
    #[case::quotes_count_as_written("'A75 A74'' b", "k: '''A75\n  A74'''' b'")]
    #[case::quotes_beyond("'A75 A75'' b", "k: '''A75\n  A75''''\n  b'")]
    #[case::at_its_begin(" A80", "k: ' A80'")]
    #[case::double_of_the_width("\tA74 b", "k: \"\\tA74 b\"")]
    #[case::double_beyond("\tA75 b", "k: \"\\tA75\n  b\"")]
    #[case::double_at_two_blanks("\tA75  b", "k: \"\\tA75\n  \\ b\"")]
    #[case::double_at_its_end("\tA75 ", "k: \"\\tA75 \"")]
    #[case::double_of_the_width_again("\tA75 A78 b", "k: \"\\tA75\n  A78 b\"")]
    #[case::double_beyond_again("\tA75 A79 b", "k: \"\\tA75\n  A79\n  b\"")]
    #[case::two_blanks_of_the_width("\tA75  A76 b", "k: \"\\tA75\n  \\ A76 b\"")]
    #[case::two_blanks_beyond("\tA75  A77 b", "k: \"\\tA75\n  \\ A77\n  b\"")]
    #[case::double_at_its_begin(" \tA80", "k: \" \\tA80\"")]
    #[case::lines_are_not_folded("a\nA78 b c", "k: |-\n  a\n  A78 b c")]
    fn long_texts_are_folded_as_helm_folds_them(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(to_yaml(&json!({"k": spelt(text)})), spelt(expected));
    }

    #[rstest]
    #[case("A78 b", "A78 b: 1")]
    #[case("'A75 b", "'''A75 b': 1")]
    #[case("\tA75 b", "\"\\tA75 b\": 1")]
    fn keys_are_not_folded(#[case] key: &str, #[case] expected: &str) {
        assert_eq!(to_yaml(&json!({spelt(key): 1})), spelt(expected));
    }

    #[test]
    fn long_lines_are_folded_at_blanks() {
        let words =
            "aaaa bbbbbbbbbbbbbbbb cccccccccccccccccccc ddddddddddddddddddddd eeeeeeeeeeeeeeeeee ffffffffff";
        let expected = "long: aaaa bbbbbbbbbbbbbbbb cccccccccccccccccccc ddddddddddddddddddddd eeeeeeeeeeeeeeeeee\n  ffffffffff";
        assert_eq!(to_yaml(&json!({"long": words})), expected);
    }
}
