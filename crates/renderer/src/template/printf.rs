//! Go's `printf`.

use super::datum::{Datum, format_float};

/// Widest field and highest precision.
const MAX_WIDTH: usize = 1000;

/// The flags, width and precision of a verb.
#[derive(Default)]
struct Spec {
    plus: bool,
    minus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: usize,
    precision: Option<usize>,
}

/// Formats as Go does, complaints in the text included.
pub(super) fn printf(format: &str, items: &[Datum]) -> Result<String, String> {
    let mut output = String::new();
    let mut items = items.iter();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            output.push(c);
            continue;
        }
        let mut spec = Spec::default();
        while let Some(flag) = chars.next_if(|c| "+-# 0".contains(*c)) {
            match flag {
                '+' => spec.plus = true,
                '-' => spec.minus = true,
                '#' => spec.sharp = true,
                ' ' => spec.space = true,
                _ => spec.zero = true,
            }
        }
        spec.width = number(&mut chars, &mut items)?.unwrap_or_default();
        if chars.next_if_eq(&'.').is_some() {
            spec.precision = Some(number(&mut chars, &mut items)?.unwrap_or_default());
        }
        match chars.next() {
            None => output.push_str("%!(NOVERB)"),
            Some('%') => output.push('%'),
            Some(verb) => match items.next() {
                None => output.push_str(&format!("%!{verb}(MISSING)")),
                Some(item) => output.push_str(&spec.format(verb, item)),
            },
        }
    }
    let extra: Vec<String> = items
        .map(|item| match item {
            nil if nil.is_nil() => "<nil>".to_owned(),
            item => format!("{}={}", item.type_name(), item.print()),
        })
        .collect();
    if !extra.is_empty() {
        output.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    Ok(output)
}

/// A width or a precision: digits, or `*` for the next argument.
fn number<'a>(
    chars: &mut std::iter::Peekable<std::str::Chars<'_>>,
    items: &mut impl Iterator<Item = &'a Datum>,
) -> Result<Option<usize>, String> {
    let mut digits = String::new();
    if chars.next_if_eq(&'*').is_some() {
        match items.next() {
            Some(Datum::Int(number)) => digits = number.unsigned_abs().to_string(),
            _ => return Err("`*` in a format needs a whole number".to_owned()),
        }
    }
    while let Some(digit) = chars.next_if(char::is_ascii_digit) {
        digits.push(digit);
    }
    if digits.is_empty() {
        return Ok(None);
    }
    match digits.parse() {
        Ok(number) if number <= MAX_WIDTH => Ok(Some(number)),
        _ => Err(format!(
            "a width of {digits} is too much; the most is {MAX_WIDTH}"
        )),
    }
}

impl Spec {
    fn format(&self, verb: char, item: &Datum) -> String {
        let text = match (verb, item) {
            ('v', Datum::Text(text)) if self.sharp => quote(text),
            ('v', item) => item.print(),
            ('T', item) => item.type_name().to_owned(),
            ('s', Datum::Text(text)) => self.cut(text),
            ('s', Datum::List(items)) => {
                let items: Vec<String> = items.iter().map(|item| self.format('s', item)).collect();
                format!("[{}]", items.join(" "))
            }
            ('q', Datum::Text(text)) => quote(&self.cut(text)),
            ('q', Datum::List(items)) => {
                let items: Vec<String> = items.iter().map(|item| self.format('q', item)).collect();
                format!("[{}]", items.join(" "))
            }
            ('x', Datum::Text(text)) => text.bytes().map(|byte| format!("{byte:02x}")).collect(),
            ('X', Datum::Text(text)) => text.bytes().map(|byte| format!("{byte:02X}")).collect(),
            ('t', Datum::Bool(value)) => value.to_string(),
            ('d', Datum::Int(number)) => self.signed(*number < 0, &number.unsigned_abs().to_string()),
            ('x', Datum::Int(number)) => self.signed(
                *number < 0,
                &self.prefixed("0x", format!("{:x}", number.unsigned_abs())),
            ),
            ('X', Datum::Int(number)) => self.signed(
                *number < 0,
                &self.prefixed("0X", format!("{:X}", number.unsigned_abs())),
            ),
            ('o', Datum::Int(number)) => self.signed(
                *number < 0,
                &self.prefixed("0", format!("{:o}", number.unsigned_abs())),
            ),
            ('b', Datum::Int(number)) => self.signed(
                *number < 0,
                &self.prefixed("0b", format!("{:b}", number.unsigned_abs())),
            ),
            ('c', Datum::Int(number)) => u32::try_from(*number)
                .ok()
                .and_then(char::from_u32)
                .unwrap_or('\u{fffd}')
                .to_string(),
            ('U', Datum::Int(number)) => format!("U+{number:04X}"),
            ('f' | 'F', Datum::Float(number)) => self.signed(
                number.is_sign_negative(),
                &format!("{:.*}", self.precision.unwrap_or(6), number.abs()),
            ),
            ('e', Datum::Float(number)) => self.signed(
                number.is_sign_negative(),
                &exponential(number.abs(), self.precision.unwrap_or(6)),
            ),
            ('g', Datum::Float(number)) => {
                self.signed(number.is_sign_negative(), &format_float(number.abs()))
            }
            (verb, nil) if nil.is_nil() => format!("%!{verb}(<nil>)"),
            (verb, item) => format!("%!{verb}({}={})", item.type_name(), item.print()),
        };
        self.pad(&text, matches!(item, Datum::Int(_) | Datum::Float(_)))
    }

    fn cut(&self, text: &str) -> String {
        match self.precision {
            Some(most) => text.chars().take(most).collect(),
            None => text.to_owned(),
        }
    }

    fn prefixed(&self, prefix: &str, digits: String) -> String {
        if self.sharp {
            format!("{prefix}{digits}")
        } else {
            digits
        }
    }

    fn signed(&self, negative: bool, digits: &str) -> String {
        let sign = match negative {
            true => "-",
            false if self.plus => "+",
            false if self.space => " ",
            false => "",
        };
        format!("{sign}{digits}")
    }

    fn pad(&self, text: &str, numeric: bool) -> String {
        let length = text.chars().count();
        if length >= self.width {
            return text.to_owned();
        }
        let missing = self.width - length;
        if self.minus {
            return format!("{text}{}", " ".repeat(missing));
        }
        if self.zero && numeric {
            let (sign, digits) = match text.strip_prefix(['-', '+']) {
                Some(digits) => (&text[..1], digits),
                None => ("", text),
            };
            return format!("{sign}{}{digits}", "0".repeat(missing));
        }
        let fill = if self.zero { "0" } else { " " };
        format!("{}{text}", fill.repeat(missing))
    }
}

fn exponential(number: f64, precision: usize) -> String {
    let text = format!("{number:.precision$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

/// A text in double quotes, as Go's `%q` writes it.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{b}' => quoted.push_str("\\v"),
            c if c.is_ascii_control() => quoted.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if c.is_control()
                || matches!(c, '\u{a0}' | '\u{ad}' | '\u{2028}' | '\u{2029}' | '\u{feff}') =>
            {
                quoted.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
