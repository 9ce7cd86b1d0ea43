//! Go's `printf`, but for what no chart needs: addresses, numbered arguments, Go's own syntax of lists
//! and maps, numbers to the base of two with an exponent. These are refused.

use super::datum::{Datum, format_float};

/// Widest field and highest precision.
const MAX_WIDTH: usize = 1000;

/// Those that are applied to each item of a list or a map.
const VERBS: &str = "vsqtbcdoOxXUeEfFgG";

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
                _ if verb == '[' => return Err("a numbered argument in a format is not evaluated".to_owned()),
                None => output.push_str(&format!("%!{verb}(MISSING)")),
                Some(item) => output.push_str(&spec.format(verb, item)?),
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
    /// # Errors
    /// When Go prints what is not evaluated here.
    fn format(&self, verb: char, item: &Datum) -> Result<String, String> {
        Ok(match (verb, item) {
            ('p', Datum::List(_) | Datum::Map(_)) => {
                return Err("`%p` in a format prints an address, which is not evaluated".to_owned());
            }
            ('T', item) => self.pad(item.type_name()),
            ('v', nil) if nil.is_nil() => self.pad("<nil>"),
            ('v', Datum::List(_) | Datum::Map(_)) if self.sharp => {
                return Err("`%#v` of a list or a map is not evaluated".to_owned());
            }
            (verb, Datum::List(items)) if VERBS.contains(verb) => {
                let items: Result<Vec<_>, _> = items.iter().map(|item| self.format(verb, item)).collect();
                format!("[{}]", items?.join(" "))
            }
            (verb, Datum::Map(entries)) if VERBS.contains(verb) => {
                let entry = |(key, value): (&String, &Datum)| {
                    let key = self.format(verb, &Datum::text(key.as_str()))?;
                    Ok(format!("{key}:{}", self.format(verb, value)?))
                };
                let entries: Result<Vec<_>, String> = entries.iter().map(entry).collect();
                format!("map[{}]", entries?.join(" "))
            }
            ('v' | 's' | 'q' | 'x' | 'X', Datum::Text(text)) => self.text(verb, text),
            ('v' | 't', Datum::Bool(value)) => self.pad(&value.to_string()),
            ('v' | 'd' | 'b' | 'o' | 'O' | 'x' | 'X', Datum::Int(number)) => self.whole(verb, *number),
            ('c' | 'q' | 'U', Datum::Int(number)) => self.character(verb, *number),
            ('b' | 'x' | 'X', Datum::Float(_)) => {
                return Err(format!("`%{verb}` of a number with a fraction is not evaluated"));
            }
            ('g' | 'G', Datum::Float(_)) if self.sharp => {
                return Err(format!("`%#{verb}` is not evaluated"));
            }
            ('e' | 'E' | 'f' | 'F', Datum::Float(_)) if self.sharp && self.precision == Some(0) => {
                return Err(format!("`%#.0{verb}` is not evaluated"));
            }
            ('v' | 'e' | 'E' | 'f' | 'F' | 'g' | 'G', Datum::Float(number)) => self.float(verb, *number),
            (verb, nil) if nil.is_nil() => format!("%!{verb}(<nil>)"),
            (verb, item) => format!("%!{verb}({}={})", item.type_name(), item.print()),
        })
    }

    fn text(&self, verb: char, text: &str) -> String {
        let cut: String = text.chars().take(self.precision.unwrap_or(usize::MAX)).collect();
        match verb {
            'x' | 'X' => self.pad(&self.hex(verb, text)),
            'v' if self.sharp => self.pad(&quote(&cut)),
            'q' if self.sharp && !cut.contains(|c: char| c == '`' || c.is_control() && c != '\t') => {
                self.pad(&format!("`{cut}`"))
            }
            'q' if self.plus => self.pad(&in_ascii(&quote(&cut))),
            'q' => self.pad(&quote(&cut)),
            _ => self.pad(&cut),
        }
    }

    fn hex(&self, verb: char, text: &str) -> String {
        let upper = verb == 'X';
        let digits = text.bytes().take(self.precision.unwrap_or(usize::MAX));
        let digits = digits.map(|byte| match upper {
            true => format!("{byte:02X}"),
            false => format!("{byte:02x}"),
        });
        let prefix = match (self.sharp, upper) {
            (false, _) => "",
            (true, true) => "0X",
            (true, false) => "0x",
        };
        let digits: Vec<String> = digits.collect();
        match (digits.is_empty(), self.space) {
            (true, _) => String::new(),
            (false, true) => format!("{prefix}{}", digits.join(&format!(" {prefix}"))),
            (false, false) => format!("{prefix}{}", digits.concat()),
        }
    }

    fn whole(&self, verb: char, number: i64) -> String {
        let value = number.unsigned_abs();
        let digits = match verb {
            'b' => format!("{value:b}"),
            'o' | 'O' => format!("{value:o}"),
            'x' => format!("{value:x}"),
            'X' => format!("{value:X}"),
            _ => value.to_string(),
        };
        let sign = self.sign(verb, number < 0);
        let least = match self.precision {
            Some(0) if number == 0 => return self.pad_with_blanks(""),
            Some(least) => least,
            None if self.zero && !self.minus => self.width.saturating_sub(sign.len()),
            None => 0,
        };
        let digits = format!("{digits:0>least$}");
        let prefix = match verb {
            'O' => "0o",
            'b' if self.sharp => "0b",
            'o' if self.sharp && !digits.starts_with('0') => "0",
            'x' if self.sharp => "0x",
            'X' if self.sharp => "0X",
            _ => "",
        };
        self.pad_with_blanks(&format!("{sign}{prefix}{digits}"))
    }

    fn character(&self, verb: char, number: i64) -> String {
        let code = u32::try_from(number).ok().and_then(char::from_u32);
        let c = code.unwrap_or('\u{fffd}');
        match verb {
            'c' => self.pad(&c.to_string()),
            'q' => {
                let quoted = quote_character(c);
                self.pad(&if self.plus { in_ascii(&quoted) } else { quoted })
            }
            _ => {
                let least = self.precision.unwrap_or_default().max(4);
                let shown = match code {
                    Some(c) if self.sharp && !c.is_control() => format!(" '{c}'"),
                    _ => String::new(),
                };
                self.pad_with_blanks(&format!("U+{number:0>least$X}{shown}"))
            }
        }
    }

    fn float(&self, verb: char, number: f64) -> String {
        let size = number.abs();
        let digits = match (verb.to_ascii_lowercase(), self.precision) {
            ('f', precision) => format!("{size:.*}", precision.unwrap_or(6)),
            ('e', precision) => exponential(size, precision.unwrap_or(6)),
            (_, Some(precision)) => general(size, precision.max(1)),
            (_, None) => format_float(size),
        };
        let digits = if verb.is_uppercase() {
            digits.to_uppercase()
        } else {
            digits
        };
        let sign = self.sign(verb, number.is_sign_negative());
        if self.zero && !self.minus {
            let least = self.width.saturating_sub(sign.len());
            return format!("{sign}{digits:0>least$}");
        }
        self.pad(&format!("{sign}{digits}"))
    }

    fn sign(&self, verb: char, negative: bool) -> &'static str {
        match negative {
            true => "-",
            // `%+v` means more detail, not a sign
            false if self.plus && verb != 'v' => "+",
            false if self.space => " ",
            false => "",
        }
    }

    /// Pads what `0` has been applied to already, or does not apply to.
    fn pad_with_blanks(&self, text: &str) -> String {
        Self { zero: false, ..*self }.pad(text)
    }

    fn pad(&self, text: &str) -> String {
        let missing = self.width.saturating_sub(text.chars().count());
        if self.minus {
            return format!("{text}{}", " ".repeat(missing));
        }
        let fill = if self.zero { "0" } else { " " };
        format!("{}{text}", fill.repeat(missing))
    }
}

