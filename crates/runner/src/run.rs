//! Many scenarios on one target, several at a time.

use std::{
    collections::{BTreeMap, VecDeque},
    io::IsTerminal as _,
    sync::Arc,
    time::{Duration, Instant},
};

use prefect_e2e_renderer::KubeVersion;
use prefect_e2e_scenarios::Scenario;
use sha2::{Digest as _, Sha256};
use tokio::{sync::Mutex, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    event::{EVENT_VERSION, Events, Happening, Verdict},
    exit_code,
    prove::{Keep, ProveOptions, Proving},
    step::Steps,
    target::{Target, TargetError},
};

/// How a run goes.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// How many scenarios run at once.
    pub jobs: usize,
    /// How each is proven.
    pub prove: ProveOptions,
    /// Begin no further scenario once one has failed.
    pub fail_fast: bool,
    /// How often a failed scenario is tried again.
    pub retries: usize,
    /// How often each scenario is run, to hunt flakes; it passes when all of its runs do.
    pub repeat: usize,
    /// Decides the order in which scenarios start; those that take longest start first if `None`.
    pub seed: Option<u64>,
    /// How long scenarios took before, by name: those that take longest start first.
    pub durations: BTreeMap<String, Duration>,
    /// How scenarios are named after `prefect-e2e run`, where it is not by their name.
    pub reruns: BTreeMap<String, String>,
    /// The arguments after `prefect-e2e run SCENARIO` that repeat a scenario as it was run.
    pub rerun_arguments: String,
}

/// How many scenarios ended how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// They passed, at once or when tried again.
    pub passed: Vec<String>,
    /// They failed.
    pub failed: Vec<String>,
    /// They were not run, or broken off.
    pub skipped: Vec<String>,
    /// One failed because the machine lacks what is needed.
    pub unusable: bool,
}

impl Summary {
    /// How a program ends that has run them to the end.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        if self.unusable {
            exit_code::UNUSABLE
        } else if self.failed.is_empty() {
            exit_code::PASSED
        } else {
            exit_code::FAILED
        }
    }
}

/// The number of scenarios that run at once by default: they wait for their servers' boots, which are
/// bound by CPU, so that two a core keep every core busy; each needs up to 1 GiB of memory.
#[must_use]
pub fn default_jobs() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available = memory.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib: usize = available
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(usize::MAX);
    (2 * cores).min(kib / (1024 * 1024)).max(1)
}

/// A name for a run that no other has.
#[must_use]
pub(crate) fn run_id() -> String {
    let id = uuid::Uuid::new_v4().simple().to_string();
    id[..6].to_owned()
}

/// About what the boot of a server takes, for scenarios that were never run here.
const BOOT: Duration = Duration::from_secs(12);

/// Puts the scenarios that take longest first, so that none is left to run alone at the end.
fn longest_first(scenarios: &mut [Scenario], durations: &BTreeMap<String, Duration>) {
    let expected = |scenario: &Scenario| {
        let boots = u32::try_from(scenario.expected_boots()).unwrap_or(u32::MAX);
        durations
            .get(&scenario.name)
            .copied()
            .unwrap_or(BOOT.saturating_mul(boots))
    };
    scenarios.sort_by_key(|scenario| std::cmp::Reverse(expected(scenario)));
}

/// Orders the scenarios by chance, the same for the same seed and names.
fn shuffle(scenarios: &mut [Scenario], seed: u64) {
    scenarios.sort_by_cached_key(|scenario| Sha256::digest(format!("{seed} {}", scenario.name)));
}

