//! The background services: Deployment and ServiceAccount.

use serde_json::{Value, json};

use super::{
    Chart,
    scope::bare,
    server::entrypoint,
    workload::{Container, Workload, quoted},
};
use crate::{error::RenderError, object::Object};

impl Chart<'_> {
    pub(super) fn background_services(&self, objects: &mut Vec<Object>) -> Result<(), RenderError> {
        const COMPONENT: Option<&str> = Some("background-services");
        let values = &self.values.background_services;
        if !values.run_as_separate_deployment {
            return Ok(());
        }
        let account = &values.service_account;
        let account_name = match account.name.as_str() {
            "" if account.create => format!("{}-background-services", self.fullname),
            "" => self.server_account(),
            name => name.to_owned(),
        };
        if account.create {
            let mut annotations = self.common_annotations.clone();
            let key = "backgroundServices.serviceAccount.annotations";
            annotations.extend(self.scope.table(key, &account.annotations)?);
            objects.push(Object::new(json!({
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": self.metadata(bare(&account_name), COMPONENT, annotations)?,
            })));
        }
        let container = Container {
            command: entrypoint(),
            args: ["prefect", "server", "services", "start"]
                .map(Value::from)
                .to_vec(),
            env: vec![
                json!({"name": "HOME", "value": "/home/prefect"}),
                quoted("PREFECT_DEBUG_MODE", values.debug),
                quoted("PREFECT_LOGGING_SERVER_LEVEL", values.logging_level.as_ref()),
                json!({"name": "PREFECT_UI_ENABLED", "value": "false"}),
                self.connection_env(),
            ],
            volume_mounts: Vec::new(),
            rest: self.http_probes(&values.liveness_probe, &values.readiness_probe),
        };
        let name = bare(&format!("{}-background-services", self.fullname));
        objects.push(Object::new(json!({
            "apiVersion": self.capabilities.deployment(),
            "kind": "Deployment",
            "metadata": self.metadata(name, COMPONENT, self.common_annotations.clone())?,
            "spec": self.deployment_spec(&Workload::from(values), Some(1), &account_name, container)?,
        })));
        Ok(())
    }
}
