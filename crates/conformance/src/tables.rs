//! The forms of answers other than whole objects: tables, as `kubectl get` prints them, and metadata.

use serde_json::{Value, json};

use crate::{
    behaviour::{Behaviour, Outcome, behaviours, equal, includes},
    objects::{IDLE, asleep, claim, deployment, labelled, over, service},
    place::{Place, text},
};

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

/// A resource and the columns of its table.
const COLUMNS: [(&str, &str, &str); 30] = [
    (
        "pods",
        "pods",
        "Name,Ready,Status,Restarts,Age,IP,Node,Nominated Node,Readiness Gates",
    ),
    (
        "deployments",
        "deployments",
        "Name,Ready,Up-to-date,Available,Age,Containers,Images,Selector",
    ),
    (
        "replica_sets",
        "replicasets",
        "Name,Desired,Current,Ready,Age,Containers,Images,Selector",
    ),
    (
        "stateful_sets",
        "statefulsets",
        "Name,Ready,Age,Containers,Images",
    ),
    (
        "daemon_sets",
        "daemonsets",
        "Name,Desired,Current,Ready,Up-to-date,Available,Node Selector,Age,Containers,Images,Selector",
    ),
    (
        "jobs",
        "jobs",
        "Name,Status,Completions,Duration,Age,Containers,Images,Selector",
    ),
    (
        "cron_jobs",
        "cronjobs",
        "Name,Schedule,Timezone,Suspend,Active,Last Schedule,Age,Containers,Images,Selector",
    ),
    (
        "controller_revisions",
        "controllerrevisions",
        "Name,Controller,Revision,Age",
    ),
    (
        "services",
        "services",
        "Name,Type,Cluster-IP,External-IP,Port(s),Age,Selector",
    ),
    ("endpoints", "endpoints", "Name,Endpoints,Age"),
    (
        "endpoint_slices",
        "endpointslices",
        "Name,AddressType,Ports,Endpoints,Age",
    ),
    ("config_maps", "configmaps", "Name,Data,Age"),
    ("secrets", "secrets", "Name,Type,Data,Age"),
    ("service_accounts", "serviceaccounts", "Name,Secrets,Age"),
    (
        "events",
        "events",
        "Last Seen,Type,Reason,Object,Subobject,Source,Message,First Seen,Count,Name",
    ),
    (
        "claims",
        "persistentvolumeclaims",
        "Name,Status,Volume,Capacity,Access Modes,StorageClass,VolumeAttributesClass,Age,VolumeMode",
    ),
    ("ingresses", "ingresses", "Name,Class,Hosts,Address,Ports,Age"),
    ("network_policies", "networkpolicies", "Name,Pod-Selector,Age"),
    (
        "autoscalers",
        "horizontalpodautoscalers",
        "Name,Reference,Targets,MinPods,MaxPods,Replicas,Age",
    ),
    (
        "disruption_budgets",
        "poddisruptionbudgets",
        "Name,Min Available,Max Unavailable,Allowed Disruptions,Age",
    ),
    ("leases", "leases", "Name,Holder,Age"),
    ("limit_ranges", "limitranges", "Name,Created At"),
    ("resource_quotas", "resourcequotas", "Name,Request,Limit,Age"),
    ("roles", "roles", "Name,Created At"),
    (
        "role_bindings",
        "rolebindings",
        "Name,Role,Age,Users,Groups,ServiceAccounts",
    ),
    ("namespaces", "/api/v1/namespaces", "Name,Status,Age"),
    (
        "nodes",
        "/api/v1/nodes",
        "Name,Status,Roles,Age,Version,Internal-IP,External-IP,OS-Image,Kernel-Version,Container-Runtime",
    ),
    (
        "volumes",
        "/api/v1/persistentvolumes",
        "Name,Capacity,Access Modes,Reclaim Policy,Status,Claim,StorageClass,VolumeAttributesClass,Reason,Age,VolumeMode",
    ),
    (
        "storage_classes",
        "/apis/storage.k8s.io/v1/storageclasses",
        "Name,Provisioner,ReclaimPolicy,VolumeBindingMode,AllowVolumeExpansion,Age",
    ),
    (
        "priority_classes",
        "/apis/scheduling.k8s.io/v1/priorityclasses",
        "Name,Value,Global-Default,Age,PreemptionPolicy",
    ),
];

