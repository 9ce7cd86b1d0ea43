//! Users, database and address of the bundled database.

use super::{Database, first};
use crate::{
    chart::database::required,
    error::RenderError,
    values::postgresql::{GlobalAuth, SecretKeys},
};

static NO_GLOBALS: std::sync::LazyLock<GlobalAuth> = std::sync::LazyLock::new(GlobalAuth::default);

/// The parts of a connection string.
pub(crate) struct Connection {
    pub(crate) username: String,
    pub(crate) password: String,
    pub(crate) host: String,
    pub(crate) port: String,
    pub(crate) database: String,
}

impl Database<'_> {
    /// How the server reaches the database. The chart takes user and port from the global settings too,
    /// but password and database from `postgresql.auth` alone.
    pub(crate) fn connection(&self) -> Result<Connection, RenderError> {
        let auth = &self.values.auth;
        Ok(Connection {
            username: self.username().to_owned(),
            password: required("postgresql.auth.password", &auth.password)?,
            host: format!("{}.{}", self.fullname, self.release.namespace),
            port: self.service_port(),
            database: required("postgresql.auth.database", &auth.database)?,
        })
    }

    pub(super) fn global_auth(&self) -> &GlobalAuth {
        self.global
            .postgresql
            .as_ref()
            .map_or(&*NO_GLOBALS, |global| &global.auth)
    }

    /// The custom user; empty or `postgres` means that there is only the admin user.
    pub(super) fn username(&self) -> &str {
        first(&[&self.global_auth().username, &self.values.auth.username])
    }

    pub(super) fn has_custom_user(&self) -> bool {
        !matches!(self.username(), "" | "postgres")
    }

    pub(super) fn database_name(&self) -> Result<String, RenderError> {
        self.scope.text(
            "auth.database",
            first(&[&self.global_auth().database, &self.values.auth.database]),
        )
    }

    pub(super) fn service_port(&self) -> String {
        let global = self
            .global
            .postgresql
            .as_ref()
            .map(|global| &global.service.ports.postgresql);
        match global.filter(|port| !port.is_empty()) {
            Some(port) => port.to_string(),
            None => self.values.primary.service.ports.postgresql.to_string(),
        }
    }

    pub(super) fn existing_secret(&self) -> Option<&str> {
        let name = first(&[
            &self.global_auth().existing_secret,
            &self.values.auth.existing_secret,
        ]);
        (!name.is_empty()).then_some(name)
    }

    pub(super) fn secret_name(&self) -> Result<String, RenderError> {
        match self.existing_secret() {
            Some(name) => self.scope.text("auth.existingSecret", name),
            None => Ok(self.fullname.clone()),
        }
    }

    pub(super) fn admin_password_key(&self) -> Result<String, RenderError> {
        self.secret_key("auth.secretKeys.adminPasswordKey", "postgres-password", |keys| {
            &keys.admin_password_key
        })
    }

    pub(super) fn user_password_key(&self) -> Result<String, RenderError> {
        if self.existing_secret().is_some() && !self.has_custom_user() {
            return self.admin_password_key();
        }
        self.secret_key("auth.secretKeys.userPasswordKey", "password", |keys| {
            &keys.user_password_key
        })
    }

    /// A key of the Secret: the user's where the Secret is the user's.
    fn secret_key(
        &self,
        key: &str,
        own: &str,
        choose: impl Fn(&SecretKeys) -> &String,
    ) -> Result<String, RenderError> {
        if self.existing_secret().is_none() {
            return Ok(own.to_owned());
        }
        let chosen = first(&[
            choose(&self.global_auth().secret_keys),
            choose(&self.values.auth.secret_keys),
        ]);
        self.scope.text(key, chosen)
    }
}
