//! Capabilities: what a container's root may do.

use std::collections::BTreeSet;

use caps::{CapSet, Capability};

use crate::error::SandboxError;

/// Gives up for good every capability that is not among `kept` (names without `CAP_`).
pub(crate) fn keep_only(kept: &BTreeSet<String>) -> Result<(), SandboxError> {
    let failed = |error: caps::errors::CapsError| {
        SandboxError::system(
            "cannot give up capabilities",
            std::io::Error::other(error.to_string()),
        )
    };
    if kept.contains("ALL") {
        return Ok(());
    }
    for capability in caps::all() {
        let is_kept = kept.iter().any(|name| is_named(capability, name));
        if !is_kept && caps::has_cap(None, CapSet::Bounding, capability).map_err(failed)? {
            caps::drop(None, CapSet::Bounding, capability).map_err(failed)?;
        }
    }
    Ok(())
}

fn is_named(capability: Capability, name: &str) -> bool {
    let full = capability.to_string();
    full == name || full.strip_prefix("CAP_") == Some(name)
}
