//! API and UI ask for credentials, take the right ones and no others; health needs none.

use super::{Broken, Seen, Verdict};
use crate::{deployment::Deployment, http::Http, prefect::Prefect};

/// 401 without and with wrong credentials, 200 with the right ones, and health without any, as Prefect
/// defines it for probes.
pub(crate) async fn enforced(deployment: &Deployment, credentials: &str) -> Seen {
    let prefect = Prefect::connect(deployment).await?;
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    let wrong = format!("{password}-wrong");
    let open = prefect.http.with(None);
    let refused = [
        ("without credentials", open.clone()),
        ("with a wrong password", prefect.http.with(Some((user, &wrong)))),
        ("with a wrong user", prefect.http.with(Some(("nobody", password)))),
    ];
    for (how, http) in &refused {
        expect(
            http.post("/api/flows/count", &serde_json::json!({}))
                .await?
                .status,
            401,
            how,
            "the API",
        )?;
        expect(
            http.get("/api/admin/version").await?.status,
            401,
            how,
            "the API's version",
        )?;
    }
    let right = prefect.http.with(Some((user, password)));
    let answer = right.post("/api/flows/count", &serde_json::json!({})).await?;
    expect(answer.status, 200, "with the right credentials", "the API")?;
    for path in ["/api/health", "/api/ready"] {
        expect(open.get(path).await?.status, 200, "without credentials", path)?;
    }
    login_of_ui(deployment, &open).await?;
    Ok(Verdict::Holds(
        "401 without and with wrong credentials, 200 with the right ones".into(),
    ))
}

/// The UI's page is open, and its settings make it show a login form.
async fn login_of_ui(deployment: &Deployment, open: &Http) -> Result<(), Broken> {
    if !deployment.is_on("/server/uiConfig/enabled") {
        return Ok(());
    }
    let settings = open.get("/ui-settings").await?.json("/ui-settings")?;
    if settings["auth"] == "BASIC" {
        return Ok(());
    }
    Err(Broken::new("the UI does not ask for a login")
        .expected(r#"auth "BASIC""#, settings["auth"].to_string()))
}

fn expect(status: u16, wanted: u16, how: &str, what: &str) -> Result<(), Broken> {
    if status == wanted {
        return Ok(());
    }
    Err(Broken::new(format!("{what} answers {status} {how}"))
        .expected(wanted.to_string(), status.to_string()))
}
