//! Watches: the stream of changes to what a request selects, a line of JSON each.
//!
//! Source of the protocol: "Kubernetes API Concepts", efficient detection of changes.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use futures::{Stream, stream};
use http::{HeaderValue, Response, header::CONTENT_TYPE};
use serde_json::{Value, json};
use tokio::{sync::watch, time::Instant};

use crate::{
    meta,
    path::ResourcePath,
    query::Query,
    registry::Kind,
    representation::Representation,
    resource::Resources,
    selector::Selection,
    status::{ApiError, ApiResult, Cause},
    store::{Change, ChangeKind, Object},
};

/// How often a client that wants bookmarks is told the current version.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);

/// How long a watch lasts that does not say so itself; upstream's shortest.
const LASTS: Duration = Duration::from_secs(30 * 60);

/// Answers a watch.
///
/// # Errors
/// When a selector cannot be read; a version that is too old is an event of the stream.
pub(crate) fn start(
    resources: Arc<Resources>,
    path: &ResourcePath,
    query: &Query,
    representation: Representation,
) -> ApiResult<Response<Body>> {
    check(query)?;
    let watcher = Watcher::new(resources, path, query, representation)?;
    let mut response = Response::new(Body::from_stream(watcher.into_stream()));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// Refuses what no watch may ask for.
fn check(query: &Query) -> ApiResult<()> {
    let matching = query.get("resourceVersionMatch");
    if query.is_set("sendInitialEvents") && matching != Some("NotOlderThan") {
        let why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
        let cause = Cause::forbidden("resourceVersionMatch", why);
        return Err(ApiError::invalid_option("ListOptions", cause));
    }
    match query.get("resourceVersion") {
        Some(version) if version.parse::<u64>().is_err() => {
            let why = format!(
                "resourceVersion: Invalid value: {version:?}: strconv.ParseUint: parsing {version:?}: invalid syntax"
            );
            Err(ApiError::internal(why))
        }
        _ => Ok(()),
    }
}

struct Watcher {
    resources: Arc<Resources>,
    kind: &'static Kind,
    namespace: String,
    selection: Selection,
    representation: Representation,
    /// The version up to which events were made.
    position: u64,
    news: watch::Receiver<u64>,
    /// Events that are ready to be sent, a line each.
    ready: Vec<u8>,
    bookmarks: bool,
    next_bookmark: Instant,
    ends: Instant,
    ended: bool,
    /// Whether the columns of a table have been sent.
    has_columns: bool,
}

/// An object that is not selected any more, as it was last, at the version at which it ceased to be.
fn last_selected(change: &Change) -> Object {
    let Some(before) = &change.before else {
        return change.object.clone();
    };
    let mut last = (**before).clone();
    let version = meta::resource_version(&change.object).to_owned();
    meta::metadata(&mut last).insert("resourceVersion".into(), version.into());
    Arc::new(last)
}

impl Watcher {
    fn new(
        resources: Arc<Resources>,
        path: &ResourcePath,
        query: &Query,
        representation: Representation,
    ) -> ApiResult<Self> {
        let seconds = query
            .get("timeoutSeconds")
            .and_then(|text| text.parse().ok())
            .filter(|s| *s > 0);
        let now = Instant::now();
        let mut watcher = Self {
            kind: path.kind,
            namespace: path.namespace.clone(),
            selection: query.selection(path)?,
            representation,
            position: 0,
            news: resources.store.subscribe(),
            ready: Vec::new(),
            bookmarks: query.is_set("allowWatchBookmarks"),
            next_bookmark: now + BOOKMARK_EVERY,
            ends: now + seconds.map_or(LASTS, Duration::from_secs),
            ended: false,
            has_columns: false,
            resources,
        };
        let initial = query.is_set("sendInitialEvents");
        match query.get("resourceVersion").and_then(|text| text.parse().ok()) {
            Some(version) if version > 0 && !initial => watcher.position = version,
            _ => watcher.add_what_exists(initial),
        }
        Ok(watcher)
    }

    fn into_stream(self) -> impl Stream<Item = Result<Bytes, Infallible>> {
        stream::unfold(self, |mut watcher| async {
            let chunk = watcher.next().await?;
            Some((Ok(chunk), watcher))
        })
    }

    /// The next events, or `None` when the watch is over.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if !self.ready.is_empty() {
                return Some(std::mem::take(&mut self.ready).into());
            }
            if self.ended {
                return None;
            }
            self.news.mark_unchanged();
            self.add_changes();
            if !self.ready.is_empty() || self.ended {
                continue;
            }
            tokio::select! {
                changed = self.news.changed() => self.ended |= changed.is_err(),
                () = tokio::time::sleep_until(self.ends) => self.ended = true,
                () = tokio::time::sleep_until(self.next_bookmark), if self.bookmarks => {
                    self.next_bookmark += BOOKMARK_EVERY;
                    self.add_bookmark(false);
                }
            }
        }
    }

    fn add_what_exists(&mut self, end_marked: bool) {
        let (objects, version) = self.resources.store.list(self.kind, &self.namespace);
        for object in objects {
            if self.selection.matches(&object) {
                self.add_event("ADDED", &object);
            }
        }
        self.position = version;
        if end_marked {
            self.add_bookmark(true);
        }
    }

    fn add_changes(&mut self) {
        match self.resources.store.changes_since(self.kind, self.position) {
            Ok((changes, version)) => {
                for change in &changes {
                    if let Some((event, object)) = self.event_of(change) {
                        self.add_event(event, &object);
                    }
                }
                self.position = version;
            }
            Err(error) => self.add_error(&error),
        }
    }

    /// What a change is to this watch: an object that begins or ceases to be selected is added or deleted.
    fn event_of(&self, change: &Change) -> Option<(&'static str, Object)> {
        let selects = |object: &Value| {
            (self.namespace.is_empty() || meta::namespace(object) == self.namespace)
                && self.selection.matches(object)
        };
        let before = change.before.as_ref().is_some_and(|before| selects(before));
        let after = change.what != ChangeKind::Deleted && selects(&change.object);
        let object = change.object.clone();
        match (before, after) {
            (false, false) => None,
            (false, true) => Some(("ADDED", object)),
            (true, true) => Some(("MODIFIED", object)),
            (true, false) if change.what == ChangeKind::Deleted => Some(("DELETED", object)),
            (true, false) => Some(("DELETED", last_selected(change))),
        }
    }

    fn add_event(&mut self, event: &str, object: &Value) {
        let mut shown = self.representation.of_object(self.kind, object);
        if let (Some(table), true) = (shown.as_object_mut(), self.has_columns) {
            // a client knows the columns from the first event
            table.shift_remove("columnDefinitions");
        }
        self.has_columns |= shown.get("columnDefinitions").is_some();
        self.add_line(&json!({"type": event, "object": shown}));
    }

    fn add_bookmark(&mut self, initial_events_end: bool) {
        let mut object = json!({
            "kind": self.kind.kind, "apiVersion": self.kind.api_version(),
            "metadata": {"resourceVersion": self.position.to_string()},
        });
        if initial_events_end {
            object["metadata"]["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        self.add_event("BOOKMARK", &object);
    }

    fn add_error(&mut self, error: &ApiError) {
        self.add_line(&json!({"type": "ERROR", "object": error.to_json()}));
        self.ended = true;
    }

    fn add_line(&mut self, line: &Value) {
        self.ready.extend_from_slice(line.to_string().as_bytes());
        self.ready.push(b'\n');
    }
}
