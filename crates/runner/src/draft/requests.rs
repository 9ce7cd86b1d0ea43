//! Requests of CPU and memory that fit beside other scenarios.

use prefect_e2e_api_server::thousandths;
use serde_json::Value;

use super::{Draft, DraftError, cluster::WORKLOADS};

/// What one scenario may ask for: two run at once on each core, in thousandths of a core and in bytes.
const ROOM: [(&str, i128); 2] = [("cpu", 500), ("memory", 1 << 30)];

/// Enough to be scheduled; nothing keeps a pod from using more.
const SMALL: [(&str, &str); 2] = [("cpu", "50m"), ("memory", "128Mi")];

impl Draft {
    /// Makes the requests small if all of them together do not fit.
    pub(super) fn shrink_requests(&mut self) -> Result<(), DraftError> {
        let values = serde_json::to_value(self.effective()?).unwrap_or_default();
        let deployed: Vec<(&str, u64)> = WORKLOADS
            .into_iter()
            .filter_map(|workload| Some((workload, pods(workload, &values)?)))
            .collect();
        let requests =
            |workload: &str| values.pointer(&format!("/{}/resources/requests", workload.replace('.', "/")));
        let fits = ROOM.iter().all(|(resource, room)| {
            let asked = deployed.iter().map(|(workload, pods)| {
                let request = requests(workload).and_then(|requests| requests[*resource].as_str());
                request.map_or(0, |request| amount(resource, request)) * i128::from(*pods)
            });
            asked.sum::<i128>() <= *room
        });
        if fits {
            return Ok(());
        }
        for (workload, _) in deployed {
            let key = format!("{workload}.resources.requests");
            let why = match self.given(&key) {
                Some(yours) => format!("small, so that scenarios run side by side; yours are {yours}"),
                None => "small, so that scenarios run side by side".to_owned(),
            };
            for (resource, small) in SMALL {
                self.set(&format!("{key}.{resource}"), small, "");
            }
            self.comment(&key, why);
        }
        Ok(())
    }
}

/// How many pods of a workload the values ask for; `None` when they do not deploy it.
fn pods(workload: &str, values: &Value) -> Option<u64> {
    let is_on = |pointer: &str| values.pointer(pointer) == Some(&Value::Bool(true));
    let count = |pointer: &str| values.pointer(pointer).and_then(Value::as_u64);
    match workload {
        "postgresql.primary" => is_on("/postgresql/enabled").then_some(1),
        "backgroundServices" => is_on("/backgroundServices/runAsSeparateDeployment").then_some(1),
        _ if is_on("/sqlite/enabled") => Some(1),
        _ if is_on("/server/autoscaling/enabled") => count("/server/autoscaling/minReplicas"),
        _ => count("/server/replicaCount"),
    }
}

/// In thousandths of a core, or in bytes.
fn amount(resource: &str, quantity: &str) -> i128 {
    let milli = thousandths(quantity).unwrap_or_default();
    if resource == "cpu" { milli } else { milli / 1000 }
}