pub(crate) fn behaviours() -> Vec<Behaviour> {
    let columns = COLUMNS.map(|(kinds, resource, columns)| {
        let sentence = format!("{kinds}_have_their_columns");
        Behaviour::new(module_path!(), &sentence, move |at| {
            has_columns(at, resource, columns)
        })
    });
    let mut all = behaviours![
        a_table_has_a_row_for_each_object,
        a_row_has_the_metadata_of_its_object,
        a_row_may_have_its_whole_object,
        a_row_may_have_nothing_of_its_object,
        one_object_is_a_table_of_one_row,
        the_first_form_that_is_known_is_given,
        columns_say_which_are_for_wide_output,
        a_pod_is_pending_in_its_row,
        a_service_has_its_ports_in_its_row,
        a_deployment_has_its_counts_in_its_row,
        a_claim_is_pending_in_its_row,
        metadata_can_be_had_alone,
        a_list_of_metadata_can_be_had_alone,
    ];
    all.extend(columns);
    all
}

async fn table(at: &Place, resource: &str) -> Outcome<Value> {
    at.get_as(resource, TABLE).await?.done(http::StatusCode::OK)
}

async fn has_columns(at: Place, resource: &'static str, expected: &'static str) -> Outcome {
    let table = table(&at, resource).await?;
    let columns = table["columnDefinitions"].as_array().into_iter().flatten();
    let names: Vec<&str> = columns.map(|column| text(column, "/name")).collect();
    equal("the columns", names.join(","), expected)
}

async fn create_two(at: &Place) -> Outcome {
    at.create("configmaps", &labelled("a", &json!({"l": "x"})))
        .await?;
    at.create("configmaps", &labelled("b", &json!({"l": "x"})))
        .await
        .map(drop)
}

async fn a_table_has_a_row_for_each_object(at: Place) -> Outcome {
    create_two(&at).await?;
    let table = table(&at, "configmaps?labelSelector=l").await?;
    equal("the kind", table["kind"].clone(), "Table")?;
    equal("the version", table["apiVersion"].clone(), "meta.k8s.io/v1")?;
    let row = |index: usize| table["rows"][index]["cells"].clone();
    equal("the first name", row(0)[0].clone(), "a")?;
    equal("the number of texts", row(0)[1].clone(), 1)?;
    equal("the second name", row(1)[0].clone(), "b")
}

async fn a_row_has_the_metadata_of_its_object(at: Place) -> Outcome {
    create_two(&at).await?;
    let table = table(&at, "configmaps?labelSelector=l").await?;
    includes(
        &table["rows"][0]["object"],
        &json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {"name": "a"}, "data": null}),
    )
}

async fn a_row_may_have_its_whole_object(at: Place) -> Outcome {
    create_two(&at).await?;
    let table = table(&at, "configmaps?labelSelector=l&includeObject=Object").await?;
    includes(
        &table["rows"][0]["object"],
        &json!({"kind": "ConfigMap", "data": {"a": "1"}}),
    )
}

async fn a_row_may_have_nothing_of_its_object(at: Place) -> Outcome {
    create_two(&at).await?;
    let table = table(&at, "configmaps?labelSelector=l&includeObject=None").await?;
    equal("the object", table["rows"][0]["object"].clone(), Value::Null)
}

async fn one_object_is_a_table_of_one_row(at: Place) -> Outcome {
    create_two(&at).await?;
    let table = table(&at, "configmaps/b").await?;
    includes(&table["rows"], &json!([{"object": {"metadata": {"name": "b"}}}]))
}

