//! The cluster that the checks share, and how they speak to it.

use std::{
    path::PathBuf,
    process::{Command, Output, Stdio},
    sync::Mutex,
    time::Duration,
};

use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::{Api, api::PostParams, runtime::wait::await_condition};
use prefect_e2e_images::ImageStore;
use prefect_e2e_local_cluster::{Cluster, ClusterOptions, write_kubeconfig};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// How long anything may take before a check gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why a check failed.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Why there is nothing to check with.
pub(crate) enum NoSuite {
    /// This machine does not allow it.
    Skipped(String),
    /// The cluster does not start where it should.
    Broken(Failure),
}

/// Whether a program ends well; `None` when it is not installed.
fn succeeds(program: &str, arguments: &[&str]) -> Option<bool> {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().ok().map(|status| status.success())
}

pub(crate) struct Suite {
    pub(crate) runtime: Runtime,
    pub(crate) client: kube::Client,
    pub(crate) cluster: Mutex<Option<Cluster>>,
    kubeconfig: PathBuf,
    _directory: TempDir,
}

/// Starts a cluster whose processes are this program again.
pub(crate) async fn start_cluster() -> Result<Cluster, Failure> {
    let own = std::env::current_exe()?;
    let images = ImageStore::open(None)?.guarded_by(own.clone());
    let options = ClusterOptions {
        executable: own,
        images,
        port: None,
    };
    Ok(Cluster::start(options).await?)
}

impl Suite {
    /// A new cluster.
    pub(crate) fn start() -> Result<Self, NoSuite> {
        if !succeeds("kubectl", &["version", "--client"]).unwrap_or(false) {
            return Err(NoSuite::Skipped("kubectl is not installed".into()));
        }
        // asked of another program, so that a cluster that cannot make them by mistake is not skipped
        let namespaces = [
            "--user",
            "--map-root-user",
            "--mount",
            "--net",
            "--pid",
            "--fork",
            "true",
        ];
        if succeeds("unshare", &namespaces) == Some(false) {
            return Err(NoSuite::Skipped("namespaces are forbidden here".into()));
        }
        Self::with_cluster().map_err(NoSuite::Broken)
    }

    fn with_cluster() -> Result<Self, Failure> {
        let runtime = Runtime::new()?;
        let cluster = runtime.block_on(start_cluster())?;
        let client = runtime.block_on(cluster.client())?;
        let directory = tempfile::tempdir()?;
        let kubeconfig = directory.path().join("kubeconfig");
        write_kubeconfig(&kubeconfig, &cluster.kubeconfig())?;
        Ok(Self {
            runtime,
            client,
            cluster: Mutex::new(Some(cluster)),
            kubeconfig,
            _directory: directory,
        })
    }

    pub(crate) fn stop(&self) {
        let cluster = self.cluster.lock().map(|mut cluster| cluster.take());
        if let Ok(Some(cluster)) = cluster {
            let _ = self.runtime.block_on(cluster.stop());
        }
    }

    /// A namespace of a check's own.
    pub(crate) fn place(&self, name: &str) -> Result<Place<'_>, Failure> {
        let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": name}}))?;
        let api: Api<Namespace> = Api::all(self.client.clone());
        self.runtime
            .block_on(api.create(&PostParams::default(), &namespace))?;
        Ok(Place {
            suite: self,
            namespace: name.to_owned(),
        })
    }
}

/// A namespace of the cluster.
pub(crate) struct Place<'a> {
    pub(crate) suite: &'a Suite,
    pub(crate) namespace: String,
}

