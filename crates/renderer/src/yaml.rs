//! YAML as helm reads it, and as `kubectl` reads it back. Helm's parser was measured: `yes`, `on` and
//! `y` are true, `0123` is 83, `1_000` is 1000, `<<` merges. A duplicate key, which helm lets pass, is
//! an error here.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};
use serde_saphyr::{
    MessageFormatter as _, Options, Spanned, UserMessageFormatter, options::DuplicateKeyPolicy,
};

fn options() -> Options {
    serde_saphyr::options! { legacy_octal_numbers: true }
}

/// What templates write may repeat a key; the last one counts, as in helm.
fn options_for_rendered() -> Options {
    serde_saphyr::options! { legacy_octal_numbers: true, duplicate_keys: DuplicateKeyPolicy::LastWins }
}

/// A text that is not YAML, or not YAML that JSON can express.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct YamlError {
    problem: String,
    position: Option<(u64, u64)>,
}

impl YamlError {
    /// Line and column, both from 1, where the text breaks.
    #[must_use]
    pub fn position(&self) -> Option<(u64, u64)> {
        self.position
    }
}

impl From<serde_saphyr::Error> for YamlError {
    fn from(error: serde_saphyr::Error) -> Self {
        Self {
            problem: UserMessageFormatter
                .format_message(error.without_snippet())
                .into_owned(),
            position: error.location().map(|place| (place.line(), place.column())),
        }
    }
}

/// Reads one document; an empty one is null.
pub(crate) fn read(text: &str) -> Result<Value, YamlError> {
    read_with(text, options())
}

fn read_with(text: &str, options: Options) -> Result<Value, YamlError> {
    if text.trim().is_empty() {
        return Ok(Value::Null);
    }
    let Node(value) = serde_saphyr::from_str_with_options(text, options)?;
    Ok(value)
}

/// Reads one document that a template wrote; an empty one is null.
pub(crate) fn read_rendered(text: &str) -> Result<Value, YamlError> {
    read_with(text, options_for_rendered())
}

/// Reads all documents of a stream.
pub(crate) fn read_stream(text: &str) -> Result<Vec<Value>, YamlError> {
    let documents: Vec<Node> = serde_saphyr::from_multiple_with_options(text, options_for_rendered())?;
    Ok(documents.into_iter().map(|Node(value)| value).collect())
}

/// Line and column, from 1, of what stands in a YAML text at a path of keys and positions: an entry's
/// key, an item's beginning. `None` when nothing is there.
#[must_use]
pub fn locate(text: &str, path: &[String]) -> Option<(u64, u64)> {
    let document: Spanned<PlacedNode> = serde_saphyr::from_str_with_options(text, options()).ok()?;
    let mut place = document.referenced;
    let mut node = document.value;
    for step in path {
        (place, node) = match node {
            PlacedNode::Map(entries) => {
                let (key, value) = entries.into_iter().find(|(key, _)| key.value.0 == *step)?;
                (key.referenced, value)
            }
            PlacedNode::Sequence(items) => {
                let item = items.into_iter().nth(step.parse().ok()?)?;
                (item.referenced, item.value)
            }
            PlacedNode::Scalar => return None,
        };
    }
    Some((place.line(), place.column()))
}

/// A number as JSON has it: whole numbers without a fraction, as Go's encoder writes them.
pub(crate) fn number(float: f64) -> Option<Number> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if float.fract() == 0.0 && float.abs() <= EXACT {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the bound above makes the cast exact"
        )]
        return Some(Number::from(float as i64));
    }
    Number::from_f64(float)
}

struct Node(Value);

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that JSON can express")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Node, E> {
        number(value)
            .map(|number| Node(number.into()))
            .ok_or_else(|| E::custom("JSON has no such number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node(value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<Node, E> {
        Ok(Node(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(Node(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Node(list.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut map = Map::new();
        while let Some(Key(key)) = entries.next_key()? {
            let Node(value) = entries.next_value()?;
            map.insert(key, value);
        }
        Ok(Node(map.into()))
    }
}

/// A key of a mapping, which JSON wants as text: a number or a boolean is written out.
struct Key(String);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Node::deserialize(deserializer)?.0 {
            Value::String(text) => Ok(Self(text)),
            Value::Null => Ok(Self("null".to_owned())),
            scalar @ (Value::Bool(_) | Value::Number(_)) => Ok(Self(scalar.to_string())),
            Value::Array(_) | Value::Object(_) => Err(de::Error::custom("a key must be a scalar")),
        }
    }
}

enum PlacedNode {
    Scalar,
    Sequence(Vec<Spanned<PlacedNode>>),
    Map(Vec<(Spanned<Key>, PlacedNode)>),
}

impl<'de> Deserialize<'de> for PlacedNode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PlacedVisitor)
    }
}

