//! The UI in a real browser: it renders live data, without a failed request or an error in its console.

use std::{path::Path, time::Duration};

use super::{Broken, Seen, Verdict};
use crate::{
    browser::{self, Browser},
    deployment::Deployment,
    prefect::Prefect,
    step::Progress,
};

/// How long a page may take to show what it should.
const PATIENCE: Duration = Duration::from_secs(60);

/// Opens the dashboard, logs in where that is asked for, and looks for a flow run that was just written.
pub(crate) async fn shows_live_data(deployment: &Deployment, artifacts: &Path, progress: &Progress) -> Seen {
    let Some(program) = browser::browser_program() else {
        return Ok(Verdict::Skipped(browser::REMEDY.into()));
    };
    let api = deployment.text("/server/uiConfig/prefectUiApiUrl");
    let Some(host) = api
        .strip_prefix("http://")
        .and_then(|rest| rest.split('/').next())
    else {
        return Ok(Verdict::Skipped(format!(
            "the UI's API {api:?} is not reached over plain HTTP"
        )));
    };
    let prefect = Prefect::connect(deployment).await?;
    let run = prefect.write_flow_run("prefect-e2e-shown").await?;
    let page = if host.contains(':') {
        host.to_owned()
    } else {
        format!("{host}:80")
    };
    let browser = Browser::start(&program, &page, prefect.address()).await?;
    let outcome = look(&browser, deployment, host, &run.name, progress).await;
    let picture = artifacts.join(format!("{}.png", deployment.place.namespace));
    let drawn = std::fs::create_dir_all(artifacts).is_ok() && browser.screenshot(&picture).await.is_ok();
    if drawn {
        progress.artifact("the UI in a browser", &picture);
    }
    browser.close().await;
    outcome.map(Verdict::Holds)
}

async fn look(
    browser: &Browser,
    deployment: &Deployment,
    host: &str,
    run: &str,
    progress: &Progress,
) -> Result<String, Broken> {
    progress.say("opening the dashboard");
    browser.go(&format!("http://{host}/")).await?;
    if let Some(credentials) = &deployment.credentials {
        expect("a login form", browser.wait(PATIENCE, |seen| seen.login).await?)?;
        browser.log_in(credentials).await?;
        expect(
            "the dashboard after the login",
            browser
                .wait(PATIENCE, |seen| !seen.login && is_dashboard(seen))
                .await?,
        )?;
    } else {
        expect("the dashboard", browser.wait(PATIENCE, is_dashboard).await?)?;
    }
    complained(browser).await?;
    progress.say("opening the list of runs");
    browser.go(&format!("http://{host}/runs")).await?;
    let shown = |seen: &browser::Seen| seen.url.contains("/runs") && seen.text.contains(run);
    expect(
        "a flow run that was just written",
        browser.wait(PATIENCE, shown).await?,
    )?;
    complained(browser).await?;
    Ok(match deployment.credentials {
        Some(_) => "login, dashboard and a flow run just written; no complaint".into(),
        None => "dashboard and a flow run just written; no complaint".to_owned(),
    })
}

fn is_dashboard(seen: &browser::Seen) -> bool {
    seen.url.contains("/dashboard") && seen.text.contains("Flow Runs")
}

fn expect(what: &str, outcome: Result<browser::Seen, browser::Seen>) -> Result<(), Broken> {
    let Err(seen) = outcome else { return Ok(()) };
    let text: String = seen
        .text
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .take(300)
        .collect();
    Err(Broken::new(format!("the UI in a browser does not show {what}"))
        .expected(what, format!("{} {text}", seen.url))
        .detail("complaints of the page", seen.complaints.join("\n")))
}

/// The page's complaints, which there must not be.
async fn complained(browser: &Browser) -> Result<(), Broken> {
    let seen = browser.look().await?;
    let mut complaints = seen
        .complaints
        .iter()
        .filter(|complaint| !leads_outside(complaint));
    match complaints.next() {
        None => Ok(()),
        Some(first) => Err(
            Broken::new(format!("the UI in a browser complains: {first}")).expected(
                "no failed request and no error in the console",
                seen.complaints.join("; "),
            ),
        ),
    }
}

/// The UI asks Prefect's makers for news, which a machine without a network cannot hear.
fn leads_outside(complaint: &str) -> bool {
    ["prefect.io", "api.github.com", "amplitude", "sentry"]
        .iter()
        .any(|host| complaint.contains(host))
}
