//! A watch: the events of a stream, one after the other.

use std::{collections::VecDeque, time::Duration};

use http_body_util::BodyExt as _;
use kube::client::Body;
use serde_json::Value;

use crate::behaviour::{Outcome, differs};

/// A stream of events.
pub(crate) struct Watch {
    body: Body,
    patience: Duration,
    rest: Vec<u8>,
    events: VecDeque<Value>,
}

impl Watch {
    pub(crate) fn new(body: Body, patience: Duration) -> Self {
        Self {
            body,
            patience,
            rest: Vec::new(),
            events: VecDeque::new(),
        }
    }

    /// The next event; there has to be one.
    pub(crate) async fn next(&mut self) -> Outcome<Value> {
        match self.next_or_end().await? {
            Some(event) => Ok(event),
            None => Err(differs("the watch", "an event", "its end")),
        }
    }

    /// The next event, or `None` at the end of the stream.
    pub(crate) async fn next_or_end(&mut self) -> Outcome<Option<Value>> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            let Ok(frame) = tokio::time::timeout(self.patience, self.body.frame()).await else {
                return Err(differs("the watch", "an event or an end", "nothing"));
            };
            let Some(frame) = frame else { return Ok(None) };
            if let Ok(data) = frame?.into_data() {
                self.take(&data);
            }
        }
    }

    /// The types of the events until the stream ends.
    pub(crate) async fn types_until_end(&mut self) -> Outcome<Vec<String>> {
        let mut types = Vec::new();
        while let Some(event) = self.next_or_end().await? {
            types.push(event["type"].as_str().unwrap_or_default().to_owned());
        }
        Ok(types)
    }

    fn take(&mut self, data: &[u8]) {
        self.rest.extend_from_slice(data);
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            self.events
                .push_back(serde_json::from_slice(&line).unwrap_or_default());
        }
    }
}