struct PlacedVisitor;

impl<'de> Visitor<'de> for PlacedVisitor {
    type Value = PlacedNode;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that JSON can express")
    }

    fn visit_unit<E>(self) -> Result<PlacedNode, E> {
        Ok(PlacedNode::Scalar)
    }

    fn visit_none<E>(self) -> Result<PlacedNode, E> {
        Ok(PlacedNode::Scalar)
    }

    fn visit_bool<E>(self, _: bool) -> Result<PlacedNode, E> {
        Ok(PlacedNode::Scalar)
    }

    fn visit_i64<E>(self, _: i64) -> Result<PlacedNode, E> {
        Ok(PlacedNode::Scalar)
    }

    fn visit_u64<E>(self, _: u64) -> Result<PlacedNode, E> {
        Ok(PlacedNode::Scalar)
    }

    fn visit_f64<E>(self, _: f64) -> Result<PlacedNode, E> {
        Ok(PlacedNode::Scalar)
    }

    fn visit_str<E>(self, _: &str) -> Result<PlacedNode, E> {
        Ok(PlacedNode::Scalar)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<PlacedNode, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(PlacedNode::Sequence(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<PlacedNode, A::Error> {
        let mut list = Vec::new();
        while let Some(key) = entries.next_key()? {
            list.push((key, entries.next_value()?));
        }
        Ok(PlacedNode::Map(list))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    /// Each line was given to helm (sigs.k8s.io/yaml 1.6.0) too.
    #[rstest]
    #[case("a: yes", json!({"a": true}))]
    #[case("a: on", json!({"a": true}))]
    #[case("a: y", json!({"a": true}))]
    #[case("a: 'y'", json!({"a": "y"}))]
    #[case("n: o", json!({"false": "o"}))]
    #[case("'n': o", json!({"n": "o"}))]
    #[case("1: a", json!({"1": "a"}))]
    #[case("a: 0123", json!({"a": 83}))]
    #[case("a: 1_000", json!({"a": 1000}))]
    #[case("a: 1e3", json!({"a": 1000}))]
    #[case("a: 1.5", json!({"a": 1.5}))]
    #[case("a: 0x1f", json!({"a": 31}))]
    #[case("a: ~", json!({"a": null}))]
    #[case("a:", json!({"a": null}))]
    #[case("a: &x {b: 1}\nc: {<<: *x, d: 2}", json!({"a": {"b": 1}, "c": {"b": 1, "d": 2}}))]
    #[case("a: 1.10.0", json!({"a": "1.10.0"}))]
    #[case("a: 2026-01-01", json!({"a": "2026-01-01"}))]
    #[case("", Value::Null)]
    #[case("# nothing\n", Value::Null)]
    fn yaml_is_read_as_helm_reads_it(#[case] text: &str, #[case] expected: Value) {
        assert_eq!(read(text).expect("YAML"), expected);
    }

    #[test]
    fn a_duplicate_key_is_refused_with_its_place() {
        let error = read("a: 1\nb: 2\na: 3\n").expect_err("a duplicate");
        assert_eq!(error.position(), Some((3, 1)));
        assert_eq!(error.to_string(), "duplicate mapping key `a` is not allowed here");
    }

    #[test]
    fn values_are_located() {
        let text = "server:\n  env:\n    - name: A\n      value: b\n";
        let path = ["server", "env", "0", "value"].map(str::to_owned);
        assert_eq!(locate(text, &path), Some((4, 7)));
        assert_eq!(locate(text, &path[..3]), Some((3, 7)));
        assert_eq!(locate(text, &path[..1]), Some((1, 1)));
        assert_eq!(locate(text, &["client".to_owned()]), None);
    }
}
