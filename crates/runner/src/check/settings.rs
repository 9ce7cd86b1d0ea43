//! The server's own account of its settings agrees with the values.

use serde_json::{Value, json};

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
    let wanted = promised(deployment);
    for (key, pointer, value) in &wanted {
        let found = settings.pointer(pointer).unwrap_or(&Value::Null);
        if found != value {
            let setting = pointer.trim_start_matches('/').replace('/', ".");
            return Err(Broken::new(format!("the server's setting {setting} is not what {key} asks for"))
                .expected(value.to_string(), found.to_string()));
        }
    }
    Ok(Verdict::Holds(format!("{} settings as the values ask", wanted.len())))
}

/// The key of the chart, where the server tells the setting, and its value.
fn promised(deployment: &Deployment) -> Vec<(&'static str, &'static str, Value)> {
    let values = &deployment.values;
    let server = &values.server;
    vec![
        ("server.debug", "/debug_mode", json!(server.debug)),
        ("server.loggingLevel", "/server/logging_level", json!(server.logging_level)),
        ("service.targetPort", "/server/api/port", json!(values.service.target_port)),
        ("server.uiConfig.enabled", "/server/ui/enabled", json!(server.ui_config.enabled)),
        ("server.uiConfig.prefectUiApiUrl", "/server/ui/api_url", json!(server.ui_config.prefect_ui_api_url)),
        (
            "server.uiConfig.prefectUiStaticDirectory",
            "/server/ui/static_directory",
            json!(server.ui_config.prefect_ui_static_directory),
        ),
    ]
}
