//! Names, cut as the charts cut them.

/// At most 63 characters, without a dash at the cut.
pub(crate) fn truncate(name: &str) -> String {
    let cut = name.char_indices().nth(63).map_or(name, |(end, _)| &name[..end]);
    cut.strip_suffix('-').unwrap_or(cut).to_owned()
}

/// The chart's name or what overrides it.
pub(crate) fn name(chart: &str, name_override: &str) -> String {
    truncate(if name_override.is_empty() {
        chart
    } else {
        name_override
    })
}

/// The name of a release's objects.
pub(crate) fn fullname(chart: &str, name_override: &str, fullname_override: &str, release: &str) -> String {
    if !fullname_override.is_empty() {
        return truncate(fullname_override);
    }
    let name = if name_override.is_empty() {
        chart
    } else {
        name_override
    };
    if release.contains(name) {
        truncate(release)
    } else {
        truncate(&format!("{release}-{name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_that_has_the_charts_name_is_enough() {
        assert_eq!(
            fullname("prefect-server", "", "", "my-prefect-server"),
            "my-prefect-server"
        );
        assert_eq!(fullname("prefect-server", "", "", "my"), "my-prefect-server");
        assert_eq!(fullname("prefect-server", "orion", "", "my"), "my-orion");
        assert_eq!(fullname("prefect-server", "orion", "full", "my"), "full");
    }

    #[test]
    fn names_are_cut_at_63_characters_and_lose_one_dash() {
        assert_eq!(truncate(&"a".repeat(70)).len(), 63);
        assert_eq!(
            truncate(&format!("{}--b", "a".repeat(61))),
            format!("{}-", "a".repeat(61))
        );
        assert_eq!(truncate(&"ä".repeat(64)), "ä".repeat(63));
    }
}
