//! Root filesystems for container images, made by recipe without a registry.
//!
//! A recipe maps an image reference to a root directory that is made on first use and kept in a cache.
//! What the machine has already (its `/usr`, a Python) is not copied: the image names it as a layer
//! that the container sees read-only.

mod error;
mod host;
mod image;
mod plan;
mod postgres;
mod prefect;
mod progress;
mod python;
mod reference;
mod shell;
mod store;
mod tool;

pub use error::ImageError;
pub use image::{HostLayer, Image};
pub use postgres::PostgresServer;
pub use progress::PullProgress;
pub use store::ImageStore;
