//! Root filesystems for container images, made by recipe without a registry.
