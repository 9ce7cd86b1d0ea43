//! An external database of the values becomes one that the scenario requires.

use prefect_e2e_scenarios::ExternalPostgres;
use serde_json::Value;

use super::Draft;

/// Where the driver looks for the certificate of the authority.
const DRIVERS_DIRECTORY: &str = "/home/prefect/.postgresql";

impl Draft {
    /// Lets the values reach a database of the scenario's own.
    pub(super) fn reach_a_database(&mut self) {
        if !self.is_external() {
            return;
        }
        let query = self.connection_query();
        let tls = query.is_some() || self.asks_for_tls();
        self.file.requires.external_postgres = Some(ExternalPostgres { tls });
        if !self.is_on("secret.create", true) {
            return;
        }
        for (key, placeholder) in [
            ("username", "${postgres.user}"),
            ("password", "${postgres.password}"),
            ("host", "${postgres.host}"),
            ("port", "${postgres.port}"),
        ] {
            self.set(&format!("secret.{key}"), placeholder, "");
        }
        let database = format!("${{postgres.database}}{}", query.unwrap_or_default());
        self.set("secret.database", database, "");
        self.comment(
            "secret",
            "your database is not touched: this one is made for the scenario",
        );
    }

    /// Whether the server keeps its data outside the deployment.
    pub(super) fn is_external(&self) -> bool {
        !self.is_on("postgresql.enabled", true) && !self.is_on("sqlite.enabled", false)
    }

    /// What the connection string says after the database's name, in the values or for a Secret that exists.
    pub(super) fn connection_query(&self) -> Option<String> {
        let database = self.given_text("secret.database");
        if let Some((_, query)) = database.split_once('?') {
            return query.contains("ssl").then(|| format!("?{query}"));
        }
        // the driver verifies when it is told where the authority's certificate is
        self.mounts_an_authority().then(|| "?ssl=verify-ca".to_owned())
    }

    fn mounts_an_authority(&self) -> bool {
        let mounts = self.given("server.extraVolumeMounts").and_then(Value::as_array);
        let is_there = |mount: &Value| {
            mount["mountPath"]
                .as_str()
                .is_some_and(|path| path.starts_with(DRIVERS_DIRECTORY))
        };
        mounts.into_iter().flatten().any(is_there)
    }

    /// Whether the driver is told by its environment to encrypt.
    fn asks_for_tls(&self) -> bool {
        let lists = ["global.prefect.env", "server.env"].map(|key| self.given(key).and_then(Value::as_array));
        let variables = lists.into_iter().flatten().flatten();
        let mut modes = variables.filter(|variable| variable["name"] == "PGSSLMODE");
        modes.any(|variable| {
            variable["value"]
                .as_str()
                .is_some_and(|mode| mode == "require" || mode.starts_with("verify-"))
        })
    }
}