/// Proves `scenarios` on the target that `connect` gives, which is torn down at the end.
///
/// # Errors
/// When the target cannot be used; then no scenario was begun.
pub async fn run<F>(
    mut scenarios: Vec<Scenario>,
    options: RunOptions,
    events: &Events,
    stop: &CancellationToken,
    connect: impl FnOnce() -> F,
) -> Result<Summary, TargetError>
where
    F: Future<Output = Result<Box<dyn Target>, TargetError>>,
{
    let begin = Instant::now();
    let run = run_id();
    match options.seed {
        Some(seed) => shuffle(&mut scenarios, seed),
        None => longest_first(&mut scenarios, &options.durations),
    }
    let names: Vec<String> = scenarios.iter().map(|scenario| scenario.name.clone()).collect();
    let jobs = options.jobs.min(scenarios.len()).max(1);
    events.publish(
        None,
        Happening::RunStarted {
            version: EVENT_VERSION,
            run: run.clone(),
            scenarios: names,
            jobs,
        },
    );
    let target: Arc<Box<dyn Target>> = tokio::select! {
        target = connect() => Arc::new(target?),
        () = stop.cancelled() => return Ok(Summary { skipped: names_of(scenarios.iter()), ..Summary::default() }),
    };
    let kube_version = tell_target(&**target, events, begin).await?;
    let batch = Arc::new(Batch {
        queue: Mutex::new(scenarios.into()),
        summary: Mutex::default(),
        prove: Arc::new(options.prove.clone()),
        options,
        events: events.clone(),
        stop: stop.clone(),
        target,
        kube_version,
        run,
    });
    Batch::work(&batch, jobs).await;
    let summary = batch.summary().await;
    if let Some(batch) = Arc::into_inner(batch) {
        batch.end(&summary, begin).await?;
    }
    let (passed, failed, skipped) = (summary.passed.len(), summary.failed.len(), summary.skipped.len());
    events.publish(
        None,
        Happening::RunEnded {
            passed,
            failed,
            skipped,
            took: begin.elapsed(),
        },
    );
    Ok(summary)
}

fn names_of<'a>(scenarios: impl Iterator<Item = &'a Scenario>) -> Vec<String> {
    scenarios.map(|scenario| scenario.name.clone()).collect()
}

/// Tells which target it is, and gives the version of its Kubernetes.
pub(crate) async fn tell_target(
    target: &dyn Target,
    events: &Events,
    begin: Instant,
) -> Result<KubeVersion, TargetError> {
    let failed = |source| TargetError::Api {
        about: target.about(),
        source: Box::new(source),
    };
    let version = target.client().apiserver_version().await.map_err(failed)?;
    let told = Happening::TargetReady {
        target: target.kind().to_owned(),
        about: target.about(),
        kubernetes: version.git_version.clone(),
        took: begin.elapsed(),
    };
    events.publish(None, told);
    Ok(version.git_version.parse().unwrap_or_default())
}

/// The scenarios of a run and what becomes of them.
struct Batch {
    queue: Mutex<VecDeque<Scenario>>,
    summary: Mutex<Summary>,
    prove: Arc<ProveOptions>,
    options: RunOptions,
    events: Events,
    stop: CancellationToken,
    target: Arc<Box<dyn Target>>,
    kube_version: KubeVersion,
    run: String,
}

impl Batch {
    async fn work(batch: &Arc<Self>, jobs: usize) {
        let mut workers = JoinSet::new();
        for _ in 0..jobs {
            let batch = batch.clone();
            workers.spawn(async move {
                while let Some(scenario) = batch.next().await {
                    batch.prove(scenario).await;
                }
            });
        }
        while workers.join_next().await.is_some() {}
    }

    async fn next(&self) -> Option<Scenario> {
        let failed = self.options.fail_fast && !self.summary.lock().await.failed.is_empty();
        if failed || self.stop.is_cancelled() {
            return None;
        }
        self.queue.lock().await.pop_front()
    }

    /// Proves a scenario: as often as it is to be repeated, and again when it fails and may be tried again.
    async fn prove(&self, scenario: Scenario) {
        let name = scenario.name.clone();
        let (repeat, retries) = (self.options.repeat.max(1), self.options.retries);
        let note = |message: String| self.events.publish(Some(&name), Happening::Note { message });
        let mut verdict = self.attempt(&scenario, 0, false).await;
        for attempt in 1..repeat + retries {
            match verdict {
                Verdict::Passed if attempt < repeat => note(format!("passed {attempt} of {repeat} times")),
                Verdict::Failed if attempt >= repeat || repeat == 1 => {
                    note(format!("failed; attempt {} follows", attempt + 1))
                }
                _ => break,
            }
            if self.stop.is_cancelled() {
                break;
            }
            verdict = self.attempt(&scenario, attempt, verdict == Verdict::Failed).await;
        }
        let mut summary = self.summary.lock().await;
        match verdict {
            Verdict::Passed | Verdict::Flaky => summary.passed.push(name),
            Verdict::Failed => summary.failed.push(name),
            Verdict::Skipped => summary.skipped.push(name),
        }
    }

