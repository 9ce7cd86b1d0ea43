//! What the pods of the server and of the background services have in common.

use serde_json::{Value, json};

use super::{Chart, scope::bare};
use crate::{
    error::RenderError,
    values::{
        BackgroundServices, ContainerSecurityContext, IntOrString, PodSecurityContext, Resources, Server,
        Table,
    },
};

/// The settings that both components have.
pub(super) struct Workload<'a> {
    pub(super) prefix: &'static str,
    pub(super) component: &'static str,
    pub(super) container: &'static str,
    pub(super) revision_history_limit: Option<i64>,
    pub(super) priority_class_name: &'a str,
    pub(super) env: &'a [Table],
    pub(super) resources: Option<&'a Resources>,
    pub(super) pod_security_context: Option<&'a PodSecurityContext>,
    pub(super) container_security_context: Option<&'a ContainerSecurityContext>,
    pub(super) pod_labels: &'a Table,
    pub(super) pod_annotations: &'a Table,
    pub(super) affinity: &'a Table,
    pub(super) node_selector: &'a Table,
    pub(super) tolerations: &'a [Table],
    pub(super) extra_env_vars_cm: &'a str,
    pub(super) extra_env_vars_secret: &'a str,
    pub(super) extra_containers: &'a [Table],
    pub(super) extra_volumes: &'a [Table],
    pub(super) extra_volume_mounts: &'a [Table],
}

macro_rules! workload {
    ($values:expr, $prefix:literal, $component:literal, $container:literal) => {
        Workload {
            prefix: $prefix,
            component: $component,
            container: $container,
            revision_history_limit: $values.revision_history_limit,
            priority_class_name: &$values.priority_class_name,
            env: &$values.env,
            resources: $values.resources.as_ref(),
            pod_security_context: $values.pod_security_context.as_ref(),
            container_security_context: $values.container_security_context.as_ref(),
            pod_labels: &$values.pod_labels,
            pod_annotations: &$values.pod_annotations,
            affinity: &$values.affinity,
            node_selector: &$values.node_selector,
            tolerations: &$values.tolerations,
            extra_env_vars_cm: &$values.extra_env_vars_cm,
            extra_env_vars_secret: &$values.extra_env_vars_secret,
            extra_containers: &$values.extra_containers,
            extra_volumes: &$values.extra_volumes,
            extra_volume_mounts: &$values.extra_volume_mounts,
        }
    };
}

impl<'a> From<&'a Server> for Workload<'a> {
    fn from(values: &'a Server) -> Self {
        workload!(values, "server", "server", "prefect-server")
    }
}

impl<'a> From<&'a BackgroundServices> for Workload<'a> {
    fn from(values: &'a BackgroundServices) -> Self {
        workload!(
            values,
            "backgroundServices",
            "background-services",
            "prefect-background-services"
        )
    }
}

/// What a component puts into its container besides the common settings.
pub(super) struct Container {
    pub(super) command: Vec<Value>,
    pub(super) args: Vec<Value>,
    pub(super) env: Vec<Value>,
    pub(super) volume_mounts: Vec<Value>,
    pub(super) rest: Table,
}

