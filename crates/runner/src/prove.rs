//! One scenario from its values to its verdict.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use prefect_e2e_renderer::{KubeVersion, Object, patch::Patches};
use prefect_e2e_scenarios::{Because, Expectation, Placeholders, Proof, Scenario, Upgrade};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use crate::{
    check::{
        Broken, autoscaling, background_services, basic_auth, browser, database, filesystem, health, ingress,
        neighbour, probes, replicas, rollout, service, settings, survival, ui,
    },
    deploy::Place,
    deployment::Deployment,
    diagnosis::Diagnosis,
    event::{Happening, Verdict},
    external_database::ExternalDatabase,
    helm::Chart,
    image::ImageReplacement,
    prefect::Prefect,
    release::Made,
    step::{Progress, StepFailed, Steps},
    target::Target,
};

/// How scenarios are proven.
#[derive(Debug, Clone)]
pub struct ProveOptions {
    /// How long a deployment may take to become healthy, and each wait of a check.
    pub patience: Duration,
    /// Which namespaces are left when their scenarios have ended.
    pub keep: Keep,
    /// When people look at a deployment.
    pub visit: Visit,
    /// A chart that helm renders instead of the renderer.
    pub chart: Option<Chart>,
    /// Changes of the rendered objects.
    pub patches: Patches,
    /// Replacements of image references, for mirrors and registries without a way out.
    pub images: Vec<ImageReplacement>,
    /// Where screenshots and the like are written.
    pub artifacts: PathBuf,
    /// Somebody else's namespace to deploy into; each scenario has its own if `None`.
    pub namespace: Option<String>,
}

impl Default for ProveOptions {
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(180),
            keep: Keep::Nothing,
            visit: Visit::Never,
            chart: None,
            patches: Patches::default(),
            images: Vec::new(),
            artifacts: std::env::temp_dir().join("prefect-e2e-artifacts"),
            namespace: None,
        }
    }
}

/// Which namespaces are left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// None.
    Nothing,
    /// Those of failed scenarios.
    Failed,
    /// All.
    All,
}

/// When people look at a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visit {
    /// They do not.
    Never,
    /// When it has failed, until they press Enter.
    OnFailure,
    /// Instead of it being proven, until the run is asked to stop.
    Instead,
}

/// A scenario about to be proven on a target.
pub(crate) struct Proving {
    pub(crate) scenario: Scenario,
    pub(crate) options: Arc<ProveOptions>,
    pub(crate) target: Arc<Box<dyn Target>>,
    pub(crate) kube_version: KubeVersion,
    pub(crate) run: String,
    pub(crate) steps: Steps,
    pub(crate) stop: CancellationToken,
    /// An attempt before this one failed: it is flaky should this one pass.
    pub(crate) after_failure: bool,
}

/// How a scenario ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) verdict: Verdict,
    /// It failed because the machine lacks what is needed: nothing was proven either way.
    pub(crate) unusable: bool,
}

impl Proving {
    /// Proves the scenario and removes what it made.
    pub(crate) async fn prove(self) -> Ended {
        let begin = Instant::now();
        let place = self.place();
        let refusal = matches!(self.scenario.file.expect, Expectation::Refused(_));
        self.steps.publish(Happening::ScenarioStarted {
            description: self.scenario.file.description.clone(),
            namespace: if refusal {
                String::new()
            } else {
                place.namespace.clone()
            },
        });
        let mut made = Made::default();
        let outcome = tokio::select! {
            // a visit ends with the run, and well
            biased;
            outcome = self.go(&place, &mut made) => Some(outcome),
            () = self.stop.cancelled() => None,
        };
        let mut verdict = self.verdict(outcome.as_ref());
        let unusable = matches!(
            outcome,
            Some(Err(StepFailed {
                of_the_environment: true
            }))
        );
        if verdict == Verdict::Failed && !unusable && self.options.visit == Visit::OnFailure {
            self.pause(&made).await;
        }
        if self.leave(&place, made, verdict).await.is_err() && verdict != Verdict::Skipped {
            verdict = Verdict::Failed;
        }
        self.steps.publish(Happening::ScenarioEnded {
            verdict,
            took: begin.elapsed(),
        });
        Ended { verdict, unusable }
    }

