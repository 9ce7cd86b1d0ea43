//! The bundled database: Bitnami's chart postgresql 12.12.10 with common 2.27.0, one primary.

mod configuration;
mod connection;
mod container;
mod init_containers;
mod pod;
mod services;
mod stateful_set;

pub(crate) use connection::Connection;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{
    chart::{Capabilities, ChartInfo, Labels, Scope, bare, fullname, name, truncate},
    error::RenderError,
    object::Object,
    release::Release,
    values::{Postgresql, Table, Values},
};

/// The subchart's metadata.
pub(crate) const INFO: ChartInfo = ChartInfo {
    name: "postgresql",
    version: "12.12.10",
    app_version: "15.4.0",
};

/// What the subchart's templates share.
pub(crate) struct Database<'a> {
    release: &'a Release,
    global: &'a crate::values::Global,
    values: &'a Postgresql,
    scope: Scope<'a>,
    capabilities: Capabilities,
    name: String,
    fullname: String,
    common_labels: Table,
    common_annotations: Table,
    pod_labels: Table,
}

impl<'a> Database<'a> {
    pub(crate) fn new(release: &'a Release, values: &'a Values) -> Result<Self, RenderError> {
        let own = &values.postgresql;
        let scope = Scope::of_postgresql(release, values);
        let common_labels = scope.table("commonLabels", &own.common_labels)?;
        let mut pod_labels = common_labels.clone();
        pod_labels.extend(scope.table("primary.podLabels", &own.primary.pod_labels)?);
        Ok(Self {
            common_annotations: scope.table("commonAnnotations", &own.common_annotations)?,
            common_labels,
            pod_labels,
            release,
            global: &values.global,
            values: own,
            scope,
            capabilities: Capabilities::of(release.kube_version),
            name: name(INFO.name, &own.name_override),
            fullname: fullname(
                INFO.name,
                &own.name_override,
                &own.fullname_override,
                &release.name,
            ),
        })
    }

    /// Adds the objects of the database.
    pub(crate) fn render(&self, objects: &mut Vec<Object>) -> Result<(), RenderError> {
        self.service_account(objects)?;
        self.secret(objects)?;
        self.config_maps(objects)?;
        self.services(objects)?;
        objects.push(self.stateful_set()?);
        Ok(())
    }

    fn labelling(&self) -> Labels<'_> {
        Labels {
            info: &INFO,
            name: &self.name,
            release: &self.release.name,
        }
    }

    /// The labels of an object, of the primary if asked for.
    fn labels(&self, of_primary: bool) -> Table {
        let mut labels = self.labelling().under(&self.common_labels);
        if of_primary {
            labels.insert("app.kubernetes.io/component".to_owned(), "primary".into());
        }
        labels
    }

    /// The user's annotations for an object with those for all objects under them.
    fn annotations(&self, key: &str, own: &Table) -> Result<Table, RenderError> {
        let mut annotations = self.common_annotations.clone();
        annotations.extend(self.scope.table(key, own)?);
        Ok(annotations)
    }

    /// The labels that choose the primary's pod.
    fn selector(&self) -> Table {
        let mut labels = self.labelling().selector_under(&self.pod_labels);
        labels.insert("app.kubernetes.io/component".to_owned(), "primary".into());
        labels
    }

    fn metadata(&self, name: &str, labels: Table, annotations: Table) -> Table {
        let mut metadata = Table::new();
        metadata.insert("name".to_owned(), bare(name));
        metadata.insert("namespace".to_owned(), self.release.namespace.as_str().into());
        metadata.insert("labels".to_owned(), labels.into());
        if !annotations.is_empty() {
            metadata.insert("annotations".to_owned(), annotations.into());
        }
        metadata
    }

    fn service_account_name(&self) -> String {
        let account = &self.values.service_account;
        match account.name.as_str() {
            "" if account.create => self.fullname.clone(),
            "" => "default".to_owned(),
            name => name.to_owned(),
        }
    }

    fn service_account(&self, objects: &mut Vec<Object>) -> Result<(), RenderError> {
        let account = &self.values.service_account;
        if account.create {
            let annotations = self.annotations("serviceAccount.annotations", &account.annotations)?;
            objects.push(Object::new(json!({
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": self.metadata(&self.service_account_name(), self.labels(false), annotations),
                "automountServiceAccountToken": account.automount_service_account_token,
            })));
        }
        Ok(())
    }

    /// The passwords. The chart would invent those that are missing; here they are asked for.
    fn secret(&self, objects: &mut Vec<Object>) -> Result<(), RenderError> {
        if self.existing_secret().is_some() {
            return Ok(());
        }
        let mut data = Table::new();
        let admin = self.admin_password();
        if !admin.is_empty() {
            data.insert("postgres-password".to_owned(), STANDARD.encode(admin).into());
        } else if self.values.auth.enable_postgres_user {
            return Err(self.scope.refuse(
                "auth.postgresPassword",
                "is empty while `postgresql.auth.enablePostgresUser` is true; the chart would invent a password, write one down",
            ));
        }
        if self.has_custom_user() {
            let password = first(&[&self.global_auth().password, &self.values.auth.password]);
            if password.is_empty() {
                return Err(self.scope.refuse(
                    "auth.password",
                    "is empty; the chart would invent a password, write one down",
                ));
            }
            data.insert("password".to_owned(), STANDARD.encode(password).into());
        }
        if data.is_empty() {
            return Ok(());
        }
        objects.push(Object::new(json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": self.metadata(&self.fullname, self.labels(false), self.common_annotations.clone()),
            "type": "Opaque",
            "data": data,
        })));
        Ok(())
    }

    fn admin_password(&self) -> &str {
        let (global, own) = (self.global_auth(), &self.values.auth);
        if self.has_custom_user() {
            first(&[&global.postgres_password, &own.postgres_password])
        } else {
            first(&[
                &global.password,
                &own.password,
                &global.postgres_password,
                &own.postgres_password,
            ])
        }
    }

    fn headless_name(&self) -> String {
        truncate(&format!("{}-hl", self.fullname))
    }

    fn image_pull_secrets(&self) -> Vec<Value> {
        let own = &self.values.image.pull_secrets;
        let helper = &self.values.volume_permissions.image.pull_secrets;
        let mut names: Vec<Value> = Vec::new();
        for secret in self.global.image_pull_secrets.iter().chain(own).chain(helper) {
            let name = match secret {
                Value::Object(secret) => secret.get("name").cloned().unwrap_or_default(),
                Value::String(name) => bare(name),
                other => other.clone(),
            };
            let entry = json!({"name": name});
            if !names.contains(&entry) {
                names.push(entry);
            }
        }
        names
    }
}

/// The first text that is not empty.
fn first<'a>(texts: &[&'a String]) -> &'a str {
    texts
        .iter()
        .find(|text| !text.is_empty())
        .map_or("", |text| text.as_str())
}
