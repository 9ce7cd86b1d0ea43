//! The environment of a container: what the pod says, what it refers to, and the Services around it.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::api::core::v1::{
    ConfigMap, Container, EnvVarSource, ObjectFieldSelector, Pod, Secret, Service,
};
use kube::{Api, Client};

use crate::resource_field;

/// A variable could not be given its value; the container waits for that to change.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EnvironmentError {
    #[error("{kind} {name:?} not found")]
    Missing { kind: &'static str, name: String },
    #[error("couldn't find key {key} in {kind} {namespace}/{name}")]
    NoKey {
        key: String,
        kind: &'static str,
        namespace: String,
        name: String,
    },
    #[error("field path {0:?} is not supported")]
    UnknownField(String),
    #[error("cannot read {kind} {name:?}")]
    Api {
        kind: &'static str,
        name: String,
        #[source]
        source: kube::Error,
    },
}

/// What a pod's variables are read from.
pub(crate) struct Sources {
    pub(crate) client: Client,
    pub(crate) pod: Arc<Pod>,
    pub(crate) pod_ip: String,
    pub(crate) host_ip: String,
}

impl Sources {
    /// The variables of `container`, those of the image first; later ones win.
    pub(crate) async fn variables(
        &self,
        container: &Container,
        image: &[(String, String)],
    ) -> Result<Vec<(String, String)>, EnvironmentError> {
        let mut variables = Variables::default();
        for (name, value) in image {
            variables.set(name, value.clone());
        }
        variables.set("HOSTNAME", self.pod.metadata.name.clone().unwrap_or_default());
        for (name, value) in self.service_links().await? {
            variables.set(&name, value);
        }
        for source in container.env_from.iter().flatten() {
            let prefix = source.prefix.clone().unwrap_or_default();
            let mut found = BTreeMap::new();
            if let Some(reference) = &source.config_map_ref {
                found = self.config_map(&reference.name, reference.optional).await?;
            }
            if let Some(reference) = &source.secret_ref {
                found = self.secret(&reference.name, reference.optional).await?;
            }
            for (key, value) in found {
                variables.set(&format!("{prefix}{key}"), value);
            }
        }
        for variable in container.env.iter().flatten() {
            let value = match &variable.value_from {
                Some(source) => self.value_from(container, source).await?,
                None => Some(expand(
                    variable.value.as_deref().unwrap_or_default(),
                    &variables.0,
                )),
            };
            if let Some(value) = value {
                variables.set(&variable.name, value);
            }
        }
        Ok(variables.0)
    }

    async fn value_from(
        &self,
        container: &Container,
        source: &EnvVarSource,
    ) -> Result<Option<String>, EnvironmentError> {
        if let Some(field) = &source.field_ref {
            return self.field(field).map(Some);
        }
        if let Some(field) = &source.resource_field_ref {
            return resource_field::value(container, field)
                .map(Some)
                .ok_or_else(|| unknown(&field.resource));
        }
        let namespace = self.namespace();
        if let Some(reference) = &source.config_map_key_ref {
            let data = self.config_map(&reference.name, reference.optional).await?;
            return data_key(
                data,
                &reference.key,
                "ConfigMap",
                namespace,
                &reference.name,
                reference.optional,
            );
        }
        if let Some(reference) = &source.secret_key_ref {
            let data = self.secret(&reference.name, reference.optional).await?;
            return data_key(
                data,
                &reference.key,
                "Secret",
                namespace,
                &reference.name,
                reference.optional,
            );
        }
        Ok(None)
    }

    fn namespace(&self) -> &str {
        self.pod.metadata.namespace.as_deref().unwrap_or_default()
    }

    async fn config_map(
        &self,
        name: &str,
        optional: Option<bool>,
    ) -> Result<BTreeMap<String, String>, EnvironmentError> {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), self.namespace());
        let found = found(api.get_opt(name).await, "configmap", name, optional)?;
        Ok(found.and_then(|map| map.data).unwrap_or_default())
    }

    async fn secret(
        &self,
        name: &str,
        optional: Option<bool>,
    ) -> Result<BTreeMap<String, String>, EnvironmentError> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), self.namespace());
        let found = found(api.get_opt(name).await, "secret", name, optional)?;
        let data = found.and_then(|secret| secret.data).unwrap_or_default();
        Ok(data
            .into_iter()
            .map(|(key, value)| (key, String::from_utf8_lossy(&value.0).into_owned()))
            .collect())
    }

    /// The value of a field of the pod, as the downward API names it.
    pub(crate) fn field(&self, selector: &ObjectFieldSelector) -> Result<String, EnvironmentError> {
        let metadata = &self.pod.metadata;
        let spec = self.pod.spec.as_ref();
        let of = |map: &Option<BTreeMap<String, String>>, path: &str| {
            let key = path
                .split_once("['")
                .and_then(|(_, rest)| rest.strip_suffix("']"));
            key.and_then(|key| map.as_ref()?.get(key).cloned())
                .unwrap_or_default()
        };
        let all = |map: &Option<BTreeMap<String, String>>| {
            map.iter()
                .flatten()
                .map(|(key, value)| format!("{key}={value:?}"))
                .collect::<Vec<_>>()
                .join("\n")
        };
        Ok(match selector.field_path.as_str() {
            "metadata.name" => metadata.name.clone().unwrap_or_default(),
            "metadata.namespace" => metadata.namespace.clone().unwrap_or_default(),
            "metadata.uid" => metadata.uid.clone().unwrap_or_default(),
            "metadata.labels" => all(&metadata.labels),
            "metadata.annotations" => all(&metadata.annotations),
            path if path.starts_with("metadata.labels['") => of(&metadata.labels, path),
            path if path.starts_with("metadata.annotations['") => of(&metadata.annotations, path),
            "spec.nodeName" => spec.and_then(|spec| spec.node_name.clone()).unwrap_or_default(),
            "spec.serviceAccountName" => spec
                .and_then(|spec| spec.service_account_name.clone())
                .unwrap_or_default(),
            "status.podIP" | "status.podIPs" => self.pod_ip.clone(),
            "status.hostIP" | "status.hostIPs" => self.host_ip.clone(),
            other => return Err(unknown(other)),
        })
    }

    /// The addresses of Services, as variables in the form that Docker links had.
    async fn service_links(&self) -> Result<Vec<(String, String)>, EnvironmentError> {
        let wanted = self
            .pod
            .spec
            .as_ref()
            .and_then(|spec| spec.enable_service_links)
            .unwrap_or(true);
        let mut links = Vec::new();
        let mut namespaces = vec!["default"];
        if wanted && self.namespace() != "default" {
            namespaces.push(self.namespace());
        }
        for namespace in namespaces {
            let api: Api<Service> = Api::namespaced(self.client.clone(), namespace);
            let services = api
                .list(&kube::api::ListParams::default())
                .await
                .map_err(|source| EnvironmentError::Api {
                    kind: "services of",
                    name: namespace.to_owned(),
                    source,
                })?;
            for service in services {
                let is_api = service.metadata.name.as_deref() == Some("kubernetes");
                if is_api || (wanted && namespace == self.namespace()) {
                    links.extend(service_link(&service));
                }
            }
        }
        Ok(links)
    }
}