    /// What an outcome means; `None` when the run was asked to stop.
    fn verdict(&self, outcome: Option<&Result<(), StepFailed>>) -> Verdict {
        match outcome {
            Some(Ok(())) if self.after_failure => Verdict::Flaky,
            Some(Ok(())) => Verdict::Passed,
            Some(Err(_)) => Verdict::Failed,
            None => Verdict::Skipped,
        }
    }

    async fn go(&self, place: &Place, made: &mut Made) -> Result<(), StepFailed> {
        match &self.scenario.file.expect {
            Expectation::Refused(because) => self.refused(place, because).await,
            Expectation::NeverReady(because) => {
                let deployment = self.deploy(place, made).await?;
                if self.options.visit == Visit::Instead {
                    return self.open(&deployment).await;
                }
                self.never_ready(&deployment, because).await
            }
            Expectation::Ready => {
                let deployment = self.deploy(place, made).await?;
                self.become_healthy(&deployment).await?;
                if self.options.visit == Visit::Instead {
                    return self.open(&deployment).await;
                }
                self.prove_ready(deployment, made).await
            }
        }
    }

    async fn refused(&self, place: &Place, because: &Because) -> Result<(), StepFailed> {
        self.steps
            .make("refused at render", Clone::clone, |_| async {
                let layers = [self.scenario.file.values.clone()];
                match self.render(&layers, &Placeholders::default(), &place.namespace) {
                    Ok(_) => Err(Broken::new("the chart takes values that it must refuse")
                        .expected(&because.because, "objects")),
                    Err(broken) if broken.cause().contains(&because.because) => Ok(broken.cause().to_owned()),
                    Err(broken) => Err(Broken::new("the chart refuses the values for another reason")
                        .expected(&because.because, broken.cause())),
                }
            })
            .await
            .map(drop)
    }

    /// Proves what is healthy, and rolls out the upgrades.
    async fn prove_ready(&self, mut deployment: Deployment, made: &mut Made) -> Result<(), StepFailed> {
        let file = &self.scenario.file;
        self.prove_all(&deployment, &file.proves, made.database.as_ref())
            .await?;
        let mut layers = vec![file.values.clone()];
        for upgrade in &file.upgrades {
            layers.push(upgrade.values.clone());
            deployment = self.upgrade(deployment, upgrade, &layers, made).await?;
        }
        Ok(())
    }

    /// Proves the scenario on top of what an earlier round has `made`, or `afresh`, and leaves it.
    pub(crate) async fn prove_again(&self, made: &mut Made, afresh: bool) -> Verdict {
        let begin = Instant::now();
        let place = self.place();
        self.steps.publish(Happening::ScenarioStarted {
            description: self.scenario.file.description.clone(),
            namespace: place.namespace.clone(),
        });
        let outcome = tokio::select! {
            outcome = self.go_again(&place, made, afresh) => Some(outcome),
            () = self.stop.cancelled() => None,
        };
        let verdict = self.verdict(outcome.as_ref());
        self.steps.publish(Happening::ScenarioEnded {
            verdict,
            took: begin.elapsed(),
        });
        verdict
    }

    async fn go_again(&self, place: &Place, made: &mut Made, afresh: bool) -> Result<(), StepFailed> {
        let is_ready = self.scenario.file.expect == Expectation::Ready;
        let before = made.deployment.clone().filter(|_| is_ready && !afresh);
        let Some(before) = before else {
            self.leave(place, std::mem::take(made), Verdict::Skipped).await?;
            return self.go(place, made).await;
        };
        let layers = std::slice::from_ref(&self.scenario.file.values);
        let after = self.roll_out("render", "redeploy", layers, &before, made).await?;
        self.prove_ready(after, made).await
    }

