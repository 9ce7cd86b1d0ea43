//! Every behaviour on an embedded cluster, or on the real one that a variable names.

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api,
    api::ListParams,
    config::{KubeConfigOptions, Kubeconfig},
};
use libtest_mimic::{Arguments, Failed, Trial};
use prefect_e2e_conformance::{Behaviour, Failure, Place, RUN_LABEL, behaviours, judged, known_differences};
use prefect_e2e_images::ImageStore;
use prefect_e2e_local_cluster::{Cluster, ClusterError, ClusterOptions};
use tokio::runtime::Runtime;

/// The kubeconfig of the cluster to look at. Not `KUBECONFIG`: a cluster is touched only when it is named
/// for this.
const KUBECONFIG: &str = "CONFORMANCE_KUBECONFIG";

/// How many behaviours are looked at together: most of them wait.
const TOGETHER: usize = 8;

/// How long a real cluster may take to remove the namespaces.
const REMOVAL: Duration = Duration::from_secs(300);

type Error = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    prefect_e2e_local_cluster::dispatch();
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(TOGETHER);
    if arguments.list {
        let trials = behaviours()
            .into_iter()
            .map(|behaviour| Trial::test(behaviour.name(), || Ok(())));
        return libtest_mimic::run(&arguments, trials.collect()).exit_code();
    }
    match Subject::open() {
        Ok(Some(subject)) => observe_all(&arguments, &Arc::new(subject)),
        Ok(None) => ExitCode::SUCCESS,
        Err(error) => {
            println!("there is no cluster to look at: {}", whole_message(&*error));
            ExitCode::FAILURE
        }
    }
}

/// The cluster that is looked at.
struct Subject {
    runtime: Runtime,
    client: kube::Client,
    /// The cluster when it is an embedded one.
    embedded: Option<Cluster>,
    run: String,
}

impl Subject {
    /// The cluster that is named, or a new embedded one; none on a machine that does not allow it.
    fn open() -> Result<Option<Self>, Error> {
        let runtime = Runtime::new()?;
        let run = std::process::id().to_string();
        if let Some(path) = std::env::var_os(KUBECONFIG) {
            let client = runtime.block_on(client_of(&path))?;
            return Ok(Some(Self {
                runtime,
                client,
                embedded: None,
                run,
            }));
        }
        let own = std::env::current_exe()?;
        let options = ClusterOptions {
            images: ImageStore::open(None)?.guarded_by(own.clone()),
            executable: own,
            port: None,
        };
        match runtime.block_on(Cluster::start(options)) {
            Ok(cluster) => {
                let client = runtime.block_on(cluster.client())?;
                Ok(Some(Self {
                    runtime,
                    client,
                    embedded: Some(cluster),
                    run,
                }))
            }
            Err(error @ ClusterError::Sandbox(_)) => {
                println!("skipped: {}", whole_message(&error));
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn observe(&self, behaviour: &Behaviour) -> Result<(), Failure> {
        self.runtime.block_on(async {
            let place = Place::make(self.client.clone(), &self.run).await?;
            let outcome = behaviour.observe(place.clone()).await;
            place.leave().await?;
            outcome
        })
    }

    /// Waits until a real cluster has removed what was made; an embedded one ends with all that is in it.
    fn close(self) -> Result<(), Error> {
        match self.embedded {
            Some(cluster) => Ok(self.runtime.block_on(cluster.stop())?),
            None => self.runtime.block_on(until_removed(self.client, &self.run)),
        }
    }
}

async fn client_of(path: &std::ffi::OsStr) -> Result<kube::Client, Error> {
    let kubeconfig = Kubeconfig::read_from(path)?;
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    // a refusal is what is looked for
    config.default_retry = false;
    Ok(kube::Client::try_from(config)?)
}

async fn until_removed(client: kube::Client, run: &str) -> Result<(), Error> {
    let namespaces: Api<Namespace> = Api::all(client);
    let own = ListParams::default().labels(&format!("{RUN_LABEL}={run}"));
    let begun = Instant::now();
    loop {
        let left = namespaces.list(&own).await?.items.len();
        if left == 0 {
            return Ok(());
        }
        if begun.elapsed() > REMOVAL {
            return Err(format!("{left} namespaces labelled {RUN_LABEL}={run} are not removed").into());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

fn observe_all(arguments: &Arguments, subject: &Arc<Subject>) -> ExitCode {
    let as_listed = Arc::new(AtomicUsize::new(0));
    let known = if subject.embedded.is_some() {
        known_differences()
    } else {
        Vec::new()
    };
    let trials = behaviours().into_iter().map(|behaviour| {
        let name = behaviour.name();
        let is_known = known.iter().any(|one| one.behaviour == name);
        let (subject, as_listed) = (subject.clone(), as_listed.clone());
        let kind = if is_known { "known difference" } else { "" };
        Trial::test(name, move || {
            match judged(subject.observe(&behaviour), is_known) {
                Ok(differs) => {
                    as_listed.fetch_add(usize::from(differs), Ordering::Relaxed);
                    Ok(())
                }
                Err(failure) => Err(Failed::from(whole_message(&failure))),
            }
        })
        .with_kind(kind)
    });
    let conclusion = libtest_mimic::run(arguments, trials.collect());
    let seen = conclusion.num_passed + conclusion.num_failed;
    let listed = as_listed.load(Ordering::Relaxed) as u64;
    println!(
        "{seen} behaviours, {} differ; {listed} of them as docs/embedded-cluster.md says",
        conclusion.num_failed + listed
    );
    close(subject.clone(), conclusion.exit_code())
}

fn close(subject: Arc<Subject>, verdict: ExitCode) -> ExitCode {
    let closed = Arc::into_inner(subject).map_or(Ok(()), Subject::close);
    match closed {
        Ok(()) => verdict,
        Err(error) => {
            println!("the cluster is not as it was: {}", whole_message(&*error));
            ExitCode::FAILURE
        }
    }
}

fn whole_message(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |message, cause| format!("{message}: {cause}"))
}
