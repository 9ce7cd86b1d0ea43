//! Passwords of the values, and what they refer to that exists in the user's cluster alone.

use serde_json::{Value, json};

use super::{Draft, cluster::WORKLOADS};

/// The parts of a variable's name that say that its value is secret.
const SECRET_WORDS: [&str; 5] = ["PASSWORD", "SECRET", "TOKEN", "API_KEY", "AUTH_STRING"];

/// Volumes that a scenario can give as they are; others are of the user's cluster.
const OWN_VOLUMES: [&str; 4] = ["secret", "emptyDir", "downwardAPI", "projected"];

impl Draft {
    /// Puts made-up passwords in the place of the user's.
    pub(super) fn replace_passwords(&mut self) {
        const WHY: &str = "made up; yours is not kept in a scenario";
        let made_up = self.made_up();
        for key in [
            "postgresql.auth.password",
            "postgresql.auth.postgresPassword",
            "global.postgresql.auth.password",
            "global.postgresql.auth.postgresPassword",
        ] {
            if !self.given_text(key).is_empty() {
                self.set(key, made_up.clone(), WHY);
            }
        }
        if self.is_on("server.basicAuth.enabled", false)
            && self.given_text("server.basicAuth.existingSecret").is_empty()
        {
            self.set("server.basicAuth.authString", format!("admin:{made_up}"), WHY);
        }
        for key in ENV_LISTS {
            let mut replaced = false;
            for variable in self.given_list(key).into_iter().flatten() {
                if is_secret(variable) {
                    variable["value"] = made_up.clone().into();
                    replaced = true;
                }
            }
            if replaced {
                self.comment(
                    key,
                    "secrets among them are made up; yours are not kept in a scenario",
                );
            }
        }
    }

    /// Leaves out variables and settings of ConfigMaps, and empties volumes that only the user has.
    pub(super) fn replace_references(&mut self) {
        for key in ENV_LISTS {
            let Some(list) = self.given_list(key) else {
                continue;
            };
            let before = list.len();
            list.retain(|variable| {
                let reference = &variable["valueFrom"]["configMapKeyRef"];
                reference.is_null() || reference["optional"] == true
            });
            if list.len() < before {
                self.comment(key, "without those that a ConfigMap of yours holds");
            }
        }
        for workload in WORKLOADS {
            self.leave_out(&format!("{workload}.extraEnvVarsCM"), "the ConfigMap is yours");
            let key = format!("{workload}.extraVolumes");
            let mut emptied = Vec::new();
            for volume in self.given_list(&key).into_iter().flatten() {
                let name = volume["name"].clone();
                let own = OWN_VOLUMES.iter().any(|kind| !volume[*kind].is_null());
                if !own {
                    *volume = json!({"name": name, "emptyDir": {}});
                    emptied.push(name.as_str().unwrap_or_default().to_owned());
                }
            }
            if !emptied.is_empty() {
                self.comment(&key, format!("{} is empty here", emptied.join(", ")));
            }
        }
    }
}

const ENV_LISTS: [&str; 3] = ["global.prefect.env", "server.env", "backgroundServices.env"];

fn is_secret(variable: &Value) -> bool {
    let name = variable["name"].as_str().unwrap_or_default().to_uppercase();
    variable["value"].is_string() && SECRET_WORDS.iter().any(|word| name.contains(word))
}
