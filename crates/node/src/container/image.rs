//! A container's image: pulled as its policy says, tried again until it is there.

use std::time::Duration;

use prefect_e2e_images::Image;
use tokio::time::Instant;

use super::{Keeper, LONGEST_PAUSE};
use crate::{event::Severity, status::State};

/// How long a failed pull shows as such before it shows as one that will be tried again.
const SHOWN_AS_FAILED: Duration = Duration::from_millis(200);

impl Keeper {
    /// The container's image; `None` when the container is to end first.
    pub(super) async fn pull(&self) -> Option<Image> {
        let reference = self.container.image.as_deref().unwrap_or_default();
        let mut pause = self.pod.node.restart_pause;
        loop {
            let found = tokio::select! {
                found = self.find_or_pull(reference) => found,
                () = self.stop.cancelled() => return None,
            };
            match found {
                Some(image) => {
                    self.pod
                        .change(self.name(), |progress| progress.image_id.clone_from(&image.id));
                    return Some(image);
                }
                None => tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = self.stop.cancelled() => return None,
                },
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn find_or_pull(&self, reference: &str) -> Option<Image> {
        let images = &self.pod.node.images;
        let policy = self
            .container
            .image_pull_policy
            .as_deref()
            .unwrap_or("IfNotPresent");
        if policy != "Always"
            && let Ok(Some(image)) = images.find(reference).await
        {
            let message = format!("Container image {reference:?} already present on machine");
            self.event(Severity::Normal, "Pulled", message);
            return Some(image);
        }
        if policy == "Never" {
            let message = format!("Container image {reference:?} is not present with pull policy of Never");
            self.event(Severity::Warning, "ErrImageNeverPull", message.clone());
            self.event(Severity::Warning, "Failed", "Error: ErrImageNeverPull".into());
            self.wait_for_image("ErrImageNeverPull", message);
            return None;
        }
        self.event(
            Severity::Normal,
            "Pulling",
            format!("Pulling image {reference:?}"),
        );
        let begun = Instant::now();
        match images.pull(reference).await {
            Ok(image) => {
                let took = begun.elapsed().as_millis();
                self.event(
                    Severity::Normal,
                    "Pulled",
                    format!("Successfully pulled image {reference:?} in {took}ms"),
                );
                Some(image)
            }
            Err(error) => {
                let message = format!("Failed to pull image {reference:?}: {error}");
                self.event(Severity::Warning, "Failed", message);
                self.event(Severity::Warning, "Failed", "Error: ErrImagePull".into());
                self.wait_for_image("ErrImagePull", error.to_string());
                tokio::time::sleep(SHOWN_AS_FAILED).await;
                let message = format!("Back-off pulling image {reference:?}");
                self.event(Severity::Normal, "BackOff", message.clone());
                self.event(Severity::Warning, "Failed", "Error: ImagePullBackOff".into());
                self.wait_for_image("ImagePullBackOff", format!("{message}: ErrImagePull: {error}"));
                None
            }
        }
    }

    fn wait_for_image(&self, reason: &'static str, message: String) {
        self.pod.change(self.name(), |progress| {
            progress.state = State::Waiting {
                reason,
                message: Some(message),
            };
        });
    }
}