impl Place<'_> {
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("kubectl");
        command
            .arg("--kubeconfig")
            .arg(&self.suite.kubeconfig)
            .args(["-n", &self.namespace])
            .args(arguments);
        command.stdin(Stdio::null());
        command
    }

    /// Runs kubectl.
    pub(crate) fn try_kubectl(&self, arguments: &[&str]) -> Result<Output, Failure> {
        Ok(self.command(arguments).output()?)
    }

    /// Runs kubectl, which has to succeed; gives what it prints.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Result<String, Failure> {
        let output = self.try_kubectl(arguments)?;
        if output.status.success() {
            return Ok(String::from_utf8(output.stdout)?);
        }
        Err(format!(
            "kubectl {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr)
        )
        .into())
    }

    /// Creates objects by `kubectl apply`.
    pub(crate) fn apply(&self, objects: &[Value]) -> Result<(), Failure> {
        for object in objects {
            let file = tempfile::NamedTempFile::new()?;
            serde_json::to_writer(&file, object)?;
            self.kubectl(&["apply", "-f", &file.path().to_string_lossy()])?;
        }
        Ok(())
    }

    pub(crate) fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.suite.client.clone(), &self.namespace)
    }

    /// Waits until the pod is as `condition` says.
    pub(crate) fn until(&self, pod: &str, condition: impl Fn(&Value) -> bool) -> Result<Value, Failure> {
        let as_json = |pod: Option<&Pod>| serde_json::to_value(pod).unwrap_or_default();
        let waiting = await_condition(self.pods(), pod, |pod: Option<&Pod>| condition(&as_json(pod)));
        let found = self
            .suite
            .runtime
            .block_on(async { tokio::time::timeout(PATIENCE, waiting).await });
        match found {
            Ok(found) => Ok(as_json(found?.as_ref())),
            Err(_) => {
                let state = self
                    .kubectl(&["get", "pod", pod, "-o", "jsonpath={.status}"])
                    .unwrap_or_default();
                let events = self.kubectl(&["get", "events"]).unwrap_or_default();
                Err(format!("pod {pod} is not as expected: {state}\n{events}").into())
            }
        }
    }

    pub(crate) fn until_ready(&self, pod: &str) -> Result<Value, Failure> {
        self.until(pod, |pod| condition_of(pod, "Ready") == "True")
    }

    pub(crate) fn until_ended(&self, pod: &str) -> Result<Value, Failure> {
        self.until(pod, |pod| {
            matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
        })
    }

    /// Tries `attempt` again until it gives something.
    pub(crate) fn eventually<T>(&self, mut attempt: impl FnMut() -> Option<T>) -> Result<T, Failure> {
        let begun = std::time::Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(found) = attempt() {
                return Ok(found);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err("nothing came in time".into())
    }
}

pub(crate) fn condition_of(pod: &Value, kind: &str) -> String {
    let mut conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    let status = conditions
        .find(|one| one["type"] == kind)
        .map(|one| one["status"].clone());
    status
        .and_then(|status| status.as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// A pod with one container `c` of busybox that runs `script`; `more` goes over the pod's spec and
/// `container` over the container.
pub(crate) fn pod(name: &str, script: &str, container: &Value, more: &Value) -> Value {
    let mut only = json!({"name": "c", "image": "busybox", "command": ["sh", "-c", script]});
    overlay(&mut only, container);
    let mut spec = json!({"containers": [only], "terminationGracePeriodSeconds": 1});
    overlay(&mut spec, more);
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}}, "spec": spec})
}

fn overlay(below: &mut Value, above: &Value) {
    for (key, value) in above.as_object().into_iter().flatten() {
        below[key] = value.clone();
    }
}

/// The state of the pod's only container.
pub(crate) fn state(pod: &Value) -> &Value {
    &pod["status"]["containerStatuses"][0]["state"]
}

pub(crate) fn expect(holds: bool, what: impl FnOnce() -> String) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(what().into()) }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "called like assert_eq, with values made on the spot"
)]
pub(crate) fn expect_eq<T: PartialEq + std::fmt::Debug>(found: T, expected: T) -> Result<(), Failure> {
    let same = found == expected;
    expect(same, || format!("found {found:?}, expected {expected:?}"))
}
