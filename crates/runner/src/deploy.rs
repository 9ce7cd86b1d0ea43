//! Objects into a cluster and out of it again.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Namespace, PersistentVolumeClaim, Secret};
use kube::{
    Api, Client, ResourceExt,
    api::{
        ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, ObjectMeta, Patch,
        PatchParams, PostParams,
    },
    runtime::wait::await_condition,
};
use prefect_e2e_renderer::Object;

use crate::check::Broken;

/// The label of everything that a run creates; its value is the run's identifier.
pub(crate) const RUN_LABEL: &str = "prefect-e2e/run";

/// The label of a namespace that a run created; its value is the scenario's name.
pub(crate) const SCENARIO_LABEL: &str = "prefect-e2e/scenario";

/// The name under which objects are applied.
const MANAGER: &str = "prefect-e2e";

/// The order in which kinds are applied, as helm's: what others refer to comes first.
const ORDER: [&str; 6] = [
    "ServiceAccount",
    "Secret",
    "ConfigMap",
    "PersistentVolumeClaim",
    "Service",
    "NetworkPolicy",
];

/// The part of a cluster that one scenario has for itself.
#[derive(Clone)]
pub(crate) struct Place {
    /// A client of the cluster.
    pub(crate) client: Client,
    /// The scenario's namespace.
    pub(crate) namespace: String,
    /// The run's identifier.
    pub(crate) run: String,
    /// Whether the namespace is the run's own, to be removed with all that is in it.
    pub(crate) owned: bool,
}

impl Place {
    /// Creates the namespace, unless it is somebody else's.
    ///
    /// # Errors
    /// When the cluster refuses it.
    pub(crate) async fn create(&self, scenario: &str) -> Result<(), Broken> {
        if !self.owned {
            return Ok(());
        }
        let labels = [(RUN_LABEL, self.run.as_str()), (SCENARIO_LABEL, scenario)];
        let namespace = Namespace {
            metadata: ObjectMeta {
                name: Some(self.namespace.clone()),
                labels: Some(
                    labels
                        .map(|(key, value)| (key.to_owned(), value.to_owned()))
                        .into(),
                ),
                ..ObjectMeta::default()
            },
            ..Namespace::default()
        };
        let api: Api<Namespace> = Api::all(self.client.clone());
        api.create(&PostParams::default(), &namespace)
            .await
            .map_err(|error| Broken::cluster(format!("creating namespace {}", self.namespace), &error))?;
        Ok(())
    }

