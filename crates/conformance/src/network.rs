//! Services, their endpoints, and the names by which pods find them.

use serde_json::{Value, json};

use crate::{
    behaviour::{Behaviour, Outcome, behaviours, contains, equal, holds, includes},
    objects::{IDLE, SERVE, over, pod, pod_with, probe, service, stateful_set},
    place::{Place, items, labels, text},
};

pub(crate) fn behaviours() -> Vec<Behaviour> {
    behaviours![
        a_service_has_a_name,
        a_service_has_a_name_for_its_namespace_alone,
        an_unknown_name_is_not_found,
        a_headless_service_is_its_pods,
        pods_of_a_set_have_names,
        the_api_has_a_name,
        a_pod_reaches_a_service,
        a_pod_reaches_itself_through_its_service,
        a_port_may_be_named,
        ready_pods_are_endpoints,
        pods_that_are_not_ready_are_no_endpoints,
        pods_that_are_not_ready_can_be_published,
        slices_belong_to_their_service,
        the_old_endpoints_say_the_same,
        a_pod_that_ends_is_no_endpoint,
        endpoints_can_be_given,
        a_pod_knows_where_to_ask_for_names,
        a_pod_has_an_address_of_its_own,
        pods_share_their_network_with_their_containers,
    ]
}

/// A shell command that prints the addresses of a name, in order.
fn resolve(name: &str) -> String {
    format!(
        "python3 -c \"import socket; print(*sorted({{a[4][0] for a in socket.getaddrinfo('{name}', 80, socket.AF_INET)}}))\""
    )
}

async fn a_service_has_a_name(at: Place) -> Outcome {
    let service = at.create("services", &service("s")).await?;
    let full = format!("s.{}.svc.cluster.local", at.namespace());
    let script = format!("{}; {}", resolve("s"), resolve(&full));
    let address = text(&service, "/spec/clusterIP");
    equal(
        "the addresses",
        at.printed_by(&pod("a", &script)).await?,
        format!("{address}\n{address}\n"),
    )
}

async fn a_service_has_a_name_for_its_namespace_alone(at: Place) -> Outcome {
    let service = at.create("services", &service("s")).await?;
    let script = resolve(&format!("s.{}", at.namespace()));
    equal(
        "the address",
        at.printed_by(&pod("a", &script)).await?,
        format!("{}\n", text(&service, "/spec/clusterIP")),
    )
}

async fn an_unknown_name_is_not_found(at: Place) -> Outcome {
    let script = format!(
        "{} 2>&1 | tail -1",
        resolve(&format!("none.{}.svc.cluster.local", at.namespace()))
    );
    contains(
        "the error",
        &at.printed_by(&pod("a", &script)).await?,
        "Name or service not known",
    )
}

fn headless(app: &str) -> Value {
    over(service(app), &json!({"spec": {"clusterIP": "None"}}))
}

/// Running pods of an app.
async fn running(at: &Place, app: &str, pods: &[&str]) -> Outcome<Vec<String>> {
    for name in pods {
        at.create(
            "pods",
            &over(pod(name, IDLE), &json!({"metadata": {"labels": {"app": app}}})),
        )
        .await?;
    }
    let mut addresses = Vec::new();
    for name in pods {
        addresses.push(text(&at.until_ready(name).await?, "/status/podIP").to_owned());
    }
    Ok(addresses)
}

/// The addresses that are ready in the slices of a service.
fn ready_addresses(slices: &Value) -> Vec<&str> {
    let endpoints = items(slices)
        .iter()
        .flat_map(|slice| slice["endpoints"].as_array().into_iter().flatten());
    let ready = endpoints.filter(|endpoint| endpoint["conditions"]["ready"] == true);
    let mut addresses: Vec<&str> = ready.map(|endpoint| text(endpoint, "/addresses/0")).collect();
    addresses.sort_unstable();
    addresses
}

async fn until_endpoints(at: &Place, service: &str, count: usize) -> Outcome<Value> {
    let slices = format!("endpointslices?labelSelector=kubernetes.io%2Fservice-name%3D{service}");
    at.until(&slices, |slices| ready_addresses(slices).len() == count)
        .await
}

async fn a_headless_service_is_its_pods(at: Place) -> Outcome {
    at.create("services", &headless("s")).await?;
    let mut addresses = running(&at, "s", &["x", "y"]).await?;
    until_endpoints(&at, "s", 2).await?;
    addresses.sort();
    // names are answered from what the cluster's DNS saw last
    let script = format!("until {} | grep ' '; do sleep 0.3; done", resolve("s"));
    equal(
        "the addresses",
        at.printed_by(&pod("a", &script)).await?,
        format!("{}\n", addresses.join(" ")),
    )
}

