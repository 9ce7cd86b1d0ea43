//! One scenario from its values to its verdict.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use prefect_e2e_renderer::{KubeVersion, Layers, Object, Release, patch::Patches, render, to_yaml};
use prefect_e2e_scenarios::{Because, Expectation, Placeholders, Proof, Scenario, Upgrade};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use crate::{
    check::{
        Broken, autoscaling, background_services, basic_auth, browser, chain, database, filesystem, health,
        ingress, neighbour, probes, replicas, rollout, service, settings, survival, ui,
    },
    deploy::Place,
    deployment::Deployment,
    diagnosis::Diagnosis,
    event::{Happening, Verdict},
    external_database::ExternalDatabase,
    helm::Chart,
    image::{self, ImageReplacement},
    prefect::Prefect,
    step::{Progress, StepFailed, Steps},
    target::Target,
};

/// How scenarios are proven.
#[derive(Debug, Clone)]
pub struct ProveOptions {
    /// How long a deployment may take to become healthy, and each wait of a check.
    pub patience: Duration,
    /// Leave the namespaces when the scenarios have ended.
    pub keep: bool,
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
            keep: false,
            chart: None,
            patches: Patches::default(),
            images: Vec::new(),
            artifacts: std::env::temp_dir().join("prefect-e2e-artifacts"),
            namespace: None,
        }
    }
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

