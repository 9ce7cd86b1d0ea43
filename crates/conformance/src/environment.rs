//! What programs in containers find in their environment and their arguments.

use serde_json::{Value, json};

use crate::{
    behaviour::{Behaviour, Outcome, behaviours, contains, equal},
    objects::{over, pod, pod_with, service},
    place::{Place, text},
};

pub(crate) fn behaviours() -> Vec<Behaviour> {
    behaviours![
        a_variable_may_contain_earlier_ones,
        a_reference_can_be_escaped,
        an_unknown_reference_stays,
        arguments_contain_variables,
        keys_of_a_config_map_are_variables,
        keys_of_a_secret_are_variables_with_a_prefix,
        one_key_is_a_variable,
        an_optional_key_may_be_missing,
        the_last_of_equal_names_counts,
        fields_of_the_pod_are_variables,
        labels_and_annotations_are_variables,
        resources_are_variables,
        services_are_variables,
        services_are_no_variables_when_asked,
        the_api_is_a_variable,
        the_name_of_the_pod_is_its_host_name,
        a_host_name_can_be_given,
        a_working_directory_can_be_given,
        names_are_aliases_of_addresses,
    ]
}

async fn printed(at: &Place, script: &str, container: Value) -> Outcome<String> {
    at.printed_by(&pod_with("a", script, &container)).await
}

async fn a_variable_may_contain_earlier_ones(at: Place) -> Outcome {
    let env = json!({"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)-$(A)"}]});
    equal("B", printed(&at, "echo $B", env).await?, "1-1\n")
}

