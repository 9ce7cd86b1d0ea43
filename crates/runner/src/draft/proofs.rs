//! What can be proven of the values.

use std::collections::BTreeSet;

use prefect_e2e_renderer::Values;
use prefect_e2e_scenarios::{Component, DataSurvival, Proof};
use serde_json::json;

use super::{Draft, DraftError};

impl Draft {
    /// Proposes the proofs that these values have a meaning for.
    pub(super) fn propose_proofs(&mut self) -> Result<(), DraftError> {
        let values = self.effective()?;
        let is_bundled = values.postgresql.enabled && !values.sqlite.enabled;
        let mut proofs = Vec::new();
        if self.can_be_browsed(&values) {
            proofs.push(Proof::Browser);
        }
        if values.server.basic_auth.enabled {
            proofs.push(Proof::BasicAuth {
                auth_string: format!("admin:{}", self.made_up()),
            });
        }
        if values.sqlite.enabled && values.server.replica_count.is_some_and(|count| count > 1) {
            proofs.push(Proof::Replicas(1));
        }
        if is_bundled {
            proofs.push(Proof::DatabaseRows);
        }
        if self
            .file
            .requires
            .external_postgres
            .as_ref()
            .is_some_and(|one| one.tls)
        {
            proofs.push(Proof::DatabaseTls);
        }
        if values.background_services.run_as_separate_deployment {
            self.schedule_every_second();
            proofs.push(Proof::BackgroundServices);
        }
        if !values.sqlite.enabled || values.sqlite.persistence.enabled {
            let mut deleting = BTreeSet::from([Component::Server]);
            if is_bundled && values.postgresql.primary.persistence.enabled {
                deleting.insert(Component::Database);
            }
            proofs.push(Proof::DataSurvives(DataSurvival { deleting }));
        }
        self.file.proves = proofs;
        Ok(())
    }

    /// Whether a browser reaches the UI's API over plain HTTP.
    fn can_be_browsed(&self, values: &Values) -> bool {
        let ui = &values.server.ui_config;
        let plain = ui
            .prefect_ui_api_url
            .as_ref()
            .is_none_or(|url| url.starts_with("http://"));
        ui.enabled != Some(false) && plain
    }

    /// What is due is looked for at once, so that the proof need not wait for it.
    fn schedule_every_second(&mut self) {
        for service in [
            "SCHEDULER_LOOP_SECONDS",
            "SCHEDULER_RECENT_DEPLOYMENTS_LOOP_SECONDS",
        ] {
            let name = format!("PREFECT_SERVER_SERVICES_{service}");
            self.add_env(
                json!({"name": name, "value": "1"}),
                "what is due is looked for every second",
            );
        }
    }
}
