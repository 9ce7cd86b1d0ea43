//! A scenario drafted from a user's own values: made to run on a small cluster that has nothing of the
//! user's, with what must exist beforehand and what can be proven of it.

mod cluster;
mod database;
mod proofs;
mod references;
mod requests;
mod secrets;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};

use prefect_e2e_renderer::{Layers, Object, Release, RenderError, Values, ValuesError, render};
use prefect_e2e_scenarios::{Placeholders, ScenarioFile, UnknownPlaceholder};
use serde_json::{Map, Value};

/// The name of the release that is drafted for, which scenarios have unless they say otherwise.
const RELEASE: &str = "prefect-server";

/// A scenario in the making.
pub(crate) struct Draft {
    name: String,
    file: ScenarioFile,
    /// What was changed and why, by the dotted path of the key in the values.
    comments: BTreeMap<String, Vec<String>>,
}

/// Values cannot become a scenario.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DraftError {
    /// The chart does not take them.
    #[error("the chart does not take these values")]
    Values(#[source] Box<ValuesError>),
    /// They cannot be rendered.
    #[error("the chart refuses these values")]
    Render(#[from] RenderError),
    /// They hold `${…}`, which means something in a scenario.
    #[error("these values hold what a scenario takes for a placeholder")]
    Placeholder(#[from] UnknownPlaceholder),
}

impl From<ValuesError> for DraftError {
    fn from(error: ValuesError) -> Self {
        Self::Values(Box::new(error))
    }
}

impl Draft {
    /// Drafts the scenario `name` from the values of `layers`; `source` says where they come from.
    ///
    /// # Errors
    /// When the chart does not take the values.
    pub(crate) fn new(name: &str, source: &str, layers: &Layers) -> Result<Self, DraftError> {
        layers.values()?;
        let Value::Object(values) = layers.user_values().clone() else {
            unreachable!("layers are maps");
        };
        let mut draft = Self {
            name: name.to_owned(),
            file: ScenarioFile {
                description: format!("{name}: the values of {source}"),
                values,
                ..ScenarioFile::default()
            },
            comments: BTreeMap::new(),
        };
        draft.fit_the_cluster();
        draft.replace_passwords();
        draft.reach_a_database();
        draft.replace_references();
        draft.shrink_requests()?;
        draft.require_secrets()?;
        draft.propose_proofs()?;
        Ok(draft)
    }

    /// What was changed, a line each: the key and why.
    pub(crate) fn changes(&self) -> Vec<String> {
        let lines = self
            .comments
            .iter()
            .flat_map(|(key, why)| why.iter().map(move |why| (key.as_str(), why)))
            .map(|(key, why)| format!("{}: {why}", if key.is_empty() { "values" } else { key }));
        lines.collect()
    }

    /// The values in effect.
    fn effective(&self) -> Result<Values, DraftError> {
        let mut layers = Layers::default();
        layers.value("the drafted values", self.filled()?.into())?;
        Ok(layers.values()?)
    }

    /// The objects that the values become.
    fn render(&self) -> Result<Vec<Object>, DraftError> {
        Ok(render(&Release::new(RELEASE, "drafted"), &self.effective()?)?)
    }

    fn filled(&self) -> Result<Map<String, Value>, DraftError> {
        let placeholders = Placeholders::stand_in_for(&self.file.requires);
        Ok(placeholders.fill_values(&self.file.values)?)
    }

    /// The user's value of a dotted key.
    fn given(&self, key: &str) -> Option<&Value> {
        let (first, rest) = key.split_once('.').unwrap_or((key, ""));
        let value = self.file.values.get(first)?;
        rest.split('.')
            .filter(|step| !step.is_empty())
            .try_fold(value, |value, step| value.get(step))
    }

    fn given_text(&self, key: &str) -> &str {
        self.given(key).and_then(Value::as_str).unwrap_or_default()
    }

    fn is_on(&self, key: &str, default: bool) -> bool {
        self.given(key).and_then(Value::as_bool).unwrap_or(default)
    }

    fn given_list(&mut self, key: &str) -> Option<&mut Vec<Value>> {
        let mut steps = key.split('.');
        let value = self.file.values.get_mut(steps.next()?)?;
        steps
            .try_fold(value, |value, step| value.get_mut(step))?
            .as_array_mut()
    }

    /// Sets a dotted key.
    fn set(&mut self, key: &str, value: impl Into<Value>, why: impl Into<String>) {
        let mut steps: Vec<&str> = key.split('.').collect();
        let Some(last) = steps.pop() else { return };
        let map = steps.iter().fold(&mut self.file.values, |map, step| {
            let inner = map.entry(*step).or_insert(Value::Null);
            if !inner.is_object() {
                *inner = Value::Object(Map::new());
            }
            inner.as_object_mut().expect("it was just made a map")
        });
        map.insert(last.to_owned(), value.into());
        self.comment(key, why);
    }

    /// Takes a dotted key out, if the user has it.
    fn leave_out(&mut self, key: &str, why: &str) {
        let Some(old) = self.given(key).filter(|value| !is_empty(value)) else {
            return;
        };
        let mut shown = old.to_string();
        if shown.len() > 40 {
            shown = "…".into();
        }
        let (above, last) = key.rsplit_once('.').unwrap_or(("", key));
        remove(&mut self.file.values, &key.split('.').collect::<Vec<_>>());
        self.comment(above, format!("without {last} ({shown}): {why}"));
    }

    fn comment(&mut self, key: &str, why: impl Into<String>) {
        let why = why.into();
        let lines = self.comments.entry(key.to_owned()).or_default();
        if !why.is_empty() && !lines.contains(&why) {
            lines.push(why);
        }
    }

    /// A password for this scenario alone.
    fn made_up(&self) -> String {
        format!("made-up-for-{}", self.name)
    }

    /// The names of objects of `kind` that the chart makes itself.
    fn rendered_names(objects: &[Object], kind: &str) -> BTreeSet<String> {
        let of_kind = objects.iter().filter(|object| object.kind() == kind);
        of_kind.map(|object| object.name().to_owned()).collect()
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

/// Removes what is at `path`, and the maps that become empty by it.
fn remove(map: &mut Map<String, Value>, path: &[&str]) {
    let [first, rest @ ..] = path else { return };
    if rest.is_empty() {
        map.shift_remove(*first);
        return;
    }
    if let Some(Value::Object(inner)) = map.get_mut(*first) {
        remove(inner, rest);
        if inner.is_empty() {
            map.shift_remove(*first);
        }
    }
}

#[cfg(test)]
mod tests {
    use prefect_e2e_scenarios::{Rule, lint};

    use super::*;

    fn draft(values: &str) -> Draft {
        let mut layers = Layers::default();
        layers.file("values.yaml", values).unwrap();
        Draft::new("mine", "values.yaml", &layers).unwrap()
    }

    /// The drafted file, which must be a scenario that a linter has nothing against but what the user's
    /// values repeat of the defaults.
    fn drafted(values: &str) -> String {
        let text = draft(values).to_yaml("../schemas/scenario.json");
        let findings = lint("mine.yaml", &text);
        let grave: Vec<_> = findings
            .iter()
            .filter(|finding| finding.rule != Rule::DefaultValue)
            .collect();
        assert!(grave.is_empty(), "{grave:#?}\n{text}");
        text
    }

    #[test]
    fn sqlite() {
        insta::assert_snapshot!(drafted(
            "
postgresql: {enabled: false}
sqlite: {enabled: true, persistence: {size: 5Gi, storageClassName: gp3}}
namespaceOverride: prefect
server:
  basicAuth: {enabled: true, authString: 'admin:our-real-password'}
  nodeSelector: {pool: apps}
  env:
    - {name: PREFECT_SERVER_API_KEY, value: real-key}
    - {name: FROM_CM, valueFrom: {configMapKeyRef: {name: cm, key: k}}}
    - {name: FROM_SECRET, valueFrom: {secretKeyRef: {name: team, key: token}}}
  extraVolumes:
    - {name: certificates, configMap: {name: bundle}}
  extraVolumeMounts:
    - {name: certificates, mountPath: /certificates}
"
        ));
    }

    #[test]
    fn bundled_postgres_behind_an_ingress() {
        insta::assert_snapshot!(drafted(
            "
global:
  prefect:
    image: {repository: registry.example.com/mirror/prefect, prefectTag: 3.6.9}
backgroundServices: {runAsSeparateDeployment: true}
server:
  resources: {requests: {cpu: '1', memory: 2Gi}, limits: {cpu: '2', memory: 4Gi}}
  autoscaling: {enabled: true, minReplicas: 5, maxReplicas: 10}
  uiConfig: {prefectUiApiUrl: 'https://prefect.example.com/api'}
ingress:
  enabled: true
  className: nginx
  host: {hostname: prefect.example.com}
  tls: true
  annotations: {cert-manager.io/cluster-issuer: letsencrypt}
postgresql:
  auth: {password: our-real-password}
  primary: {persistence: {enabled: true, size: 100Gi}}
"
        ));
    }

    #[test]
    fn an_external_database_with_tls() {
        insta::assert_snapshot!(drafted(
            "
postgresql: {enabled: false, auth: {existingSecret: our-db}}
secret: {create: false}
server:
  replicaCount: 3
  basicAuth: {enabled: true, existingSecret: our-auth}
  extraEnvVarsSecret: our-settings
  extraVolumes:
    - {name: ca, secret: {secretName: our-ca}}
  extraVolumeMounts:
    - {name: ca, mountPath: /home/prefect/.postgresql}
"
        ));
    }

    #[test]
    fn an_external_database_of_the_values() {
        let text = drafted(
            "
postgresql: {enabled: false}
secret: {host: db.example.com, port: 5432, username: prefect, password: our-real-password, database: prefect}
",
        );
        assert!(text.contains("host: ${postgres.host}"), "{text}");
        assert!(
            !text.contains("our-real-password") && !text.contains("db.example.com"),
            "{text}"
        );
    }

    #[test]
    fn a_secret_of_the_bundled_database() {
        let text = drafted("postgresql: {auth: {existingSecret: our-db}}\nsecret: {create: false}\n");
        let url = "postgresql+asyncpg://prefect:made-up-for-mine@prefect-server-postgresql:5432/server";
        assert!(text.contains(url), "{text}");
        assert!(text.contains("password: made-up-for-mine"), "{text}");
    }

    #[test]
    fn values_that_are_not_the_charts_are_refused() {
        let mut layers = Layers::default();
        layers.file("values.yaml", "server: {replicaCont: 2}\n").unwrap();
        let error = Draft::new("mine", "values.yaml", &layers).err().unwrap();
        assert!(
            crate::check::chain(&error).contains("values.yaml:1:10: unknown key"),
            "{error}"
        );
    }
}
