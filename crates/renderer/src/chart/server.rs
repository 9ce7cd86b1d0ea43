//! The web server: Deployment, ServiceAccount, HorizontalPodAutoscaler.

use serde_json::{Value, json};

use super::{
    Chart,
    scope::bare,
    workload::{Container, Workload, as_table, bare_port, quoted},
};
use crate::{
    error::RenderError,
    object::Object,
    values::{IntOrString, Probe, Table},
};

impl Chart<'_> {
    pub(super) fn server(&self, objects: &mut Vec<Object>) -> Result<(), RenderError> {
        let account = &self.values.service_account;
        if account.create {
            let mut annotations = self.common_annotations.clone();
            annotations.extend(
                self.scope
                    .table("serviceAccount.annotations", &account.annotations)?,
            );
            objects.push(Object::new(json!({
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": self.metadata(bare(&self.server_account()), Some("server"), annotations)?,
            })));
        }
        objects.push(self.server_deployment()?);
        if self.values.server.autoscaling.enabled && self.asks_for_resources() && !self.values.sqlite.enabled
        {
            objects.push(self.autoscaler()?);
        }
        Ok(())
    }

    /// The ServiceAccount under which the server runs.
    pub(super) fn server_account(&self) -> String {
        let account = &self.values.service_account;
        match account.name.as_str() {
            "" if account.create => self.fullname.clone(),
            "" => "default".to_owned(),
            name => name.to_owned(),
        }
    }

    fn server_deployment(&self) -> Result<Object, RenderError> {
        let values = &self.values.server;
        let replicas = if self.values.sqlite.enabled {
            Some(1)
        } else {
            values.replica_count
        };
        let mut rest = Table::new();
        rest.insert(
            "ports".to_owned(),
            json!([{"containerPort": as_int(&self.values.service.target_port)}]),
        );
        rest.extend(self.http_probes(&values.liveness_probe, &values.readiness_probe));
        let container = Container {
            command: self.server_command(),
            args: self.server_args(),
            env: self.server_env(),
            volume_mounts: vec![json!({
                "mountPath": values.ui_config.prefect_ui_static_directory.as_deref().map(bare),
                "name": "scratch",
                "subPathExpr": "ui-build",
            })],
            rest,
        };
        let workload = Workload::from(values);
        Ok(Object::new(json!({
            "apiVersion": self.capabilities.deployment(),
            "kind": "Deployment",
            "metadata": self.metadata(bare(&self.fullname), Some("server"), self.common_annotations.clone())?,
            "spec": self.deployment_spec(&workload, replicas, &self.server_account(), container)?,
        })))
    }

    fn server_command(&self) -> Vec<Value> {
        match self.values.server.command.as_slice() {
            [] => entrypoint(),
            command => command.to_vec(),
        }
    }

    fn server_args(&self) -> Vec<Value> {
        let values = &self.values.server;
        if !values.args.is_empty() {
            return values.args.clone();
        }
        let mut args = vec!["prefect".into(), "server".into(), "start".into()];
        if self.values.background_services.run_as_separate_deployment {
            args.push("--no-services".into());
        }
        args.push("--port".into());
        args.push(self.values.service.target_port.to_string().into());
        args.extend(values.extra_args.iter().map(|arg| match arg {
            Value::String(text) => bare(text),
            other => other.clone(),
        }));
        args
    }

    fn server_env(&self) -> Vec<Value> {
        let values = &self.values.server;
        let mut env = vec![
            json!({"name": "HOME", "value": "/home/prefect"}),
            quoted("PREFECT_DEBUG_MODE", values.debug),
            quoted("PREFECT_LOGGING_SERVER_LEVEL", values.logging_level.as_ref()),
            json!({"name": "PREFECT_SERVER_API_HOST", "value": "0.0.0.0"}),
            quoted("PREFECT_SERVER_API_PORT", Some(&self.values.service.target_port)),
            quoted("PREFECT_UI_ENABLED", values.ui_config.enabled),
            quoted("PREFECT_UI_API_URL", values.ui_config.prefect_ui_api_url.as_ref()),
            quoted(
                "PREFECT_UI_STATIC_DIRECTORY",
                values.ui_config.prefect_ui_static_directory.as_ref(),
            ),
            self.connection_env(),
        ];
        let auth = &values.basic_auth;
        if auth.enabled {
            const NAME: &str = "PREFECT_SERVER_API_AUTH_STRING";
            env.push(match auth.existing_secret.as_str() {
                "" => quoted(NAME, auth.auth_string.as_ref()),
                secret => json!({
                    "name": NAME,
                    "valueFrom": {"secretKeyRef": {"name": bare(secret), "key": "auth-string"}},
                }),
            });
        }
        env
    }

    /// The probes that are wanted, of the port of the web server whichever the component.
    pub(super) fn http_probes(&self, liveness: &Probe, readiness: &Probe) -> Table {
        let mut probes = Table::new();
        for (name, probe, path) in [
            ("livenessProbe", liveness, "/api/health"),
            ("readinessProbe", readiness, "/api/ready"),
        ] {
            if !probe.enabled {
                continue;
            }
            let port = bare_port(&self.values.service.target_port);
            let mut table = Table::new();
            table.insert("httpGet".to_owned(), json!({"path": path, "port": port}));
            if let Some(config) = &probe.config {
                table.extend(as_table(config));
            }
            probes.insert(name.to_owned(), table.into());
        }
        probes
    }

    /// The chart scales only what has requests, since the metrics are parts of them.
    fn asks_for_resources(&self) -> bool {
        let resources = self.values.server.resources.as_ref();
        resources
            .and_then(|resources| resources.requests.as_ref())
            .is_some_and(|requests| !requests.is_empty())
    }

    fn autoscaler(&self) -> Result<Object, RenderError> {
        let autoscaling = &self.values.server.autoscaling;
        let mut metrics = Vec::new();
        for (name, target) in [
            ("cpu", autoscaling.target_cpu),
            ("memory", autoscaling.target_memory),
        ] {
            let Some(target) = target.filter(|target| *target != 0) else {
                continue;
            };
            metrics.push(if self.capabilities.has_metric_targets() {
                json!({"type": "Resource", "resource": {
                    "name": name,
                    "target": {"type": "Utilization", "averageUtilization": target},
                }})
            } else {
                json!({"type": "Resource", "resource": {"name": name, "targetAverageUtilization": target}})
            });
        }
        Ok(Object::new(json!({
            "apiVersion": self.capabilities.horizontal_pod_autoscaler(),
            "kind": "HorizontalPodAutoscaler",
            "metadata": self.metadata(bare(&self.fullname), None, self.common_annotations.clone())?,
            "spec": {
                "scaleTargetRef": {
                    "apiVersion": self.capabilities.deployment(),
                    "kind": "Deployment",
                    "name": bare(&self.fullname),
                },
                "minReplicas": autoscaling.min_replicas,
                "maxReplicas": autoscaling.max_replicas,
                "metrics": metrics,
            },
        })))
    }
}

/// The entrypoint of Prefect's image.
pub(super) fn entrypoint() -> Vec<Value> {
    ["/usr/bin/tini", "-g", "--", "/opt/prefect/entrypoint.sh"]
        .map(Value::from)
        .to_vec()
}

/// A port as sprig's `int` reads it: a text that is no number is zero.
fn as_int(port: &IntOrString) -> i64 {
    match port {
        IntOrString::Int(number) => *number,
        IntOrString::String(text) => text.parse().unwrap_or(0),
    }
}
