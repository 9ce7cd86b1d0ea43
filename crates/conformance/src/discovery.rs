//! What a server says about itself, and what `kubectl` asks before it does anything.

use serde_json::{Value, json};

use crate::{
    behaviour::{Behaviour, Outcome, behaviours, contains, equal, holds, includes},
    place::{Place, items, text},
};

pub(crate) fn behaviours() -> Vec<Behaviour> {
    behaviours![
        the_version_is_1_34,
        the_core_group_is_v1,
        groups_have_preferred_versions,
        one_group_can_be_asked_for,
        resources_have_short_names_and_verbs,
        subresources_are_resources,
        an_unknown_group_is_not_found,
        everything_is_found_at_once,
        the_core_is_found_at_once,
        reviews_can_only_be_created,
        health_is_ok,
        openapi_2_is_served,
        openapi_2_is_served_as_protobuf,
        openapi_3_names_its_documents,
        openapi_3_says_what_a_patch_may_ask,
        openapi_3_describes_the_fields,
        a_client_may_ask_what_it_may_do,
        a_client_may_ask_who_it_is,
        the_cluster_has_its_own_namespaces,
        the_api_is_a_service,
    ]
}

async fn the_version_is_1_34(at: Place) -> Outcome {
    let version = at.read("/version").await?;
    includes(&version, &json!({"major": "1", "minor": "34"}))?;
    contains("the git version", text(&version, "/gitVersion"), "v1.34.")
}

async fn the_core_group_is_v1(at: Place) -> Outcome {
    includes(
        &at.read("/api").await?,
        &json!({"kind": "APIVersions", "versions": ["v1"]}),
    )
}

/// The item of a list that has this value in a field.
fn find<'a>(list: &'a Value, field: &str, value: &str) -> &'a Value {
    let mut all = list.as_array().into_iter().flatten();
    all.find(|item| item[field] == value).unwrap_or(&Value::Null)
}

async fn groups_have_preferred_versions(at: Place) -> Outcome {
    let groups = at.read("/apis").await?;
    equal("the kind", groups["kind"].clone(), "APIGroupList")?;
    let apps = find(&groups["groups"], "name", "apps");
    let version = json!({"groupVersion": "apps/v1", "version": "v1"});
    includes(apps, &json!({"versions": [version], "preferredVersion": version}))
}

async fn one_group_can_be_asked_for(at: Place) -> Outcome {
    includes(
        &at.read("/apis/batch").await?,
        &json!({"kind": "APIGroup", "apiVersion": "v1", "name": "batch", "preferredVersion": {"version": "v1"}}),
    )
}

async fn resources_have_short_names_and_verbs(at: Place) -> Outcome {
    let list = at.read("/apis/apps/v1").await?;
    includes(
        &list,
        &json!({"kind": "APIResourceList", "groupVersion": "apps/v1"}),
    )?;
    includes(
        find(&list["resources"], "name", "deployments"),
        &json!({
            "singularName": "deployment", "namespaced": true, "kind": "Deployment", "shortNames": ["deploy"],
            "categories": ["all"],
            "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
        }),
    )
}

async fn subresources_are_resources(at: Place) -> Outcome {
    let apps = at.read("/apis/apps/v1").await?;
    includes(
        find(&apps["resources"], "name", "deployments/scale"),
        &json!({"kind": "Scale", "group": "autoscaling", "version": "v1", "verbs": ["get", "patch", "update"]}),
    )?;
    let core = at.read("/api/v1").await?;
    for (name, kind, verbs) in [
        ("pods/log", "Pod", json!(["get"])),
        ("pods/exec", "PodExecOptions", json!(["create", "get"])),
        ("pods/binding", "Binding", json!(["create"])),
        ("pods/status", "Pod", json!(["get", "patch", "update"])),
    ] {
        includes(
            find(&core["resources"], "name", name),
            &json!({"kind": kind, "verbs": verbs}),
        )?;
    }
    includes(
        find(&core["resources"], "name", "pods/eviction"),
        &json!({"kind": "Eviction", "group": "policy", "version": "v1", "verbs": ["create"]}),
    )
}

async fn an_unknown_group_is_not_found(at: Place) -> Outcome {
    at.get("/apis/nothing.example").await?.has_code(404)?;
    at.get("/apis/apps/v7").await?.has_code(404)
}

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

