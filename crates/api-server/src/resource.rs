//! Get, list, create, update and patch of objects.

use std::sync::{Mutex, PoisonError};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::{
    admission,
    apply::{self, Writer},
    decode::{FieldValidation, decode, normalize_quantities},
    defaults, deletion,
    merge::Patch,
    meta,
    path::ResourcePath,
    plugins,
    query::Query,
    registry::{Kind, named},
    scale, service_account, service_address,
    status::{ApiError, ApiResult, Cause},
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
    /// Where the next page begins, if there is one.
    next: Option<Place>,
    /// How many objects come after this page; not counted when selectors leave some out.
    remaining: Option<usize>,
}

impl Listing {
    pub(crate) fn metadata(&self) -> Value {
        let mut metadata = json!({"resourceVersion": self.version.to_string()});
        if let Some(next) = &self.next {
            metadata["continue"] = next.token().into();
            if let Some(remaining) = self.remaining {
                metadata["remainingItemCount"] = remaining.into();
            }
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

    /// The list of a kind, in pages when `limit` asks for them; all pages are of the version of the first.
    pub(crate) fn list(&self, path: &ResourcePath, query: &Query) -> ApiResult<Listing> {
        let selection = query.selection(path)?;
        let after = query.get("continue").map(Place::parse).transpose()?;
        let (objects, version) = match &after {
            Some(after) => (
                self.store.list_at(path.kind, &path.namespace, after.version)?,
                after.version,
            ),
            None => self.store.list(path.kind, &path.namespace),
        };
        let limit = query
            .get("limit")
            .and_then(|limit| limit.parse().ok())
            .filter(|limit| *limit > 0);
        let mut selected = objects
            .into_iter()
            .filter(|object| {
                after
                    .as_ref()
                    .is_none_or(|after| position(object) > after.position)
            })
            .filter(|object| selection.matches(object));
        let page: Vec<Object> = selected.by_ref().take(limit.unwrap_or(usize::MAX)).collect();
        let remaining = selected.count();
        let next = page.last().filter(|_| remaining > 0).map(|last| Place {
            version,
            position: position(last),
        });
        Ok(Listing {
            objects: page,
            version,
            next,
            remaining: (!selection.is_limited()).then_some(remaining),
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
        plugins::admit(&self.store, path, &mut object)?;
        admission::admit_new(path, &mut object)?;
        let _addressing = self.addressing.lock().unwrap_or_else(PoisonError::into_inner);
        if kind.is("Service") {
            service_address::Taken::in_store(&self.store).allocate(&mut object, None)?;
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
            return Err(ApiError::namespace_terminating(kind, name, namespace));
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
        if query.is_set("force") {
            let why = "may not be specified for non-apply patch";
            return Err(ApiError::invalid_option(
                "PatchOptions",
                Cause::forbidden("force", why),
            ));
        }
        let validation = query.field_validation()?;
        let mut unknown = Vec::new();
        let written = self.change(path, query, |kind, live| {
            let (patched, lost) = decode(kind, patch.applied_to(live)?, validation)?;
            admission::check_path_name(path, meta::name(&patched))?;
            unknown = lost;
            Ok(patched)
        })?;
        Ok(written.with_unknown(&unknown))
    }

    /// Server-side apply.
    fn apply(&self, path: &ResourcePath, query: &Query, config: &Value) -> ApiResult<Written> {
        if query.get("fieldManager").is_none() {
            let cause = Cause::required("fieldManager", "is required for apply patch");
            return Err(ApiError::invalid_option("PatchOptions", cause));
        }
        if !config["metadata"]["managedFields"].is_null() {
            return Err(ApiError::bad_request("metadata.managedFields must be nil"));
        }
        let mut config = config.clone();
        normalize_quantities(&mut config)?;
        let (_, unknown) = decode(path.kind, config.clone(), FieldValidation::Warn)?;
        if let [field, ..] = unknown.as_slice() {
            return Err(untyped(path, &config, field));
        }
        let (writer, config) = (writer(path, query, "Apply"), own_part(path, &config));
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
        Ok(written)
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
        let taken = kind
            .is("Service")
            .then(|| service_address::Taken::in_store(&self.store));
        let mut tried = None;
        let changed = self
            .store
            .change(kind, &path.namespace, path.object_name(), |live| {
                let mut proposed = propose(kind, live)?;
                if taken.is_some() {
                    service_address::drop_dependent(live, &mut proposed);
                }
                let mut after = admission::admit_update(path, live, proposed)?;
                if let Some(taken) = taken {
                    taken.allocate(&mut after, Some(live))?;
                }
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

/// Nobody can own a field that the kind does not have.
fn untyped(path: &ResourcePath, config: &Value, field: &str) -> ApiError {
    let (kind, name) = (path.kind, meta::name(config));
    ApiError::internal(format!(
        "failed to create typed patch object ({}/{name}; {}, Kind={}): .{field}: field not declared in schema",
        path.namespace,
        kind.api_version(),
        kind.kind,
    ))
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

/// Where a page ended, and of which version its list is.
struct Place {
    version: u64,
    position: String,
}

impl Place {
    /// Reads the token of `continue`.
    fn parse(token: &str) -> ApiResult<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok();
        let text = bytes
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .unwrap_or_default();
        let parts = text.split_once(' ').and_then(|(version, position)| {
            Some(Self {
                version: version.parse().ok()?,
                position: position.to_owned(),
            })
        });
        parts.ok_or_else(|| ApiError::bad_request("continue key is not valid"))
    }

    fn token(&self) -> String {
        URL_SAFE_NO_PAD.encode(format!("{} {}", self.version, self.position))
    }
}

/// Where an object stands in a list.
fn position(object: &Value) -> String {
    format!("{}/{}", meta::namespace(object), meta::name(object))
}
