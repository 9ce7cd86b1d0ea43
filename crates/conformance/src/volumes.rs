//! Volumes, as the programs in containers see them.

use serde_json::{Value, json};

use crate::{
    behaviour::{Behaviour, Outcome, behaviours, contains, equal},
    objects::{claim, over, pod},
    place::{Place, items, text},
};

pub(crate) fn behaviours() -> Vec<Behaviour> {
    behaviours![
        containers_share_an_empty_dir,
        an_empty_dir_outlives_its_container,
        keys_of_a_config_map_are_files,
        chosen_keys_are_files_at_their_paths,
        a_secret_is_read_only_by_mode,
        one_file_is_mounted_by_its_path,
        a_path_may_contain_variables,
        fields_of_the_pod_are_files,
        several_sources_are_one_volume,
        a_mount_can_be_read_only,
        an_optional_source_may_be_missing,
        a_missing_source_holds_the_pod,
        a_claim_keeps_its_files,
        a_claim_is_bound_to_a_volume,
        a_claim_tells_its_capacity,
        a_token_is_a_file,
        a_changed_config_map_changes_its_files,
    ]
}

/// A pod whose container runs as root and has one volume at `/v`; `mount` goes over its mount.
fn mounted(script: &str, volume: &Value, mount: &Value) -> Value {
    let volume = over(json!({"name": "v"}), volume);
    let mount = over(json!({"name": "v", "mountPath": "/v"}), mount);
    over(
        pod("a", script),
        &json!({"spec": {"volumes": [volume], "containers": [{"volumeMounts": [mount]}], "securityContext": {"runAsUser": 0}}}),
    )
}

async fn printed(at: &Place, script: &str, volume: Value, mount: Value) -> Outcome<String> {
    at.printed_by(&mounted(script, &volume, &mount)).await
}

async fn create_map(at: &Place) -> Outcome {
    at.create(
        "configmaps",
        &json!({"metadata": {"name": "m"}, "data": {"a": "1", "b": "2"}}),
    )
    .await
    .map(drop)
}

async fn containers_share_an_empty_dir(at: Place) -> Outcome {
    let mut two = mounted(
        "until test -e /v/f; do sleep 0.1; done; cat /v/f",
        &json!({"emptyDir": {}}),
        &json!({}),
    );
    let writer = json!({"name": "d", "command": ["sh", "-c", "echo shared > /v/f"]});
    two["spec"]["containers"] = json!([
        two["spec"]["containers"][0],
        over(two["spec"]["containers"][0].clone(), &writer)
    ]);
    at.create("pods", &two).await?;
    at.log_of_ended("a").await?;
    equal(
        "the log",
        at.get("pods/a/log?container=c").await?.text(),
        "shared\n",
    )
}

async fn an_empty_dir_outlives_its_container(at: Place) -> Outcome {
    let script = "test -e /v/f && { cat /v/f; exit 0; }; echo before > /v/f; exit 1";
    let object = over(
        mounted(script, &json!({"emptyDir": {}}), &json!({})),
        &json!({"spec": {"restartPolicy": "OnFailure"}}),
    );
    equal("the log", at.printed_by(&object).await?, "before\n")
}

async fn keys_of_a_config_map_are_files(at: Place) -> Outcome {
    create_map(&at).await?;
    let volume = json!({"configMap": {"name": "m"}});
    equal(
        "the files",
        printed(&at, "cd /v; ls; cat a b", volume, json!({})).await?,
        "a\nb\n12",
    )
}

async fn chosen_keys_are_files_at_their_paths(at: Place) -> Outcome {
    create_map(&at).await?;
    let volume = json!({"configMap": {"name": "m", "items": [{"key": "b", "path": "x/y", "mode": 256}]}});
    let script = "cd /v; ls; cat x/y; stat -L -c ' %a' x/y";
    equal(
        "the files",
        printed(&at, script, volume, json!({})).await?,
        "x\n2 400\n",
    )
}

async fn a_secret_is_read_only_by_mode(at: Place) -> Outcome {
    at.create(
        "secrets",
        &json!({"metadata": {"name": "s"}, "stringData": {"a": "1"}}),
    )
    .await?;
    let volume = json!({"secret": {"secretName": "s", "defaultMode": 288}});
    equal(
        "the mode",
        printed(&at, "stat -L -c %a /v/a; cat /v/a", volume, json!({})).await?,
        "440\n1",
    )
}

async fn one_file_is_mounted_by_its_path(at: Place) -> Outcome {
    create_map(&at).await?;
    let mount = json!({"mountPath": "/etc/x.conf", "subPath": "b"});
    let volume = json!({"configMap": {"name": "m"}});
    equal(
        "the file",
        printed(&at, "cat /etc/x.conf", volume, mount).await?,
        "2",
    )
}

