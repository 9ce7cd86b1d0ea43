//! Patches of rendered objects: RFC 6902 and RFC 7386, chosen by kind and name as kustomize does.

use json_patch::{Patch as Operations, merge};
use regex::Regex;
use serde_json::{Map, Value};

use crate::{
    check::nearest,
    error::Place,
    object::Object,
    yaml::{self, YamlError},
};

/// Patches in the order in which they apply.
///
/// A file holds patches as kustomize has them: objects of which only the changed parts are written
/// (merge patches, RFC 7386: `null` deletes, a list replaces), or `target` and `patch`, where the patch
/// is a list of operations (RFC 6902) or again an object. A list of them, several documents and a
/// kustomization's `patches` are taken too. `kind` and `name` of a target are regular expressions for
/// the whole word.
///
/// ```
/// use prefect_e2e_renderer::{Release, Values, patch::Patches, render};
///
/// let mut patches = Patches::default();
/// patches.add("one.yaml", "kind: Deployment\nmetadata: {name: prefect-server}\nspec: {replicas: 5}\n")?;
/// let objects = render(&Release::new("prefect-server", "prefect"), &Values::default())?;
/// let objects = patches.apply(objects)?;
/// let deployment = objects.iter().find(|object| object.kind() == "Deployment").expect("the chart has one");
/// assert_eq!(deployment.json()["spec"]["replicas"], 5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Patches {
    patches: Vec<Patch>,
}

/// A patch that cannot be read or does not fit.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PatchError {
    /// A text that is not YAML
    #[error("{place}: not valid YAML")]
    Yaml {
        /// Where the text breaks
        place: Place,
        /// What the parser says
        #[source]
        source: YamlError,
    },
    /// A document that is no patch
    #[error("{origin}, patch {number}: {problem}")]
    Malformed {
        /// The file
        origin: String,
        /// Which of the file's patches, from 1
        number: usize,
        /// What is wrong
        problem: String,
    },
    /// A patch for an object that is not there
    #[error("{origin}, patch {number}: no object is {target}{}", hint(nearest.as_deref(), objects))]
    NoTarget {
        /// The file
        origin: String,
        /// Which of the file's patches, from 1
        number: usize,
        /// What the patch chooses
        target: String,
        /// The object that is spelt most alike
        nearest: Option<String>,
        /// The objects that there are
        objects: Vec<String>,
    },
    /// An operation that an object does not allow
    #[error("{origin}, patch {number}: does not fit {object}")]
    Operation {
        /// The file
        origin: String,
        /// Which of the file's patches, from 1
        number: usize,
        /// Kind and name of the object
        object: String,
        /// The operation, and why not
        #[source]
        source: Box<json_patch::PatchError>,
    },
    /// A patch after which an object has no kind or no name
    #[error("{origin}, patch {number}: takes kind or name from {object}")]
    Nameless {
        /// The file
        origin: String,
        /// Which of the file's patches, from 1
        number: usize,
        /// Kind and name that the object had
        object: String,
    },
}

fn hint(nearest: Option<&str>, objects: &[String]) -> String {
    match nearest {
        Some(nearest) => format!("; did you mean {nearest}?"),
        None => format!("; there are {}", objects.join(", ")),
    }
}

#[derive(Debug, Clone)]
struct Patch {
    origin: String,
    number: usize,
    target: Target,
    change: Change,
}

#[derive(Debug, Clone)]
enum Change {
    Operations(Operations),
    Merge(Value),
}

/// Which objects a patch changes.
#[derive(Debug, Clone, Default)]
struct Target {
    kind: Option<Pattern>,
    name: Option<Pattern>,
    namespace: Option<Pattern>,
}

/// A regular expression for a whole word, and as it was written.
#[derive(Debug, Clone)]
struct Pattern {
    written: String,
    regex: Regex,
}

impl Patches {
    /// Takes the patches of a file's text.
    ///
    /// # Errors
    /// When the text is not YAML, or a document is no patch; `origin`, the file's path, is named.
    pub fn add(&mut self, origin: &str, text: &str) -> Result<(), PatchError> {
        let documents = yaml::read_stream(text).map_err(|source| PatchError::Yaml {
            place: Place {
                origin: origin.to_owned(),
                position: source.position(),
            },
            source,
        })?;
        let mut written = Vec::new();
        for document in documents {
            match document {
                Value::Null => {}
                Value::Array(list) => written.extend(list),
                Value::Object(mut map) if map.contains_key("patches") && !map.contains_key("metadata") => {
                    match map.remove("patches") {
                        Some(Value::Array(list)) => written.extend(list),
                        _ => return Err(malformed(origin, written.len() + 1, "`patches` must be a list")),
                    }
                }
                other => written.push(other),
            }
        }
        for (index, value) in written.into_iter().enumerate() {
            let number = index + 1;
            let (target, change) = read(value).map_err(|problem| malformed(origin, number, problem))?;
            self.patches.push(Patch {
                origin: origin.to_owned(),
                number,
                target,
                change,
            });
        }
        Ok(())
    }

