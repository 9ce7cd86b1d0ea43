//! References of images in rendered objects.

use std::{collections::BTreeSet, str::FromStr};

use prefect_e2e_renderer::Object;
use serde_json::Value;

/// `FROM=TO`: references that begin with `FROM` begin with `TO` instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageReplacement {
    from: String,
    to: String,
}

/// A text is not a replacement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected FROM=TO, such as docker.io/bitnami=mirror.example/bitnamilegacy; found {0:?}")]
pub struct NotAReplacement(String);

impl FromStr for ImageReplacement {
    type Err = NotAReplacement;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((from, to)) if !from.is_empty() && !to.is_empty() => Ok(Self {
                from: from.to_owned(),
                to: to.to_owned(),
            }),
            _ => Err(NotAReplacement(text.to_owned())),
        }
    }
}

impl ImageReplacement {
    /// The reference with its begin replaced; `None` when it begins otherwise, or in the midst of a word.
    fn apply(&self, reference: &str) -> Option<String> {
        let rest = reference.strip_prefix(&self.from)?;
        let at_a_border = rest.is_empty() || rest.starts_with(['/', ':', '@']) || self.from.ends_with('/');
        at_a_border.then(|| format!("{}{rest}", self.to))
    }
}

/// The objects with their images replaced; of several replacements that fit, the first one counts.
pub(crate) fn replace(objects: Vec<Object>, replacements: &[ImageReplacement]) -> Vec<Object> {
    if replacements.is_empty() {
        return objects;
    }
    let change = |object: Object| {
        let mut document = object.into_json();
        for image in images(&mut document) {
            let replaced = replacements.iter().find_map(|one| one.apply(image.as_str()?));
            if let Some(replaced) = replaced {
                *image = replaced.into();
            }
        }
        Object::new(document)
    };
    objects.into_iter().map(change).collect()
}

/// The references that the objects' pods use.
pub(crate) fn references(objects: &[Object]) -> BTreeSet<String> {
    let mut documents: Vec<Value> = objects.iter().map(|object| object.json().clone()).collect();
    let images = documents.iter_mut().flat_map(images);
    images
        .filter_map(|image| image.as_str().map(str::to_owned))
        .collect()
}

fn images(document: &mut Value) -> Vec<&mut Value> {
    let spec = document
        .pointer_mut("/spec/template/spec")
        .and_then(Value::as_object_mut);
    let lists = spec.into_iter().flat_map(|spec| spec.iter_mut());
    lists
        .filter(|(key, _)| *key == "containers" || *key == "initContainers")
        .flat_map(|(_, containers)| containers.as_array_mut().into_iter().flatten())
        .filter_map(|container| container.get_mut("image"))
        .collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case(
        "docker.io/bitnami=mirror/legacy",
        "docker.io/bitnami/postgresql:14",
        Some("mirror/legacy/postgresql:14")
    )]
    #[case(
        "prefecthq/prefect=r.example/p",
        "prefecthq/prefect:3.6.9",
        Some("r.example/p:3.6.9")
    )]
    #[case("prefecthq/prefect:3=p:4", "prefecthq/prefect:3-latest", None)]
    #[case("docker.io/=mirror/", "docker.io/x:1", Some("mirror/x:1"))]
    #[case("other=x", "prefecthq/prefect:3", None)]
    fn begins_are_replaced(
        #[case] replacement: &str,
        #[case] reference: &str,
        #[case] expected: Option<&str>,
    ) {
        let replacement: ImageReplacement = replacement.parse().unwrap();
        assert_eq!(replacement.apply(reference).as_deref(), expected);
    }

    #[rstest]
    #[case("none")]
    #[case("=x")]
    #[case("x=")]
    fn other_texts_are_no_replacements(#[case] text: &str) {
        assert!(text.parse::<ImageReplacement>().is_err());
    }

    #[test]
    fn all_containers_of_a_pod_are_looked_at() {
        let object = Object::new(json!({"kind": "Deployment", "spec": {"template": {"spec": {
            "initContainers": [{"image": "a:1"}], "containers": [{"image": "b:1"}, {"name": "none"}]}}}}));
        assert_eq!(
            references(std::slice::from_ref(&object)),
            BTreeSet::from(["a:1".to_owned(), "b:1".to_owned()])
        );
        let replaced = replace(vec![object], &["a=c".parse().unwrap()]);
        assert_eq!(
            references(&replaced),
            BTreeSet::from(["b:1".to_owned(), "c:1".to_owned()])
        );
    }
}
