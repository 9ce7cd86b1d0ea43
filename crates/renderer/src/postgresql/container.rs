//! The container of the database.

use serde_json::{Value, json};

use super::{
    Database,
    pod::{is_enabled, without_enabled},
    services::number_or_text,
};
use crate::{
    chart::bare,
    error::RenderError,
    values::{Table, postgresql::PostgresqlProbe},
};

const CERTIFICATES: &str = "/opt/bitnami/postgresql/certs";

impl Database<'_> {
    pub(super) fn container(&self) -> Result<Table, RenderError> {
        let primary = &self.values.primary;
        let image = &self.values.image;
        let mut container = Table::new();
        container.insert("name".to_owned(), "postgresql".into());
        let reference = self.image(&image.registry, &image.repository, &image.tag, &image.digest);
        container.insert("image".to_owned(), reference);
        container.insert("imagePullPolicy".to_owned(), image.pull_policy.clone().into());
        if is_enabled(&primary.container_security_context) {
            let context = without_enabled(&primary.container_security_context);
            container.insert("securityContext".to_owned(), context);
        }
        self.insert_list(&mut container, "command", "primary.command", &primary.command)?;
        self.insert_list(&mut container, "args", "primary.args", &primary.args)?;
        let mut env = self.env()?;
        env.extend(self.scope.list("primary.extraEnvVars", &primary.extra_env_vars)?);
        container.insert("env".to_owned(), env.into());
        let env_from = self.env_from();
        if !env_from.is_empty() {
            container.insert("envFrom".to_owned(), env_from.into());
        }
        let port = number_or_text(&self.values.container_ports.postgresql);
        container.insert(
            "ports".to_owned(),
            json!([{"name": "tcp-postgresql", "containerPort": port}]),
        );
        self.probes(&mut container)?;
        if !primary.resources.is_empty() {
            container.insert("resources".to_owned(), primary.resources.clone().into());
        }
        self.insert_table(
            &mut container,
            "lifecycle",
            "primary.lifecycleHooks",
            &primary.lifecycle_hooks,
        )?;
        let mut mounts = self.mounts()?;
        mounts.extend(
            self.scope
                .list("primary.extraVolumeMounts", &primary.extra_volume_mounts)?,
        );
        if !mounts.is_empty() {
            container.insert("volumeMounts".to_owned(), mounts.into());
        }
        Ok(container)
    }

    /// An image's reference: the global registry wins, the digest wins over the tag.
    pub(super) fn image(&self, registry: &str, repository: &str, tag: &str, digest: &str) -> Value {
        let registry = if self.global.image_registry.is_empty() {
            registry
        } else {
            &self.global.image_registry
        };
        let version = if digest.is_empty() {
            format!(":{tag}")
        } else {
            format!("@{digest}")
        };
        let slash = if registry.is_empty() { "" } else { "/" };
        bare(&format!("{registry}{slash}{repository}{version}"))
    }

    fn env(&self) -> Result<Vec<Value>, RenderError> {
        let values = self.values;
        let mount_path = values.primary.persistence.mount_path.as_deref();
        let mut env = vec![
            text_env("BITNAMI_DEBUG", &values.image.debug),
            text_env("POSTGRESQL_PORT_NUMBER", &values.container_ports.postgresql),
            optional_env("POSTGRESQL_VOLUME_DIR", mount_path),
        ];
        if mount_path.is_some_and(|path| !path.is_empty()) {
            env.push(optional_env("PGDATA", values.postgresql_data_dir.as_deref()));
        }
        self.user_env(&mut env)?;
        let database = self.database_name()?;
        if !database.is_empty() {
            env.push(text_env("POSTGRES_DATABASE", &database));
        }
        self.initdb_env(&mut env);
        env.push(text_env("POSTGRESQL_ENABLE_LDAP", "no"));
        self.tls_env(&mut env)?;
        self.audit_env(&mut env);
        Ok(env)
    }

    fn user_env(&self, env: &mut Vec<Value>) -> Result<(), RenderError> {
        let auth = &self.values.auth;
        if self.has_custom_user() {
            env.push(text_env("POSTGRES_USER", self.username()));
            env.push(self.password_env("POSTGRES_PASSWORD", &self.user_password_key()?)?);
            if auth.enable_postgres_user {
                env.push(self.password_env("POSTGRES_POSTGRES_PASSWORD", &self.admin_password_key()?)?);
            }
        } else if auth.enable_postgres_user {
            env.push(self.password_env("POSTGRES_PASSWORD", &self.admin_password_key()?)?);
        } else {
            env.push(text_env("ALLOW_EMPTY_PASSWORD", "true"));
        }
        Ok(())
    }

    fn password_env(&self, name: &str, key: &str) -> Result<Value, RenderError> {
        if self.values.auth.use_password_files {
            let path = bare(&format!("/opt/bitnami/postgresql/secrets/{key}"));
            return Ok(json!({"name": format!("{name}_FILE"), "value": path}));
        }
        let secret = bare(&self.secret_name()?);
        Ok(json!({"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": bare(key)}}}))
    }

    fn initdb_env(&self, env: &mut Vec<Value>) {
        let initdb = &self.values.primary.initdb;
        if !initdb.args.is_empty() {
            env.push(text_env("POSTGRES_INITDB_ARGS", &initdb.args));
        }
        if !initdb.postgresql_wal_dir.is_empty() {
            env.push(text_env("POSTGRES_INITDB_WALDIR", &initdb.postgresql_wal_dir));
        }
        if !initdb.user.is_empty() {
            env.push(json!({"name": "POSTGRES_INITSCRIPTS_USERNAME", "value": bare(&initdb.user)}));
        }
        if !initdb.password.is_empty() {
            env.push(text_env("POSTGRES_INITSCRIPTS_PASSWORD", &initdb.password));
        }
    }

    fn tls_env(&self, env: &mut Vec<Value>) -> Result<(), RenderError> {
        let tls = &self.values.tls;
        let yes_or_no = |yes: bool| if yes { "yes" } else { "no" };
        env.push(text_env("POSTGRESQL_ENABLE_TLS", yes_or_no(tls.enabled)));
        if !tls.enabled {
            return Ok(());
        }
        env.push(text_env(
            "POSTGRESQL_TLS_PREFER_SERVER_CIPHERS",
            yes_or_no(tls.prefer_server_ciphers),
        ));
        env.push(json!({"name": "POSTGRESQL_TLS_CERT_FILE", "value": bare(&self.certificate_path()?)}));
        env.push(json!({"name": "POSTGRESQL_TLS_KEY_FILE", "value": bare(&self.certificate_key_path()?)}));
        for (name, file) in [
            ("POSTGRESQL_TLS_CA_FILE", &tls.cert_ca_filename),
            ("POSTGRESQL_TLS_CRL_FILE", &tls.crl_filename),
        ] {
            if !file.is_empty() {
                env.push(json!({"name": name, "value": bare(&format!("{CERTIFICATES}/{file}"))}));
            }
        }
        Ok(())
    }

    fn audit_env(&self, env: &mut Vec<Value>) {
        let audit = &self.values.audit;
        env.push(optional_env("POSTGRESQL_LOG_HOSTNAME", audit.log_hostname));
        env.push(optional_env("POSTGRESQL_LOG_CONNECTIONS", audit.log_connections));
        env.push(optional_env(
            "POSTGRESQL_LOG_DISCONNECTIONS",
            audit.log_disconnections,
        ));
        for (name, value) in [
            ("POSTGRESQL_LOG_LINE_PREFIX", &audit.log_line_prefix),
            ("POSTGRESQL_LOG_TIMEZONE", &audit.log_timezone),
            ("POSTGRESQL_PGAUDIT_LOG", &audit.pg_audit_log),
        ] {
            if !value.is_empty() {
                env.push(text_env(name, value));
            }
        }
        env.push(optional_env(
            "POSTGRESQL_PGAUDIT_LOG_CATALOG",
            audit.pg_audit_log_catalog.as_deref(),
        ));
        env.push(optional_env(
            "POSTGRESQL_CLIENT_MIN_MESSAGES",
            audit.client_min_messages.as_deref(),
        ));
        let libraries = self.values.postgresql_shared_preload_libraries.as_deref();
        env.push(optional_env("POSTGRESQL_SHARED_PRELOAD_LIBRARIES", libraries));
    }

    fn env_from(&self) -> Vec<Value> {
        let primary = &self.values.primary;
        let mut sources = Vec::new();
        if !primary.extra_env_vars_cm.is_empty() {
            sources.push(json!({"configMapRef": {"name": bare(&primary.extra_env_vars_cm)}}));
        }
        if !primary.extra_env_vars_secret.is_empty() {
            sources.push(json!({"secretRef": {"name": bare(&primary.extra_env_vars_secret)}}));
        }
        sources
    }

    fn probes(&self, container: &mut Table) -> Result<(), RenderError> {
        let primary = &self.values.primary;
        let is_ready = || -> Result<Value, RenderError> {
            let with_certificate = self.values.tls.enabled && !self.values.tls.cert_ca_filename.is_empty();
            Ok(json!(["/bin/sh", "-c", self.pg_isready(with_certificate)?]))
        };
        for (name, custom, probe) in [
            (
                "startupProbe",
                &primary.custom_startup_probe,
                &primary.startup_probe,
            ),
            (
                "livenessProbe",
                &primary.custom_liveness_probe,
                &primary.liveness_probe,
            ),
        ] {
            if !custom.is_empty() {
                let key = format!("primary.custom{}{}", name[..1].to_uppercase(), &name[1..]);
                self.insert_table(container, name, &key, custom)?;
            } else if probe.enabled {
                container.insert(name.to_owned(), exec_probe(probe, &is_ready()?).into());
            }
        }
        let (custom, probe) = (&primary.custom_readiness_probe, &primary.readiness_probe);
        if !custom.is_empty() {
            self.insert_table(
                container,
                "readinessProbe",
                "primary.customReadinessProbe",
                custom,
            )?;
        } else if probe.enabled {
            let mut script = format!("{}\n", self.pg_isready(self.values.tls.enabled)?);
            if self.values.image.repository.contains("bitnami/") {
                script.push_str(
                    "[ -f /opt/bitnami/postgresql/tmp/.initialized ] || [ -f /bitnami/postgresql/.initialized ]\n",
                );
            }
            let command = json!(["/bin/sh", "-c", "-e", script]);
            container.insert("readinessProbe".to_owned(), exec_probe(probe, &command).into());
        }
        Ok(())
    }

    /// The command that asks the database whether it takes connections.
    fn pg_isready(&self, with_certificate: bool) -> Result<String, RenderError> {
        let user = match self.username() {
            "" => "postgres",
            user => user,
        };
        let database = self.database_name()?;
        let mut parameters = Vec::new();
        if !database.is_empty() {
            parameters.push(format!("dbname={database}"));
        }
        if with_certificate {
            parameters.push(format!("sslcert={}", self.certificate_path()?));
            parameters.push(format!("sslkey={}", self.certificate_key_path()?));
        }
        let parameters = match parameters.as_slice() {
            [] => String::new(),
            parameters => format!(" -d \"{}\"", parameters.join(" ")),
        };
        let port = &self.values.container_ports.postgresql;
        Ok(format!(
            "exec pg_isready -U {}{parameters} -h 127.0.0.1 -p {port}",
            quote(user)
        ))
    }

    fn mounts(&self) -> Result<Vec<Value>, RenderError> {
        let values = self.values;
        let primary = &values.primary;
        let mut mounts = Vec::new();
        let mut mount = |name: &str, path: Value| mounts.push(json!({"name": name, "mountPath": path}));
        if self.scripts_name()?.is_some() {
            mount("custom-init-scripts", "/docker-entrypoint-initdb.d/".into());
        }
        if !primary.initdb.scripts_secret.is_empty() {
            mount(
                "custom-init-scripts-secret",
                "/docker-entrypoint-initdb.d/secret".into(),
            );
        }
        if self.extended_configuration_name()?.is_some() {
            mount(
                "postgresql-extended-config",
                format!("{}/conf/conf.d/", self.mount_path()).into(),
            );
        }
        if values.auth.use_password_files {
            mount("postgresql-password", "/opt/bitnami/postgresql/secrets/".into());
        }
        if values.tls.enabled {
            mounts.push(
                json!({"name": "postgresql-certificates", "mountPath": CERTIFICATES, "readOnly": true}),
            );
        }
        if values.shm_volume.enabled {
            mounts.push(json!({"name": "dshm", "mountPath": "/dev/shm"}));
        }
        if primary.persistence.enabled {
            let mut data = json!({"name": "data", "mountPath": bare(self.mount_path())});
            if !primary.persistence.sub_path.is_empty() {
                data["subPath"] = bare(&primary.persistence.sub_path);
            }
            mounts.push(data);
        }
        if self.configuration_name()?.is_some() {
            mounts.push(
                json!({"name": "postgresql-config", "mountPath": format!("{}/conf", self.mount_path())}),
            );
        }
        Ok(mounts)
    }

    pub(super) fn mount_path(&self) -> &str {
        self.values
            .primary
            .persistence
            .mount_path
            .as_deref()
            .unwrap_or_default()
    }

    pub(super) fn certificates_secret(&self) -> Result<&str, RenderError> {
        match self.values.tls.certificates_secret.as_str() {
            "" => Err(self.needed_for_tls("tls.certificatesSecret")),
            name => Ok(name),
        }
    }

    fn certificate_path(&self) -> Result<String, RenderError> {
        match self.values.tls.cert_filename.as_str() {
            "" => Err(self.needed_for_tls("tls.certFilename")),
            file => Ok(format!("{CERTIFICATES}/{file}")),
        }
    }

    pub(super) fn certificate_key_path(&self) -> Result<String, RenderError> {
        match self.values.tls.cert_key_filename.as_str() {
            "" => Err(self.needed_for_tls("tls.certKeyFilename")),
            file => Ok(format!("{CERTIFICATES}/{file}")),
        }
    }

    fn needed_for_tls(&self, key: &str) -> RenderError {
        self.scope
            .refuse(key, "is required when `postgresql.tls.enabled` is true")
    }
}

fn exec_probe(probe: &PostgresqlProbe, command: &Value) -> Table {
    let mut table = Table::new();
    table.insert(
        "initialDelaySeconds".to_owned(),
        probe.initial_delay_seconds.into(),
    );
    table.insert("periodSeconds".to_owned(), probe.period_seconds.into());
    table.insert("timeoutSeconds".to_owned(), probe.timeout_seconds.into());
    table.insert("failureThreshold".to_owned(), probe.failure_threshold.into());
    table.insert("successThreshold".to_owned(), probe.success_threshold.into());
    table.insert("exec".to_owned(), json!({"command": command}));
    table
}

/// A variable whose value the chart puts in quotes.
fn text_env(name: &str, value: &(impl ToString + ?Sized)) -> Value {
    json!({"name": name, "value": value.to_string()})
}

/// A variable whose value the chart puts in quotes, and leaves out when the setting was deleted.
fn optional_env(name: &str, value: Option<impl ToString>) -> Value {
    json!({"name": name, "value": value.map(|value| value.to_string())})
}

/// A text in double quotes, as Go writes it.
fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