/// What a deployment has made that must be removed again.
#[derive(Default)]
struct Made {
    namespace: bool,
    objects: Vec<Object>,
    secrets: Vec<String>,
    database: Option<ExternalDatabase>,
    placeholders: Placeholders,
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
            outcome = self.go(&place, &mut made) => Some(outcome),
            () = self.stop.cancelled() => None,
        };
        let mut verdict = match outcome {
            Some(Ok(())) if self.after_failure => Verdict::Flaky,
            Some(Ok(())) => Verdict::Passed,
            Some(Err(_)) => Verdict::Failed,
            None => Verdict::Skipped,
        };
        let unusable = matches!(
            outcome,
            Some(Err(StepFailed {
                of_the_environment: true
            }))
        );
        if self.leave(&place, made).await.is_err() && verdict != Verdict::Skipped {
            verdict = Verdict::Failed;
        }
        self.steps.publish(Happening::ScenarioEnded {
            verdict,
            took: begin.elapsed(),
        });
        Ended { verdict, unusable }
    }

    fn place(&self) -> Place {
        let own = format!("e2e-{}-{}", self.scenario.name, self.run);
        Place {
            client: self.target.client(),
            namespace: self.options.namespace.clone().unwrap_or(own),
            run: self.run.clone(),
            owned: self.options.namespace.is_none(),
        }
    }

    async fn go(&self, place: &Place, made: &mut Made) -> Result<(), StepFailed> {
        match &self.scenario.file.expect {
            Expectation::Refused(because) => self.refused(place, because).await,
            Expectation::NeverReady(because) => {
                let deployment = self.deploy(place, made).await?;
                self.never_ready(&deployment, because).await
            }
            Expectation::Ready => {
                let mut deployment = self.deploy(place, made).await?;
                self.become_healthy(&deployment).await?;
                self.prove_all(&deployment, &self.scenario.file.proves, made.database.as_ref())
                    .await?;
                let mut layers = vec![self.scenario.file.values.clone()];
                for upgrade in &self.scenario.file.upgrades {
                    layers.push(upgrade.values.clone());
                    deployment = self.upgrade(deployment, upgrade, &layers, made).await?;
                }
                Ok(())
            }
        }
    }

    /// Renders the values so far, one layer over the other, and changes the objects as patches say.
    fn render(
        &self,
        layers: &[Map<String, Value>],
        placeholders: &Placeholders,
        namespace: &str,
    ) -> Result<(Value, Vec<Object>), Broken> {
        let broken = |error: &dyn std::error::Error| Broken::new(chain(error));
        let mut all = Layers::default();
        for (index, layer) in layers.iter().enumerate() {
            let filled = placeholders.fill_values(layer).map_err(|error| broken(&error))?;
            all.value(
                &format!("values {index} of scenario {}", self.scenario.name),
                filled.into(),
            )
            .map_err(|error| broken(&error))?;
        }
        self.learn_secrets(all.user_values());
        let release = Release {
            name: self.scenario.release().to_owned(),
            namespace: namespace.to_owned(),
            kube_version: self.kube_version,
        };
        let (values, objects) = match &self.options.chart {
            Some(chart) => {
                let objects =
                    tokio::task::block_in_place(|| chart.template_values(&release, all.user_values()));
                (
                    over_defaults(all.user_values())?,
                    objects.map_err(|error| broken(&error))?,
                )
            }
            None => {
                let values = all.values().map_err(|error| broken(&error))?;
                let objects = render(&release, &values).map_err(|error| broken(&error))?;
                (
                    serde_json::to_value(&values).map_err(|error| broken(&error))?,
                    objects,
                )
            }
        };
        let objects = self
            .options
            .patches
            .apply(objects)
            .map_err(|error| broken(&error))?;
        Ok((values, image::replace(objects, &self.options.images)))
    }

    /// Hides the passwords of the values from all outputs. The chart's own defaults are no secrets.
    fn learn_secrets(&self, values: &Value) {
        let secrets = self.steps.events().secrets();
        let text = |pointer: &str| values.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        for pointer in [
            "/secret/password",
            "/postgresql/auth/password",
            "/postgresql/auth/postgresPassword",
        ] {
            text(pointer).iter().for_each(|password| secrets.learn(password));
        }
        text("/server/basicAuth/authString")
            .iter()
            .for_each(|credentials| secrets.learn_credentials(credentials));
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

    async fn deploy(&self, place: &Place, made: &mut Made) -> Result<Deployment, StepFailed> {
        made.namespace = true;
        let requires = &self.scenario.file.requires;
        made.secrets = requires
            .secrets
            .iter()
            .map(|secret| secret.name.clone())
            .collect();
        self.steps
            .make(
                "namespace",
                |()| place.namespace.clone(),
                |_| place.create(&self.scenario.name),
            )
            .await?;
        if let Some(requirement) = &requires.external_postgres {
            let secrets = self.steps.events().secrets();
            let database = self
                .steps
                .make("external database", ExternalDatabase::about, |_| {
                    ExternalDatabase::start(requirement, &**self.target, place, secrets)
                })
                .await?;
            made.placeholders = database.placeholders();
            made.database = Some(database);
        }
        if !requires.secrets.is_empty() {
            let names = made.secrets.join(", ");
            self.steps
                .make(
                    "secrets",
                    |()| names,
                    |_| self.create_secrets(place, &made.placeholders),
                )
                .await?;
        }
        let (values, objects) = self
            .steps
            .make(
                "render",
                |(_, objects): &(Value, Vec<Object>)| format!("{} objects", objects.len()),
                |_| async {
                    self.render(
                        std::slice::from_ref(&self.scenario.file.values),
                        &made.placeholders,
                        &place.namespace,
                    )
                },
            )
            .await?;
        made.objects.clone_from(&objects);
        self.make_images(&objects).await?;
        self.steps.deployed_in(place);
        self.apply("deploy", place, &objects, &[]).await?;
        Ok(self.deployment(place, values, objects))
    }

    /// Makes the images on targets that have no registry, so that what this machine lacks is told as
    /// such and not as a failed deployment.
    async fn make_images(&self, objects: &[Object]) -> Result<(), StepFailed> {
        let missing = self.target.missing_images(&image::references(objects)).await;
        if missing.is_empty() {
            return Ok(());
        }
        self.steps
            .make(
                "images",
                |()| missing.join(", "),
                |_| async {
                    for reference in &missing {
                        self.target
                            .make_image(reference)
                            .await
                            .map_err(|error| Broken::new(chain(&error)).of_the_environment())?;
                    }
                    Ok(())
                },
            )
            .await
    }

    fn deployment(&self, place: &Place, values: Value, objects: Vec<Object>) -> Deployment {
        let proven = self.scenario.file.proves.iter().find_map(|proof| match proof {
            Proof::BasicAuth { auth_string } => Some(auth_string.clone()),
            _ => None,
        });
        let auth = &values["server"]["basicAuth"];
        let given = auth["authString"]
            .as_str()
            .filter(|_| auth["enabled"] == true && auth["existingSecret"] == "");
        let credentials = proven.or_else(|| given.map(str::to_owned));
        let image = &values["global"]["prefect"]["image"];
        let part = |key: &str| image[key].as_str().unwrap_or_default();
        Deployment {
            place: place.clone(),
            image: format!("{}:{}", part("repository"), part("prefectTag")),
            credentials,
            values,
            objects,
        }
    }

    async fn create_secrets(&self, place: &Place, placeholders: &Placeholders) -> Result<(), Broken> {
        for secret in &self.scenario.file.requires.secrets {
            let mut data = Vec::new();
            for (key, text) in &secret.data {
                let filled = placeholders
                    .fill(text)
                    .map_err(|error| Broken::new(error.to_string()))?;
                self.steps.events().secrets().learn_credentials(&filled);
                data.push((key.clone(), filled));
            }
            place.create_secret(&secret.name, &data).await?;
        }
        Ok(())
    }

    async fn apply(
        &self,
        step: &str,
        place: &Place,
        objects: &[Object],
        before: &[Object],
    ) -> Result<(), StepFailed> {
        self.steps.publish(Happening::Rendered {
            objects: without_secrets(objects),
        });
        self.steps
            .make(
                step,
                |count: &usize| format!("{count} objects"),
                |_| place.apply(objects, before),
            )
            .await
            .map(drop)
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

    /// Rolls out changed values; the data of before must be there after.
    async fn upgrade(
        &self,
        before: Deployment,
        upgrade: &Upgrade,
        layers: &[Map<String, Value>],
        made: &mut Made,
    ) -> Result<Deployment, StepFailed> {
        let place = before.place.clone();
        let patience = self.options.patience;
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
        let (values, objects) = steps
            .make(
                "render the upgrade",
                |(_, objects): &(Value, Vec<Object>)| format!("{} objects", objects.len()),
                |_| async { self.render(layers, &made.placeholders, &place.namespace) },
            )
            .await?;
        made.objects.extend(objects.iter().cloned());
        self.make_images(&objects).await?;
        self.apply("roll out the upgrade", &place, &objects, &before.objects)
            .await?;
        let after = self.deployment(&place, values, objects);
        steps
            .check("rollout", |progress| {
                let after = &after;
                async move { rollout::complete(after, patience, &progress).await }
            })
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

    async fn leave(&self, place: &Place, made: Made) -> Result<(), StepFailed> {
        if !made.namespace {
            return Ok(());
        }
        if self.options.keep {
            let kubectl = format!(
                "kubectl {} --namespace {}",
                self.target.kubectl(),
                place.namespace
            );
            self.steps.publish(Happening::Note {
                message: format!("kept: {kubectl} get all"),
            });
            return Ok(());
        }
        let patience = self.options.patience;
        self.steps
            .make(
                "clean up",
                |()| String::new(),
                |_| async move {
                    let removal = place.remove(&made.objects, &made.secrets);
                    let removed = tokio::time::timeout(patience, removal)
                        .await
                        .unwrap_or_else(|_| Err(Broken::new("what the scenario made is not gone in time")));
                    match made.database {
                        // both end, whatever became of the other
                        Some(database) => database.stop().await.and(removed),
                        None => removed,
                    }
                },
            )
            .await
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

/// The values in effect in a chart that may have more keys than the renderer knows.
fn over_defaults(user: &Value) -> Result<Value, Broken> {
    let defaults = serde_json::to_value(prefect_e2e_renderer::Values::default());
    let mut values = defaults.map_err(|error| Broken::new(error.to_string()))?;
    json_patch::merge(&mut values, user);
    Ok(values)
}

/// The objects as YAML, the contents of Secrets left out.
fn without_secrets(objects: &[Object]) -> String {
    let shown: Vec<Object> = objects.iter().map(hide_content).collect();
    to_yaml(&shown)
}

fn hide_content(object: &Object) -> Object {
    if object.kind() != "Secret" {
        return object.clone();
    }
    let mut document = object.json().clone();
    for key in ["data", "stringData"] {
        if let Some(data) = document[key].as_object_mut() {
            data.values_mut().for_each(|value| *value = "[secret]".into());
        }
    }
    Object::new(document)
}