    /// Creates a Secret with the given content.
    ///
    /// # Errors
    /// When the cluster refuses it.
    pub(crate) async fn create_secret(&self, name: &str, data: &[(String, String)]) -> Result<(), Broken> {
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                labels: Some([(RUN_LABEL.to_owned(), self.run.clone())].into()),
                ..ObjectMeta::default()
            },
            string_data: Some(data.iter().cloned().collect()),
            ..Secret::default()
        };
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        api.create(&PostParams::default(), &secret)
            .await
            .map_err(|error| Broken::cluster(format!("creating secret/{name}"), &error))?;
        Ok(())
    }

    /// Applies `objects` and removes those of `before` that are no longer among them.
    ///
    /// # Errors
    /// When the cluster refuses one; the message is the API server's.
    pub(crate) async fn apply(&self, objects: &[Object], before: &[Object]) -> Result<usize, Broken> {
        let rank = |object: &&Object| {
            ORDER
                .iter()
                .position(|kind| *kind == object.kind())
                .unwrap_or(ORDER.len())
        };
        let mut ordered: Vec<&Object> = objects.iter().collect();
        ordered.sort_by_key(rank);
        for object in ordered {
            self.apply_one(object).await?;
        }
        let kept: BTreeSet<_> = objects.iter().map(identity).collect();
        for gone in before.iter().filter(|object| !kept.contains(&identity(object))) {
            self.delete(gone, &DeleteParams::background()).await?;
        }
        Ok(objects.len())
    }

    async fn apply_one(&self, object: &Object) -> Result<(), Broken> {
        let refused = |error: &kube::Error| Broken::cluster(format!("applying {}", reference(object)), error);
        let mut document: DynamicObject = serde_json::from_value(object.json().clone())
            .map_err(|error| refused(&kube::Error::SerdeError(error)))?;
        document
            .metadata
            .labels
            .get_or_insert_default()
            .insert(RUN_LABEL.to_owned(), self.run.clone());
        let parameters = PatchParams::apply(MANAGER).force();
        self.api(object)
            .patch(object.name(), &parameters, &Patch::Apply(&document))
            .await
            .map_err(|error| refused(&error))?;
        Ok(())
    }

    async fn delete(&self, object: &Object, how: &DeleteParams) -> Result<(), Broken> {
        let deleted = self.api(object).delete(object.name(), how).await;
        unless_gone(deleted, &reference(object))
    }

    fn api(&self, object: &Object) -> Api<DynamicObject> {
        let (group, version) = object
            .api_version()
            .split_once('/')
            .unwrap_or(("", object.api_version()));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, object.kind()));
        let namespace = object.namespace().unwrap_or(&self.namespace);
        Api::namespaced_with(self.client.clone(), namespace, &resource)
    }

    /// Removes what the scenario created: the namespace, or the `objects` in somebody else's.
    ///
    /// # Errors
    /// When something is left.
    pub(crate) async fn remove(&self, objects: &[Object], secrets: &[String]) -> Result<(), Broken> {
        if self.owned {
            return self.remove_namespace().await;
        }
        self.remove_objects(objects).await?;
        self.remove_claims(objects).await?;
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        for name in secrets {
            let deleted = api.delete(name, &DeleteParams::default()).await;
            unless_gone(deleted, &format!("secret/{name}"))?;
        }
        Ok(())
    }

    /// Deletes the objects and waits until they and what they own are gone: the next scenario's have the
    /// same names.
    async fn remove_objects(&self, objects: &[Object]) -> Result<(), Broken> {
        for object in objects {
            self.delete(object, &DeleteParams::foreground()).await?;
        }
        for object in objects {
            let gone = await_condition(
                self.api(object),
                object.name(),
                |found: Option<&DynamicObject>| found.is_none(),
            );
            gone.await.map_err(|error| not_gone(&reference(object), &error))?;
        }
        Ok(())
    }

    /// Deletes the claims that StatefulSets made of their templates, and that outlive them.
    async fn remove_claims(&self, objects: &[Object]) -> Result<(), Broken> {
        let api: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), &self.namespace);
        let prefixes: Vec<String> = objects.iter().flat_map(claim_prefixes).collect();
        if prefixes.is_empty() {
            return Ok(());
        }
        let claims = api.list(&ListParams::default()).await;
        let claims = claims.map_err(|error| Broken::cluster("listing claims", &error))?;
        for name in claims.iter().map(ResourceExt::name_any) {
            if prefixes.iter().any(|prefix| is_claim_of(&name, prefix)) {
                let about = format!("persistentvolumeclaim/{name}");
                unless_gone(api.delete(&name, &DeleteParams::default()).await, &about)?;
                let gone = await_condition(api.clone(), &name, |claim: Option<&PersistentVolumeClaim>| {
                    claim.is_none()
                });
                gone.await.map_err(|error| not_gone(&about, &error))?;
            }
        }
        Ok(())
    }

    async fn remove_namespace(&self) -> Result<(), Broken> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let failed =
            |error: &kube::Error| Broken::cluster(format!("deleting namespace {}", self.namespace), error);
        match api.delete(&self.namespace, &DeleteParams::background()).await {
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
            Err(error) => return Err(failed(&error)),
            Ok(_) => {}
        }
        let gone = await_condition(api, &self.namespace, |namespace: Option<&Namespace>| {
            namespace.is_none()
        });
        gone.await
            .map_err(|error| not_gone(&format!("namespace {}", self.namespace), &error))?;
        Ok(())
    }
}

fn unless_gone<T>(deleted: Result<T, kube::Error>, about: &str) -> Result<(), Broken> {
    match deleted {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(Broken::cluster(format!("deleting {about}"), &error)),
    }
}

fn not_gone(about: &str, error: &dyn std::error::Error) -> Broken {
    Broken::new(format!("{about} was deleted but is not gone: {error}"))
}

/// How the names of the claims of a StatefulSet's templates begin; an ordinal follows.
fn claim_prefixes(object: &Object) -> Vec<String> {
    let templates = &object.json()["spec"]["volumeClaimTemplates"];
    let names = templates
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|template| template["metadata"]["name"].as_str());
    names.map(|name| format!("{name}-{}-", object.name())).collect()
}

fn is_claim_of(name: &str, prefix: &str) -> bool {
    let ordinal = name.strip_prefix(prefix);
    ordinal.is_some_and(|ordinal| ordinal.parse::<u32>().is_ok())
}

fn identity(object: &Object) -> (String, String) {
    (object.kind().to_owned(), object.name().to_owned())
}

/// `kind/name`, as kubectl writes it.
pub(crate) fn reference(object: &Object) -> String {
    format!("{}/{}", object.kind().to_lowercase(), object.name())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case("data-db-0", true)]
    #[case("data-db-12", true)]
    #[case("data-db-other-0", false)]
    #[case("more-db-0", false)]
    #[case("data-db", false)]
    fn only_claims_of_the_templates_are_the_stateful_sets(#[case] name: &str, #[case] own: bool) {
        let set = Object::new(json!({
            "kind": "StatefulSet", "metadata": {"name": "db"},
            "spec": {"volumeClaimTemplates": [{"metadata": {"name": "data"}}]},
        }));
        let prefixes = claim_prefixes(&set);
        assert_eq!(prefixes.iter().any(|prefix| is_claim_of(name, prefix)), own);
    }
}
