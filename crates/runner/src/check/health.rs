//! The server answers: through its Service, at once or at last, with the version that was asked for.

use std::time::{Duration, Instant};

use prefect_e2e_scenarios::Component;

use super::{Broken, Seen, Verdict};
use crate::{
    deploy::reference,
    deployment::Deployment,
    diagnosis::Diagnosis,
    http::{Answer, through_service},
    prefect::{Prefect, expect_ok},
    step::Progress,
};

/// The pause between two questions.
const PAUSE: Duration = Duration::from_millis(200);

/// How often the whole namespace is looked at while the server does not answer.
const LOOK: Duration = Duration::from_secs(2);

/// A container that ended so often while all others run will not come up.
const HOPELESS_RESTARTS: i32 = 3;

/// Asks `/api/health` through the Service.
pub(crate) async fn ask(deployment: &Deployment, path: &str) -> Result<Answer, Broken> {
    let service = deployment.service()?;
    through_service(
        &deployment.place,
        service.name(),
        deployment.service_port()?,
        path,
    )
    .await
}

/// Waits until `/api/health` answers 200 through the Service; gives up early where waiting is in vain.
pub(crate) async fn become_healthy(
    deployment: &Deployment,
    patience: Duration,
    progress: &Progress,
) -> Result<(), Broken> {
    let begin = Instant::now();
    let mut looked = Instant::now();
    let mut suspicion = Suspicion::default();
    let mut last = String::from("nothing was asked yet");
    while begin.elapsed() < patience {
        match ask(deployment, "/api/health").await {
            Ok(answer) if answer.status == 200 => return Ok(()),
            Ok(answer) => last = answer.proxy_error().unwrap_or_else(|| answer.excerpt()),
            Err(broken) => last = broken.cause().to_owned(),
        }
        progress.say(&last);
        if looked.elapsed() > LOOK {
            looked = Instant::now();
            let diagnosis = Diagnosis::of(&deployment.place).await;
            if let Some(broken) = suspicion.confirm(deployment, &diagnosis).await? {
                return Err(finish(broken, &diagnosis, &last));
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    let diagnosis = Diagnosis::of(&deployment.place).await;
    let waited = format!("not healthy within {} s", patience.as_secs());
    let broken = match diagnosis.cause() {
        Some(cause) => Broken::new(format!("{}; {waited}", cause.message)).object(cause.object),
        None => Broken::new(waited),
    };
    Err(finish(broken, &diagnosis, &last))
}

fn finish(broken: Broken, diagnosis: &Diagnosis, last: &str) -> Broken {
    broken
        .expected("200 from /api/health through the Service", last)
        .details(diagnosis.details())
}

/// What looks hopeless has to look so twice before it is told.
#[derive(Default)]
struct Suspicion {
    hopeless: Option<String>,
    /// Since when the server has answered, though not through its Service.
    astray: Option<Instant>,
}

impl Suspicion {
    async fn confirm(
        &mut self,
        deployment: &Deployment,
        diagnosis: &Diagnosis,
    ) -> Result<Option<Broken>, Broken> {
        let hopeless = diagnosis
            .hopeless()
            .or_else(|| diagnosis.crash_loop(HOPELESS_RESTARTS));
        if let Some(cause) = hopeless {
            if self.hopeless.as_deref() == Some(&cause.object) {
                return Ok(Some(Broken::new(cause.message).object(cause.object)));
            }
            self.hopeless = Some(cause.object);
            return Ok(None);
        }
        self.hopeless = None;
        if !answers_port_forward(deployment).await {
            self.astray = None;
            return Ok(None);
        }
        let since = *self.astray.get_or_insert_with(Instant::now);
        if since.elapsed() > service_lag(deployment)
            && ask(deployment, "/api/health")
                .await
                .is_ok_and(|answer| answer.status != 200)
        {
            return Ok(Some(astray(deployment, diagnosis)?));
        }
        Ok(None)
    }
}

/// How far a Service may be behind its server: a moment, and as long as a readiness probe takes to notice.
fn service_lag(deployment: &Deployment) -> Duration {
    let container = deployment.container(Component::Server);
    let probe = container.map(|container| &container["readinessProbe"]);
    let seconds = |key: &str| match &probe {
        Ok(probe) => probe[key].as_u64().unwrap_or_default(),
        Err(_) => 0,
    };
    LOOK / 2 + Duration::from_secs(seconds("initialDelaySeconds") + 2 * seconds("periodSeconds"))
}

async fn answers_port_forward(deployment: &Deployment) -> bool {
    let Ok(prefect) = Prefect::connect(deployment).await else {
        return false;
    };
    prefect
        .http
        .get("/api/health")
        .await
        .is_ok_and(|answer| answer.status == 200)
}

/// The server answers a port-forward, but not through its Service: says why.
fn astray(deployment: &Deployment, diagnosis: &Diagnosis) -> Result<Broken, Broken> {
    let service = deployment.service()?;
    let name = reference(service);
    let port = &service.json()["spec"]["ports"][0];
    let leads_to = if port["targetPort"].is_null() {
        &port["port"]
    } else {
        &port["targetPort"]
    };
    let listens = deployment.container_port();
    // a pod that is not ready gets nothing from its Service
    if let Some(cause) = diagnosis
        .service_without_pods()
        .or_else(|| diagnosis.failed_probe())
    {
        return Ok(Broken::new(cause.message).object(cause.object));
    }
    if leads_to
        .as_u64()
        .is_some_and(|number| number != u64::from(listens))
    {
        let cause =
            format!("the Service leads to port {leads_to} of the pod, but the server listens on {listens}");
        return Ok(Broken::new(cause).object(name));
    }
    let cause = "the server answers a port-forward but not its Service: it listens on the pod's loopback alone \
                 (PREFECT_SERVER_API_HOST is not 0.0.0.0)";
    Ok(Broken::new(cause).object(reference(deployment.workload(Component::Server)?)))
}

/// `/api/health`, `/api/ready` and `/api/admin/version` through the Service.
pub(crate) async fn through_the_service(deployment: &Deployment) -> Seen {
    for path in ["/api/health", "/api/ready"] {
        expect_ok(
            &format!("GET {path} through the Service"),
            &ask(deployment, path).await?,
        )?;
    }
    // the API server keeps credentials to itself
    if deployment.credentials.is_some() {
        return Ok(Verdict::Holds("healthy and ready".into()));
    }
    let answer = ask(deployment, "/api/admin/version").await?;
    let version = expect_ok("GET /api/admin/version through the Service", &answer)?.json("the version")?;
    let version = version.as_str().unwrap_or_default().to_owned();
    expect_version(deployment, &version)?;
    Ok(Verdict::Holds(format!("healthy and ready, Prefect {version}")))
}

/// The same by port-forward, as people reach a server that is not exposed.
pub(crate) async fn by_port_forward(deployment: &Deployment) -> Seen {
    let prefect = Prefect::connect(deployment).await?;
    for path in ["/api/health", "/api/ready"] {
        expect_ok(
            &format!("GET {path} by port-forward"),
            &prefect.http.get(path).await?,
        )?;
    }
    let answer = prefect.http.get("/api/admin/version").await?;
    let version = expect_ok("GET /api/admin/version by port-forward", &answer)?.json("the version")?;
    let version = version.as_str().unwrap_or_default().to_owned();
    expect_version(deployment, &version)?;
    Ok(Verdict::Holds(format!("Prefect {version}")))
}

/// A tag that names a release promises that release.
fn expect_version(deployment: &Deployment, version: &str) -> Result<(), Broken> {
    let tag = deployment.text("/global/prefect/image/prefectTag");
    let release = tag.split("-python").next().unwrap_or_default();
    let is_exact =
        release.split('.').count() == 3 && release.bytes().all(|byte| byte == b'.' || byte.is_ascii_digit());
    let as_promised = if is_exact {
        version == release
    } else {
        version.starts_with("3.") || !tag.starts_with("3-")
    };
    if as_promised {
        return Ok(());
    }
    Err(Broken::new(format!(
        "the server is not the release that the tag {tag:?} names"
    ))
    .expected(if is_exact { release } else { "3.x" }, version))
}
