//! Get, list, create, update and patch of objects.

use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use crate::{
    admission,
    apply::{self, Writer},
    decode::{FieldValidation, decode},
    defaults, deletion,
    merge::Patch,
    meta,
    path::ResourcePath,
    query::Query,
    registry::{Kind, named},
    scale, service_account, service_address,
    status::{ApiError, ApiResult},
    store::{Object, Outcome, Store},
};

/// An object that was written, and the warnings about what was sent.
pub(crate) struct Written {
    pub(crate) object: Value,
    pub(crate) warnings: Vec<String>,
    pub(crate) created: bool,
}

impl Written {
    fn with_unknown(self, fields: &[String]) -> Self {
        let warnings = fields
            .iter()
            .map(|field| format!("unknown field {field:?}"))
            .collect();
        Self { warnings, ..self }
    }
}

/// A page of a list.
pub(crate) struct Listing {
    pub(crate) objects: Vec<Object>,
    version: u64,
    /// How many objects come after this page.
    remaining: usize,
}

impl Listing {
    pub(crate) fn metadata(&self) -> Value {
        let mut metadata = json!({"resourceVersion": self.version.to_string()});
        if let (Some(last), true) = (self.objects.last(), self.remaining > 0) {
            metadata["continue"] = position(last).into();
            metadata["remainingItemCount"] = self.remaining.into();
        }
        metadata
    }
}

/// Objects and the rules by which they change.
pub(crate) struct Resources {
    pub(crate) store: Store,
    /// Held while a Service gets its address, so that no two get the same.
    addressing: Mutex<()>,
}

impl Resources {
    pub(crate) fn new() -> Self {
        Self {
            store: Store::new(),
            addressing: Mutex::default(),
        }
    }

    pub(crate) fn get(&self, path: &ResourcePath) -> ApiResult<Value> {
        let object = self.store.get(path.kind, &path.namespace, path.object_name())?;
        match path.subresource.as_deref() {
            None => Ok((*object).clone()),
            Some("status") if path.kind.has_status => Ok((*object).clone()),
            Some("scale") if path.kind.has_scale => Ok(scale::of(&object)),
            Some(_) => Err(ApiError::no_such_path()),
        }
    }

    /// The list of a kind, in pages when `limit` asks for them.
    pub(crate) fn list(&self, path: &ResourcePath, query: &Query) -> ApiResult<Listing> {
        let selection = query.selection(path)?;
        let (objects, version) = self.store.list(path.kind, &path.namespace);
        let limit = query
            .get("limit")
            .and_then(|limit| limit.parse().ok())
            .filter(|limit| *limit > 0);
        let after = query.get("continue");
        let mut selected = objects
            .into_iter()
            .filter(|object| after.is_none_or(|after| position(object).as_str() > after))
            .filter(|object| selection.matches(object));
        let page = selected.by_ref().take(limit.unwrap_or(usize::MAX)).collect();
        Ok(Listing {
            objects: page,
            version,
            remaining: selected.count(),
        })
    }

    pub(crate) fn create(&self, path: &ResourcePath, query: &Query, sent: Value) -> ApiResult<Written> {
        let (mut object, unknown) = decode(path.kind, sent, query.field_validation()?)?;
        defaults::apply(path.kind, &mut object);
        apply::track(&mut object, None, &writer(path, query, "Update"));
        let object = self.create_object(path, object, query.is_dry_run())?;
        let written = Written {
            object,
            warnings: Vec::new(),
            created: true,
        };
        Ok(written.with_unknown(&unknown))
    }

    fn create_object(&self, path: &ResourcePath, mut object: Value, dry_run: bool) -> ApiResult<Value> {
        let kind = path.kind;
        self.check_namespace(kind, &path.namespace, meta::name(&object))?;
        if kind.is("Pod") {
            service_account::admit_pod(&self.store, path, &mut object)?;
        }
        admission::admit_new(path, &mut object)?;
        let _addressing = self.addressing.lock().unwrap_or_else(PoisonError::into_inner);
        if kind.is("Service") {
            service_address::allocate(&self.store, &mut object)?;
        }
        if dry_run {
            let name = meta::name(&object);
            return match self.store.get(kind, &path.namespace, name) {
                Ok(_) => Err(ApiError::already_exists(kind, name)),
                Err(_) => Ok(object),
            };
        }
        let object = self.store.create(kind, object)?;
        Ok((*object).clone())
    }

    fn check_namespace(&self, kind: &'static Kind, namespace: &str, name: &str) -> ApiResult<()> {
        if !kind.namespaced {
            return Ok(());
        }
        if namespace.is_empty() {
            return Err(ApiError::bad_request(
                "an empty namespace may not be set during creation",
            ));
        }
        let found = self.store.get(named("Namespace"), "", namespace)?;
        // events tell how a namespace ends
        if meta::is_deleting(&found) && !kind.is("Event") {
            let why = format!(
                "unable to create new content in namespace {namespace} because it is being terminated"
            );
            return Err(ApiError::forbidden(kind, name, &why));
        }
        Ok(())
    }