async fn pods_of_a_set_have_names(at: Place) -> Outcome {
    at.create("services", &headless("s")).await?;
    at.create("statefulsets", &stateful_set("s", 1, IDLE)).await?;
    let address = text(&at.until_ready("s-0").await?, "/status/podIP").to_owned();
    until_endpoints(&at, "s", 1).await?;
    let script = format!("until {} 2>/dev/null; do sleep 0.3; done", resolve("s-0.s"));
    equal(
        "the address",
        at.printed_by(&pod("a", &script)).await?,
        format!("{address}\n"),
    )
}

async fn the_api_has_a_name(at: Place) -> Outcome {
    let service = at.read("/api/v1/namespaces/default/services/kubernetes").await?;
    let script = resolve("kubernetes.default");
    equal(
        "the address",
        at.printed_by(&pod("a", &script)).await?,
        format!("{}\n", text(&service, "/spec/clusterIP")),
    )
}

/// A pod `x` of the app `s` that serves its name, once it does.
async fn serving(at: &Place) -> Outcome<Value> {
    let ready = json!({"readinessProbe": over(
        json!({"tcpSocket": {"port": 8080}}), &json!({"periodSeconds": 1}),
    ), "ports": [{"name": "web", "containerPort": 8080}]});
    let object = pod_with("x", &format!("echo hello > /tmp/index.html; {SERVE}"), &ready);
    at.create(
        "pods",
        &over(object, &json!({"metadata": {"labels": {"app": "s"}}})),
    )
    .await?;
    at.until_ready("x").await
}

/// A shell command that prints a page, and tries again while there is none.
fn fetch(url: &str) -> String {
    format!(
        "until python3 -c \"import urllib.request as r; print(r.urlopen('{url}', timeout=5).read().decode(), end='')\" \
         2>/dev/null; do sleep 0.5; done"
    )
}

async fn a_pod_reaches_a_service(at: Place) -> Outcome {
    at.create("services", &service("s")).await?;
    serving(&at).await?;
    until_endpoints(&at, "s", 1).await?;
    equal(
        "the page",
        at.printed_by(&pod("a", &fetch("http://s/index.html"))).await?,
        "hello\n",
    )
}

async fn a_pod_reaches_itself_through_its_service(at: Place) -> Outcome {
    at.create("services", &service("s")).await?;
    let script = format!(
        "echo hello > /tmp/index.html; ({SERVE}) & {}",
        fetch("http://s/index.html")
    );
    let own = over(pod("a", &script), &json!({"metadata": {"labels": {"app": "s"}}}));
    let made = at.create("pods", &own).await?;
    let log = "pods/a/log";
    at.until(&format!("pods/{}", text(&made, "/metadata/name")), |pod| {
        pod["status"]["phase"] != "Pending"
    })
    .await?;
    at.until_answer(log, |answer| answer.text().contains("hello\n"))
        .await
        .map(drop)
}

async fn a_port_may_be_named(at: Place) -> Outcome {
    let named = over(
        service("s"),
        &json!({"spec": {"ports": [{"name": "http", "targetPort": "web"}]}}),
    );
    at.create("services", &named).await?;
    serving(&at).await?;
    let slices = until_endpoints(&at, "s", 1).await?;
    includes(
        &slices["items"][0]["ports"],
        &json!([{"name": "http", "port": 8080, "protocol": "TCP"}]),
    )
}

async fn ready_pods_are_endpoints(at: Place) -> Outcome {
    at.create("services", &service("s")).await?;
    let mut addresses = running(&at, "s", &["x", "y"]).await?;
    addresses.sort();
    let slices = until_endpoints(&at, "s", 2).await?;
    equal("the addresses", ready_addresses(&slices), addresses)?;
    includes(
        &slices["items"][0]["endpoints"][0],
        &json!({
            "conditions": {"ready": true, "serving": true, "terminating": false}, "targetRef": {"kind": "Pod"},
        }),
    )
}

async fn unready(at: &Place) -> Outcome<String> {
    let readiness = json!({"readinessProbe": probe("false")});
    let object = over(
        pod_with("x", IDLE, &readiness),
        &json!({"metadata": {"labels": {"app": "s"}}}),
    );
    at.create("pods", &object).await?;
    let pod = at
        .until("pods/x", |pod| pod["status"]["phase"] == "Running")
        .await?;
    Ok(text(&pod, "/status/podIP").to_owned())
}

async fn pods_that_are_not_ready_are_no_endpoints(at: Place) -> Outcome {
    at.create("services", &service("s")).await?;
    let address = unready(&at).await?;
    let has_endpoint = |slices: &Value| text(slices, "/items/0/endpoints/0/addresses/0") == address;
    let slices = at.until("endpointslices", has_endpoint).await?;
    includes(
        &slices["items"][0]["endpoints"][0]["conditions"],
        &json!({"ready": false, "serving": false, "terminating": false}),
    )?;
    let has_address = |endpoints: &Value| text(endpoints, "/subsets/0/notReadyAddresses/0/ip") == address;
    let endpoints = at.until("endpoints/s", has_address).await?;
    equal(
        "ready addresses",
        endpoints["subsets"][0]["addresses"].clone(),
        Value::Null,
    )
}

