//! The UI over HTTP: its page, everything the page names, and its settings.

use std::{collections::BTreeSet, sync::LazyLock};

use regex::Regex;
use serde_json::Value;

use super::{Broken, Seen, Verdict};
use crate::{
    deployment::Deployment,
    http::{Answer, Http},
    prefect::{Prefect, expect_ok},
};

/// What the page loads: scripts, styles, icons.
#[expect(clippy::expect_used, reason = "a literal, tried by the tests")]
static ASSET: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"<(?:script|link)\b[^>]*?\b(?:src|href)="(/?[^":]+)""#).expect("a valid pattern")
});

/// The page, every script and style it names with the right content type, and `/ui-settings` agreeing
/// with the values. With the UI switched off there must be no page.
pub(crate) async fn over_http(deployment: &Deployment) -> Seen {
    let prefect = Prefect::connect(deployment).await?;
    let index = prefect.http.get("/").await?;
    if !deployment.is_on("/server/uiConfig/enabled") {
        return switched_off(&index);
    }
    expect_ok("GET / (the UI's page)", &index).map_err(|broken| {
        broken.detail(
            "hint",
            "PREFECT_UI_ENABLED must be true, and the static directory writable",
        )
    })?;
    expect_type("/", &index, &["text/html"])?;
    let assets = assets(&index.body);
    if !assets.iter().any(|path| path.ends_with(".js")) {
        return Err(Broken::new("the UI's page names no script").expected("a script", index.excerpt()));
    }
    for path in &assets {
        let answer = prefect.http.get(path).await?;
        expect_ok(&format!("GET {path}, which the UI's page names,"), &answer)?;
        expect_type(path, &answer, content_types(path))?;
    }
    settings(deployment, &prefect.http).await?;
    Ok(Verdict::Holds(format!(
        "the page and the {} files it names",
        assets.len()
    )))
}

fn switched_off(index: &Answer) -> Seen {
    if index.status == 200 && index.content_type.starts_with("text/html") {
        return Err(
            Broken::new("the UI is served although server.uiConfig.enabled is false")
                .expected("no page", index.excerpt()),
        );
    }
    Ok(Verdict::Holds("switched off, as the values ask".into()))
}

async fn settings(deployment: &Deployment, http: &Http) -> Result<(), Broken> {
    let answer = http.get("/ui-settings").await?;
    let settings = expect_ok("GET /ui-settings", &answer)?.json("/ui-settings")?;
    let wanted = deployment.text("/server/uiConfig/prefectUiApiUrl");
    if settings["api_url"] != wanted {
        return Err(
            Broken::new("/ui-settings names another API than server.uiConfig.prefectUiApiUrl")
                .expected(wanted, settings["api_url"].to_string()),
        );
    }
    let auth = if deployment.is_on("/server/basicAuth/enabled") {
        Value::from("BASIC")
    } else {
        Value::Null
    };
    if settings["auth"] != auth {
        return Err(
            Broken::new("/ui-settings disagrees with server.basicAuth.enabled")
                .expected(format!("auth {auth}"), format!("auth {}", settings["auth"])),
        );
    }
    Ok(())
}

fn assets(page: &str) -> BTreeSet<String> {
    let paths = ASSET.captures_iter(page).map(|found| found[1].to_owned());
    paths
        .map(|path| {
            if path.starts_with('/') {
                path
            } else {
                format!("/{path}")
            }
        })
        .collect()
}

fn content_types(path: &str) -> &'static [&'static str] {
    match path.rsplit('.').next() {
        Some("js" | "mjs") => &["text/javascript", "application/javascript"],
        Some("css") => &["text/css"],
        // some releases name icons that they do not ship, and answer with their page
        _ => &[""],
    }
}

fn expect_type(path: &str, answer: &Answer, allowed: &[&str]) -> Result<(), Broken> {
    if allowed.iter().any(|kind| answer.content_type.starts_with(kind)) {
        return Ok(());
    }
    Err(Broken::new(format!("{path} has the wrong content type"))
        .expected(allowed.join(" or "), &answer.content_type))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_page_names_is_found() {
        let page = r#"<link rel="icon" href="/ico.svg"><script type="module" crossorigin src="/assets/i-1.js">
            </script><link rel="stylesheet" href="./assets/i.css"><a href="https://prefect.io">x</a>
            <link href="https://fonts.example/x.css">"#;
        let found: Vec<_> = assets(page).into_iter().collect();
        assert_eq!(found, ["/./assets/i.css", "/assets/i-1.js", "/ico.svg"]);
    }
}
