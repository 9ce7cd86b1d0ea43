//! HorizontalPodAutoscalers, as they are on a cluster without metrics: they keep their target between
//! its limits and say that they cannot do more.
//!
//! Source of the wording: `k8s.io/kubernetes/pkg/controller/podautoscaler`, 1.34.

use std::sync::Arc;

use k8s_openapi::api::autoscaling::v2::{
    HorizontalPodAutoscaler, HorizontalPodAutoscalerCondition, HorizontalPodAutoscalerSpec,
    HorizontalPodAutoscalerStatus, MetricSpec, MetricTarget,
};
use kube::{
    Api, Resource, ResourceExt as _,
    api::{DynamicObject, Patch},
};
use serde_json::json;

use crate::{
    cluster::{Cluster, News, patching, writing},
    error::{ReconcileError, gone_is_fine, message},
    informer::{Informer, Key},
    kinds::Kind,
    queue::{Next, Queue, Reconciler},
};

const CONTROLLER: &str = "horizontal-pod-autoscaler";

const NO_METRICS: &str = "unable to fetch metrics from resource metrics API: the server could not find the requested \
                          resource (get pods.metrics.k8s.io)";

pub(crate) struct Autoscalers {
    pub(crate) cluster: Cluster,
    pub(crate) kinds: Vec<Arc<Kind>>,
}

/// Looks at the autoscalers of an object when it changes.
pub(crate) fn look_at_autoscalers_of<K>(
    autoscalers: &Informer<HorizontalPodAutoscaler>,
    targets: &Informer<K>,
    queue: &Queue<Key>,
) where
    K: Resource<DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    let (autoscalers, queue) = (autoscalers.clone(), queue.clone());
    targets.listen(move |change| {
        let Some(target) = change.states().last() else {
            return;
        };
        for autoscaler in autoscalers.in_namespace(&target.namespace().unwrap_or_default()) {
            let reference = autoscaler.spec.as_ref().map(|spec| &spec.scale_target_ref);
            if reference.is_some_and(|one| one.kind == K::kind(&()) && one.name == target.name_any()) {
                queue.add(Key::of(&*autoscaler));
            }
        }
    });
}

/// A condition as it is to be.
struct State {
    kind: &'static str,
    holds: bool,
    reason: String,
    message: String,
}

impl State {
    fn new(kind: &'static str, holds: bool, reason: &str, message: &str) -> Self {
        Self {
            kind,
            holds,
            reason: reason.to_owned(),
            message: message.to_owned(),
        }
    }
}

impl Reconciler for Autoscalers {
    type Key = Key;
    const NAME: &'static str = CONTROLLER;

    async fn reconcile(&self, key: &Key) -> Result<Next, ReconcileError> {
        let api: Api<HorizontalPodAutoscaler> = self.cluster.api(&key.namespace);
        let Some(mut autoscaler) = api.get_opt(&key.name).await? else {
            return Ok(None);
        };
        let mut status = autoscaler.status.clone().unwrap_or_default();
        status.observed_generation = autoscaler.metadata.generation;
        let news = self.judge(&autoscaler, &mut status).await?;
        if autoscaler.status.as_ref() != Some(&status) {
            autoscaler.status = Some(status);
            gone_is_fine(api.replace_status(&key.name, &writing(), &autoscaler).await)?;
        }
        for news in news {
            self.cluster.tell(&autoscaler, news).await;
        }
        Ok(None)
    }
}

