//! The part of the scenarios that one of several machines runs.

use std::{
    fmt::{self, Display, Formatter},
    str::FromStr,
};

/// A part of the scenarios: the `index`-th of `count` parts, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    index: usize,
    count: usize,
}

/// A text is not a shard.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected I/N with 1 <= I <= N, such as 2/3; found {0:?}")]
pub struct NotAShard(String);

// === impl Shard ===

impl Shard {
    /// The `index`-th of `count` parts; `None` unless `1 <= index <= count`.
    #[must_use]
    pub fn new(index: usize, count: usize) -> Option<Self> {
        (1 <= index && index <= count).then_some(Self { index, count })
    }

    /// Which part, counted from 1.
    #[must_use]
    pub fn index(self) -> usize {
        self.index
    }

    /// How many parts there are.
    #[must_use]
    pub fn count(self) -> usize {
        self.count
    }
}

impl FromStr for Shard {
    type Err = NotAShard;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (index, count) = text.split_once('/')?;
            Self::new(index.parse().ok()?, count.parse().ok()?)
        };
        parse().ok_or_else(|| NotAShard(text.to_owned()))
    }
}

impl Display for Shard {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.index, self.count)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("1/1", true)]
    #[case("3/3", true)]
    #[case("0/3", false)]
    #[case("4/3", false)]
    #[case("1", false)]
    #[case("a/b", false)]
    #[case("1/0", false)]
    fn shards_are_read(#[case] text: &str, #[case] is_shard: bool) {
        match text.parse::<Shard>() {
            Ok(shard) => assert!(is_shard && shard.to_string() == text),
            Err(error) => assert!(!is_shard && error.to_string().ends_with(&format!("found {text:?}"))),
        }
    }
}
