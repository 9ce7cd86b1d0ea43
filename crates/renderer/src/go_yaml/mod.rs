//! YAML as helm's `toYaml` writes it (go-yaml 2.4), to the character: checksums are made of it, and
//! template expressions are evaluated inside it.

mod order;
mod scalar;
#[cfg(test)]
mod tests;

use serde_json::Value;

use order::in_natural_order;
use scalar::{Shape, escape, is_break, resolves_to_other_type};

/// Keys of more bytes than this are set apart with `?`.
const SIMPLE_KEY: usize = 128;

/// Lines longer than this are folded at blanks.
const WIDTH: usize = 80;

/// A value as `toYaml` writes it, without the line break at the end.
///
/// Characters that YAML forbids are escaped, where helm would write nothing at all, and U+0085 where it
/// would write a blank.
pub(crate) fn to_yaml(value: &Value) -> String {
    let mut writer = Writer { text: String::new() };
    match value {
        Value::Object(map) if !map.is_empty() => writer.map(map, 0, true),
        Value::Array(list) if !list.is_empty() => writer.sequence(list, 0, true),
        scalar => {
            writer.scalar(scalar, 2, false);
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
            let complex = key.len() > SIMPLE_KEY || key.contains(is_break);
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
        let (mut after_space, mut after_break) = (false, false);
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
            } else if is_break(c) {
                self.text.push(c);
                (column, after_break, after_space) = (0, true, false);
            } else {
                if after_break {
                    self.pad(indent);
                    (column, after_break) = (indent, false);
                }
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
        if text.starts_with(|c| c == ' ' || is_break(c)) {
            self.text.push('2');
        }
        let breaks = text.chars().rev().take_while(|c| is_break(*c)).count();
        match breaks {
            0 => self.text.push('-'),
            1 if text.chars().count() > 1 => {}
            _ => self.text.push('+'),
        }
        self.text.push('\n');
        let mut after_break = true;
        for c in text.strip_suffix('\n').unwrap_or(text).chars() {
            if after_break && !is_break(c) {
                self.pad(indent);
            }
            self.text.push(c);
            after_break = is_break(c);
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
