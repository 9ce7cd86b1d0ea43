//! All objects, the counter of their versions, and the recent changes that watches are fed from.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;
use tokio::sync::watch;

use crate::{
    meta,
    registry::Kind,
    status::{ApiError, ApiResult},
};

/// How many changes a watch may lag behind before it is told to list again.
const HISTORY: usize = 2048;

/// An object as stored; shared with every reader.
pub(crate) type Object = Arc<Value>;

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    Added,
    Modified,
    Deleted,
}

/// One change.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) version: u64,
    pub(crate) kind: &'static Kind,
    pub(crate) what: ChangeKind,
    /// The object as it is after the change; as it was last when deleted.
    pub(crate) object: Object,
    /// The object as it was before.
    pub(crate) before: Option<Object>,
}

/// What a write makes of an object.
pub(crate) enum Outcome {
    /// The object is now this.
    Keep(Value),
    /// The object is gone; this was its last state.
    Remove(Value),
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    group: &'static str,
    plural: &'static str,
    namespace: String,
    name: String,
}

#[derive(Default)]
struct Inner {
    version: u64,
    objects: BTreeMap<Key, Object>,
    history: VecDeque<Change>,
}

/// The storage. Every method is short and never waits for I/O.
pub(crate) struct Store {
    inner: Mutex<Inner>,
    latest: watch::Sender<u64>,
}

impl Store {
    pub(crate) fn new() -> Self {
        Self {
            inner: Mutex::default(),
            latest: watch::Sender::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // a panic while the lock is held leaves single inserts behind, each of them whole
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells of every new version.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.latest.subscribe()
    }

    pub(crate) fn get(&self, kind: &'static Kind, namespace: &str, name: &str) -> ApiResult<Object> {
        let found = self.lock().objects.get(&Key::new(kind, namespace, name)).cloned();
        found.ok_or_else(|| ApiError::not_found(kind, name))
    }

    /// The objects of a kind in name order, of all namespaces when `namespace` is empty, and the
    /// version at which they are so.
    pub(crate) fn list(&self, kind: &'static Kind, namespace: &str) -> (Vec<Object>, u64) {
        let inner = self.lock();
        let from = Key::new(kind, namespace, "");
        let objects = inner
            .objects
            .range(from..)
            .take_while(|(key, _)| {
                key.group == kind.group
                    && key.plural == kind.plural
                    && (namespace.is_empty() || key.namespace == namespace)
            })
            .map(|(_, object)| object.clone())
            .collect();
        (objects, inner.version)
    }

    /// The objects of a kind as they were at `version`.
    ///
    /// # Errors
    /// When what has changed since is no longer kept.
    pub(crate) fn list_at(
        &self,
        kind: &'static Kind,
        namespace: &str,
        version: u64,
    ) -> ApiResult<Vec<Object>> {
        let (changes, _) = self.changes_since(kind, version)?;
        let (now, now_version) = self.list(kind, namespace);
        let key = |object: &Object| Key::new(kind, meta::namespace(object), meta::name(object));
        let mut objects: BTreeMap<Key, Object> = now.into_iter().map(|one| (key(&one), one)).collect();
        let is_undone = |change: &&Change| {
            change.version <= now_version
                && (namespace.is_empty() || meta::namespace(&change.object) == namespace)
        };
        for change in changes.iter().filter(is_undone).rev() {
            match &change.before {
                Some(before) => objects.insert(key(before), before.clone()),
                None => objects.remove(&key(&change.object)),
            };
        }
        Ok(objects.into_values().collect())
    }

    pub(crate) fn create(&self, kind: &'static Kind, mut object: Value) -> ApiResult<Object> {
        let mut inner = self.lock();
        let key = Key::new(kind, meta::namespace(&object), meta::name(&object));
        if inner.objects.contains_key(&key) {
            return Err(ApiError::already_exists(kind, &key.name));
        }
        let version = inner.next_version(&mut object);
        let object = Arc::new(object);
        inner.objects.insert(key, object.clone());
        inner.record(Change {
            version,
            kind,
            what: ChangeKind::Added,
            object: object.clone(),
            before: None,
        });
        drop(inner);
        self.latest.send_replace(version);
        Ok(object)
    }

    /// Changes an object in one step: `decide` sees it as it is now. A change that changes nothing
    /// keeps the version and tells nobody.
    pub(crate) fn change(
        &self,
        kind: &'static Kind,
        namespace: &str,
        name: &str,
        decide: impl FnOnce(&Value) -> ApiResult<Outcome>,
    ) -> ApiResult<Object> {
        let mut inner = self.lock();
        let key = Key::new(kind, namespace, name);
        let before = inner
            .objects
            .get(&key)
            .cloned()
            .ok_or_else(|| ApiError::not_found(kind, name))?;
        let (mut after, what) = match decide(&before)? {
            Outcome::Keep(after) if after == *before => return Ok(before),
            Outcome::Keep(after) => (after, ChangeKind::Modified),
            Outcome::Remove(last) => (last, ChangeKind::Deleted),
        };
        let version = inner.next_version(&mut after);
        let object = Arc::new(after);
        if what == ChangeKind::Deleted {
            inner.objects.remove(&key);
        } else {
            inner.objects.insert(key, object.clone());
        }
        inner.record(Change {
            version,
            kind,
            what,
            object: object.clone(),
            before: Some(before),
        });
        drop(inner);
        self.latest.send_replace(version);
        Ok(object)
    }

    /// The changes of a kind after `version`, and the version that they lead to.
    ///
    /// # Errors
    /// When they are no longer kept: the caller has to list again.
    pub(crate) fn changes_since(&self, kind: &'static Kind, version: u64) -> ApiResult<(Vec<Change>, u64)> {
        let inner = self.lock();
        let oldest = inner
            .history
            .front()
            .map_or(inner.version, |change| change.version - 1);
        if version < oldest {
            return Err(ApiError::too_old(version, oldest));
        }
        let first = inner.history.partition_point(|change| change.version <= version);
        let changes = inner
            .history
            .range(first..)
            .filter(|change| std::ptr::eq(change.kind, kind));
        Ok((changes.cloned().collect(), inner.version))
    }
}

impl Inner {
    fn next_version(&mut self, object: &mut Value) -> u64 {
        self.version += 1;
        meta::metadata(object).insert("resourceVersion".into(), self.version.to_string().into());
        self.version
    }