pub(crate) fn unknown(field: &str) -> EnvironmentError {
    EnvironmentError::UnknownField(field.to_owned())
}

fn found<T>(
    found: Result<Option<T>, kube::Error>,
    kind: &'static str,
    name: &str,
    optional: Option<bool>,
) -> Result<Option<T>, EnvironmentError> {
    let found = found.map_err(|source| EnvironmentError::Api {
        kind,
        name: name.to_owned(),
        source,
    })?;
    if found.is_none() && optional != Some(true) {
        return Err(EnvironmentError::Missing {
            kind,
            name: name.to_owned(),
        });
    }
    Ok(found)
}

fn data_key(
    mut data: BTreeMap<String, String>,
    key: &str,
    kind: &'static str,
    namespace: &str,
    name: &str,
    optional: Option<bool>,
) -> Result<Option<String>, EnvironmentError> {
    match data.remove(key) {
        None if optional != Some(true) => Err(EnvironmentError::NoKey {
            key: key.to_owned(),
            kind,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }),
        value => Ok(value),
    }
}

fn service_link(service: &Service) -> Vec<(String, String)> {
    let name = service
        .metadata
        .name
        .as_deref()
        .unwrap_or_default()
        .to_uppercase()
        .replace('-', "_");
    let Some(spec) = &service.spec else {
        return Vec::new();
    };
    let address = spec.cluster_ip.as_deref().unwrap_or("None");
    if matches!(address, "None" | "") {
        return Vec::new();
    }
    let mut link = vec![(format!("{name}_SERVICE_HOST"), address.to_owned())];
    for (index, port) in spec.ports.iter().flatten().enumerate() {
        let number = port.port;
        let protocol = port.protocol.as_deref().unwrap_or("TCP").to_lowercase();
        let url = format!("{protocol}://{address}:{number}");
        if index == 0 {
            link.push((format!("{name}_SERVICE_PORT"), number.to_string()));
            link.push((format!("{name}_PORT"), url.clone()));
        }
        if let Some(port_name) = &port.name {
            let port_name = port_name.to_uppercase().replace('-', "_");
            link.push((format!("{name}_SERVICE_PORT_{port_name}"), number.to_string()));
        }
        let prefix = format!("{name}_PORT_{number}_{}", protocol.to_uppercase());
        link.push((prefix.clone(), url));
        link.push((format!("{prefix}_PROTO"), protocol));
        link.push((format!("{prefix}_PORT"), number.to_string()));
        link.push((format!("{prefix}_ADDR"), address.to_owned()));
    }
    link
}

#[derive(Default)]
struct Variables(Vec<(String, String)>);

impl Variables {
    fn set(&mut self, name: &str, value: String) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }
}

/// `$(NAME)` replaced by the variable's value, `$$` by `$`; what names no variable stays as it is.
///
/// Source: `k8s.io/kubernetes/third_party/forked/golang/expansion`.
pub(crate) fn expand(text: &str, variables: &[(String, String)]) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(place) = rest.find('$') {
        expanded.push_str(&rest[..place]);
        rest = &rest[place + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            expanded.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
            match variables.iter().find(|(known, _)| known == name) {
                Some((_, value)) => expanded.push_str(value),
                None => expanded.push_str(&format!("$({name})")),
            }
            rest = after;
        } else {
            expanded.push('$');
        }
    }
    expanded.push_str(rest);
    expanded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("$(A)", "1")]
    #[case("x$(A)y$(B)", "x1y2")]
    #[case("$$(A)", "$(A)")]
    #[case("$(C)", "$(C)")]
    #[case("$A $", "$A $")]
    #[case("$(A", "$(A")]
    fn references_expand_as_in_kubernetes(#[case] text: &str, #[case] expected: &str) {
        let variables = [("A".to_owned(), "1".to_owned()), ("B".to_owned(), "2".to_owned())];
        assert_eq!(expand(text, &variables), expected);
    }

    proptest! {
        #[test]
        fn text_without_references_stays(text in "[^$]*") {
            prop_assert_eq!(expand(&text, &[]), text);
        }
    }
}
