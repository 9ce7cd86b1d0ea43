//! Prefect's own API, as far as checks need it.

use serde_json::{Value, json};

use crate::{
    check::Broken,
    deployment::Deployment,
    http::{Answer, Http},
    port_forward::PortForward,
};
use prefect_e2e_scenarios::Component;

/// The API of a deployed server, by way of a port-forward that outlives its pods.
pub(crate) struct Prefect {
    forward: PortForward,
    pub(crate) http: Http,
}

/// A flow run that was written.
#[derive(Debug, Clone)]
pub(crate) struct FlowRun {
    pub(crate) id: String,
    pub(crate) name: String,
}

impl Prefect {
    /// Reaches the server of `deployment` with its credentials.
    pub(crate) async fn connect(deployment: &Deployment) -> Result<Self, Broken> {
        let selector = deployment.selector(Component::Server)?;
        let forward = PortForward::open(&deployment.place, &selector, deployment.container_port()).await?;
        let http = Http::new(
            format!("http://{}", forward.address()),
            deployment.credentials.as_deref(),
        )?;
        Ok(Self { forward, http })
    }

    /// Where the port-forward listens.
    pub(crate) fn address(&self) -> std::net::SocketAddr {
        self.forward.address()
    }

    /// Creates a flow named `flow`, or finds it, and gives its identifier.
    pub(crate) async fn create_flow(&self, flow: &str) -> Result<String, Broken> {
        let answer = self.http.post("/api/flows/", &json!({"name": flow})).await?;
        identifier("POST /api/flows/", &answer)
    }

    /// Writes a completed run of a new flow.
    pub(crate) async fn write_flow_run(&self, name: &str) -> Result<FlowRun, Broken> {
        let flow = self.create_flow("prefect-e2e").await?;
        let run = json!({"flow_id": flow, "name": name, "state": {"type": "COMPLETED", "name": "Completed"}});
        let answer = self.http.post("/api/flow_runs/", &run).await?;
        let id = identifier("POST /api/flow_runs/", &answer)?;
        Ok(FlowRun {
            id,
            name: name.to_owned(),
        })
    }

    /// Looks for a run that was written; says what there is instead when it is not there.
    pub(crate) async fn find_flow_run(&self, run: &FlowRun) -> Result<(), Broken> {
        let answer = self.http.get(&format!("/api/flow_runs/{}", run.id)).await?;
        if answer.status == 404 {
            return Err(Broken::new(
                "the flow run that was written before is gone: the database lost its data",
            )
            .expected(format!("the flow run {}", run.name), answer.excerpt()));
        }
        let found = expect_ok("GET /api/flow_runs/ID", &answer)?.json("the flow run")?;
        if found["name"] != run.name.as_str() {
            return Err(Broken::new("the flow run that was written before has changed")
                .expected(&run.name, found["name"].to_string()));
        }
        Ok(())
    }

    /// Creates a deployment of `flow` that is scheduled every `seconds`.
    pub(crate) async fn schedule(&self, flow: &str, name: &str, seconds: u32) -> Result<String, Broken> {
        let schedule = json!({"active": true, "schedule": {"interval": seconds}});
        let body = json!({"flow_id": flow, "name": name, "schedules": [schedule], "paused": false});
        let answer = self.http.post("/api/deployments/", &body).await?;
        identifier("POST /api/deployments/", &answer)
    }

    /// How many runs of a deployment there are.
    pub(crate) async fn count_runs(&self, deployment: &str) -> Result<u64, Broken> {
        let filter = json!({"deployments": {"id": {"any_": [deployment]}}});
        let answer = self.http.post("/api/flow_runs/count", &filter).await?;
        let count = expect_ok("POST /api/flow_runs/count", &answer)?.json("the count of flow runs")?;
        count.as_u64().ok_or_else(|| {
            Broken::new("the count of flow runs is no number").expected("a number", count.to_string())
        })
    }
}

fn identifier(request: &str, answer: &Answer) -> Result<String, Broken> {
    let created: Value = expect_ok(request, answer)?.json("the answer")?;
    let id = created["id"].as_str().map(str::to_owned);
    id.ok_or_else(|| Broken::new(format!("{request} gave no id")).expected("an id", answer.excerpt()))
}

/// The answer, if its status says success.
pub(crate) fn expect_ok<'a>(request: &str, answer: &'a Answer) -> Result<&'a Answer, Broken> {
    if (200..300).contains(&answer.status) {
        return Ok(answer);
    }
    Err(Broken::new(format!("{request} answered {}", answer.status)).expected("200", answer.excerpt()))
}