async fn everything_is_found_at_once(at: Place) -> Outcome {
    let answer = at.get_as("/apis", AGGREGATED).await?;
    equal("the media type", answer.header("content-type"), AGGREGATED)?;
    let list = answer.into_body();
    equal("the kind", list["kind"].clone(), "APIGroupDiscoveryList")?;
    let group = items(&list)
        .iter()
        .find(|group| text(group, "/metadata/name") == "apps");
    let resources = group.map_or(&Value::Null, |group| &group["versions"][0]["resources"]);
    includes(
        find(resources, "resource", "statefulsets"),
        &json!({
            "responseKind": {"group": "", "version": "", "kind": "StatefulSet"}, "scope": "Namespaced",
            "singularResource": "statefulset", "shortNames": ["sts"], "categories": ["all"],
        }),
    )
}

async fn the_core_is_found_at_once(at: Place) -> Outcome {
    let list = at.get_as("/api", AGGREGATED).await?.into_body();
    let resources = &list["items"][0]["versions"][0]["resources"];
    includes(
        find(resources, "resource", "nodes"),
        &json!({"scope": "Cluster", "shortNames": ["no"]}),
    )
}

async fn reviews_can_only_be_created(at: Place) -> Outcome {
    let list = at.read("/apis/authorization.k8s.io/v1").await?;
    includes(
        find(&list["resources"], "name", "selfsubjectaccessreviews"),
        &json!({"kind": "SelfSubjectAccessReview", "namespaced": false, "verbs": ["create"]}),
    )
}

async fn health_is_ok(at: Place) -> Outcome {
    for path in ["/healthz", "/livez", "/readyz"] {
        let answer = at.get(path).await?;
        answer.has_code(200)?;
        equal(path, answer.text(), "ok")?;
    }
    Ok(())
}

async fn openapi_2_is_served(at: Place) -> Outcome {
    let document = at.read("/openapi/v2").await?;
    includes(
        &document,
        &json!({"swagger": "2.0", "info": {"title": "Kubernetes"}}),
    )
}

async fn openapi_2_is_served_as_protobuf(at: Place) -> Outcome {
    let accept = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
    let answer = at.get_as("/openapi/v2", accept).await?;
    answer.has_code(200)?;
    contains("the media type", answer.header("content-type"), "proto-openapi")
}

async fn openapi_3_names_its_documents(at: Place) -> Outcome {
    let paths = at.read("/openapi/v3").await?;
    for group in ["api/v1", "apis/apps/v1", "apis/batch/v1"] {
        let place = text(&paths["paths"][group], "/serverRelativeURL");
        contains(group, place, &format!("/openapi/v3/{group}?hash="))?;
    }
    Ok(())
}

async fn openapi_3_says_what_a_patch_may_ask(at: Place) -> Outcome {
    let document = at.read("/openapi/v3/apis/apps/v1").await?;
    let patch = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"];
    includes(
        &patch["x-kubernetes-group-version-kind"],
        &json!({"group": "apps", "version": "v1", "kind": "Deployment"}),
    )?;
    for name in ["dryRun", "fieldManager", "fieldValidation"] {
        includes(find(&patch["parameters"], "name", name), &json!({"in": "query"}))?;
    }
    Ok(())
}

async fn openapi_3_describes_the_fields(at: Place) -> Outcome {
    let document = at.read("/openapi/v3/apis/apps/v1").await?;
    let schema = &document["components"]["schemas"]["io.k8s.api.apps.v1.DeploymentSpec"];
    includes(
        &schema["properties"]["replicas"],
        &json!({"type": "integer", "format": "int32"}),
    )
}

async fn a_client_may_ask_what_it_may_do(at: Place) -> Outcome {
    let question = json!({"spec": {"resourceAttributes": {"verb": "get", "resource": "pods", "namespace": at.namespace()}}});
    let answer = at
        .create(
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            &question,
        )
        .await?;
    equal("the answer", answer["status"]["allowed"].clone(), true)
}

async fn a_client_may_ask_who_it_is(at: Place) -> Outcome {
    let answer = at
        .create("/apis/authentication.k8s.io/v1/selfsubjectreviews", &json!({}))
        .await?;
    let name = text(&answer, "/status/userInfo/username");
    holds("the name", !name.is_empty(), "one", &name)?;
    let groups = answer["status"]["userInfo"]["groups"].to_string();
    contains("the groups", &groups, "system:authenticated")
}

async fn the_cluster_has_its_own_namespaces(at: Place) -> Outcome {
    for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        at.read(&format!("/api/v1/namespaces/{name}")).await?;
    }
    Ok(())
}

async fn the_api_is_a_service(at: Place) -> Outcome {
    let service = at.read("/api/v1/namespaces/default/services/kubernetes").await?;
    includes(
        &service["spec"]["ports"],
        &json!([{"name": "https", "port": 443, "protocol": "TCP"}]),
    )?;
    let slice = at
        .read("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes")
        .await?;
    let address = text(&slice, "/endpoints/0/addresses/0");
    holds("the endpoint", !address.is_empty(), "one", &address)
}