    /// Whether there is nothing to apply.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.patches.is_empty()
    }

    /// Applies the patches.
    ///
    /// # Errors
    /// When a patch finds no object, does not fit one, or takes its kind or name.
    pub fn apply(&self, objects: Vec<Object>) -> Result<Vec<Object>, PatchError> {
        let mut objects: Vec<Object> = objects;
        for patch in &self.patches {
            let mut found = false;
            for object in &mut objects {
                if patch.target.is(object) {
                    *object = patch.apply(object)?;
                    found = true;
                }
            }
            if !found {
                return Err(patch.no_target(&objects));
            }
        }
        Ok(objects)
    }
}

impl Patch {
    fn apply(&self, object: &Object) -> Result<Object, PatchError> {
        let mut json = object.json().clone();
        match &self.change {
            Change::Merge(change) => merge(&mut json, change),
            Change::Operations(operations) => {
                json_patch::patch(&mut json, operations).map_err(|error| PatchError::Operation {
                    origin: self.origin.clone(),
                    number: self.number,
                    object: describe(object),
                    source: Box::new(error),
                })?;
            }
        }
        let patched = Object::new(json);
        if patched.kind().is_empty() || patched.name().is_empty() {
            return Err(PatchError::Nameless {
                origin: self.origin.clone(),
                number: self.number,
                object: describe(object),
            });
        }
        Ok(patched)
    }

    fn no_target(&self, objects: &[Object]) -> PatchError {
        let target = self.target.describe();
        let objects: Vec<String> = objects.iter().map(describe).collect();
        PatchError::NoTarget {
            origin: self.origin.clone(),
            number: self.number,
            nearest: nearest(&target, &objects),
            target,
            objects,
        }
    }
}

impl Target {
    fn read(map: &Map<String, Value>) -> Result<Self, String> {
        let mut target = Self::default();
        for (key, value) in map {
            let slot = match key.as_str() {
                "kind" => &mut target.kind,
                "name" => &mut target.name,
                "namespace" => &mut target.namespace,
                "group" | "version" => continue,
                other => {
                    return Err(format!(
                        "`target.{other}` is unknown; known are kind, name, namespace, group, version"
                    ));
                }
            };
            let Value::String(text) = value else {
                return Err(format!("`target.{key}` must be a text"));
            };
            *slot = Some(Pattern::new(text)?);
        }
        if target.kind.is_none() && target.name.is_none() {
            return Err("`target` must name a kind or a name".to_owned());
        }
        Ok(target)
    }

    fn is(&self, object: &Object) -> bool {
        let fits = |pattern: &Option<Pattern>, text: &str| {
            pattern
                .as_ref()
                .is_none_or(|pattern| pattern.regex.is_match(text))
        };
        fits(&self.kind, object.kind())
            && fits(&self.name, object.name())
            && fits(&self.namespace, object.namespace().unwrap_or_default())
    }

    fn describe(&self) -> String {
        let written = |pattern: &Option<Pattern>| {
            pattern
                .as_ref()
                .map_or("*", |pattern| &pattern.written)
                .to_owned()
        };
        let name = format!("{}/{}", written(&self.kind), written(&self.name));
        match &self.namespace {
            Some(namespace) => format!("{name} in {}", namespace.written),
            None => name,
        }
    }
}

impl Pattern {
    fn new(text: &str) -> Result<Self, String> {
        let regex =
            Regex::new(&format!("^(?:{text})$")).map_err(|_| format!("`{text}` is no regular expression"))?;
        Ok(Self {
            written: text.to_owned(),
            regex,
        })
    }

    fn literal(text: &str) -> Result<Self, String> {
        let pattern = Self::new(&regex::escape(text))?;
        Ok(Self {
            written: text.to_owned(),
            ..pattern
        })
    }
}

/// Reads one patch: an object in part, or target and patch.
fn read(value: Value) -> Result<(Target, Change), String> {
    let Value::Object(mut map) = value else {
        return Err("a patch is a map: parts of an object, or `target` and `patch`".to_owned());
    };
    let Some(patch) = map.remove("patch") else {
        return read_object(map);
    };
    let patch = match patch {
        Value::String(text) => yaml::read(&text).map_err(|error| format!("`patch` is not YAML: {error}"))?,
        patch => patch,
    };
    let target = match map.remove("target") {
        Some(Value::Object(target)) => Some(Target::read(&target)?),
        Some(_) => return Err("`target` must be a map".to_owned()),
        None => None,
    };
    if let Some(key) = map.keys().find(|key| *key != "options") {
        return Err(format!("`{key}` is unknown beside `target` and `patch`"));
    }
    match patch {
        Value::Array(_) => {
            let target = target.ok_or("a list of operations needs a `target`")?;
            let operations =
                serde_json::from_value(patch).map_err(|error| format!("`patch` is no RFC 6902: {error}"))?;
            Ok((target, Change::Operations(operations)))
        }
        Value::Object(object) => match target {
            Some(target) => Ok((target, Change::Merge(Value::Object(object)))),
            None => read_object(object),
        },
        _ => Err("`patch` must be a list of operations or parts of an object".to_owned()),
    }
}

