//! What is in the volumes that the node fills.

use std::collections::BTreeMap;

use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::{
        ConfigMap, DownwardAPIVolumeFile, KeyToPath, ProjectedVolumeSource, Secret, ServiceAccount,
        ServiceAccountTokenProjection, Volume,
    },
};
use kube::{Api, api::PostParams};

use super::{VolumeError, Volumes};
use crate::{environment, resource_field};

/// Files of volumes are readable by all unless the pod says otherwise.
const DEFAULT_MODE: i32 = 0o644;

/// The files of a volume: content and mode by path.
pub(super) type Files = BTreeMap<String, (Vec<u8>, i32)>;

/// Which keys go to which files, and how.
#[derive(Clone, Copy)]
struct Selection<'a> {
    items: Option<&'a [KeyToPath]>,
    mode: Option<i32>,
    optional: Option<bool>,
}

impl Volumes<'_> {
    /// The files of a volume that the node fills.
    pub(super) async fn files(&self, volume: &Volume) -> Result<Files, VolumeError> {
        if let Some(source) = &volume.secret {
            let name = source.secret_name.as_deref().unwrap_or_default();
            let (items, mode) = (source.items.as_deref(), source.default_mode);
            return self
                .secret(
                    name,
                    Selection {
                        items,
                        mode,
                        optional: source.optional,
                    },
                )
                .await;
        }
        if let Some(source) = &volume.config_map {
            let (items, mode) = (source.items.as_deref(), source.default_mode);
            return self
                .config_map(
                    &source.name,
                    Selection {
                        items,
                        mode,
                        optional: source.optional,
                    },
                )
                .await;
        }
        if let Some(source) = &volume.downward_api {
            return self.downward(source.items.as_deref(), source.default_mode);
        }
        if let Some(projected) = &volume.projected {
            return self.projected(projected).await;
        }
        Err(VolumeError::Unsupported(kind_of(volume)))
    }

    async fn projected(&self, projected: &ProjectedVolumeSource) -> Result<Files, VolumeError> {
        let mode = projected.default_mode;
        let mut files = Files::new();
        for source in projected.sources.iter().flatten() {
            if let Some(source) = &source.secret {
                let selection = Selection {
                    items: source.items.as_deref(),
                    mode,
                    optional: source.optional,
                };
                files.extend(self.secret(&source.name, selection).await?);
            }
            if let Some(source) = &source.config_map {
                let selection = Selection {
                    items: source.items.as_deref(),
                    mode,
                    optional: source.optional,
                };
                files.extend(self.config_map(&source.name, selection).await?);
            }
            if let Some(source) = &source.downward_api {
                files.extend(self.downward(source.items.as_deref(), mode)?);
            }
            if let Some(source) = &source.service_account_token {
                let token = self.token(source).await?;
                files.insert(
                    source.path.clone(),
                    (token.into_bytes(), mode.unwrap_or(DEFAULT_MODE)),
                );
            }
            if source.cluster_trust_bundle.is_some() {
                return Err(VolumeError::Unsupported("projected clusterTrustBundle".into()));
            }
        }
        Ok(files)
    }

    async fn token(&self, source: &ServiceAccountTokenProjection) -> Result<String, VolumeError> {
        let spec = self.sources.pod.spec.as_ref();
        let name = spec
            .and_then(|spec| spec.service_account_name.as_deref())
            .unwrap_or("default");
        let api: Api<ServiceAccount> = self.api();
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences: source.audience.clone().into_iter().collect(),
                expiration_seconds: source.expiration_seconds,
                ..TokenRequestSpec::default()
            },
            ..TokenRequest::default()
        };
        let answer = api
            .create_token_request(name, &PostParams::default(), &request)
            .await;
        let answer = answer.map_err(|source| VolumeError::Api {
            kind: "the token of serviceaccount",
            name: name.to_owned(),
            source,
        })?;
        Ok(answer.status.map(|status| status.token).unwrap_or_default())
    }

    async fn secret(&self, name: &str, selection: Selection<'_>) -> Result<Files, VolumeError> {
        let api: Api<Secret> = self.api();
        let found = self.required(api.get_opt(name).await, "secret", name, selection.optional)?;
        let data = found.and_then(|secret| secret.data).unwrap_or_default();
        selection.of(
            "secret",
            data.into_iter().map(|(key, value)| (key, value.0)).collect(),
        )
    }

    async fn config_map(&self, name: &str, selection: Selection<'_>) -> Result<Files, VolumeError> {
        let api: Api<ConfigMap> = self.api();
        let found = self.required(api.get_opt(name).await, "configmap", name, selection.optional)?;
        let found = found.unwrap_or_default();
        let plain = found
            .data
            .into_iter()
            .flatten()
            .map(|(key, value)| (key, value.into_bytes()));
        let binary = found
            .binary_data
            .into_iter()
            .flatten()
            .map(|(key, value)| (key, value.0));
        selection.of("config", plain.chain(binary).collect())
    }

    fn downward(
        &self,
        items: Option<&[DownwardAPIVolumeFile]>,
        mode: Option<i32>,
    ) -> Result<Files, VolumeError> {
        let mut files = Files::new();
        for item in items.into_iter().flatten() {
            let value = match (&item.field_ref, &item.resource_field_ref) {
                (Some(selector), _) => self.sources.field(selector)?,
                (None, Some(selector)) => {
                    let name = selector.container_name.as_deref().unwrap_or_default();
                    let containers = self.sources.pod.spec.iter().flat_map(|spec| &spec.containers);
                    let container = containers.into_iter().find(|container| container.name == name);
                    let value = container.and_then(|container| resource_field::value(container, selector));
                    value.ok_or_else(|| environment::unknown(&selector.resource))?
                }
                (None, None) => String::new(),
            };
            let mode = item.mode.or(mode).unwrap_or(DEFAULT_MODE);
            files.insert(item.path.clone(), (value.into_bytes(), mode));
        }
        Ok(files)
    }
}