    pub(crate) fn update(&self, path: &ResourcePath, query: &Query, sent: Value) -> ApiResult<Written> {
        if path.is_scale() {
            return self.change(path, query, |kind, live| scale::applied(kind, live, &sent));
        }
        let (object, unknown) = decode(path.kind, sent, query.field_validation()?)?;
        admission::check_path_name(path, meta::name(&object))?;
        let written = self.change(path, query, |_, _| Ok(object))?;
        Ok(written.with_unknown(&unknown))
    }

    pub(crate) fn patch(&self, path: &ResourcePath, query: &Query, patch: &Patch) -> ApiResult<Written> {
        if path.is_scale() {
            return self.change(path, query, |kind, live| {
                scale::applied(kind, live, &patch.applied_to(&scale::of(live))?)
            });
        }
        if let Patch::Apply(config) = patch {
            return self.apply(path, query, config);
        }
        let validation = query.field_validation()?;
        let mut unknown = Vec::new();
        let written = self.change(path, query, |kind, live| {
            let (patched, lost) = decode(kind, patch.applied_to(live)?, validation)?;
            unknown = lost;
            Ok(patched)
        })?;
        Ok(written.with_unknown(&unknown))
    }

    /// Server-side apply.
    fn apply(&self, path: &ResourcePath, query: &Query, config: &Value) -> ApiResult<Written> {
        let (_, unknown) = decode(path.kind, config.clone(), query.field_validation()?)?;
        if query.get("fieldManager").is_none() {
            return Err(ApiError::unprocessable(
                "fieldManager: Required value: is required for apply patch",
            ));
        }
        let (writer, config) = (writer(path, query, "Apply"), own_part(path, config));
        let missing = self
            .store
            .get(path.kind, &path.namespace, path.object_name())
            .is_err();
        let written = if missing && path.subresource.is_none() {
            let (object, _) = decode(
                path.kind,
                apply::initial(&config, &writer),
                FieldValidation::Ignore,
            )?;
            let object = self.create_object(path, object, query.is_dry_run())?;
            Written {
                object,
                warnings: Vec::new(),
                created: true,
            }
        } else {
            self.change_untracked(path, query, |kind, live| {
                let applied = apply::apply(live, &config, &writer, query.is_set("force"))?;
                Ok(decode(kind, applied, FieldValidation::Ignore)?.0)
            })?
        };
        Ok(written.with_unknown(&unknown))
    }

    /// Changes one object by `propose`, under the rules for updates, in the name of the query's manager.
    fn change(
        &self,
        path: &ResourcePath,
        query: &Query,
        propose: impl FnOnce(&'static Kind, &Value) -> ApiResult<Value>,
    ) -> ApiResult<Written> {
        self.change_untracked(path, query, |kind, live| {
            let mut proposed = propose(kind, live)?;
            defaults::apply(kind, &mut proposed);
            apply::track(&mut proposed, Some(live), &writer(path, query, "Update"));
            Ok(proposed)
        })
    }

    fn change_untracked(
        &self,
        path: &ResourcePath,
        query: &Query,
        propose: impl FnOnce(&'static Kind, &Value) -> ApiResult<Value>,
    ) -> ApiResult<Written> {
        let kind = path.kind;
        if path.is_scale() && !kind.has_scale {
            return Err(ApiError::no_such_path());
        }
        let _addressing = self.addressing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut tried = None;
        let changed = self
            .store
            .change(kind, &path.namespace, path.object_name(), |live| {
                let proposed = propose(kind, live)?;
                let after = admission::admit_update(path, live, proposed)?;
                if query.is_dry_run() {
                    tried = Some(after);
                    return Ok(Outcome::Keep(live.clone()));
                }
                Ok(deletion::finished_or_kept(kind, after))
            })?;
        let object = tried.unwrap_or_else(|| (*changed).clone());
        let object = if path.is_scale() {
            scale::of(&object)
        } else {
            object
        };
        Ok(Written {
            object,
            warnings: Vec::new(),
            created: false,
        })
    }
}

fn writer(path: &ResourcePath, query: &Query, operation: &'static str) -> Writer {
    Writer {
        name: query.field_manager().to_owned(),
        operation,
        subresource: path.subresource.clone(),
    }
}

/// What an apply through `path` is about: the status belongs to its subresource alone.
fn own_part(path: &ResourcePath, config: &Value) -> Value {
    let is_status = path.subresource.as_deref() == Some("status");
    let mut config = config.clone();
    if let (Value::Object(fields), true) = (&mut config, path.kind.has_status) {
        fields.retain(|field, _| match field.as_str() {
            "apiVersion" | "kind" | "metadata" => true,
            "status" => is_status,
            _ => !is_status,
        });
    }
    config
}

/// Where an object stands in a list; the token of `continue`.
fn position(object: &Value) -> String {
    format!("{}/{}", meta::namespace(object), meta::name(object))
}