async fn a_path_may_contain_variables(at: Place) -> Outcome {
    let env = json!({"spec": {"containers": [{"env": [
        {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    ]}]}});
    let script = "echo 1 > /v/f; ls /all";
    let object = mounted(
        script,
        &json!({"emptyDir": {}}),
        &json!({"subPathExpr": "of-$(NAME)"}),
    );
    let all = json!({"spec": {"containers": [{"volumeMounts": [{}, {"name": "v", "mountPath": "/all"}]}]}});
    equal(
        "the directory",
        at.printed_by(&over(over(object, &env), &all)).await?,
        "of-a\n",
    )
}

async fn fields_of_the_pod_are_files(at: Place) -> Outcome {
    let item = |path: &str, field: &str| json!({"path": path, "fieldRef": {"fieldPath": field}});
    let volume =
        json!({"downwardAPI": {"items": [item("name", "metadata.name"), item("labels", "metadata.labels")]}});
    equal(
        "the files",
        printed(&at, "cat /v/name /v/labels", volume, json!({})).await?,
        "aapp=\"a\"",
    )
}

async fn several_sources_are_one_volume(at: Place) -> Outcome {
    create_map(&at).await?;
    at.create(
        "secrets",
        &json!({"metadata": {"name": "s"}, "stringData": {"c": "3"}}),
    )
    .await?;
    let volume = json!({"projected": {"sources": [{"configMap": {"name": "m"}}, {"secret": {"name": "s"}}]}});
    equal(
        "the files",
        printed(&at, "cat /v/a /v/b /v/c", volume, json!({})).await?,
        "123",
    )
}

async fn a_mount_can_be_read_only(at: Place) -> Outcome {
    let script = "touch /v/f 2>&1 || true";
    let printed = printed(&at, script, json!({"emptyDir": {}}), json!({"readOnly": true})).await?;
    contains("the error", &printed, "Read-only file system")
}

async fn an_optional_source_may_be_missing(at: Place) -> Outcome {
    let volume = json!({"configMap": {"name": "none", "optional": true}});
    equal(
        "the files",
        printed(&at, "ls /v | wc -l", volume, json!({})).await?,
        "0\n",
    )
}

async fn a_missing_source_holds_the_pod(at: Place) -> Outcome {
    let object = mounted("cat /v/a", &json!({"configMap": {"name": "m"}}), &json!({}));
    at.create("pods", &object).await?;
    let events = at
        .until("events?fieldSelector=reason%3DFailedMount", |events| {
            !items(events).is_empty()
        })
        .await?;
    contains(
        "the event",
        text(&events["items"][0], "/message"),
        "configmap \"m\" not found",
    )?;
    create_map(&at).await?;
    equal("the log", at.log_of_ended("a").await?, "1")
}

/// Waits until a pod with the claim `a` has ended, and gives what it printed.
async fn printed_with_claim(at: &Place, script: &str) -> Outcome<String> {
    let volume = json!({"persistentVolumeClaim": {"claimName": "a"}});
    printed(at, script, volume, json!({})).await
}

async fn a_claim_keeps_its_files(at: Place) -> Outcome {
    at.create("persistentvolumeclaims", &claim("a")).await?;
    printed_with_claim(&at, "echo kept > /v/f").await?;
    at.delete("pods/a").await?.has_code(200)?;
    at.until_gone("pods/a").await?;
    equal("the file", printed_with_claim(&at, "cat /v/f").await?, "kept\n")
}

async fn bound(at: &Place) -> Outcome<Value> {
    at.create("persistentvolumeclaims", &claim("a")).await?;
    printed_with_claim(at, "true").await?;
    at.until("persistentvolumeclaims/a", |claim| {
        claim["status"]["phase"] == "Bound"
    })
    .await
}

async fn a_claim_is_bound_to_a_volume(at: Place) -> Outcome {
    let claim = bound(&at).await?;
    let volume = at
        .read(&format!(
            "/api/v1/persistentvolumes/{}",
            text(&claim, "/spec/volumeName")
        ))
        .await?;
    crate::behaviour::includes(
        &volume,
        &json!({
            "spec": {
                "claimRef": {"name": "a", "namespace": at.namespace(), "uid": claim["metadata"]["uid"]},
                "persistentVolumeReclaimPolicy": "Delete", "storageClassName": claim["spec"]["storageClassName"],
            },
            "status": {"phase": "Bound"},
        }),
    )
}

async fn a_claim_tells_its_capacity(at: Place) -> Outcome {
    let claim = bound(&at).await?;
    crate::behaviour::includes(
        &claim["status"],
        &json!({"capacity": {"storage": "8Mi"}, "accessModes": ["ReadWriteOnce"]}),
    )
}

async fn a_token_is_a_file(at: Place) -> Outcome {
    let script = "cd /var/run/secrets/kubernetes.io/serviceaccount; cat namespace; echo; ls; grep -c BEGIN ca.crt; \
                  tr -cd . < token | wc -c";
    let expected = format!("{}\nca.crt\nnamespace\ntoken\n1\n2\n", at.namespace());
    equal("the files", at.printed_by(&pod("a", script)).await?, expected)
}

async fn a_changed_config_map_changes_its_files(at: Place) -> Outcome {
    create_map(&at).await?;
    let script = "until test \"$(cat /v/a)\" = 3; do sleep 0.2; done; echo changed";
    at.create(
        "pods",
        &mounted(script, &json!({"configMap": {"name": "m"}}), &json!({})),
    )
    .await?;
    at.until("pods/a", |pod| pod["status"]["phase"] == "Running")
        .await?;
    at.merge("configmaps/m", &json!({"data": {"a": "3"}})).await?;
    // a kubelet looks about once a minute, and at once when its pod changes
    at.merge(
        "pods/a",
        &json!({"metadata": {"annotations": {"x.example/look": "again"}}}),
    )
    .await?;
    equal("the log", at.log_of_ended("a").await?, "changed\n")
}
