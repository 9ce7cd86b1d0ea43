//! How a text may be written: libyaml's analysis, and go-yaml's guesses at types.

/// Writes a character within double quotes.
pub(super) fn escape(c: char, into: &mut String) {
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
pub(super) struct Shape {
    pub(super) plain_allowed: bool,
    pub(super) single_quoted_allowed: bool,
    pub(super) block_allowed: bool,
}

impl Shape {
    pub(super) fn of(text: &str) -> Self {
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
            special |= !is_printable(c);
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

pub(super) fn is_break(c: char) -> bool {
    matches!(c, '\r' | '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Whether go-yaml would read the text, unquoted, as something else.
pub(super) fn resolves_to_other_type(text: &str) -> bool {
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
    // one that is too great is a text
    mantissa_fits && exponent_fits && text.parse().is_ok_and(f64::is_finite)
}

/// Dates, with or without a time, as go-yaml knows them: those that Go's `time.Parse` takes for
/// `2006-1-2`, `2006-1-2 15:4:5.999999999` and `2006-1-2T15:4:5.999999999Z07:00`.
fn is_timestamp(text: &str) -> bool {
    let Some(rest) = after_date(text) else {
        return false;
    };
    match rest.chars().next() {
        None => true,
        Some(' ') => after_time(rest.trim_start_matches(' ')) == Some(""),
        Some('T' | 't') => after_time(&rest[1..]).is_some_and(is_zone),
        Some(_) => false,
    }
}

fn after_date(text: &str) -> Option<&str> {
    let (year, rest) = leading_number(text, 4..=4)?;
    let (month, rest) = leading_number(rest.strip_prefix('-')?, 1..=2)?;
    let (day, rest) = leading_number(rest.strip_prefix('-')?, 1..=2)?;
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u32::from(is_leap),
        _ => 0,
    };
    (1..=days).contains(&day).then_some(rest)
}

fn after_time(text: &str) -> Option<&str> {
    let (hour, rest) = leading_number(text, 1..=2)?;
    let (minute, rest) = leading_number(rest.strip_prefix(':')?, 1..=2)?;
    let (second, rest) = leading_number(rest.strip_prefix(':')?, 1..=2)?;
    let fraction = rest.strip_prefix(['.', ',']);
    let rest = match fraction.and_then(|fraction| leading_number(fraction, 1..=usize::MAX)) {
        Some((_, rest)) => rest,
        None => rest,
    };
    (hour < 24 && minute < 60 && second < 60).then_some(rest)
}

fn is_zone(text: &str) -> bool {
    let hours_and_minutes = || {
        let (hours, rest) = leading_number(text.strip_prefix(['+', '-'])?, 2..=2)?;
        let (minutes, rest) = leading_number(rest.strip_prefix(':')?, 2..=2)?;
        Some(hours <= 24 && minutes <= 60 && rest.is_empty())
    };
    text == "Z" || hours_and_minutes() == Some(true)
}

/// The number that a text begins with, of so many digits, and what follows it. One that is too long to
/// be counted is as good as any other.
fn leading_number(text: &str, digits: std::ops::RangeInclusive<usize>) -> Option<(u32, &str)> {
    let there = text.bytes().take_while(u8::is_ascii_digit).count();
    let taken = there.min(*digits.end());
    let (number, rest) = text.split_at(taken);
    (taken >= *digits.start()).then(|| (number.parse().unwrap_or(u32::MAX), rest))
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