impl Selection<'_> {
    fn of(self, kind: &'static str, data: BTreeMap<String, Vec<u8>>) -> Result<Files, VolumeError> {
        let default = self.mode.unwrap_or(DEFAULT_MODE);
        let Some(items) = self.items else {
            return Ok(data
                .into_iter()
                .map(|(key, content)| (key, (content, default)))
                .collect());
        };
        let mut files = Files::new();
        for item in items {
            match data.get(&item.key) {
                Some(content) => {
                    files.insert(item.path.clone(), (content.clone(), item.mode.unwrap_or(default)));
                }
                None if self.optional == Some(true) => {}
                None => {
                    return Err(VolumeError::NoKey {
                        kind,
                        key: item.key.clone(),
                    });
                }
            }
        }
        Ok(files)
    }
}

/// The name of a volume's type, as its field is called.
fn kind_of(volume: &Volume) -> String {
    let value = serde_json::to_value(volume).unwrap_or_default();
    let mut fields = value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, _)| key.clone());
    fields.find(|key| key != "name").unwrap_or_else(|| "none".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_choose_keys_and_name_files() {
        let data = BTreeMap::from([("k".to_owned(), b"v".to_vec()), ("other".to_owned(), Vec::new())]);
        let item = |key: &str| KeyToPath {
            key: key.into(),
            path: "p".into(),
            mode: Some(0o400),
        };
        let of = |key: &str, optional| {
            let items = [item(key)];
            Selection {
                items: Some(&items),
                mode: None,
                optional,
            }
            .of("secret", data.clone())
        };
        assert_eq!(
            of("k", None).unwrap(),
            BTreeMap::from([("p".to_owned(), (b"v".to_vec(), 0o400))])
        );
        assert_eq!(
            of("none", None).unwrap_err().to_string(),
            "references non-existent secret key: none"
        );
        assert!(of("none", Some(true)).unwrap().is_empty());
    }

    #[test]
    fn the_type_of_a_volume_is_named() {
        let volume: Volume =
            serde_json::from_value(serde_json::json!({"name": "v", "hostPath": {"path": "/"}})).unwrap();
        assert_eq!(kind_of(&volume), "hostPath");
    }
}