    async fn attempt(&self, scenario: &Scenario, attempt: usize, after_failure: bool) -> Verdict {
        let named = self.options.reruns.get(&scenario.name).unwrap_or(&scenario.name);
        let rerun = format!("prefect-e2e run {named}{}", self.options.rerun_arguments);
        // a namespace of an earlier attempt may still be ending
        let run = if attempt == 0 {
            self.run.clone()
        } else {
            format!("{}-{attempt}", self.run)
        };
        let proving = Proving {
            scenario: scenario.clone(),
            options: self.prove.clone(),
            target: self.target.clone(),
            kube_version: self.kube_version,
            run,
            steps: Steps::new(self.events.clone(), &scenario.name, rerun),
            stop: self.stop.clone(),
            after_failure,
        };
        let ended = proving.prove().await;
        if ended.unusable {
            self.summary.lock().await.unusable = true;
        }
        ended.verdict
    }

    /// What became of the scenarios; those never begun count as skipped.
    async fn summary(&self) -> Summary {
        let mut summary = self.summary.lock().await.clone();
        summary.skipped.extend(names_of(self.queue.lock().await.iter()));
        summary
    }

    /// Whether a namespace was left to be looked at.
    fn keeps(&self, summary: &Summary) -> bool {
        match self.prove.keep {
            Keep::Nothing => false,
            Keep::Failed => !summary.failed.is_empty(),
            Keep::All => true,
        }
    }

    /// Leaves time to look at what was kept in a cluster that ends with the run.
    async fn hold(&self) {
        let is_watched = std::io::stdin().is_terminal();
        let message = if is_watched {
            "the cluster ends with the run, which waits for Ctrl-C"
        } else {
            "the cluster ends with the run, and what was kept with it: `--target kind` or kubeconfig keeps it"
        };
        let message = message.to_owned();
        self.events.publish(None, Happening::Note { message });
        if is_watched {
            self.stop.cancelled().await;
        }
    }

    async fn end(self, summary: &Summary, begin: Instant) -> Result<(), TargetError> {
        if let Some(seconds) = self.target.cpu_seconds().await {
            self.events.publish(
                None,
                Happening::Note {
                    message: cpu_note(seconds, begin),
                },
            );
        }
        if self.keeps(summary) && self.target.ends_with_the_run() {
            self.hold().await;
        }
        match Arc::into_inner(self.target) {
            Some(target) => target.tear_down().await,
            None => Ok(()),
        }
    }
}

/// How well the run used the machine: its time against what the pods' work alone would take.
fn cpu_note(seconds: f64, begin: Instant) -> String {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    #[expect(clippy::cast_precision_loss, reason = "a machine has few cores")]
    let ideal = seconds / cores as f64;
    let ratio = begin.elapsed().as_secs_f64() / ideal.max(0.001);
    format!("pods used {seconds:.1} s of CPU; the run took {ratio:.2} times what {cores} cores need for that")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_identifiers_fit_labels_and_differ() {
        let (one, other) = (run_id(), run_id());
        assert_ne!(one, other);
        assert!(one.len() == 6 && one.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }

    #[test]
    fn scenarios_with_more_boots_start_first() {
        let scenario = |name: &str, text: &str| prefect_e2e_scenarios::parse(name, name, text).unwrap();
        let mut scenarios = vec![
            scenario("refused", "description: x\nexpect: {refused: {because: y}}\n"),
            scenario("one-boot", "description: x\n"),
            scenario(
                "two-boots",
                "description: x\nproves: [{dataSurvives: {deleting: [server]}}]\n",
            ),
        ];
        longest_first(&mut scenarios, &BTreeMap::new());
        assert_eq!(names_of(scenarios.iter()), ["two-boots", "one-boot", "refused"]);
        longest_first(
            &mut scenarios,
            &BTreeMap::from([("refused".to_owned(), Duration::from_secs(90))]),
        );
        assert_eq!(names_of(scenarios.iter()), ["refused", "two-boots", "one-boot"]);
    }

    #[test]
    fn a_seed_decides_the_order() {
        let scenarios = || -> Vec<Scenario> {
            let names = ["a", "b", "c", "d", "e"];
            let parse = |name: &&str| prefect_e2e_scenarios::parse(name, name, "description: x\n").unwrap();
            names.iter().map(parse).collect()
        };
        let order = |seed, mut scenarios: Vec<Scenario>| {
            shuffle(&mut scenarios, seed);
            names_of(scenarios.iter())
        };
        let reversed: Vec<Scenario> = scenarios().into_iter().rev().collect();
        assert_eq!(order(1, scenarios()), order(1, reversed));
        let orders: std::collections::BTreeSet<_> = (0..20).map(|seed| order(seed, scenarios())).collect();
        assert!(orders.len() > 10, "{orders:?}");
    }
}
