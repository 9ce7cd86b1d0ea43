use k8s_openapi::api::{
    core::v1::{Endpoints, ObjectReference},
    discovery::v1::{EndpointConditions, EndpointSlice},
};
use kube::api::DeleteParams;
use serde_json::{Value, json};

use super::*;
use crate::testing::{TestCluster, template};

fn service(change: &Value) -> Value {
    let mut spec = json!({
        "selector": {"app": "web"},
        "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
    });
    spec.as_object_mut()
        .unwrap()
        .extend(change.as_object().unwrap().clone());
    json!({"metadata": {"name": "web", "labels": {"team": "a"}}, "spec": spec})
}

fn pod_named(name: &str, image: &str, port: u16) -> Value {
    let mut object = template("web", image);
    object["metadata"]["name"] = name.into();
    object["spec"]["containers"][0]["ports"] = json!([{"name": "http", "containerPort": port}]);
    object
}

fn conditions(slices: &[EndpointSlice]) -> Vec<(String, EndpointConditions)> {
    let endpoints = slices.iter().flat_map(|slice| &slice.endpoints);
    let name = |reference: Option<ObjectReference>| reference.and_then(|one| one.name).unwrap_or_default();
    let mut all: Vec<_> = endpoints
        .map(|one| (name(one.target_ref.clone()), one.conditions.clone().unwrap()))
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

fn own(slices: &[EndpointSlice]) -> Vec<EndpointSlice> {
    let is_own = |slice: &&EndpointSlice| {
        slice
            .labels()
            .get(slice::SERVICE_LABEL)
            .is_some_and(|name| name == "web")
    };
    slices.iter().filter(is_own).cloned().collect()
}

fn is_ready(condition: &EndpointConditions) -> bool {
    condition.ready == Some(true)
}

#[tokio::test(start_paused = true)]
async fn ready_pods_are_behind_their_service() {
    let cluster = TestCluster::start().await;
    cluster.create::<Service>(service(&json!({}))).await;
    let empty = cluster.until(|slices| !own(slices).is_empty()).await;
    assert!(own(&empty)[0].endpoints.is_empty());
    cluster.create::<Pod>(pod_named("a", "ready", 8080)).await;
    cluster.create::<Pod>(pod_named("b", "unready", 8080)).await;
    let slices = cluster
        .until(|slices| {
            let found = conditions(&own(slices));
            found.len() == 2 && found.iter().filter(|one| is_ready(&one.1)).count() == 1
        })
        .await;
    let slices = own(&slices);
    assert_eq!(slices.len(), 1);
    assert_eq!(slices[0].ports.as_ref().unwrap()[0].port, Some(8080));
    assert_eq!(slices[0].labels()["team"], "a");
    assert!(is_ready(&conditions(&slices)[0].1));

    let endpoints = cluster
        .until_one("web", |one: &Endpoints| one.subsets.is_some())
        .await;
    let subset = &endpoints.subsets.unwrap()[0];
    let names = |addresses: &Option<Vec<k8s_openapi::api::core::v1::EndpointAddress>>| -> Vec<String> {
        let addresses = addresses.iter().flatten();
        addresses
            .filter_map(|address| address.target_ref.as_ref()?.name.clone())
            .collect()
    };
    assert_eq!(names(&subset.addresses), ["a"]);
    assert_eq!(names(&subset.not_ready_addresses), ["b"]);
}

#[tokio::test(start_paused = true)]
async fn pods_with_other_numbers_for_a_named_port_have_slices_of_their_own() {
    let cluster = TestCluster::start().await;
    cluster.create::<Service>(service(&json!({}))).await;
    for (name, port) in [("a", 8080), ("b", 9090)] {
        cluster.create::<Pod>(pod_named(name, "ready", port)).await;
    }
    let slices = cluster
        .until(|slices| own(slices).len() == 2 && conditions(&own(slices)).len() == 2)
        .await;
    let mut ports: Vec<_> = own(&slices)
        .iter()
        .map(|slice| slice.ports.as_ref().unwrap()[0].port)
        .collect();
    ports.sort();
    assert_eq!(ports, [Some(8080), Some(9090)]);
}

#[tokio::test(start_paused = true)]
async fn a_headless_service_may_publish_pods_that_are_not_ready() {
    let cluster = TestCluster::start().await;
    let change = json!({"clusterIP": "None", "publishNotReadyAddresses": true});
    cluster.create::<Service>(service(&change)).await;
    let mut object = pod_named("a", "unready", 8080);
    object["spec"]["hostname"] = "a".into();
    object["spec"]["subdomain"] = "web".into();
    cluster.create::<Pod>(object).await;
    let slices = own(&cluster.until(|slices| conditions(&own(slices)).len() == 1).await);
    let condition = &conditions(&slices)[0].1;
    assert_eq!((condition.ready, condition.serving), (Some(true), Some(false)));
    assert_eq!(slices[0].endpoints[0].hostname.as_deref(), Some("a"));
    assert!(slices[0].labels().contains_key(HEADLESS_LABEL));
}

#[tokio::test(start_paused = true)]
async fn endpoints_go_with_their_service_and_come_back_when_deleted() {
    let cluster = TestCluster::start().await;
    cluster.create::<Service>(service(&json!({}))).await;
    let first = own(&cluster.until(|slices| !own(slices).is_empty()).await);
    cluster
        .api::<EndpointSlice>()
        .delete(&first[0].name_any(), &DeleteParams::default())
        .await
        .unwrap();
    cluster
        .until(|slices| {
            own(slices)
                .first()
                .is_some_and(|slice| slice.uid() != first[0].uid())
        })
        .await;
    cluster
        .api::<Service>()
        .delete("web", &DeleteParams::default())
        .await
        .unwrap();
    cluster.until(|slices| own(slices).is_empty()).await;
    cluster
        .until(|all: &[Endpoints]| all.iter().all(|one| one.name_any() != "web"))
        .await;
}

#[tokio::test(start_paused = true)]
async fn endpoints_written_by_hand_are_mirrored_for_a_service_without_a_selector() {
    let cluster = TestCluster::start().await;
    cluster
        .create::<Service>(service(&json!({"selector": null})))
        .await;
    let endpoints = json!({
        "metadata": {"name": "web"},
        "subsets": [{"addresses": [{"ip": "192.0.2.7"}], "ports": [{"name": "http", "port": 5432}]}],
    });
    cluster.create::<Endpoints>(endpoints).await;
    let slices = own(&cluster.until(|slices| !own(slices).is_empty()).await);
    assert_eq!(slices[0].endpoints[0].addresses, ["192.0.2.7"]);
    assert_eq!(slices[0].ports.as_ref().unwrap()[0].port, Some(5432));
    cluster
        .api::<Endpoints>()
        .delete("web", &DeleteParams::default())
        .await
        .unwrap();
    cluster.until(|slices| own(slices).is_empty()).await;
}
