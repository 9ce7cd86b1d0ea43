//! What the node tells of itself.

use serde_json::json;

use crate::suite::{Failure, Suite, expect, expect_eq, pod};

pub(crate) fn cpu_time(suite: &Suite) -> Result<(), Failure> {
    let place = suite.place("cpu")?;
    let seconds = || {
        let cluster = suite.cluster.lock().map_err(|_| "another check failed")?;
        let cluster = cluster.as_ref().ok_or("the cluster has ended")?;
        let seconds = suite.runtime.block_on(cluster.cpu_seconds());
        seconds.ok_or_else(|| Failure::from("the cluster does not know"))
    };
    let before = seconds()?;
    let busy = "python3 -c 'import time\nwhile time.process_time() < 1: pass'";
    place.apply(&[pod("p", busy, &json!({}), &json!({"restartPolicy": "Never"}))])?;
    place.until_ended("p")?;
    let after = seconds()?;
    expect(after - before >= 0.9, || {
        format!("{before} before, {after} after a second of work")
    })
}

pub(crate) fn lists(suite: &Suite) -> Result<(), Failure> {
    let place = suite.place("lists")?;
    let map = |name: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
    let all = ["one", "two"].map(map);
    place.apply(&[json!({"apiVersion": "v1", "kind": "List", "items": all})])?;
    let names = place.kubectl(&["get", "configmap", "one", "two", "-o", "name"])?;
    expect_eq(names.as_str(), "configmap/one\nconfigmap/two\n")?;
    let misspelt = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "three"}, "dta": {}},
    ]});
    expect(place.apply(&[misspelt]).is_err(), || {
        "an unknown field is taken".into()
    })
}
