//! Texts.

use regex::{Regex, RegexBuilder};

use super::{Args, Datum, Entry, MANY, texts, to_text};
use crate::template::printf::{printf, quote};

pub(super) const FUNCTIONS: &[Entry] = &[
    ("abbrev", 2..=2, abbrev),
    ("cat", 0..=MANY, |args| Ok(Datum::text(joined(args.items, " ")))),
    ("contains", 2..=2, |args| {
        Ok(Datum::Bool(args.text(1)?.contains(args.text(0)?)))
    }),
    ("hasPrefix", 2..=2, |args| {
        Ok(Datum::Bool(args.text(1)?.starts_with(args.text(0)?)))
    }),
    ("hasSuffix", 2..=2, |args| {
        Ok(Datum::Bool(args.text(1)?.ends_with(args.text(0)?)))
    }),
    ("indent", 2..=2, |args| indented(args).map(Datum::text)),
    ("join", 2..=2, |args| {
        Ok(Datum::text(texts(args.get(1)).join(args.text(0)?)))
    }),
    ("lower", 1..=1, |args| {
        Ok(Datum::text(args.text(0)?.chars().map(lower).collect::<String>()))
    }),
    ("nindent", 2..=2, |args| {
        indented(args).map(|text| Datum::text(format!("\n{text}")))
    }),
    ("nospace", 1..=1, |args| {
        Ok(Datum::text(args.text(0)?.replace(char::is_whitespace, "")))
    }),
    ("print", 0..=MANY, |args| Ok(Datum::text(print(args.items)))),
    ("printf", 1..=MANY, |args| {
        printf(args.text(0)?, &args.items[1..]).map(Datum::text)
    }),
    ("println", 0..=MANY, |args| {
        let items: Vec<String> = args.items.iter().map(Datum::print).collect();
        Ok(Datum::text(format!("{}\n", items.join(" "))))
    }),
    ("quote", 0..=MANY, |args| Ok(Datum::text(each(args.items, quote)))),
    ("regexFind", 2..=2, |args| {
        let regex = regex(args)?;
        Ok(Datum::text(
            regex.find(args.text(1)?).map_or("", |found| found.as_str()),
        ))
    }),
    ("regexMatch", 2..=2, |args| {
        Ok(Datum::Bool(regex(args)?.is_match(args.text(1)?)))
    }),
    ("regexReplaceAll", 3..=3, |args| {
        Ok(Datum::text(
            &*regex(args)?.replace_all(args.text(1)?, args.text(2)?),
        ))
    }),
    ("regexReplaceAllLiteral", 3..=3, |args| {
        let new = regex::NoExpand(args.text(2)?);
        Ok(Datum::text(&*regex(args)?.replace_all(args.text(1)?, new)))
    }),
    ("repeat", 2..=2, |args| {
        Ok(Datum::text(args.text(1)?.repeat(args.count(0)?)))
    }),
    ("replace", 3..=3, |args| {
        Ok(Datum::text(args.text(2)?.replace(args.text(0)?, args.text(1)?)))
    }),
    ("split", 2..=2, |args| {
        let parts = parts(args)?.into_iter().enumerate();
        Ok(Datum::map(parts.map(|(index, part)| (format!("_{index}"), part))))
    }),
    ("splitList", 2..=2, |args| parts(args).map(Datum::list)),
    ("squote", 0..=MANY, |args| {
        Ok(Datum::text(each(args.items, |text| format!("'{text}'"))))
    }),
    ("substr", 3..=3, substr),
    ("title", 1..=1, |args| words(args, upper)),
    ("toString", 1..=1, |args| Ok(Datum::text(to_text(args.get(0))))),
    ("trim", 1..=1, |args| Ok(Datum::text(args.text(0)?.trim()))),
    ("trimAll", 2..=2, |args| {
        let set = args.text(0)?;
        Ok(Datum::text(args.text(1)?.trim_matches(|c| set.contains(c))))
    }),
    ("trimPrefix", 2..=2, |args| {
        let text = args.text(1)?;
        Ok(Datum::text(text.strip_prefix(args.text(0)?).unwrap_or(text)))
    }),
    ("trimSuffix", 2..=2, |args| {
        let text = args.text(1)?;
        Ok(Datum::text(text.strip_suffix(args.text(0)?).unwrap_or(text)))
    }),
    ("trunc", 2..=2, trunc),
    ("untitle", 1..=1, |args| words(args, lower)),
    ("upper", 1..=1, |args| {
        Ok(Datum::text(args.text(0)?.chars().map(upper).collect::<String>()))
    }),
];

