//! What has to be made for a reference.

use sha2::{Digest as _, Sha256};

use crate::{
    error::ImageError,
    postgres::PostgresServer,
    reference::{PostgresFlavour, PrefectTag, Recipe, known},
};

/// Changes when recipes do, so that images of older ones are made anew.
const RECIPES: u32 = 1;

/// What is to be made, on this machine as it is now.
#[derive(Debug)]
pub(crate) enum Plan {
    Prefect(PrefectTag),
    Postgres {
        flavour: PostgresFlavour,
        server: Option<PostgresServer>,
    },
    /// A server for programs of this machine; no image.
    PostgresWheel,
    /// The machine's own programs.
    Shell {
        user: u32,
    },
}

impl Plan {
    pub(crate) fn of(reference: &str) -> Result<Self, ImageError> {
        let recipe = Recipe::parse(reference).ok_or_else(|| ImageError::Unknown {
            reference: reference.to_owned(),
            known: known(),
        })?;
        Ok(match recipe {
            Recipe::Prefect(tag) => Self::Prefect(tag),
            Recipe::Postgres { flavour, major } => Self::Postgres {
                flavour,
                server: PostgresServer::find(major),
            },
            Recipe::Busybox => Self::Shell { user: 0 },
            Recipe::OsShell => Self::Shell { user: 1001 },
        })
    }

    /// What identifies what is made: the plan, not the spelling of the reference.
    pub(crate) fn key(&self) -> String {
        let content = match self {
            Self::Postgres { flavour, .. } => flavour.content(),
            Self::Prefect(_) | Self::PostgresWheel | Self::Shell { .. } => String::new(),
        };
        let digest = Sha256::digest(format!("{RECIPES} {self:?}{content}"));
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_image_share_it() {
        let key = |reference| Plan::of(reference).unwrap().key();
        assert_eq!(key("busybox"), key("docker.io/library/busybox:1.36"));
        assert_ne!(key("busybox"), key("bitnami/os-shell"));
        assert_eq!(
            key("bitnami/postgresql:15"),
            key("mirror.example.com/bitnamilegacy/postgresql:15.4")
        );
        assert_ne!(key("bitnami/postgresql:15"), key("postgres:15"));
    }
}