    fn record(&mut self, change: Change) {
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(change);
    }
}

impl Key {
    fn new(kind: &Kind, namespace: &str, name: &str) -> Self {
        Self {
            group: kind.group,
            plural: kind.plural,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::registry::named;

    fn config_map(name: &str) -> Value {
        json!({"metadata": {"name": name, "namespace": "default"}})
    }

    fn touched(object: &Value) -> Value {
        let mut object = object.clone();
        object["data"] = json!({"key": "value"});
        object
    }

    #[test]
    fn a_change_that_changes_nothing_keeps_the_version() {
        let (store, kind) = (Store::new(), named("ConfigMap"));
        let created = store.create(kind, config_map("a")).unwrap();
        let same = store
            .change(kind, "default", "a", |now| Ok(Outcome::Keep(now.clone())))
            .unwrap();
        assert_eq!(created, same);
        assert_eq!(store.list(kind, "").1, 1);
        store
            .change(kind, "default", "a", |now| Ok(Outcome::Keep(touched(now))))
            .unwrap();
        assert_eq!(store.list(kind, "").1, 2);
    }

    #[test]
    fn a_list_of_before_is_as_it_was() {
        let (store, kind) = (Store::new(), named("ConfigMap"));
        let names = |objects: Vec<Object>| -> Vec<String> {
            objects
                .iter()
                .map(|object| meta::name(object).to_owned())
                .collect()
        };
        store.create(kind, config_map("a")).unwrap();
        let (_, version) = store.list(kind, "");
        store.create(kind, config_map("b")).unwrap();
        store
            .change(kind, "default", "a", |now| Ok(Outcome::Keep(touched(now))))
            .unwrap();
        store
            .change(kind, "default", "a", |now| Ok(Outcome::Remove(now.clone())))
            .unwrap();
        let before = store.list_at(kind, "default", version).unwrap();
        assert!(before[0]["data"].is_null());
        assert_eq!(names(before), ["a"]);
        assert_eq!(names(store.list_at(kind, "", version + 2).unwrap()), ["a", "b"]);
        assert_eq!(names(store.list(kind, "").0), ["b"]);
    }

    #[test]
    fn changes_come_in_order_and_only_of_the_kind_asked_for() {
        let (store, kind) = (Store::new(), named("ConfigMap"));
        store.create(kind, config_map("a")).unwrap();
        store.create(named("Secret"), config_map("s")).unwrap();
        store
            .change(kind, "default", "a", |now| Ok(Outcome::Remove(now.clone())))
            .unwrap();
        let (changes, version) = store.changes_since(kind, 0).unwrap();
        let what: Vec<_> = changes.iter().map(|change| change.what).collect();
        assert_eq!(what, [ChangeKind::Added, ChangeKind::Deleted]);
        assert_eq!(version, 3);
        assert!(store.list(kind, "default").0.is_empty());
    }

    #[test]
    fn a_watch_that_lags_too_far_is_told_so() {
        let (store, kind) = (Store::new(), named("ConfigMap"));
        for number in 0..HISTORY + 2 {
            store.create(kind, config_map(&number.to_string())).unwrap();
        }
        assert_eq!(
            store.changes_since(kind, 1).unwrap_err().code(),
            http::StatusCode::GONE
        );
        assert!(store.changes_since(kind, 2).is_ok());
    }

    #[test]
    fn a_list_of_one_namespace_leaves_out_its_neighbours() {
        let (store, kind) = (Store::new(), named("ConfigMap"));
        for namespace in ["a", "ab", "b"] {
            let object = json!({"metadata": {"name": "x", "namespace": namespace}});
            store.create(kind, object).unwrap();
        }
        assert_eq!(store.list(kind, "a").0.len(), 1);
        assert_eq!(store.list(kind, "").0.len(), 3);
    }
}
