//! The server's own account of its settings agrees with the values.

use serde_json::Value;

use super::{Broken, Seen, Verdict};
use crate::{
    deployment::Deployment,
    prefect::{Prefect, expect_ok},
};

/// Compares `/api/admin/settings` with what the values set.
pub(crate) async fn agree(deployment: &Deployment) -> Seen {
    let prefect = Prefect::connect(deployment).await?;
    let answer = prefect.http.get("/api/admin/settings").await?;
    let settings = expect_ok("GET /api/admin/settings", &answer)?.json("the settings")?;
    for (key, pointer) in SETTINGS {
        let (wanted, found) = (
            deployment.value(key),
            settings.pointer(pointer).unwrap_or(&Value::Null),
        );
        if found != wanted {
            let dotted = |pointer: &str| pointer.trim_start_matches('/').replace('/', ".");
            let cause = format!(
                "the server's setting {} is not what {} asks for",
                dotted(pointer),
                dotted(key)
            );
            return Err(Broken::new(cause).expected(wanted.to_string(), found.to_string()));
        }
    }
    Ok(Verdict::Holds(format!(
        "{} settings as the values ask",
        SETTINGS.len()
    )))
}

/// The keys of the chart, and where the server tells the settings that they become.
const SETTINGS: [(&str, &str); 6] = [
    ("/server/debug", "/debug_mode"),
    ("/server/loggingLevel", "/server/logging_level"),
    ("/service/targetPort", "/server/api/port"),
    ("/server/uiConfig/enabled", "/server/ui/enabled"),
    ("/server/uiConfig/prefectUiApiUrl", "/server/ui/api_url"),
    (
        "/server/uiConfig/prefectUiStaticDirectory",
        "/server/ui/static_directory",
    ),
];
