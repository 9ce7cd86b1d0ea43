//! Proofs that the values make meaningless.

use prefect_e2e_renderer::Values;

use super::{Linter, Rule};
use crate::format::{Component, DataSurvival, Proof, Scenario};

impl Linter<'_> {
    /// Finds the proofs that cannot hold with these values, or hold of anything.
    pub(super) fn proofs(&mut self, scenario: &Scenario, values: &Values) {
        for (index, proof) in scenario.file.proves.iter().enumerate() {
            if let Some((message, hint)) = doubt(proof, values, scenario) {
                let path = ["proves", &index.to_string()];
                self.find(Rule::MeaninglessProof, &path, message, hint);
            }
        }
    }
}

/// What speaks against a proof, and what to do.
fn doubt(proof: &Proof, values: &Values, scenario: &Scenario) -> Option<(String, &'static str)> {
    let doubt = |message: &str, hint: &'static str| Some((message.to_owned(), hint));
    let auth = &values.server.basic_auth;
    match proof {
        Proof::DatabaseRows if !has_bundled(values) => doubt(
            "`databaseRows` looks into the bundled PostgreSQL, which the values do not deploy or use",
            "switch `postgresql.enabled` on, or prove `dataSurvives`",
        ),
        Proof::BackgroundServices if !values.background_services.run_as_separate_deployment => doubt(
            "`backgroundServices` scales the second Deployment, which the values do not deploy",
            "set `backgroundServices.runAsSeparateDeployment: true`",
        ),
        Proof::BasicAuth { .. } if !auth.enabled => doubt(
            "`basicAuth` expects a server that asks for credentials, and `server.basicAuth.enabled` is off",
            "switch it on",
        ),
        Proof::BasicAuth { auth_string }
            if auth.existing_secret.is_empty() && auth.auth_string.as_ref() != Some(auth_string) =>
        {
            doubt(
                "`basicAuth` has other credentials than `server.basicAuth.authString`",
                "let them be the same",
            )
        }
        Proof::Browser if values.server.ui_config.enabled == Some(false) => doubt(
            "`browser` looks at the UI, which `server.uiConfig.enabled: false` switches off",
            "leave the proof out",
        ),
        Proof::Replicas(count) if values.sqlite.enabled && *count != 1 => doubt(
            "`replicas` can be 1 alone with SQLite",
            "say `replicas: 1`, or use PostgreSQL",
        ),
        Proof::DatabaseTls if !scenario.file.requires.external_postgres.as_ref()?.tls => doubt(
            "`databaseTls` needs a database that can do TLS, and `requires.externalPostgres.tls` is off",
            "say `requires: {externalPostgres: {tls: true}}`",
        ),
        Proof::DataSurvives(survival) => doubtful_survival(survival, values),
        _ => None,
    }
}

fn doubtful_survival(survival: &DataSurvival, values: &Values) -> Option<(String, &'static str)> {
    survival.deleting.iter().find_map(|component| match component {
        Component::Database if !has_bundled(values) => Some((
            "`dataSurvives` deletes the bundled PostgreSQL, which the values do not deploy or use".to_owned(),
            "delete the `server` alone",
        )),
        Component::Database if !values.postgresql.primary.persistence.enabled => Some((
            "`dataSurvives` deletes the bundled PostgreSQL, whose data end with its pod".to_owned(),
            "set `postgresql.primary.persistence.enabled: true`, or delete the `server` alone",
        )),
        Component::BackgroundServices if !values.background_services.run_as_separate_deployment => Some((
            "`dataSurvives` deletes the background services, which have no Deployment of their own"
                .to_owned(),
            "set `backgroundServices.runAsSeparateDeployment: true`, or delete the `server` alone",
        )),
        _ => None,
    })
}

/// Whether the server keeps its data in the bundled PostgreSQL.
fn has_bundled(values: &Values) -> bool {
    values.postgresql.enabled && !values.sqlite.enabled
}
