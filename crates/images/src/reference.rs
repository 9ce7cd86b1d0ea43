//! Image references, as far as recipes know them.

/// What a recipe is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Recipe {
    Prefect(PrefectTag),
    Busybox,
}

/// Which Prefect on which Python.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PrefectTag {
    /// `X.Y.Z`.
    pub(crate) version: String,
    /// `A.B`; any that fits if `None`.
    pub(crate) python: Option<String>,
}

/// The release that `3-latest` stands for: the newest one that this recipe was tried with.
pub(crate) const LATEST: &str = "3.6.9";

/// What can be asked for, for people.
pub(crate) fn known() -> Vec<String> {
    vec![
        format!("prefecthq/prefect:3-latest (which is {LATEST})"),
        "prefecthq/prefect:X.Y.Z".into(),
        "prefecthq/prefect:X.Y.Z-pythonA.B".into(),
        "busybox".into(),
    ]
}

impl Recipe {
    /// The recipe for a reference; `None` when there is none.
    pub(crate) fn parse(reference: &str) -> Option<Self> {
        let local = ["docker.io/", "index.docker.io/"].iter().find_map(|host| reference.strip_prefix(host));
        let local = local.unwrap_or(reference);
        let (name, tag) = local.split_once(':').unwrap_or((local, "latest"));
        match name {
            "prefecthq/prefect" => PrefectTag::parse(tag).map(Self::Prefect),
            "busybox" | "library/busybox" => Some(Self::Busybox),
            _ => None,
        }
    }
}

impl PrefectTag {
    fn parse(tag: &str) -> Option<Self> {
        let (version, python) = match tag.split_once("-python") {
            Some((version, python)) => (version, Some(python)),
            None => (tag, None),
        };
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let version = match version {
            "3-latest" => LATEST,
            exact if exact.split('.').count() == 3 && exact.split('.').all(is_number) => exact,
            _ => return None,
        };
        if python.is_some_and(|python| python.split('.').count() != 2 || !python.split('.').all(is_number)) {
            return None;
        }
        Some(Self { version: version.to_owned(), python: python.map(str::to_owned) })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn prefect(version: &str, python: Option<&str>) -> Option<Recipe> {
        let python = python.map(str::to_owned);
        Some(Recipe::Prefect(PrefectTag { version: version.into(), python }))
    }

    #[rstest]
    #[case("prefecthq/prefect:3-latest", prefect(LATEST, None))]
    #[case("docker.io/prefecthq/prefect:3.2.7", prefect("3.2.7", None))]
    #[case("prefecthq/prefect:3.6.9-python3.12", prefect("3.6.9", Some("3.12")))]
    #[case("prefecthq/prefect:3-latest-python3.11", prefect(LATEST, Some("3.11")))]
    #[case("busybox", Some(Recipe::Busybox))]
    #[case("docker.io/library/busybox:1.36", Some(Recipe::Busybox))]
    #[case("prefecthq/prefect", None)]
    #[case("prefecthq/prefect:3.6", None)]
    #[case("prefecthq/prefect:3.6.x", None)]
    #[case("prefecthq/prefect:3.6.9-python3", None)]
    #[case("ghcr.io/prefecthq/prefect:3.6.9", None)]
    #[case("nginx", None)]
    fn references_name_recipes(#[case] reference: &str, #[case] expected: Option<Recipe>) {
        assert_eq!(Recipe::parse(reference), expected);
    }
}