/// Parts of an object, which say by kind and name whose they are.
fn read_object(map: Map<String, Value>) -> Result<(Target, Change), String> {
    let value = Value::Object(map);
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str);
    let (Some(kind), Some(name)) = (text("/kind"), text("/metadata/name")) else {
        return Err("a patch without `target` must have `kind` and `metadata.name`".to_owned());
    };
    let target = Target {
        kind: Some(Pattern::literal(kind)?),
        name: Some(Pattern::literal(name)?),
        namespace: text("/metadata/namespace").map(Pattern::literal).transpose()?,
    };
    Ok((target, Change::Merge(value)))
}

fn malformed(origin: &str, number: usize, problem: impl Into<String>) -> PatchError {
    PatchError::Malformed {
        origin: origin.to_owned(),
        number,
        problem: problem.into(),
    }
}

fn describe(object: &Object) -> String {
    format!("{}/{}", object.kind(), object.name())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn objects() -> Vec<Object> {
        let object = |kind: &str, name: &str| {
            Object::new(
                json!({"kind": kind, "metadata": {"name": name, "namespace": "n"}, "spec": {"a": 1, "l": [1, 2]}}),
            )
        };
        vec![
            object("Deployment", "web"),
            object("Deployment", "worker"),
            object("Service", "web"),
        ]
    }

    fn patched(text: &str) -> Result<Vec<Object>, PatchError> {
        let mut patches = Patches::default();
        patches.add("p.yaml", text)?;
        patches.apply(objects())
    }

    #[rstest]
    #[case::merge("kind: Deployment\nmetadata: {name: web}\nspec: {a: null, l: [3], b: 2}", 0, json!({"l": [3], "b": 2}))]
    #[case::operations("target: {kind: Deployment, name: web}\npatch: [{op: replace, path: /spec/a, value: 5}]", 0, json!({"a": 5, "l": [1, 2]}))]
    #[case::text("- target: {kind: Service}\n  patch: |\n    - op: add\n      path: /spec/l/-\n      value: 3", 2, json!({"a": 1, "l": [1, 2, 3]}))]
    #[case::kustomization("patches:\n- target: {name: wor.*}\n  patch: {spec: {a: 7}}", 1, json!({"a": 7, "l": [1, 2]}))]
    #[case::two("kind: Service\nmetadata: {name: web}\nspec: {a: 2}\n---\nkind: Service\nmetadata: {name: web}\nspec: {a: 3}", 2, json!({"a": 3, "l": [1, 2]}))]
    fn patches_change_what_they_choose(#[case] text: &str, #[case] index: usize, #[case] spec: Value) {
        let result = patched(text).expect("a patch that fits");
        for (position, (before, after)) in objects().iter().zip(&result).enumerate() {
            let expected = if position == index {
                &spec
            } else {
                &before.json()["spec"]
            };
            assert_eq!(&after.json()["spec"], expected, "object {position}");
        }
    }

    #[rstest]
    #[case(
        "kind: Deploymnt\nmetadata: {name: web}",
        "p.yaml, patch 1: no object is Deploymnt/web; did you mean Deployment/web?"
    )]
    #[case(
        "kind: Deployment",
        "p.yaml, patch 1: a patch without `target` must have `kind` and `metadata.name`"
    )]
    #[case(
        "target: {kind: Service}\npatch: [{op: remove, path: /spec/x}]",
        "p.yaml, patch 1: does not fit Service/web"
    )]
    #[case(
        "target: {kind: Service}\npatch: [{op: remove, path: /kind}]",
        "p.yaml, patch 1: takes kind or name from Service/web"
    )]
    #[case(
        "target: {kind: Service}\npatch: [{op: turn}]",
        "p.yaml, patch 1: `patch` is no RFC 6902"
    )]
    #[case(
        "target: {kynd: Service}\npatch: []",
        "p.yaml, patch 1: `target.kynd` is unknown; known are kind, name, namespace, group, version"
    )]
    #[case(
        "target: {}\npatch: []",
        "p.yaml, patch 1: `target` must name a kind or a name"
    )]
    #[case(
        "target: {kind: '('}\npatch: []",
        "p.yaml, patch 1: `(` is no regular expression"
    )]
    #[case("patch: []", "p.yaml, patch 1: a list of operations needs a `target`")]
    #[case("a: [", "p.yaml:1:4: not valid YAML")]
    #[case(
        "- 5",
        "p.yaml, patch 1: a patch is a map: parts of an object, or `target` and `patch`"
    )]
    fn patches_that_do_not_fit_are_explained(#[case] text: &str, #[case] expected: &str) {
        let error = patched(text).expect_err("a refusal").to_string();
        assert!(error.starts_with(expected), "{error}");
    }

    #[test]
    fn nothing_changes_nothing() {
        assert!(Patches::default().is_empty());
        assert_eq!(patched("# nothing").expect("no patch"), objects());
    }
}
