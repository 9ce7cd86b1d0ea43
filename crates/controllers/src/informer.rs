//! A shared watch of all objects of a kind: a cache, and listeners that are told each change.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    sync::{Arc, PoisonError, RwLock},
};

use futures::StreamExt as _;
use kube::{
    Api, Resource,
    runtime::{WatchStreamExt as _, watcher},
};
use serde::de::DeserializeOwned;

/// Where an object is. Cluster-scoped ones have an empty namespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Key {
    pub(crate) fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    pub(crate) fn of(object: &impl Resource) -> Self {
        let meta = object.meta();
        Self::new(
            meta.namespace.as_deref().unwrap_or_default(),
            meta.name.as_deref().unwrap_or_default(),
        )
    }
}

/// What became of an object; one of the two is there.
pub(crate) struct Change<'a, K> {
    pub(crate) before: Option<&'a K>,
    pub(crate) after: Option<&'a K>,
}

impl<'a, K> Change<'a, K> {
    /// The object as it was and as it is, as far as it was and is.
    pub(crate) fn states(&self) -> impl Iterator<Item = &'a K> + use<'a, K> {
        self.before.into_iter().chain(self.after)
    }
}

type Listener<K> = Box<dyn Fn(&Change<'_, K>) + Send + Sync>;

/// A watch of all objects of a kind. Clones share it.
pub(crate) struct Informer<K> {
    shared: Arc<Shared<K>>,
}

struct Shared<K> {
    objects: RwLock<BTreeMap<Key, Arc<K>>>,
    listeners: RwLock<Vec<Listener<K>>>,
}

impl<K> Clone for Informer<K> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
        }
    }
}

impl<K> Informer<K>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    pub(crate) fn new() -> Self {
        Self {
            shared: Arc::new(Shared {
                objects: RwLock::default(),
                listeners: RwLock::default(),
            }),
        }
    }

    /// Calls `listener` at each change. To miss none, listen before the watch is begun.
    pub(crate) fn listen(&self, listener: impl Fn(&Change<'_, K>) + Send + Sync + 'static) {
        let mut listeners = self
            .shared
            .listeners
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        listeners.push(Box::new(listener));
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Arc<K>> {
        self.objects().get(key).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<K>> {
        self.objects().values().cloned().collect()
    }

    pub(crate) fn in_namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        let objects = self.objects();
        let from_here = objects.range(Key::new(namespace, "")..);
        from_here
            .take_while(|(key, _)| key.namespace == namespace)
            .map(|(_, object)| object.clone())
            .collect()
    }

    fn objects(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<Key, Arc<K>>> {
        self.shared.objects.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches through `api` for as long as it is polled.
    pub(crate) async fn follow(self, api: Api<K>) {
        let mut events = Box::pin(watcher(api, watcher::Config::default()).default_backoff());
        let mut listed = BTreeMap::new();
        while let Some(event) = events.next().await {
            match event {
                Ok(watcher::Event::Apply(object)) => self.put(&Arc::new(object)),
                Ok(watcher::Event::Delete(object)) => self.remove(&Key::of(&object), &object),
                Ok(watcher::Event::Init) => listed.clear(),
                Ok(watcher::Event::InitApply(object)) => {
                    listed.insert(Key::of(&object), Arc::new(object));
                }
                Ok(watcher::Event::InitDone) => self.replace(std::mem::take(&mut listed)),
                Err(error) => tracing::debug!(%error, "a watch is begun again"),
            }
        }
    }

    fn put(&self, object: &Arc<K>) {
        let key = Key::of(&**object);
        let mut objects = self
            .shared
            .objects
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let before = objects.insert(key, object.clone());
        drop(objects);
        self.tell(before.as_deref(), Some(object));
    }

    fn remove(&self, key: &Key, last: &K) {
        let mut objects = self
            .shared
            .objects
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        objects.remove(key);
        drop(objects);
        self.tell(Some(last), None);
    }

    /// The objects as a new list has them: what is not in it is gone.
    fn replace(&self, listed: BTreeMap<Key, Arc<K>>) {
        let before = self.objects().clone();
        for (key, object) in before {
            if !listed.contains_key(&key) {
                self.remove(&key, &object);
            }
        }
        for object in listed.into_values() {
            self.put(&object);
        }
    }

    fn tell(&self, before: Option<&K>, after: Option<&K>) {
        let listeners = self
            .shared
            .listeners
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        for listener in listeners.iter() {
            listener(&Change { before, after });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use k8s_openapi::api::core::v1::ConfigMap;
    use serde_json::json;

    use super::*;

    fn map(namespace: &str, name: &str) -> Arc<ConfigMap> {
        let object = json!({"metadata": {"name": name, "namespace": namespace}});
        Arc::new(serde_json::from_value(object).unwrap())
    }

    #[test]
    fn a_new_list_tells_what_came_and_what_is_gone() {
        let informer: Informer<ConfigMap> = Informer::new();
        let seen: Arc<Mutex<Vec<(String, bool, bool)>>> = Arc::default();
        let told = seen.clone();
        informer.listen(move |change| {
            let name = change
                .states()
                .last()
                .and_then(|map| map.metadata.name.clone())
                .unwrap();
            told.lock()
                .unwrap()
                .push((name, change.before.is_some(), change.after.is_some()));
        });
        informer.put(&map("n", "gone"));
        informer.put(&map("n", "kept"));
        let listed = [map("n", "kept"), map("n", "new"), map("o", "other")];
        informer.replace(listed.into_iter().map(|map| (Key::of(&*map), map)).collect());
        let expected = [
            ("gone", false, true),
            ("kept", false, true),
            ("gone", true, false),
            ("kept", true, true),
            ("new", false, true),
            ("other", false, true),
        ];
        let expected = expected.map(|(name, before, after)| (name.to_owned(), before, after));
        assert_eq!(*seen.lock().unwrap(), expected);
        assert_eq!(informer.in_namespace("n").len(), 2);
        assert_eq!(informer.all().len(), 3);
    }
}
