//! Renders the values of the prefect-server chart into Kubernetes objects.
//!
//! Values come from the chart's defaults with [`Layers`] of files and expressions on top, or straight
//! from the types of [`Values`]; [`render`] makes the objects that the real chart makes.
//!
//! ```
//! use prefect_e2e_renderer::{Layers, Release, render, to_yaml};
//!
//! let mut layers = Layers::default();
//! layers.file("values.yaml", "postgresql: {enabled: false}\nsqlite: {enabled: true}\n")?;
//! let objects = render(&Release::new("prefect-server", "prefect"), &layers.values()?)?;
//! assert!(to_yaml(&objects).contains("kind: PersistentVolumeClaim"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(test)]
mod against_helm;
mod chart;
mod check;
mod documentation;
mod error;
mod go_yaml;
mod layers;
mod object;
mod output;
pub mod patch;
mod postgresql;
mod release;
mod schema;
mod set_expression;
mod template;
pub mod values;
mod yaml;

pub use chart::{notes::notes, render};
pub use check::nearest;
pub use documentation::{Row, values_markdown, values_rows, values_yaml};
pub use error::{Place, RenderError, ValuesError};
pub use layers::Layers;
pub use object::Object;
pub use output::{StreamError, from_yaml, to_yaml};
pub use release::{KubeVersion, KubeVersionError, Release};
pub use schema::values_schema;
pub use values::Values;
pub use yaml::{YamlError, locate};