impl Chart<'_> {
    /// The specification of a component's Deployment.
    pub(super) fn deployment_spec(
        &self,
        workload: &Workload<'_>,
        replicas: Option<i64>,
        service_account: &str,
        container: Container,
    ) -> Result<Value, RenderError> {
        let key = |name: &str| format!("{}.{name}", workload.prefix);
        let mut labels = self.labels(Some(workload.component));
        labels.extend(self.scope.table(&key("podLabels"), workload.pod_labels)?);
        let mut metadata = Table::new();
        if !workload.pod_annotations.is_empty() {
            let annotations = self
                .scope
                .table(&key("podAnnotations"), workload.pod_annotations)?;
            metadata.insert("annotations".to_owned(), annotations.into());
        }
        metadata.insert("labels".to_owned(), labels.into());
        Ok(json!({
            "revisionHistoryLimit": workload.revision_history_limit,
            "replicas": replicas,
            "selector": {"matchLabels": self.selector(workload.component)},
            "template": {
                "metadata": metadata,
                "spec": self.pod_spec(workload, service_account, container)?,
            },
        }))
    }

    fn pod_spec(
        &self,
        workload: &Workload<'_>,
        service_account: &str,
        container: Container,
    ) -> Result<Table, RenderError> {
        let key = |name: &str| format!("{}.{name}", workload.prefix);
        let mut spec = Table::new();
        let pull_secrets = &self.values.global.prefect.image.pull_secrets;
        if !pull_secrets.is_empty() {
            let secrets: Vec<Value> = pull_secrets
                .iter()
                .map(|name| json!({"name": bare(name)}))
                .collect();
            spec.insert("imagePullSecrets".to_owned(), secrets.into());
        }
        spec.insert("serviceAccountName".to_owned(), bare(service_account));
        if !workload.affinity.is_empty() {
            let affinity = self.scope.table(&key("affinity"), workload.affinity)?;
            spec.insert("affinity".to_owned(), affinity.into());
        }
        if !workload.node_selector.is_empty() {
            let selector = self.scope.table(&key("nodeSelector"), workload.node_selector)?;
            spec.insert("nodeSelector".to_owned(), selector.into());
        }
        if !workload.tolerations.is_empty() {
            let tolerations = self.scope.list(&key("tolerations"), workload.tolerations)?;
            spec.insert("tolerations".to_owned(), tolerations.into());
        }
        if let Some(context) = workload
            .pod_security_context
            .map(as_table)
            .filter(|t| !t.is_empty())
        {
            spec.insert("securityContext".to_owned(), context.into());
        }
        if !workload.priority_class_name.is_empty() {
            spec.insert("priorityClassName".to_owned(), bare(workload.priority_class_name));
        }
        let mut containers = vec![Value::Object(self.container(workload, container)?)];
        containers.extend(
            self.scope
                .list(&key("extraContainers"), workload.extra_containers)?,
        );
        spec.insert("containers".to_owned(), containers.into());
        let mut volumes = vec![json!({"name": "scratch", "emptyDir": {}})];
        if self.values.sqlite.enabled {
            volumes.push(json!({
                "name": "sqlite-storage",
                "persistentVolumeClaim": {"claimName": bare(&self.sqlite_claim())},
            }));
        }
        volumes.extend(self.scope.list(&key("extraVolumes"), workload.extra_volumes)?);
        spec.insert("volumes".to_owned(), volumes.into());
        Ok(spec)
    }

    fn container(&self, workload: &Workload<'_>, parts: Container) -> Result<Table, RenderError> {
        let key = |name: &str| format!("{}.{name}", workload.prefix);
        let image = &self.values.global.prefect.image;
        let mut container = Table::new();
        container.insert("name".to_owned(), workload.container.into());
        container.insert(
            "image".to_owned(),
            format!("{}:{}", image.repository, image.prefect_tag).into(),
        );
        container.insert("imagePullPolicy".to_owned(), bare(&image.pull_policy));
        container.insert("command".to_owned(), parts.command.into());
        container.insert("args".to_owned(), parts.args.into());
        container.insert("workingDir".to_owned(), "/home/prefect".into());
        let mut env = parts.env;
        env.extend(
            self.scope
                .list("global.prefect.env", &self.values.global.prefect.env)?,
        );
        env.extend(self.scope.list(&key("env"), workload.env)?);
        container.insert("env".to_owned(), env.into());
        let env_from = self.env_from(workload)?;
        if !env_from.is_empty() {
            container.insert("envFrom".to_owned(), env_from.into());
        }
        if let Some(resources) = workload.resources.map(as_table).filter(|t| !t.is_empty()) {
            container.insert("resources".to_owned(), resources.into());
        }
        let context = workload.container_security_context.map(as_table);
        if let Some(context) = context.filter(|context| !context.is_empty()) {
            container.insert("securityContext".to_owned(), context.into());
        }
        container.extend(parts.rest);
        let mut mounts = vec![
            json!({"mountPath": "/home/prefect", "name": "scratch", "subPathExpr": "home"}),
            json!({"mountPath": "/tmp", "name": "scratch", "subPathExpr": "tmp"}),
        ];
        mounts.extend(parts.volume_mounts);
        if self.values.sqlite.enabled {
            mounts.push(json!({"mountPath": "/data", "name": "sqlite-storage"}));
        }
        mounts.extend(
            self.scope
                .list(&key("extraVolumeMounts"), workload.extra_volume_mounts)?,
        );
        container.insert("volumeMounts".to_owned(), mounts.into());
        Ok(container)
    }

    fn env_from(&self, workload: &Workload<'_>) -> Result<Vec<Value>, RenderError> {
        let key = |name: &str| format!("{}.{name}", workload.prefix);
        let mut sources = Vec::new();
        if !workload.extra_env_vars_cm.is_empty() {
            let name = self
                .scope
                .text(&key("extraEnvVarsCM"), workload.extra_env_vars_cm)?;
            sources.push(json!({"configMapRef": {"name": bare(&name)}}));
        }
        if !workload.extra_env_vars_secret.is_empty() {
            let name = self
                .scope
                .text(&key("extraEnvVarsSecret"), workload.extra_env_vars_secret)?;
            sources.push(json!({"secretRef": {"name": bare(&name)}}));
        }
        Ok(sources)
    }
}

/// The JSON form of a block of settings.
pub(super) fn as_table<T: serde::Serialize>(block: &T) -> Table {
    match serde_json::to_value(block) {
        Ok(Value::Object(table)) => table,
        _ => unreachable!("blocks of settings are maps with text keys"),
    }
}

/// An environment variable whose value the chart puts in quotes. A deleted setting leaves none.
pub(super) fn quoted<T: ToString>(name: &str, value: Option<T>) -> Value {
    json!({"name": name, "value": value.map(|value| value.to_string())})
}

/// A port that the chart writes without quotes.
pub(super) fn bare_port(port: &IntOrString) -> Value {
    match port {
        IntOrString::Int(number) => (*number).into(),
        IntOrString::String(text) => bare(text),
    }
}
