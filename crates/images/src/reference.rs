//! Image references, as far as recipes know them.

/// What a recipe is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Recipe {
    Prefect(PrefectTag),
    Postgres {
        flavour: PostgresFlavour,
        /// The major version that the tag names.
        major: Option<u32>,
    },
    Busybox,
    OsShell,
}

/// Whose image of PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PostgresFlavour {
    Bitnami,
    Official,
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
        "bitnami/postgresql".into(),
        "bitnamilegacy/postgresql".into(),
        "bitnami/os-shell".into(),
        "postgres".into(),
        "busybox".into(),
    ]
}

/// What a reference says.
struct Reference<'a> {
    /// The registry; `None` is Docker Hub.
    registry: Option<&'a str>,
    repository: &'a str,
    tag: &'a str,
}

impl<'a> Reference<'a> {
    /// Reads `[REGISTRY/]REPOSITORY[:TAG][@DIGEST]`.
    fn parse(reference: &'a str) -> Self {
        let named = reference
            .split_once('@')
            .map_or(reference, |(named, _digest)| named);
        let (registry, local) = match named.split_once('/') {
            // a registry has a dot or a port, unlike a repository
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (Some(first), rest),
            _ => (None, named),
        };
        let (repository, tag) = local.split_once(':').unwrap_or((local, "latest"));
        let registry = registry.filter(|name| !["docker.io", "index.docker.io"].contains(name));
        Self {
            registry,
            repository,
            tag,
        }
    }

    fn is_on_docker_hub(&self) -> bool {
        self.registry.is_none()
    }

    /// The number that the tag begins with.
    fn major(&self) -> Option<u32> {
        let end = self
            .tag
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(self.tag.len());
        self.tag[..end].parse().ok()
    }
}

impl Recipe {
    /// The recipe for a reference; `None` when there is none.
    ///
    /// Images of PostgreSQL are known from any registry: what is in a mirror is the same image.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let reference = Reference::parse(text);
        let postgres = |flavour| {
            Some(Self::Postgres {
                flavour,
                major: reference.major(),
            })
        };
        match reference.repository {
            "prefecthq/prefect" if reference.is_on_docker_hub() => {
                PrefectTag::parse(reference.tag).map(Self::Prefect)
            }
            "busybox" | "library/busybox" if reference.is_on_docker_hub() => Some(Self::Busybox),
            // what the chart of PostgreSQL prepares volumes and certificates with
            "bitnami/os-shell" | "bitnamilegacy/os-shell" => Some(Self::OsShell),
            "bitnami/postgresql" | "bitnamilegacy/postgresql" => postgres(PostgresFlavour::Bitnami),
            "postgres" | "library/postgres" => postgres(PostgresFlavour::Official),
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
        Some(Self {
            version: version.to_owned(),
            python: python.map(str::to_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn prefect(version: &str, python: Option<&str>) -> Option<Recipe> {
        let python = python.map(str::to_owned);
        Some(Recipe::Prefect(PrefectTag {
            version: version.into(),
            python,
        }))
    }

    fn bitnami(major: Option<u32>) -> Option<Recipe> {
        Some(Recipe::Postgres {
            flavour: PostgresFlavour::Bitnami,
            major,
        })
    }

    fn official(major: Option<u32>) -> Option<Recipe> {
        Some(Recipe::Postgres {
            flavour: PostgresFlavour::Official,
            major,
        })
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
    #[case("bitnami/postgresql:14.13.0", bitnami(Some(14)))]
    #[case("docker.io/bitnami/postgresql:14.13.0", bitnami(Some(14)))]
    #[case("docker.io/bitnamilegacy/postgresql:15.4.0-debian-11-r45", bitnami(Some(15)))]
    #[case(
        "mirror.example.com:5000/bitnamilegacy/postgresql:16@sha256:abab",
        bitnami(Some(16))
    )]
    #[case("localhost/bitnami/postgresql", bitnami(None))]
    #[case("docker.io/bitnami/postgresql@sha256:abab", bitnami(None))]
    #[case("bitnami/postgresql-repmgr:14", None)]
    #[case("docker.io/bitnami/os-shell:11-debian-11-r77", Some(Recipe::OsShell))]
    #[case("postgres:15", official(Some(15)))]
    #[case("docker.io/library/postgres:17.2-alpine", official(Some(17)))]
    #[case("postgres:latest", official(None))]
    #[case("other/postgres:15", None)]
    fn references_name_recipes(#[case] reference: &str, #[case] expected: Option<Recipe>) {
        assert_eq!(Recipe::parse(reference), expected);
    }
}
