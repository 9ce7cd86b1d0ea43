//! The expressions of `--set` and its kin, with helm's rules: dots and `[n]` in paths, `\` before a
//! character that would mean something, `{a,b}` for lists, commas between pairs.

use serde_json::{Map, Value};

use crate::error::ValuesError;

/// How helm reads the values of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// `--set`: true, false, null and whole numbers are what they look like
    Typed,
    /// `--set-string`: all is text
    Text,
    /// `--set-json`
    Json,
}

impl Mode {
    pub(crate) fn flag(self) -> &'static str {
        match self {
            Self::Typed => "--set",
            Self::Text => "--set-string",
            Self::Json => "--set-json",
        }
    }
}

/// Deepest path, and highest position in a list: helm's limits.
const MAX_DEPTH: usize = 30;
const MAX_INDEX: usize = 65_536;

/// Changes `values` as the expression says.
pub(crate) fn apply(values: &mut Value, expression: &str, mode: Mode) -> Result<(), ValuesError> {
    run(values, expression, Content::Written(mode))
}

/// Puts a text at a path.
pub(crate) fn apply_text(values: &mut Value, path: &str, text: &str) -> Result<(), ValuesError> {
    run(values, &format!("{path}="), Content::Given(text))
}

fn run(values: &mut Value, expression: &str, content: Content<'_>) -> Result<(), ValuesError> {
    if !values.is_object() {
        *values = Value::Object(Map::new());
    }
    let Value::Object(map) = values else { return Ok(()) };
    let mut parser = Parser {
        chars: expression.chars().collect(),
        at: 0,
        content,
    };
    loop {
        match parser.pair(map, 0) {
            Ok(()) => {}
            Err(Stop::End) => return Ok(()),
            Err(Stop::Problem(problem)) => {
                let column = parser.at.clamp(1, parser.chars.len().max(1));
                return Err(ValuesError::Expression {
                    expression: expression.to_owned(),
                    column,
                    problem,
                });
            }
        }
    }
}

/// Where the values of an expression come from.
#[derive(Clone, Copy)]
enum Content<'a> {
    Written(Mode),
    Given(&'a str),
}

/// Why reading stopped.
enum Stop {
    End,
    Problem(String),
}

struct Parser<'a> {
    chars: Vec<char>,
    at: usize,
    content: Content<'a>,
}