async fn the_first_form_that_is_known_is_given(at: Place) -> Outcome {
    let accept = format!("application/json;as=Nothing;v=v1;g=meta.k8s.io,{TABLE},application/json");
    let table = at
        .get_as("configmaps", &accept)
        .await?
        .done(http::StatusCode::OK)?;
    equal("the kind", table["kind"].clone(), "Table")
}

async fn columns_say_which_are_for_wide_output(at: Place) -> Outcome {
    let table = table(&at, "pods").await?;
    let columns = &table["columnDefinitions"];
    includes(
        &columns[0],
        &json!({"name": "Name", "type": "string", "format": "name", "priority": 0}),
    )?;
    includes(&columns[5], &json!({"name": "IP", "priority": 1}))
}

async fn row(at: &Place, resource: &str) -> Outcome<Vec<Value>> {
    Ok(table(at, resource).await?["rows"][0]["cells"]
        .as_array()
        .cloned()
        .unwrap_or_default())
}

async fn a_pod_is_pending_in_its_row(at: Place) -> Outcome {
    at.create("pods", &asleep("a")).await?;
    let cells = row(&at, "pods/a").await?;
    equal(
        "the cells",
        cells[..4].to_vec(),
        json!(["a", "0/1", "Pending", "0"]),
    )?;
    equal(
        "the wide cells",
        cells[5..].to_vec(),
        json!(["<none>", "<none>", "<none>", "<none>"]),
    )
}

async fn a_service_has_its_ports_in_its_row(at: Place) -> Outcome {
    let two = json!({"spec": {"ports": [{"name": "a"}, {"name": "b", "port": 53, "protocol": "UDP"}]}});
    let made = at.create("services", &over(service("a"), &two)).await?;
    let mut cells = row(&at, "services/a").await?;
    cells.remove(5);
    let address = made["spec"]["clusterIP"].clone();
    equal(
        "the cells",
        cells,
        json!(["a", "ClusterIP", address, "<none>", "80/TCP,53/UDP", "app=a"]),
    )
}

async fn a_deployment_has_its_counts_in_its_row(at: Place) -> Outcome {
    let paused = over(deployment("a", 2, IDLE), &json!({"spec": {"paused": true}}));
    at.create("deployments", &paused).await?;
    let cells = row(&at, "deployments/a").await?;
    equal("the cells", cells[..4].to_vec(), json!(["a", "0/2", 0, 0]))?;
    equal(
        "the wide cells",
        cells[5..].to_vec(),
        json!(["c", "prefecthq/prefect:3.6.9", "app=a"]),
    )
}

async fn a_claim_is_pending_in_its_row(at: Place) -> Outcome {
    let made = at.create("persistentvolumeclaims", &claim("a")).await?;
    let class = made["spec"]["storageClassName"].clone();
    let mut cells = row(&at, "persistentvolumeclaims/a").await?;
    cells.remove(7);
    equal(
        "the cells",
        cells,
        json!(["a", "Pending", "", "", "", class, "<unset>", "Filesystem"]),
    )
}

async fn metadata_can_be_had_alone(at: Place) -> Outcome {
    create_two(&at).await?;
    let accept = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io";
    let object = at.get_as("configmaps/a", accept).await?.into_body();
    includes(
        &object,
        &json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {"name": "a"}, "data": null}),
    )
}

async fn a_list_of_metadata_can_be_had_alone(at: Place) -> Outcome {
    create_two(&at).await?;
    let accept = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
    let list = at.get_as("configmaps?labelSelector=l", accept).await?.into_body();
    includes(
        &list,
        &json!({"kind": "PartialObjectMetadataList", "items": [
            {"metadata": {"name": "a"}, "data": null}, {"metadata": {"name": "b"}},
        ]}),
    )
}