async fn pods_that_are_not_ready_can_be_published(at: Place) -> Outcome {
    at.create(
        "services",
        &over(service("s"), &json!({"spec": {"publishNotReadyAddresses": true}})),
    )
    .await?;
    let address = unready(&at).await?;
    let slices = until_endpoints(&at, "s", 1).await?;
    equal("the addresses", ready_addresses(&slices), vec![address])
}

async fn slices_belong_to_their_service(at: Place) -> Outcome {
    let service = at.create("services", &service("s")).await?;
    let slices = at
        .until("endpointslices", |slices| items(slices).len() == 1)
        .await?;
    let slice = &slices["items"][0];
    let labels = labels(slice);
    equal(
        "the manager",
        labels.get("endpointslice.kubernetes.io/managed-by").copied(),
        "endpointslice-controller.k8s.io",
    )?;
    includes(
        slice,
        &json!({
            "addressType": "IPv4",
            "metadata": {"generateName": "s-", "ownerReferences": [{"kind": "Service", "uid": service["metadata"]["uid"]}]},
        }),
    )
}

async fn the_old_endpoints_say_the_same(at: Place) -> Outcome {
    at.create("services", &service("s")).await?;
    let addresses = running(&at, "s", &["x"]).await?;
    let endpoints = at
        .until("endpoints/s", |endpoints| {
            endpoints["subsets"][0]["addresses"].is_array()
        })
        .await?;
    includes(
        &endpoints["subsets"],
        &json!([{"addresses": [{"ip": addresses[0], "targetRef": {"kind": "Pod", "name": "x"}}], "ports": [{"port": 8080}]}]),
    )
}

async fn a_pod_that_ends_is_no_endpoint(at: Place) -> Outcome {
    at.create("services", &service("s")).await?;
    running(&at, "s", &["x"]).await?;
    until_endpoints(&at, "s", 1).await?;
    at.delete("pods/x").await?.has_code(200)?;
    until_endpoints(&at, "s", 0).await.map(drop)
}

async fn endpoints_can_be_given(at: Place) -> Outcome {
    let served = serving(&at).await?;
    at.create(
        "services",
        &json!({"metadata": {"name": "t"}, "spec": {"ports": [{"port": 80, "targetPort": 8080}]}}),
    )
    .await?;
    let subset = json!({"addresses": [{"ip": served["status"]["podIP"]}], "ports": [{"port": 8080}]});
    at.create(
        "endpoints",
        &json!({"metadata": {"name": "t"}, "subsets": [subset]}),
    )
    .await?;
    until_endpoints(&at, "t", 1).await?;
    equal(
        "the page",
        at.printed_by(&pod("a", &fetch("http://t/index.html"))).await?,
        "hello\n",
    )
}

async fn a_pod_knows_where_to_ask_for_names(at: Place) -> Outcome {
    let printed = at.printed_by(&pod("a", "cat /etc/resolv.conf")).await?;
    let search = format!(
        "search {}.svc.cluster.local svc.cluster.local cluster.local",
        at.namespace()
    );
    contains("the search", &printed, &search)?;
    contains("the server", &printed, "nameserver 10.96.0.10")?;
    contains("the options", &printed, "options ndots:5")
}

async fn a_pod_has_an_address_of_its_own(at: Place) -> Outcome {
    let addresses = running(&at, "s", &["x", "y"]).await?;
    holds(
        "the addresses",
        addresses[0] != addresses[1],
        "two",
        &addresses.join(" "),
    )
}

async fn pods_share_their_network_with_their_containers(at: Place) -> Outcome {
    let mut two = pod("a", &fetch("http://127.0.0.1:8080/index.html"));
    let script = format!("echo hello > /tmp/index.html; timeout 60 sh -c '{SERVE}' || true");
    let second = over(
        two["spec"]["containers"][0].clone(),
        &json!({"name": "d", "command": ["sh", "-c", script]}),
    );
    two["spec"]["containers"] = json!([two["spec"]["containers"][0], second]);
    at.create("pods", &two).await?;
    let is_over = |pod: &Value| {
        let mut statuses = pod["status"]["containerStatuses"]
            .as_array()
            .into_iter()
            .flatten();
        statuses.any(|one| one["name"] == "c" && one["state"]["terminated"].is_object())
    };
    at.until("pods/a", is_over).await?;
    equal(
        "the page",
        at.get("pods/a/log?container=c").await?.text(),
        "hello\n",
    )
}