async fn a_reference_can_be_escaped(at: Place) -> Outcome {
    let env = json!({"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "$$(A)"}]});
    equal("B", printed(&at, "echo \"$B\"", env).await?, "$(A)\n")
}

async fn an_unknown_reference_stays(at: Place) -> Outcome {
    let env = json!({"env": [{"name": "B", "value": "$(NONE) $(C)"}, {"name": "C", "value": "later"}]});
    equal("B", printed(&at, "echo \"$B\"", env).await?, "$(NONE) $(C)\n")
}

async fn arguments_contain_variables(at: Place) -> Outcome {
    let container = json!({"env": [{"name": "A", "value": "1"}], "args": ["$(A)", "$$(A)", "$(NONE)"]});
    equal(
        "the arguments",
        printed(&at, "echo \"$0\" \"$1\" \"$2\"", container).await?,
        "1 $(A) $(NONE)\n",
    )
}

async fn keys_of_a_config_map_are_variables(at: Place) -> Outcome {
    at.create(
        "configmaps",
        &json!({"metadata": {"name": "m"}, "data": {"A": "1", "B": "2"}}),
    )
    .await?;
    let from = json!({"envFrom": [{"configMapRef": {"name": "m"}}]});
    equal("A and B", printed(&at, "echo $A $B", from).await?, "1 2\n")
}

async fn keys_of_a_secret_are_variables_with_a_prefix(at: Place) -> Outcome {
    at.create(
        "secrets",
        &json!({"metadata": {"name": "s"}, "stringData": {"A": "1"}}),
    )
    .await?;
    let from = json!({"envFrom": [{"prefix": "P_", "secretRef": {"name": "s"}}]});
    equal("P_A", printed(&at, "echo $P_A", from).await?, "1\n")
}

async fn one_key_is_a_variable(at: Place) -> Outcome {
    at.create(
        "secrets",
        &json!({"metadata": {"name": "s"}, "stringData": {"a.b": "1"}}),
    )
    .await?;
    let env = json!({"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "a.b"}}}]});
    equal("A", printed(&at, "echo $A", env).await?, "1\n")
}

async fn an_optional_key_may_be_missing(at: Place) -> Outcome {
    let reference = json!({"name": "none", "key": "a", "optional": true});
    let env = json!({
        "env": [{"name": "A", "valueFrom": {"configMapKeyRef": reference}}],
        "envFrom": [{"secretRef": {"name": "none", "optional": true}}],
    });
    equal("A", printed(&at, "echo ${A-none}", env).await?, "none\n")
}

async fn the_last_of_equal_names_counts(at: Place) -> Outcome {
    at.create(
        "configmaps",
        &json!({"metadata": {"name": "m"}, "data": {"A": "1", "B": "1"}}),
    )
    .await?;
    let both = json!({
        "envFrom": [{"configMapRef": {"name": "m"}}],
        "env": [{"name": "A", "value": "2"}, {"name": "A", "value": "3"}],
    });
    equal("A and B", printed(&at, "echo $A $B", both).await?, "3 1\n")
}

fn field(name: &str, path: &str) -> Value {
    json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}})
}

async fn fields_of_the_pod_are_variables(at: Place) -> Outcome {
    let env = json!({"env": [
        field("NAME", "metadata.name"), field("NAMESPACE", "metadata.namespace"), field("POD_UID", "metadata.uid"),
        field("NODE", "spec.nodeName"), field("ACCOUNT", "spec.serviceAccountName"), field("IP", "status.podIP"),
        field("HOST", "status.hostIP"),
    ]});
    let printed = printed(
        &at,
        "echo $NAME $NAMESPACE $POD_UID $NODE $ACCOUNT $IP $HOST",
        env,
    )
    .await?;
    let pod = at.read("pods/a").await?;
    let expected = [
        "a",
        at.namespace(),
        text(&pod, "/metadata/uid"),
        text(&pod, "/spec/nodeName"),
        "default",
        text(&pod, "/status/podIP"),
        text(&pod, "/status/hostIP"),
    ];
    equal("the fields", printed.trim_end(), expected.join(" "))
}

async fn labels_and_annotations_are_variables(at: Place) -> Outcome {
    let env = json!({"env": [field("L", "metadata.labels['app']"), field("A", "metadata.annotations['x.example/b']")]});
    let annotated = over(
        pod_with("a", "echo $L $A", &env),
        &json!({"metadata": {"annotations": {"x.example/b": "c"}}}),
    );
    equal("label and annotation", at.printed_by(&annotated).await?, "a c\n")
}

async fn resources_are_variables(at: Place) -> Outcome {
    let resource = |name: &str, resource: &str, divisor: &str| json!({"name": name, "valueFrom": {"resourceFieldRef": {"resource": resource, "divisor": divisor}}});
    let container = json!({
        "resources": {"limits": {"cpu": "250m", "memory": "64Mi"}},
        "env": [
            resource("CPU", "limits.cpu", "0"), resource("MILLI", "limits.cpu", "1m"),
            resource("MEMORY", "limits.memory", "1Mi"), resource("BYTES", "requests.memory", "0"),
        ],
    });
    equal(
        "the resources",
        printed(&at, "echo $CPU $MILLI $MEMORY $BYTES", container).await?,
        "1 250 64 8388608\n",
    )
}

async fn services_are_variables(at: Place) -> Outcome {
    let service = at
        .create(
            "services",
            &over(service("my-app"), &json!({"spec": {"ports": [{"name": "http"}]}})),
        )
        .await?;
    let script =
        "echo $MY_APP_SERVICE_HOST $MY_APP_SERVICE_PORT $MY_APP_SERVICE_PORT_HTTP $MY_APP_PORT_80_TCP_PROTO";
    let address = text(&service, "/spec/clusterIP");
    equal(
        "the service",
        printed(&at, script, json!({})).await?,
        format!("{address} 80 80 tcp\n"),
    )
}

async fn services_are_no_variables_when_asked(at: Place) -> Outcome {
    at.create("services", &service("b")).await?;
    let without = over(
        pod("a", "echo ${B_SERVICE_HOST-none}"),
        &json!({"spec": {"enableServiceLinks": false}}),
    );
    equal("the service", at.printed_by(&without).await?, "none\n")
}

async fn the_api_is_a_variable(at: Place) -> Outcome {
    let script = "echo $KUBERNETES_SERVICE_PORT $KUBERNETES_SERVICE_HOST";
    let without = over(pod("a", script), &json!({"spec": {"enableServiceLinks": false}}));
    contains(
        "the port and the address",
        &at.printed_by(&without).await?,
        "443 10.",
    )
}

async fn the_name_of_the_pod_is_its_host_name(at: Place) -> Outcome {
    equal(
        "the host name",
        printed(&at, "hostname; echo $HOSTNAME", json!({})).await?,
        "a\na\n",
    )
}

async fn a_host_name_can_be_given(at: Place) -> Outcome {
    let named = over(
        pod("a", "hostname -f"),
        &json!({"spec": {"hostname": "h", "subdomain": "s"}}),
    );
    let full = format!("h.s.{}.svc.cluster.local\n", at.namespace());
    equal("the host name", at.printed_by(&named).await?, full)
}

async fn a_working_directory_can_be_given(at: Place) -> Outcome {
    equal(
        "the directory",
        printed(&at, "pwd", json!({"workingDir": "/usr"})).await?,
        "/usr\n",
    )
}

async fn names_are_aliases_of_addresses(at: Place) -> Outcome {
    let aliases =
        json!({"spec": {"hostAliases": [{"ip": "192.0.2.7", "hostnames": ["b.example", "c.example"]}]}});
    let printed = at.printed_by(&over(pod("a", "cat /etc/hosts"), &aliases)).await?;
    contains("the file", &printed, "192.0.2.7\tb.example\tc.example")
}