impl Parser<'_> {
    /// Reads one `path=value` into the map.
    fn pair(&mut self, map: &mut Map<String, Value>, depth: usize) -> Result<(), Stop> {
        let (key, end) = self.until(&['=', '[', ',', '.']);
        match end {
            None if key.is_empty() => Err(Stop::End),
            None => Err(Stop::Problem(format!("the key `{key}` has no value"))),
            Some('=') => {
                let (value, last) = self.value()?;
                put(map, key, value);
                if last { Err(Stop::End) } else { Ok(()) }
            }
            Some('[') => {
                let index = self.index()?;
                let mut list = match map.get(&key) {
                    None => Vec::new(),
                    Some(Value::Array(list)) => list.clone(),
                    Some(_) => return Err(Stop::Problem(format!("`{key}` is no list"))),
                };
                let outcome = self.item(&mut list, index, depth);
                put(map, key, Value::Array(list));
                outcome
            }
            Some(',') => Err(Stop::Problem(format!(
                "the key `{key}` has no value (cannot end with ,)"
            ))),
            Some(_) => self.nested(map, key, depth + 1),
        }
    }

    /// Reads the rest of a path under a key of the map.
    fn nested(&mut self, map: &mut Map<String, Value>, key: String, depth: usize) -> Result<(), Stop> {
        if depth > MAX_DEPTH {
            return Err(Stop::Problem(format!("a path of more than {MAX_DEPTH} keys")));
        }
        let mut inner = match map.get(&key) {
            None => Map::new(),
            Some(Value::Object(inner)) => inner.clone(),
            Some(_) => return Err(Stop::Problem(format!("`{key}` is no map"))),
        };
        let outcome = self.pair(&mut inner, depth);
        if inner.is_empty() {
            return match outcome {
                Ok(()) => Err(Stop::Problem(format!("the key `{key}` has no value"))),
                stop => stop,
            };
        }
        put(map, key, Value::Object(inner));
        outcome
    }

    /// Reads what follows `[n]` into the list.
    fn item(&mut self, list: &mut Vec<Value>, index: usize, depth: usize) -> Result<(), Stop> {
        let (between, end) = self.until(&['[', '.', '=']);
        if !between.is_empty() {
            return Err(Stop::Problem(format!(
                "unexpected `{between}` after the position in a list"
            )));
        }
        let value = match end {
            None => return Err(Stop::End),
            Some('=') => self.value()?.0,
            Some('[') => {
                let next = self.index()?;
                let mut inner = match list.get(index) {
                    None | Some(Value::Null) => Vec::new(),
                    Some(Value::Array(inner)) => inner.clone(),
                    Some(_) => return Err(Stop::Problem(format!("the item {index} is no list"))),
                };
                self.item(&mut inner, next, depth)?;
                Value::Array(inner)
            }
            Some(_) => {
                let mut inner = match list.get(index) {
                    Some(Value::Object(inner)) => inner.clone(),
                    _ => Map::new(),
                };
                match self.pair(&mut inner, depth) {
                    Ok(()) => {}
                    Err(Stop::End) => {
                        // helm leaves the list as it is when the expression ends within an item's pair
                        if let Some(slot) = list.get_mut(index) {
                            *slot = Value::Object(inner);
                        }
                        return Err(Stop::End);
                    }
                    Err(problem) => return Err(problem),
                }
                Value::Object(inner)
            }
        };
        if list.len() <= index {
            list.resize(index + 1, Value::Null);
        }
        list[index] = value;
        Ok(())
    }

    /// Reads the number before `]`.
    fn index(&mut self) -> Result<usize, Stop> {
        let (text, end) = self.until(&[']']);
        if end.is_none() {
            return Err(Stop::Problem("`[` without `]`".to_owned()));
        }
        let problem = |what: &str| Stop::Problem(format!("`{text}` is {what} a position in a list"));
        let index: i64 = text.parse().map_err(|_| problem("not"))?;
        let index = usize::try_from(index).map_err(|_| problem("too low for"))?;
        if index > MAX_INDEX {
            Err(problem("too high for"))
        } else {
            Ok(index)
        }
    }

    /// Reads a value, and says whether it ended the expression.
    fn value(&mut self) -> Result<(Value, bool), Stop> {
        let mode = match self.content {
            Content::Given(text) => return Ok((text.into(), true)),
            Content::Written(Mode::Json) => return Ok((self.json()?, false)),
            Content::Written(mode) => mode,
        };
        match self.chars.get(self.at) {
            None => Ok(("".into(), true)),
            Some('{') => {
                self.at += 1;
                Ok((self.list(mode)?, false))
            }
            Some(_) => {
                let (text, _) = self.until(&[',']);
                Ok((typed(text, mode), false))
            }
        }
    }

    fn list(&mut self, mode: Mode) -> Result<Value, Stop> {
        let mut list = Vec::new();
        loop {
            let (text, end) = self.until(&[',', '}']);
            match end {
                None => return Err(Stop::Problem("a list must end with `}`".to_owned())),
                Some(',') => list.push(typed(text, mode)),
                Some(_) => {
                    self.skip(|c| c == ',', 1);
                    list.push(typed(text, mode));
                    return Ok(list.into());
                }
            }
        }
    }

    fn json(&mut self) -> Result<Value, Stop> {
        if self.separator() {
            return Ok(Value::Null);
        }
        let rest: String = self.chars[self.at..].iter().collect();
        let mut documents = serde_json::Deserializer::from_str(&rest).into_iter::<Value>();
        let value = match documents.next() {
            Some(Ok(value)) => value,
            Some(Err(error)) => return Err(Stop::Problem(format!("not JSON: {error}"))),
            None => return Err(Stop::Problem("no JSON".to_owned())),
        };
        self.at += rest[..documents.byte_offset()].chars().count();
        self.separator();
        Ok(value)
    }

    /// Skips blanks and at most one comma; whether there was one, or the end.
    fn separator(&mut self) -> bool {
        self.skip(char::is_whitespace, usize::MAX);
        if self.at >= self.chars.len() {
            return true;
        }
        self.skip(|c| c == ',', 1) > 0
    }

    fn skip(&mut self, wanted: impl Fn(char) -> bool, most: usize) -> usize {
        let count = self.chars[self.at..]
            .iter()
            .take(most)
            .take_while(|c| wanted(**c))
            .count();
        self.at += count;
        count
    }

    /// The text before the next of `stops`, with escapes resolved, and which of them it was.
    fn until(&mut self, stops: &[char]) -> (String, Option<char>) {
        let mut text = String::new();
        while let Some(&c) = self.chars.get(self.at) {
            self.at += 1;
            match c {
                c if stops.contains(&c) => return (text, Some(c)),
                '\\' => {
                    let Some(&escaped) = self.chars.get(self.at) else {
                        break;
                    };
                    self.at += 1;
                    text.push(escaped);
                }
                c => text.push(c),
            }
        }
        (text, None)
    }
}

