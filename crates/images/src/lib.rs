//! Root filesystems for container images, made by recipe without a registry.

mod image;

pub use image::{HostLayer, Image};
