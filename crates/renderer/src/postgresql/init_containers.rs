//! What runs before the database: certificates and volumes get their owner.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{
    Database,
    pod::{is_enabled, without_enabled},
};
use crate::{error::RenderError, values::Table};

impl Database<'_> {
    pub(super) fn init_containers(&self) -> Result<Vec<Value>, RenderError> {
        let values = self.values;
        let primary = &values.primary;
        let mut containers = Vec::new();
        if values.tls.enabled && !values.volume_permissions.enabled {
            containers.push(self.copy_certificates()?);
        } else if values.volume_permissions.enabled
            && (primary.persistence.enabled || values.shm_volume.enabled)
        {
            containers.push(self.change_owner()?);
        }
        containers.extend(
            self.scope
                .list("primary.initContainers", &primary.init_containers)?,
        );
        Ok(containers)
    }

    fn copy_certificates(&self) -> Result<Value, RenderError> {
        let primary = &self.values.primary;
        let mut container = self.helper("copy-certs");
        if !primary.resources.is_empty() {
            container.insert("resources".to_owned(), primary.resources.clone().into());
        }
        if is_enabled(&primary.container_security_context) {
            let context = without_enabled(&primary.container_security_context);
            container.insert("securityContext".to_owned(), context);
        }
        let script = format!(
            "cp /tmp/certs/* /opt/bitnami/postgresql/certs/\nchmod 600 {}\n",
            self.certificate_key_path()?
        );
        container.insert("command".to_owned(), json!(["/bin/sh", "-ec", script]));
        container.insert("volumeMounts".to_owned(), certificate_mounts().to_vec().into());
        Ok(container.into())
    }

    fn change_owner(&self) -> Result<Value, RenderError> {
        let permissions = &self.values.volume_permissions;
        let mut container = self.helper("init-chmod-data");
        if !permissions.resources.is_empty() {
            container.insert("resources".to_owned(), permissions.resources.clone().into());
        }
        let script = self.change_owner_script()?;
        container.insert("command".to_owned(), json!(["/bin/sh", "-ec", script]));
        let mut context = permissions.container_security_context.clone();
        if self.owner_is_auto() {
            context.shift_remove("runAsUser");
        }
        container.insert("securityContext".to_owned(), context.into());
        let mut data = json!({"name": "data", "mountPath": self.mount_path()});
        let sub_path = &self.values.primary.persistence.sub_path;
        if !sub_path.is_empty() {
            data["subPath"] = crate::chart::bare(sub_path);
        }
        let mut mounts = vec![data];
        if self.values.shm_volume.enabled {
            mounts.push(json!({"name": "dshm", "mountPath": "/dev/shm"}));
        }
        if self.values.tls.enabled {
            mounts.extend(certificate_mounts());
        }
        container.insert("volumeMounts".to_owned(), mounts.into());
        Ok(container.into())
    }

    fn change_owner_script(&self) -> Result<String, RenderError> {
        let values = self.values;
        let path = self.mount_path();
        let configured = self.configuration_name()?.is_some();
        let auto = self.owner_is_auto();
        let owner = if auto {
            "`id -u`:`id -G | cut -d \" \" -f2`".to_owned()
        } else {
            let primary = &values.primary;
            let id = |block: &Table, key: &str| block.get(key).map(Value::to_string).unwrap_or_default();
            format!(
                "{}:{}",
                id(&primary.container_security_context, "runAsUser"),
                id(&primary.pod_security_context, "fsGroup")
            )
        };
        let mut script = String::new();
        if values.primary.persistence.enabled {
            let conf = if configured {
                format!(" {path}/conf")
            } else {
                String::new()
            };
            let spare = if configured { "" } else { " -not -name \"conf\"" };
            let _ = write!(
                script,
                "chown {owner} {path}\nmkdir -p {path}/data{conf}\nchmod 700 {path}/data{conf}\n\
                 find {path} -mindepth 1 -maxdepth 1{spare} -not -name \".snapshot\" -not -name \"lost+found\" | \\\n\
                 \u{20} xargs -r chown -R {owner}\n"
            );
        }
        if values.shm_volume.enabled {
            script.push_str("chmod -R 777 /dev/shm\n");
        }
        if values.tls.enabled {
            let key = self.certificate_key_path()?;
            let _ = write!(
                script,
                "cp /tmp/certs/* /opt/bitnami/postgresql/certs/\n\
                 chown -R {owner} /opt/bitnami/postgresql/certs/\nchmod 600 {key}\n"
            );
        }
        Ok(script)
    }

    fn owner_is_auto(&self) -> bool {
        let user = self
            .values
            .volume_permissions
            .container_security_context
            .get("runAsUser");
        user == Some(&Value::from("auto"))
    }

    fn helper(&self, name: &str) -> Table {
        let image = &self.values.volume_permissions.image;
        let mut container = Table::new();
        container.insert("name".to_owned(), name.into());
        let reference = self.image(&image.registry, &image.repository, &image.tag, &image.digest);
        container.insert("image".to_owned(), reference);
        container.insert("imagePullPolicy".to_owned(), image.pull_policy.clone().into());
        container
    }
}

fn certificate_mounts() -> [Value; 2] {
    [
        json!({"name": "raw-certificates", "mountPath": "/tmp/certs"}),
        json!({"name": "postgresql-certificates", "mountPath": "/opt/bitnami/postgresql/certs"}),
    ]
}