/// Puts a value at a key; helm passes over an empty one.
fn put(map: &mut Map<String, Value>, key: String, value: Value) {
    if !key.is_empty() {
        map.insert(key, value);
    }
}

fn typed(text: String, mode: Mode) -> Value {
    if mode == Mode::Text {
        return text.into();
    }
    if text.eq_ignore_ascii_case("true") {
        return true.into();
    }
    if text.eq_ignore_ascii_case("false") {
        return false.into();
    }
    if text.eq_ignore_ascii_case("null") {
        return Value::Null;
    }
    if text == "0" {
        return 0.into();
    }
    if !text.starts_with('0')
        && let Ok(number) = text.parse::<i64>()
    {
        return number.into();
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    /// Each line was given to helm 3.18.6 too; the test below asks it again when it is installed.
    #[rstest]
    #[case("a=b", json!({"a": "b"}))]
    #[case("a=1,b=true,c=null,d=0,e=01,f=1.5,g=-3", json!({"a": 1, "b": true, "c": null, "d": 0, "e": "01", "f": "1.5", "g": -3}))]
    #[case("a.b.c=x,a.b.d=z", json!({"a": {"b": {"c": "x", "d": "z"}}}))]
    #[case(r"a\.b/c=x", json!({"a.b/c": "x"}))]
    #[case(r"a=x\,z", json!({"a": "x,z"}))]
    #[case("a={x,z,1}", json!({"a": ["x", "z", 1]}))]
    #[case("a={x},b=c", json!({"a": ["x"], "b": "c"}))]
    #[case("a[1].k=v", json!({"a": [null, {"k": "v"}]}))]
    #[case("a[0].k=v,a[0].l=w", json!({"a": [{"k": "v", "l": "w"}]}))]
    #[case("a[0][1]=v", json!({"a": [[null, "v"]]}))]
    #[case("a=", json!({"a": ""}))]
    #[case("a=,b=c", json!({"a": "", "b": "c"}))]
    #[case("", json!({}))]
    #[case("=x", json!({}))]
    fn expressions_are_read_as_helm_reads_them(#[case] expression: &str, #[case] expected: Value) {
        let mut values = json!({});
        apply(&mut values, expression, Mode::Typed).expect("an expression");
        assert_eq!(values, expected);
    }

    #[rstest]
    #[case("a", 1, "the key `a` has no value")]
    #[case("a,b=c", 2, "the key `a` has no value (cannot end with ,)")]
    #[case("a[x]=b", 4, "`x` is not a position in a list")]
    #[case("a[-1]=b", 5, "`-1` is too low for a position in a list")]
    #[case("a[99999]=b", 8, "`99999` is too high for a position in a list")]
    #[case("a[0]b=c", 6, "unexpected `b` after the position in a list")]
    #[case("a={b", 4, "a list must end with `}`")]
    #[case("a=b,a.c=d", 6, "`a` is no map")]
    #[case("a=b,a[0]=d", 8, "`a` is no list")]
    fn faults_are_placed(#[case] expression: &str, #[case] at: usize, #[case] fault: &str) {
        let error = apply(&mut json!({}), expression, Mode::Typed).expect_err("a fault");
        let ValuesError::Expression { column, problem, .. } = error else {
            panic!("{error}")
        };
        assert_eq!((column, problem.as_str()), (at, fault));
    }

    #[test]
    fn the_last_position_of_a_list_is_taken_and_the_next_is_not() {
        let mut values = json!({});
        apply(&mut values, "a[65536]=b", Mode::Typed).expect("a position");
        assert_eq!(values["a"].as_array().map(Vec::len), Some(65_537));
        apply(&mut json!({}), "a[65537]=b", Mode::Typed).expect_err("a position that is too high");
    }

    #[test]
    fn text_and_json_are_read_by_their_own_rules() {
        let mut values = json!({});
        apply(&mut values, "a=1,b={true}", Mode::Text).expect("an expression");
        apply(&mut values, r#"c={"d": [1, 2]} ,e="f""#, Mode::Json).expect("an expression");
        apply_text(&mut values, "g.h", "a=b,c").expect("a path");
        assert_eq!(
            values,
            json!({"a": "1", "b": ["true"], "c": {"d": [1, 2]}, "e": "f", "g": {"h": "a=b,c"}})
        );
    }
}
