//! The objects that every cluster has from its start.

use serde_json::{Value, json};

use crate::{path::ResourcePath, query::Query, resource::Resources, server::ApiOptions};

/// Creates them in an empty store.
pub(crate) fn create_objects(resources: &Resources, options: ApiOptions) {
    for namespace in ["default", "kube-node-lease", "kube-public", "kube-system"] {
        create(
            resources,
            "/api/v1/namespaces",
            &json!({"metadata": {"name": namespace}}),
        );
    }
    create(
        resources,
        "/apis/storage.k8s.io/v1/storageclasses",
        &storage_class(),
    );
    for (name, value) in [
        ("system-node-critical", 2_000_001_000),
        ("system-cluster-critical", 2_000_000_000),
    ] {
        let class = json!({"metadata": {"name": name}, "value": value});
        create(resources, "/apis/scheduling.k8s.io/v1/priorityclasses", &class);
    }
    create(
        resources,
        "/api/v1/namespaces/default/services",
        &kubernetes_service(),
    );
    create(
        resources,
        "/api/v1/namespaces/kube-system/services",
        &dns_service(),
    );
    if let Some(address) = options.advertise {
        let (ip, port) = (address.ip().to_string(), address.port());
        let endpoints = json!({
            "metadata": {"name": "kubernetes", "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}},
            "subsets": [{"addresses": [{"ip": ip}], "ports": [{"name": "https", "port": port}]}],
        });
        create(resources, "/api/v1/namespaces/default/endpoints", &endpoints);
        let slice = json!({
            "metadata": {"name": "kubernetes", "labels": {"kubernetes.io/service-name": "kubernetes"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [ip], "conditions": {"ready": true}}],
            "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
        });
        create(
            resources,
            "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices",
            &slice,
        );
    }
}

fn storage_class() -> Value {
    json!({
        "metadata": {
            "name": "standard",
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": "prefect-e2e.dev/directory",
        "volumeBindingMode": "WaitForFirstConsumer",
    })
}

fn kubernetes_service() -> Value {
    json!({
        "metadata": {"name": "kubernetes", "labels": {"component": "apiserver", "provider": "kubernetes"}},
        "spec": {
            "clusterIP": "10.96.0.1",
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}],
        },
    })
}

fn dns_service() -> Value {
    json!({
        "metadata": {
            "name": "kube-dns",
            "labels": {"k8s-app": "kube-dns", "kubernetes.io/name": "CoreDNS"},
        },
        "spec": {
            "clusterIP": "10.96.0.10",
            "ports": [
                {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53},
                {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 53},
            ],
        },
    })
}

fn create(resources: &Resources, path: &str, object: &Value) {
    let created =
        ResourcePath::parse(path).and_then(|path| resources.create(&path, &Query::default(), object.clone()));
    if let Err(error) = created {
        // the objects are those above, and the store is empty
        unreachable!("{path}: {}", error.message());
    }
}