impl Autoscalers {
    /// Keeps the target between its limits; writes what there is to say into `status`, and gives what
    /// is new in it.
    async fn judge(
        &self,
        autoscaler: &HorizontalPodAutoscaler,
        status: &mut HorizontalPodAutoscalerStatus,
    ) -> Result<Vec<News<'static>>, ReconcileError> {
        let spec = autoscaler.spec.clone().unwrap_or_default();
        let target = self.target(&spec, &autoscaler.namespace().unwrap_or_default());
        let scale = match &target {
            Some(api) => api
                .get_scale(&spec.scale_target_ref.name)
                .await
                .map_err(|error| message(&error)),
            None => Err(format!("no matches for kind {:?}", spec.scale_target_ref.kind)),
        };
        let (target, scale) = match (target, scale) {
            (Some(target), Ok(scale)) => (target, scale),
            (_, Err(why)) => return Ok(self.without_target(status, why)),
            (None, Ok(_)) => return Ok(Vec::new()),
        };
        let found = "the HPA controller was able to get the target's current scale";
        self.set(
            status,
            State::new("AbleToScale", true, "SucceededGetScale", found),
        );
        let current = scale.spec.and_then(|spec| spec.replicas).unwrap_or(0);
        status.current_replicas = Some(current);
        let (least, most) = (spec.min_replicas.unwrap_or(1), spec.max_replicas);
        if current == 0 && least != 0 {
            let why = "scaling is disabled since the replica count of the target is zero";
            self.set(status, State::new("ScalingActive", false, "ScalingDisabled", why));
            status.desired_replicas = 0;
            return Ok(Vec::new());
        }
        let limit = if current > most {
            (most, "Current number of replicas above Spec.MaxReplicas")
        } else if current < least {
            (least, "Current number of replicas below Spec.MinReplicas")
        } else {
            status.desired_replicas = current;
            return Ok(self.without_metrics(status, &spec));
        };
        let (wanted, why) = limit;
        let patch = Patch::Merge(json!({"spec": {"replicas": wanted}}));
        target
            .patch_scale(&spec.scale_target_ref.name, &patching(), &patch)
            .await?;
        status.desired_replicas = wanted;
        status.last_scale_time = Some(self.cluster.clock.now());
        let done = format!("the HPA controller was able to update the target scale to {wanted}");
        self.set(status, State::new("AbleToScale", true, "SucceededRescale", &done));
        Ok(vec![news(
            false,
            "SuccessfulRescale",
            format!("New size: {wanted}; reason: {why}"),
        )])
    }

    fn target(&self, spec: &HorizontalPodAutoscalerSpec, namespace: &str) -> Option<Api<DynamicObject>> {
        let reference = &spec.scale_target_ref;
        let kind = self.kinds.iter().find(|kind| {
            kind.resource.kind == reference.kind
                && reference
                    .api_version
                    .as_ref()
                    .is_none_or(|version| *version == kind.resource.api_version)
        })?;
        Some(kind.api(&self.cluster.client, namespace))
    }

    fn without_target(&self, status: &mut HorizontalPodAutoscalerStatus, why: String) -> Vec<News<'static>> {
        let text = format!("the HPA controller was unable to get the target's current scale: {why}");
        let is_new = self.set(status, State::new("AbleToScale", false, "FailedGetScale", &text));
        is_new
            .then(|| news(true, "FailedGetScale", why))
            .into_iter()
            .collect()
    }

    fn without_metrics(
        &self,
        status: &mut HorizontalPodAutoscalerStatus,
        spec: &HorizontalPodAutoscalerSpec,
    ) -> Vec<News<'static>> {
        let metrics = spec.metrics.clone().unwrap_or_default();
        let Some(first) = metrics.first() else {
            return Vec::new();
        };
        let (reason, why, context) = failure(first);
        let text = format!("the HPA was unable to compute the replica count: {why}");
        if !self.set(status, State::new("ScalingActive", false, &reason, &text)) {
            return Vec::new();
        }
        let count = metrics.len();
        let computed =
            format!("invalid metrics ({count} invalid out of {count}), first error is: {context}{why}");
        let mut all = vec![news(true, "FailedComputeMetricsReplicas", computed)];
        if reason == "FailedGetResourceMetric" {
            all.insert(0, news(true, "FailedGetResourceMetric", why));
        }
        all
    }

    /// Sets a condition; whether its reason or message is new.
    fn set(&self, status: &mut HorizontalPodAutoscalerStatus, state: State) -> bool {
        let conditions = status.conditions.get_or_insert_default();
        let value = if state.holds { "True" } else { "False" };
        let at = conditions
            .iter()
            .position(|condition| condition.type_ == state.kind);
        let before = at.map(|at| conditions[at].clone());
        let since = before.as_ref().filter(|before| before.status == value);
        let after = HorizontalPodAutoscalerCondition {
            type_: state.kind.to_owned(),
            status: value.to_owned(),
            last_transition_time: since
                .and_then(|before| before.last_transition_time.clone())
                .or_else(|| Some(self.cluster.clock.now())),
            reason: Some(state.reason),
            message: Some(state.message),
        };
        let is_new = before.as_ref() != Some(&after);
        match at {
            Some(at) => conditions[at] = after,
            None => conditions.push(after),
        }
        is_new
    }
}