    async fn open(&self, deployment: &Deployment) -> Result<(), StepFailed> {
        self.steps
            .make("open", |()| String::new(), |_| self.visit(deployment))
            .await
    }

    async fn become_healthy(&self, deployment: &Deployment) -> Result<(), StepFailed> {
        let patience = self.options.patience;
        self.steps
            .make(
                "healthy through the Service",
                |()| String::new(),
                |progress| async move { health::become_healthy(deployment, patience, &progress).await },
            )
            .await
    }

    async fn never_ready(&self, deployment: &Deployment, because: &Because) -> Result<(), StepFailed> {
        let patience = self.options.patience;
        self.steps
            .make("never ready", Clone::clone, |progress| async move {
                fails_because(deployment, &because.because, patience, &progress).await
            })
            .await
            .map(drop)
    }

    /// Everything that holds of every deployment, then what the scenario is for.
    async fn prove_all(
        &self,
        deployment: &Deployment,
        proofs: &[Proof],
        database: Option<&ExternalDatabase>,
    ) -> Result<(), StepFailed> {
        let patience = self.options.patience;
        let steps = &self.steps;
        let exactly = proofs.iter().find_map(|proof| match proof {
            Proof::Replicas(count) => Some(*count),
            _ => None,
        });
        steps
            .check("replicas", |progress| async move {
                replicas::ready(deployment, exactly, patience, &progress).await
            })
            .await?;
        steps.check("Service", |_| service::agrees(deployment)).await?;
        steps
            .check("health through the Service", |_| {
                health::through_the_service(deployment)
            })
            .await?;
        steps
            .check("health by port-forward", |_| health::by_port_forward(deployment))
            .await?;
        steps
            .check("health from a second pod", |_| neighbour::by_dns(deployment))
            .await?;
        steps
            .check("file system", |_| filesystem::honoured(deployment))
            .await?;
        steps.check("settings", |_| settings::agree(deployment)).await?;
        steps.check("UI over HTTP", |_| ui::over_http(deployment)).await?;
        steps.check("probes", |_| probes::answer(deployment)).await?;
        if deployment.is_on("/ingress/enabled") {
            let embedded = self.target.kind() == "embedded";
            steps
                .check("ingress", |_| ingress::routes(deployment, embedded))
                .await?;
        }
        if deployment.is_on("/server/autoscaling/enabled") && !deployment.is_on("/sqlite/enabled") {
            steps
                .check("autoscaling", |_| autoscaling::configured(deployment))
                .await?;
        }
        for proof in proofs {
            self.prove_one(deployment, proof, database).await?;
        }
        Ok(())
    }

    async fn prove_one(
        &self,
        deployment: &Deployment,
        proof: &Proof,
        database: Option<&ExternalDatabase>,
    ) -> Result<(), StepFailed> {
        let (steps, patience) = (&self.steps, self.options.patience);
        match proof {
            // counted with everything else
            Proof::Replicas(_) => Ok(()),
            Proof::DataSurvives(survival) => {
                steps
                    .check("data survives", |progress| async move {
                        survival::outlives(deployment, survival, patience, &progress).await
                    })
                    .await
            }
            Proof::BasicAuth { auth_string } => {
                steps
                    .check("basic auth", |_| basic_auth::enforced(deployment, auth_string))
                    .await
            }
            Proof::Browser => {
                let artifacts = &self.options.artifacts;
                steps
                    .check("UI in a browser", |progress| async move {
                        browser::shows_live_data(deployment, artifacts, &progress).await
                    })
                    .await
            }
            Proof::DatabaseRows => steps.check("database rows", |_| database::rows(deployment)).await,
            Proof::DatabaseTls => {
                // a scenario with this proof has the requirement, which loading checks
                let Some(external) = database else { return Ok(()) };
                steps
                    .check("database TLS", |_| {
                        database::sessions_are_encrypted(deployment, external)
                    })
                    .await
            }
            Proof::BackgroundServices => {
                steps
                    .check("background services", |progress| async move {
                        background_services::schedule(deployment, patience, &progress).await
                    })
                    .await
            }
        }
    }

