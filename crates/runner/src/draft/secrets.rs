//! The Secrets that the rendered pods refer to and the chart does not make.

use std::collections::BTreeMap;

use prefect_e2e_renderer::Object;
use prefect_e2e_scenarios::Secret;
use serde_json::Value;

use super::{Draft, DraftError};

/// Keys of a Secret whose names nobody says.
const AUTHORITY: &str = "root.crt";

impl Draft {
    /// Requires the Secrets that exist in the user's cluster, with content for this scenario.
    pub(super) fn require_secrets(&mut self) -> Result<(), DraftError> {
        let objects = self.render()?;
        let made = Self::rendered_names(&objects, "Secret");
        let mut wanted: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        for reference in objects.iter().flat_map(references) {
            if made.contains(&reference.name) {
                continue;
            }
            let data = wanted.entry(reference.name).or_default();
            if let Some(key) = reference.key {
                let content = self.content(&key, &objects)?;
                data.insert(key, content);
            }
        }
        self.file.requires.secrets = wanted
            .into_iter()
            .map(|(name, data)| Secret { name, data })
            .collect();
        Ok(())
    }

    /// What a key of a Secret holds, by its name.
    fn content(&self, key: &str, objects: &[Object]) -> Result<String, DraftError> {
        let is_certificate = [".crt", ".pem", ".ca"].iter().any(|ending| key.ends_with(ending));
        Ok(match key {
            "connection-string" if self.is_external() => {
                let query = self.connection_query().unwrap_or_default();
                format!(
                    "postgresql+asyncpg://${{postgres.user}}:${{postgres.password}}@${{postgres.host}}:\
                     ${{postgres.port}}/${{postgres.database}}{query}"
                )
            }
            "connection-string" => self.bundled_connection(objects)?,
            "auth-string" => format!("admin:{}", self.made_up()),
            _ if is_certificate && self.is_external() => "${postgres.ca}".to_owned(),
            _ => self.made_up(),
        })
    }

    /// The bundled database's connection string, whose password an existing Secret holds.
    fn bundled_connection(&self, objects: &[Object]) -> Result<String, DraftError> {
        let auth = self.effective()?.postgresql.auth;
        let mut services = objects.iter().filter(|object| {
            object.kind() == "Service"
                && object.json()["metadata"]["labels"]["app.kubernetes.io/component"] == "primary"
                && object.json()["spec"]["clusterIP"] != "None"
        });
        let (host, port) = services.next().map_or(("", 5432), |service| {
            let port = service.json()["spec"]["ports"][0]["port"].as_u64();
            (service.name(), port.unwrap_or(5432))
        });
        let user = if auth.username.is_empty() {
            "postgres"
        } else {
            &auth.username
        };
        let (password, database) = (self.made_up(), &auth.database);
        Ok(format!(
            "postgresql+asyncpg://{user}:{password}@{host}:{port}/{database}"
        ))
    }
}

/// A Secret that a pod needs, and one of its keys where it is named.
struct Reference {
    name: String,
    key: Option<String>,
}

/// The Secrets without which the pods of an object do not start.
fn references(object: &Object) -> Vec<Reference> {
    let pod = &object.json()["spec"]["template"]["spec"];
    let items = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut found = Vec::new();
    let mut find = |reference: &Value, name: &str, key: Option<&Value>| {
        if let (Some(name), true) = (reference[name].as_str(), reference["optional"] != true) {
            found.push(Reference {
                name: name.to_owned(),
                key: key.and_then(Value::as_str).map(str::to_owned),
            });
        }
    };
    for container in items(&pod["containers"])
        .iter()
        .chain(&items(&pod["initContainers"]))
    {
        for variable in items(&container["env"]) {
            let reference = &variable["valueFrom"]["secretKeyRef"];
            find(reference, "name", Some(&reference["key"]));
        }
        for source in items(&container["envFrom"]) {
            find(&source["secretRef"], "name", None);
        }
    }
    for volume in items(&pod["volumes"]) {
        let reference = &volume["secret"];
        let listed = items(&reference["items"]);
        for item in &listed {
            find(reference, "secretName", Some(&item["key"]));
        }
        if listed.is_empty() {
            find(reference, "secretName", Some(&AUTHORITY.into()));
        }
    }
    found
}
