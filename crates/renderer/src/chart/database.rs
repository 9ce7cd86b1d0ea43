//! How the server reaches its database: connection Secret or SQLite's claim.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{Chart, scope::bare};
use crate::{
    error::RenderError,
    object::Object,
    postgresql::{Connection, Database},
    values::Table,
};

impl Chart<'_> {
    pub(super) fn database(
        &self,
        bundled: Option<&Database<'_>>,
        objects: &mut Vec<Object>,
    ) -> Result<(), RenderError> {
        let sqlite = &self.values.sqlite;
        if sqlite.enabled && sqlite.persistence.enabled {
            objects.push(self.sqlite_volume());
        }
        if self.values.secret.create && !sqlite.enabled {
            let connection = self.connection_string(bundled)?;
            let name = self.connection_secret();
            objects.push(Object::new(json!({
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": self.metadata(name.into(), Some("server"), self.common_annotations.clone())?,
                "type": "Opaque",
                "data": {"connection-string": STANDARD.encode(connection)},
            })));
        }
        Ok(())
    }

    /// The claim takes the release's namespace, whatever overrides the others'.
    fn sqlite_volume(&self) -> Object {
        let persistence = &self.values.sqlite.persistence;
        let mut spec = Table::new();
        if !persistence.storage_class_name.is_empty() {
            spec.insert(
                "storageClassName".to_owned(),
                bare(&persistence.storage_class_name),
            );
        }
        spec.insert("accessModes".to_owned(), json!(["ReadWriteOnce"]));
        let size = persistence.size.as_deref().map_or(Value::Null, bare);
        spec.insert("resources".to_owned(), json!({"requests": {"storage": size}}));
        Object::new(json!({
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": bare(&self.sqlite_claim()), "namespace": bare(&self.release.namespace)},
            "spec": spec,
        }))
    }

    pub(super) fn sqlite_claim(&self) -> String {
        format!("{}-sqlite", self.fullname)
    }

    /// The variable that tells Prefect its database.
    pub(super) fn connection_env(&self) -> Value {
        const NAME: &str = "PREFECT_API_DATABASE_CONNECTION_URL";
        if self.values.sqlite.enabled {
            return json!({"name": NAME, "value": "sqlite+aiosqlite:////data/prefect.db"});
        }
        let secret = bare(&self.connection_secret());
        json!({"name": NAME, "valueFrom": {"secretKeyRef": {"name": secret, "key": "connection-string"}}})
    }

    fn connection_secret(&self) -> String {
        let existing = &self.values.postgresql.auth.existing_secret;
        let name = &self.values.secret.name;
        if !existing.is_empty() {
            existing.clone()
        } else if !name.is_empty() {
            name.clone()
        } else {
            format!("{}-postgresql-connection", self.fullname)
        }
    }

    fn connection_string(&self, bundled: Option<&Database<'_>>) -> Result<String, RenderError> {
        let Connection {
            username,
            password,
            host,
            port,
            database,
        } = match bundled {
            Some(database) => database.connection()?,
            None => {
                let secret = &self.values.secret;
                Connection {
                    username: required("secret.username", &secret.username)?,
                    password: required("secret.password", &secret.password)?,
                    host: required("secret.host", &secret.host)?,
                    port: required("secret.port", &secret.port.to_string())?,
                    database: required("secret.database", &secret.database)?,
                }
            }
        };
        Ok(format!(
            "postgresql+asyncpg://{username}:{password}@{host}:{port}/{database}"
        ))
    }
}

/// A part of the connection string, which must not be empty.
pub(crate) fn required(key: &'static str, value: &str) -> Result<String, RenderError> {
    if value.is_empty() {
        Err(RenderError::Required { key })
    } else {
        Ok(value.to_owned())
    }
}