/// With so many digits, in the shorter of Go's two ways to write them.
fn general(number: f64, precision: usize) -> String {
    let rounded = format!("{number:.*e}", precision - 1);
    let (mantissa, exponent) = rounded.split_once('e').unwrap_or((&rounded, "0"));
    let exponent: i64 = exponent.parse().unwrap_or_default();
    let digits = mantissa.replace('.', "").trim_end_matches('0').len().max(1);
    let (count, limit) = (
        i64::try_from(digits).unwrap_or(i64::MAX),
        i64::try_from(precision).unwrap_or(i64::MAX),
    );
    let limit = if limit > count && count > exponent {
        count
    } else {
        limit
    };
    if exponent < -4 || exponent >= limit {
        return exponential(number, digits - 1);
    }
    let decimals = usize::try_from(count - 1 - exponent).unwrap_or_default();
    format!("{number:.decimals$}")
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
    text.chars().for_each(|c| escape(c, '"', &mut quoted));
    quoted.push('"');
    quoted
}

fn quote_character(c: char) -> String {
    let mut quoted = String::from("'");
    escape(c, '\'', &mut quoted);
    quoted.push('\'');
    quoted
}

fn escape(c: char, quote: char, into: &mut String) {
    let short = match c {
        '\u{7}' => 'a',
        '\u{8}' => 'b',
        '\u{c}' => 'f',
        '\n' => 'n',
        '\r' => 'r',
        '\t' => 't',
        '\u{b}' => 'v',
        '\\' => '\\',
        c if c == quote => c,
        c if c.is_ascii_control() => return into.push_str(&format!("\\x{:02x}", u32::from(c))),
        c if c.is_control() || matches!(c, '\u{a0}' | '\u{ad}' | '\u{2028}' | '\u{2029}' | '\u{feff}') => {
            return into.push_str(&format!("\\u{:04x}", u32::from(c)));
        }
        c => return into.push(c),
    };
    into.push('\\');
    into.push(short);
}

/// What is beyond ASCII as escapes.
fn in_ascii(text: &str) -> String {
    let escaped = text.chars().map(|c| match u32::from(c) {
        0..=0x7f => c.to_string(),
        code @ 0x80..=0xffff => format!("\\u{code:04x}"),
        code => format!("\\U{code:08x}"),
    });
    escaped.collect()
}
