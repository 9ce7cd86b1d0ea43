//! Where and for which Kubernetes the chart is rendered.

use std::{fmt, str::FromStr};

/// A release of the chart: what `helm install` takes besides the values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Name of the release
    pub name: String,
    /// Namespace of the release
    pub namespace: String,
    /// Version of the cluster, which decides between versions of some kinds
    pub kube_version: KubeVersion,
}

impl Release {
    /// A release for Kubernetes 1.34.
    pub fn new(name: impl Into<String>, namespace: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            namespace: namespace.into(),
            kube_version: KubeVersion::default(),
        }
    }
}

/// A version of Kubernetes.
///
/// ```
/// use prefect_e2e_renderer::KubeVersion;
///
/// let version: KubeVersion = "v1.31.2".parse()?;
/// assert!(version > "1.30".parse()?);
/// assert_eq!(version.to_string(), "1.31.2");
/// # Ok::<(), prefect_e2e_renderer::KubeVersionError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KubeVersion {
    /// The first number
    pub major: u32,
    /// The second number
    pub minor: u32,
    /// The third number
    pub patch: u32,
}

impl KubeVersion {
    /// The version `major.minor.0`.
    #[must_use]
    pub const fn new(major: u32, minor: u32) -> Self {
        Self {
            major,
            minor,
            patch: 0,
        }
    }
}

impl Default for KubeVersion {
    fn default() -> Self {
        Self::new(1, 34)
    }
}

impl fmt::Display for KubeVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// A text that is no version of Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a version of Kubernetes; versions look like 1.31 or v1.31.2")]
pub struct KubeVersionError(String);

impl FromStr for KubeVersion {
    type Err = KubeVersionError;

    /// Reads `1.31`, `v1.31.2` and a build's name like `v1.31.2-gke.1`, whose suffix is dropped.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refusal = || KubeVersionError(text.to_owned());
        let plain = text.strip_prefix('v').unwrap_or(text);
        let numbers = plain.split(['-', '+']).next().unwrap_or_default();
        let mut parts = numbers
            .split('.')
            .map(|part| part.parse::<u32>().map_err(|_| refusal()));
        let major = parts.next().ok_or_else(refusal)??;
        let minor = parts.next().ok_or_else(refusal)??;
        let patch = parts.next().transpose()?.unwrap_or(0);
        if parts.next().is_some() {
            return Err(refusal());
        }
        Ok(Self { major, minor, patch })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("1.31", KubeVersion::new(1, 31))]
    #[case("v1.31.2", KubeVersion { major: 1, minor: 31, patch: 2 })]
    #[case("1.29.0-eks-1+x", KubeVersion::new(1, 29))]
    fn versions_are_read(#[case] text: &str, #[case] expected: KubeVersion) {
        assert_eq!(text.parse(), Ok(expected));
    }

    #[rstest]
    #[case("")]
    #[case("1")]
    #[case("one.two")]
    #[case("1.2.3.4")]
    fn other_texts_are_refused(#[case] text: &str) {
        assert_eq!(
            text.parse::<KubeVersion>(),
            Err(KubeVersionError(text.to_owned()))
        );
    }

    #[test]
    fn versions_are_ordered_by_number() {
        assert!(KubeVersion::new(1, 9) < KubeVersion::new(1, 19));
        assert_eq!(Release::new("a", "b").kube_version, KubeVersion::new(1, 34));
    }
}