/// The values that are not nil, each changed, with blanks between.
fn each(items: &[Datum], change: impl Fn(&str) -> String) -> String {
    let items: Vec<String> = items
        .iter()
        .filter(|item| !item.is_nil())
        .map(|item| change(&to_text(item)))
        .collect();
    items.join(" ")
}

fn joined(items: &[Datum], between: &str) -> String {
    let items: Vec<String> = items
        .iter()
        .filter(|item| !item.is_nil())
        .map(Datum::print)
        .collect();
    items.join(between)
}

/// Go's `print`: blanks only between values of which none is a text.
fn print(items: &[Datum]) -> String {
    let mut text = String::new();
    for (index, item) in items.iter().enumerate() {
        let is_text = |item: &Datum| matches!(item, Datum::Text(_));
        if index > 0 && !is_text(item) && !is_text(&items[index - 1]) {
            text.push(' ');
        }
        text.push_str(&item.print());
    }
    text
}

fn parts(args: &Args<'_>) -> Result<Vec<Datum>, String> {
    let (separator, text) = (args.text(0)?, args.text(1)?);
    Ok(match separator {
        "" => text.chars().map(|c| Datum::text(c.to_string())).collect(),
        separator => text.split(separator).map(Datum::text).collect(),
    })
}

fn indented(args: &Args<'_>) -> Result<String, String> {
    let pad = " ".repeat(args.count(0)?);
    Ok(format!(
        "{pad}{}",
        args.text(1)?.replace('\n', &format!("\n{pad}"))
    ))
}

/// The nearest place at or before a byte that does not lie within a character.
fn floor(text: &str, byte: usize) -> usize {
    (0..=byte.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or_default()
}

/// The first bytes, or with a negative count the last.
fn trunc(args: &Args<'_>) -> Result<Datum, String> {
    let (count, text) = (args.int(0)?, args.text(1)?);
    let bytes = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    if bytes >= text.len() {
        return Ok(Datum::text(text));
    }
    Ok(Datum::text(if count < 0 {
        &text[floor(text, text.len() - bytes)..]
    } else {
        &text[..floor(text, bytes)]
    }))
}

/// The bytes from a start to before an end; a negative start is the text's, and so is an end that is
/// negative or beyond it.
fn substr(args: &Args<'_>) -> Result<Datum, String> {
    let (start, end, text) = (args.int(0)?, args.int(1)?, args.text(2)?);
    let byte = |index: i64| usize::try_from(index).ok().filter(|byte| *byte <= text.len());
    let (start, end) = match (start, end) {
        (..0, end) => (Some(0), byte(end)),
        (start, end) => (byte(start), byte(end).or(Some(text.len()))),
    };
    let part = start.zip(end).filter(|(start, end)| start <= end);
    part.map(|(start, end)| Datum::text(&text[floor(text, start)..floor(text, end)]))
        .ok_or_else(|| format!("`substr` reaches beyond a text of {} bytes", text.len()))
}

fn abbrev(args: &Args<'_>) -> Result<Datum, String> {
    let (width, text) = (args.int(0)?, args.text(1)?);
    let width = usize::try_from(width).unwrap_or_default();
    if width < 4 || text.chars().count() <= width {
        return Ok(Datum::text(text));
    }
    let kept: String = text.chars().take(width - 3).collect();
    Ok(Datum::text(format!("{kept}...")))
}

/// Changes the first letter of each word.
fn words(args: &Args<'_>, change: fn(char) -> char) -> Result<Datum, String> {
    let mut inside = false;
    let mut text = String::new();
    for c in args.text(0)?.chars() {
        text.push(if inside { c } else { change(c) });
        inside = c.is_alphanumeric() || matches!(c, '_' | '\'');
    }
    Ok(Datum::text(text))
}

/// The upper case of a character, as far as it is one character too: Go knows no other.
fn upper(c: char) -> char {
    let mut changed = c.to_uppercase();
    if changed.len() == 1 {
        changed.next().unwrap_or(c)
    } else {
        c
    }
}

/// The lower case of a character.
fn lower(c: char) -> char {
    let mut changed = c.to_lowercase();
    if changed.len() == 1 {
        changed.next().unwrap_or(c)
    } else {
        c
    }
}

fn regex(args: &Args<'_>) -> Result<Regex, String> {
    // a limit that keeps the time to build one short
    let built = RegexBuilder::new(args.text(0)?).size_limit(1 << 18).build();
    built.map_err(|_| {
        format!(
            "argument 1 of `{}` is no regular expression, or too large a one",
            args.name
        )
    })
}