    /// Renders `layers` and puts them in the place of what was deployed before.
    async fn roll_out(
        &self,
        render: &str,
        apply: &str,
        layers: &[Map<String, Value>],
        before: &Deployment,
        made: &mut Made,
    ) -> Result<Deployment, StepFailed> {
        let place = &before.place;
        let patience = self.options.patience;
        let (values, objects) = self
            .steps
            .make(
                render,
                |(_, objects): &(Value, Vec<Object>)| format!("{} objects", objects.len()),
                |_| async { self.render(layers, &made.placeholders, &place.namespace) },
            )
            .await?;
        made.objects.extend(objects.iter().cloned());
        self.make_images(&objects).await?;
        self.apply(apply, place, &objects, &before.objects).await?;
        let after = self.deployment(place, values, objects);
        made.deployment = Some(after.clone());
        self.steps
            .check("rollout", |progress| {
                let after = &after;
                async move { rollout::complete(after, patience, &progress).await }
            })
            .await?;
        Ok(after)
    }

    /// Rolls out changed values; the data of before must be there after.
    async fn upgrade(
        &self,
        before: Deployment,
        upgrade: &Upgrade,
        layers: &[Map<String, Value>],
        made: &mut Made,
    ) -> Result<Deployment, StepFailed> {
        let steps = &self.steps;
        let run = steps
            .make(
                "write before the upgrade",
                |_| upgrade.description.clone(),
                |_| async {
                    Prefect::connect(&before)
                        .await?
                        .write_flow_run("prefect-e2e-before")
                        .await
                },
            )
            .await?;
        let after = self
            .roll_out(
                "render the upgrade",
                "roll out the upgrade",
                layers,
                &before,
                made,
            )
            .await?;
        steps
            .make(
                "data of before the upgrade",
                |()| "the flow run is still there".into(),
                |_| async { Prefect::connect(&after).await?.find_flow_run(&run).await },
            )
            .await?;
        self.prove_all(&after, &[], made.database.as_ref()).await?;
        Ok(after)
    }
}

/// Waits until the reason shows while the deployment is not healthy; a healthy answer ends the wait.
async fn fails_because(
    deployment: &Deployment,
    reason: &str,
    patience: Duration,
    progress: &Progress,
) -> Result<String, Broken> {
    let begin = Instant::now();
    let mut seen: Option<(Instant, String)> = None;
    while begin.elapsed() < patience {
        if health::ask(deployment, "/api/health")
            .await
            .is_ok_and(|answer| answer.status == 200)
        {
            return Err(Broken::new("the deployment became healthy although it must not")
                .expected(reason, "200 from /api/health through the Service"));
        }
        let diagnosis = Diagnosis::of(&deployment.place).await;
        let text = diagnosis.text();
        if seen.is_none() {
            let line = text
                .lines()
                .find(|line| line.contains(reason))
                .map(|line| line.trim().chars().take(200).collect());
            seen = line.map(|line| (Instant::now(), line));
        }
        match &seen {
            // a reason that passes is none: it must still keep the deployment from getting ready
            Some((since, line)) if since.elapsed() > Duration::from_secs(3) => return Ok(line.clone()),
            Some((_, line)) => progress.say(line),
            None => progress.say(diagnosis.cause().map(|cause| cause.message).unwrap_or_default()),
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let diagnosis = Diagnosis::of(&deployment.place).await;
    let found = diagnosis
        .cause()
        .map(|cause| cause.message)
        .unwrap_or_else(|| "nothing that is wrong".into());
    Err(
        Broken::new("the deployment is not healthy, but not for the reason that the scenario names")
            .expected(reason, found)
            .details(diagnosis.details()),
    )
}
