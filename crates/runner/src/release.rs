//! The release of a scenario in a cluster: rendered, deployed with what it requires, changed and removed.

use prefect_e2e_renderer::{Layers, Object, Release, render, to_yaml};
use prefect_e2e_scenarios::{Placeholders, Proof};
use serde_json::{Map, Value};

use crate::{
    check::{Broken, chain},
    deploy::Place,
    deployment::Deployment,
    event::{Happening, Verdict},
    external_database::ExternalDatabase,
    image,
    prove::{Keep, Proving},
    step::StepFailed,
};

/// What a deployment has made that must be removed again.
#[derive(Default)]
pub(crate) struct Made {
    pub(crate) namespace: bool,
    pub(crate) objects: Vec<Object>,
    pub(crate) secrets: Vec<String>,
    pub(crate) database: Option<ExternalDatabase>,
    pub(crate) placeholders: Placeholders,
    /// What was deployed last.
    pub(crate) deployment: Option<Deployment>,
}

impl Proving {
    pub(crate) fn place(&self) -> Place {
        let own = format!("e2e-{}-{}", self.scenario.name, self.run);
        Place {
            client: self.target.client(),
            namespace: self.options.namespace.clone().unwrap_or(own),
            run: self.run.clone(),
            owned: self.options.namespace.is_none(),
        }
    }

    /// Renders the values so far, one layer over the other, and changes the objects as patches say.
    pub(crate) fn render(
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

    /// Makes what must exist before the deployment.
    async fn prepare(&self, place: &Place, made: &mut Made) -> Result<(), StepFailed> {
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
            let objects = &mut made.objects;
            let database = self
                .steps
                .make("external database", ExternalDatabase::about, |_| {
                    ExternalDatabase::start(requirement, &**self.target, place, secrets, objects)
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
        Ok(())
    }

    /// Deploys the scenario's values with all that they require.
    pub(crate) async fn deploy(&self, place: &Place, made: &mut Made) -> Result<Deployment, StepFailed> {
        self.prepare(place, made).await?;
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
        made.objects.extend(objects.iter().cloned());
        self.make_images(&objects).await?;
        self.steps.deployed_in(place);
        self.apply("deploy", place, &objects, &[]).await?;
        let deployment = self.deployment(place, values, objects);
        made.deployment = Some(deployment.clone());
        Ok(deployment)
    }

    /// Makes the images on targets that have no registry, so that what this machine lacks is told as
    /// such and not as a failed deployment.
    pub(crate) async fn make_images(&self, objects: &[Object]) -> Result<(), StepFailed> {
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

    pub(crate) fn deployment(&self, place: &Place, values: Value, objects: Vec<Object>) -> Deployment {
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

    pub(crate) async fn apply(
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

    /// Removes what was made, unless it is to be kept.
    pub(crate) async fn leave(&self, place: &Place, made: Made, verdict: Verdict) -> Result<(), StepFailed> {
        if !made.namespace {
            return Ok(());
        }
        let kept = match self.options.keep {
            Keep::Nothing => false,
            Keep::Failed => verdict == Verdict::Failed,
            Keep::All => true,
        };
        if kept {
            let (kubectl, namespace) = (self.target.kubectl(), &place.namespace);
            self.note(format!("kept: kubectl {kubectl} --namespace {namespace} get all"));
            if made.database.is_some_and(|database| database.is_outside()) {
                self.note("its external database is outside the cluster and was ended".to_owned());
            }
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