fn news(warning: bool, reason: &'static str, message: String) -> News<'static> {
    News {
        from: CONTROLLER,
        warning,
        reason,
        message,
    }
}

/// Why a metric cannot be had: the reason, the message, and what precedes it among other metrics.
fn failure(metric: &MetricSpec) -> (String, String, String) {
    let of_resource = |name: &str, target: &MetricTarget| {
        let what = if target.average_utilization.is_some() {
            "utilization"
        } else {
            "usage"
        };
        let why =
            format!("failed to get {name} {what}: unable to get metrics for resource {name}: {NO_METRICS}");
        (why, format!("failed to get {name} resource metric value: "))
    };
    let (why, context) = match (&metric.resource, &metric.container_resource) {
        (Some(source), _) => of_resource(&source.name, &source.target),
        (None, Some(source)) => of_resource(&source.name, &source.target),
        (None, None) => {
            let why = "unable to fetch metrics from custom metrics API: no custom metrics API registered";
            (why.to_owned(), String::new())
        }
    };
    (format!("FailedGet{}Metric", metric.type_), why, context)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::Deployment;
    use serde_json::Value;

    use super::*;
    use crate::testing::{TestCluster, template};

    async fn scaled(replicas: i32) -> TestCluster {
        let cluster = TestCluster::start().await;
        let object = json!({
            "metadata": {"name": "web"},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": {"app": "web"}},
                "template": template("web", "ready"),
            },
        });
        cluster.create::<Deployment>(object).await;
        cluster.create::<HorizontalPodAutoscaler>(autoscaler("web")).await;
        cluster
    }

    fn autoscaler(target: &str) -> Value {
        json!({
            "metadata": {"name": "web"},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target},
                "minReplicas": 2, "maxReplicas": 4,
            },
        })
    }

    fn reason(autoscaler: &HorizontalPodAutoscaler, kind: &str) -> (String, String) {
        let conditions = autoscaler
            .status
            .clone()
            .unwrap_or_default()
            .conditions
            .unwrap_or_default();
        let found = conditions.into_iter().find(|condition| condition.type_ == kind);
        found
            .map(|one| (one.status, one.reason.unwrap_or_default()))
            .unwrap_or_default()
    }

    #[rstest::rstest]
    #[case(
        1,
        2,
        "New size: 2; reason: Current number of replicas below Spec.MinReplicas"
    )]
    #[case(
        5,
        4,
        "New size: 4; reason: Current number of replicas above Spec.MaxReplicas"
    )]
    #[tokio::test(start_paused = true)]
    async fn a_target_is_kept_between_the_limits(
        #[case] replicas: i32,
        #[case] kept: i32,
        #[case] text: &str,
    ) {
        let cluster = scaled(replicas).await;
        assert_eq!(cluster.event("web", "SuccessfulRescale").await, text);
        let is_kept = |web: &Deployment| web.spec.as_ref().unwrap().replicas == Some(kept);
        cluster.until_one("web", is_kept).await;
    }

    #[tokio::test(start_paused = true)]
    async fn without_metrics_it_says_so_once() {
        let cluster = scaled(3).await;
        let failed = ("False".to_owned(), "FailedGetResourceMetric".to_owned());
        let says_so = |one: &HorizontalPodAutoscaler| reason(one, "ScalingActive") == failed;
        let found = cluster.until_one("web", says_so).await;
        assert_eq!(
            reason(&found, "AbleToScale"),
            ("True".to_owned(), "SucceededGetScale".to_owned())
        );
        cluster.settled().await;
        let events = cluster.events("web").await;
        let said = events
            .iter()
            .filter(|event| event.0 == "FailedGetResourceMetric")
            .collect::<Vec<_>>();
        let text =
            format!("failed to get cpu utilization: unable to get metrics for resource cpu: {NO_METRICS}");
        assert_eq!(said, [&("FailedGetResourceMetric".to_owned(), text)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_target_that_is_missing_is_named() {
        let cluster = TestCluster::start().await;
        cluster
            .create::<HorizontalPodAutoscaler>(autoscaler("none"))
            .await;
        assert_eq!(
            cluster.event("web", "FailedGetScale").await,
            "deployments.apps \"none\" not found"
        );
    }
}
