//! What the node tells of itself.

use serde_json::json;

use crate::suite::{Failure, Suite, expect, pod};

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
