//! The numbers of an indexed job's pods.

use std::{collections::BTreeSet, fmt};

use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::ResourceExt as _;

pub(super) const ANNOTATION: &str = "batch.kubernetes.io/job-completion-index";

pub(super) fn is_indexed(job: &Job) -> bool {
    job.spec.as_ref().and_then(|spec| spec.completion_mode.as_deref()) == Some("Indexed")
}

pub(super) fn index_of(pod: &Pod) -> Option<i32> {
    pod.annotations().get(ANNOTATION)?.parse().ok()
}

/// A set of numbers, written as `0-2,5`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Indexes(BTreeSet<i32>);

impl Indexes {
    pub(super) fn parse(text: Option<&str>) -> Self {
        let ranges = text.unwrap_or_default().split(',').filter_map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            Some(first.parse::<i32>().ok()?..=last.parse::<i32>().ok()?)
        });
        Self(ranges.flatten().collect())
    }

    pub(super) fn extend(&mut self, index: impl IntoIterator<Item = i32>) {
        self.0.extend(index);
    }

    pub(super) fn contains(&self, index: i32) -> bool {
        self.0.contains(&index)
    }

    pub(super) fn count(&self) -> i32 {
        i32::try_from(self.0.len()).unwrap_or(i32::MAX)
    }
}

impl fmt::Display for Indexes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ranges: Vec<(i32, i32)> = Vec::new();
        for index in &self.0 {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == *index => *last = *index,
                _ => ranges.push((*index, *index)),
            }
        }
        let text = ranges.iter().map(|(first, last)| match last - first {
            0 => first.to_string(),
            1 => format!("{first},{last}"),
            _ => format!("{first}-{last}"),
        });
        formatter.write_str(&text.collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("", 0)]
    #[case("3", 1)]
    #[case("0-2,4", 4)]
    #[case("0,1,3-5", 5)]
    fn sets_are_read_and_written_alike(#[case] text: &str, #[case] count: i32) {
        let indexes = Indexes::parse(Some(text));
        assert_eq!((indexes.count(), indexes.to_string().as_str()), (count, text));
    }
}
