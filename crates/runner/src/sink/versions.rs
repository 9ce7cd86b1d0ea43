//! Which versions a scenario deploys, as its objects say.

use std::collections::BTreeSet;

use serde_json::Value;

/// The versions of what a scenario deploys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Versions {
    /// The chart and its version, from the label `helm.sh/chart`.
    pub(super) chart: Option<String>,
    /// The images of all containers.
    pub(super) images: BTreeSet<String>,
}

impl Versions {
    /// The versions in a YAML stream of objects; none when it cannot be read.
    pub(super) fn of(objects: &str) -> Self {
        let mut versions = Self::default();
        for object in serde_saphyr::from_multiple::<Value>(objects).unwrap_or_default() {
            if let Some(chart) = object
                .pointer("/metadata/labels/helm.sh~1chart")
                .and_then(Value::as_str)
            {
                versions.chart.get_or_insert_with(|| chart.to_owned());
            }
            versions.add_images(&object);
        }
        versions
    }

    fn add_images(&mut self, value: &Value) {
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    match (key.as_str(), value.as_array()) {
                        ("containers" | "initContainers", Some(containers)) => {
                            let images = containers
                                .iter()
                                .filter_map(|container| container["image"].as_str());
                            self.images.extend(images.map(str::to_owned));
                        }
                        _ => self.add_images(value),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.add_images(item)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chart_and_images_are_found() {
        let objects = "
metadata: {labels: {helm.sh/chart: prefect-server-1.2.3}}
spec: {template: {spec: {containers: [{image: \"b:2\"}], initContainers: [{image: \"a:1\"}]}}}
---
kind: ConfigMap
data: {image: none}
";
        let images = ["a:1", "b:2"].map(str::to_owned).into();
        assert_eq!(
            Versions::of(objects),
            Versions {
                chart: Some("prefect-server-1.2.3".into()),
                images
            }
        );
        assert_eq!(Versions::of("{"), Versions::default());
    }
}
