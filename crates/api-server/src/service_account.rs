//! Service accounts: pods get the credentials of theirs, and come in with them.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use ring::{
    hmac::{self, HMAC_SHA256},
    rand::SystemRandom,
};
use serde_json::{Value, json};

use crate::{
    admission::random_suffix,
    meta,
    path::ResourcePath,
    registry::named,
    status::{ApiError, ApiResult, Cause},
    store::Store,
};

/// The account of pods that name none.
const DEFAULT: &str = "default";

/// Where programs look for their credentials.
const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Who issues the tokens, and whom they are for unless the request says otherwise.
const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// The lifetime of tokens that pods ask for, as upstream sets it.
const POD_TOKEN_SECONDS: i64 = 3607;

/// The shortest lifetime that may be asked for.
const SHORTEST_SECONDS: i64 = 600;

/// Checks the account of a new pod and gives the pod a volume with the account's credentials.
///
/// The account `default` need not be there yet: it is made a moment after its namespace, and the node
/// waits for it.
///
/// Source: the admission plugin `ServiceAccount`.
///
/// # Errors
/// 403 when the pod names an account that is not there.
pub(crate) fn admit_pod(store: &Store, path: &ResourcePath, pod: &mut Value) -> ApiResult<()> {
    let spec = &mut pod["spec"];
    if spec["serviceAccountName"].as_str().unwrap_or_default().is_empty() {
        spec["serviceAccountName"] = DEFAULT.into();
        spec["serviceAccount"] = DEFAULT.into();
    }
    let name = spec["serviceAccountName"].as_str().unwrap_or_default().to_owned();
    let account = store.get(named("ServiceAccount"), &path.namespace, &name).ok();
    if account.is_none() && name != DEFAULT {
        let namespace = &path.namespace;
        let why =
            format!("error looking up service account {namespace}/{name}: serviceaccount {name:?} not found");
        let own = [meta::name(pod), meta::text(pod, "/metadata/generateName")];
        let own = own.into_iter().find(|name| !name.is_empty()).unwrap_or_default();
        return Err(ApiError::forbidden(path.kind, own, &why));
    }
    let of_account = account
        .as_ref()
        .and_then(|account| account["automountServiceAccountToken"].as_bool());
    if spec["automountServiceAccountToken"]
        .as_bool()
        .or(of_account)
        .unwrap_or(true)
    {
        mount_credentials(spec);
    }
    Ok(())
}

/// Adds the volume of credentials, and mounts it where a container mounts nothing of its own.
fn mount_credentials(spec: &mut Value) {
    let volume = format!("kube-api-access-{}", random_suffix());
    let mount = json!({"name": volume, "mountPath": MOUNT_PATH, "readOnly": true});
    let mut is_mounted = false;
    for list in ["initContainers", "containers"] {
        for container in spec[list].as_array_mut().into_iter().flatten() {
            let mounts = &mut container["volumeMounts"];
            let own = mounts.as_array().into_iter().flatten();
            if own.into_iter().any(|mount| mount["mountPath"] == MOUNT_PATH) {
                continue;
            }
            is_mounted = true;
            match mounts {
                Value::Array(mounts) => mounts.push(mount.clone()),
                _ => *mounts = json!([mount]),
            }
        }
    }
    if is_mounted {
        match &mut spec["volumes"] {
            Value::Array(volumes) => volumes.push(credentials(&volume)),
            volumes => *volumes = json!([credentials(&volume)]),
        }
    }
}

fn credentials(volume: &str) -> Value {
    let namespace = json!({"apiVersion": "v1", "fieldPath": "metadata.namespace"});
    json!({"name": volume, "projected": {"defaultMode": 0o644, "sources": [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": POD_TOKEN_SECONDS}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": namespace}]}},
    ]}})
}

/// Issues tokens of service accounts and knows them again.
///
/// A token is the same whenever it is asked for, and holds as long as its account and this server.
pub(crate) struct Tokens {
    key: hmac::Key,
}

impl Tokens {
    /// Tokens of one server, which no other one knows.
    pub(crate) fn new() -> Self {
        #[expect(clippy::expect_used, reason = "without randomness TLS would not work either")]
        let key =
            hmac::Key::generate(HMAC_SHA256, &SystemRandom::new()).expect("the system gives random bytes");
        Self { key }
    }

    /// Answers a `TokenRequest` for an account.
    ///
    /// # Errors
    /// 404 when there is no such account.
    pub(crate) fn issue(&self, store: &Store, path: &ResourcePath, mut request: Value) -> ApiResult<Value> {
        let account = store.get(path.kind, &path.namespace, path.object_name())?;
        let seconds = request["spec"]["expirationSeconds"].as_i64().unwrap_or(3600);
        if seconds < SHORTEST_SECONDS {
            let why = "may not specify a duration less than 10 minutes";
            let cause = Cause::invalid("spec.expirationSeconds", &seconds.into(), why);
            return Err(ApiError::invalid_of(
                "authentication.k8s.io",
                "TokenRequest",
                "",
                &[cause],
            ));
        }
        let audiences = match request["spec"]["audiences"].as_array() {
            Some(audiences) if !audiences.is_empty() => json!(audiences),
            _ => json!([ISSUER]),
        };
        let name = meta::name(&account);
        let claims = json!({
            "iss": ISSUER,
            "sub": format!("system:serviceaccount:{}:{name}", path.namespace),
            "aud": audiences,
            "kubernetes.io": {
                "namespace": path.namespace,
                "serviceaccount": {"name": name, "uid": account["metadata"]["uid"]},
            },
        });
        let expiry = Timestamp::now()
            .saturating_add(SignedDuration::from_secs(seconds))
            .unwrap_or(Timestamp::MAX);
        request["apiVersion"] = "authentication.k8s.io/v1".into();
        request["kind"] = "TokenRequest".into();
        request["metadata"] = json!({"name": name, "namespace": path.namespace});
        request["spec"]["audiences"] = claims["aud"].clone();
        request["spec"]["expirationSeconds"] = seconds.into();
        request["status"] = json!({
            "token": self.sign(&claims),
            "expirationTimestamp": expiry.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        });
        Ok(request)
    }

    fn sign(&self, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!(
            "{}.{}",
            part(&json!({"alg": "HS256", "typ": "JWT"})),
            part(claims)
        );
        let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&self.key, signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    /// Whether `token` is one of an account that is still there, and is meant for this server.
    pub(crate) fn admit(&self, store: &Store, token: &str) -> bool {
        self.claims(token).is_some_and(|claims| {
            let of = |pointer: &str| meta::text(&claims, pointer).to_owned();
            let (namespace, name) = (
                of("/kubernetes.io/namespace"),
                of("/kubernetes.io/serviceaccount/name"),
            );
            let account = store.get(named("ServiceAccount"), &namespace, &name);
            let is_meant = claims["aud"]
                .as_array()
                .is_some_and(|audiences| audiences.contains(&ISSUER.into()));
            let uid = &claims["kubernetes.io"]["serviceaccount"]["uid"];
            is_meant && account.is_ok_and(|account| account["metadata"]["uid"] == *uid)
        })
    }

    /// The claims of a token that this server signed.
    fn claims(&self, token: &str) -> Option<Value> {
        let (signed, signature) = token.rsplit_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        hmac::verify(&self.key, signed.as_bytes(), &signature).ok()?;
        let (_, claims) = signed.split_once('.')?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{query::Query, resource::Resources};

    fn create(resources: &Resources, path: &str, object: Value) -> ApiResult<Value> {
        let created = resources.create(&ResourcePath::parse(path)?, &Query::default(), object)?;
        Ok(created.object)
    }

    fn cluster() -> Resources {
        let resources = Resources::new();
        create(
            &resources,
            "/api/v1/namespaces",
            json!({"metadata": {"name": "n"}}),
        )
        .unwrap();
        let accounts = "/api/v1/namespaces/n/serviceaccounts";
        create(&resources, accounts, json!({"metadata": {"name": "own"}})).unwrap();
        resources
    }

    fn pod(spec: Value) -> Value {
        let mut pod =
            json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
        let Value::Object(spec) = spec else {
            panic!("a spec is an object")
        };
        for (key, value) in spec {
            pod["spec"][key] = value;
        }
        pod
    }

    const PODS: &str = "/api/v1/namespaces/n/pods";

    #[test]
    fn a_pod_of_an_unknown_account_is_refused() {
        let sent = pod(json!({"serviceAccountName": "gone"}));
        let error = create(&cluster(), PODS, sent).unwrap_err();
        let told = format!("{error:?}");
        assert!(
            told.contains(&format!("{:?}", r#"pods "p" is forbidden: error looking up service account n/gone: serviceaccount "gone" not found"#)),
            "{told}"
        );
    }

    #[test]
    fn a_pod_gets_the_credentials_of_its_account() {
        let created = create(&cluster(), PODS, pod(json!({"serviceAccountName": "own"}))).unwrap();
        let mount = &created["spec"]["containers"][0]["volumeMounts"][0];
        assert_eq!(mount["mountPath"], MOUNT_PATH);
        assert_eq!(created["spec"]["volumes"][0]["name"], mount["name"]);
        assert_eq!(created["spec"]["serviceAccount"], "own");
    }

    #[test]
    fn a_pod_that_wants_no_credentials_gets_none() {
        let created = create(
            &cluster(),
            PODS,
            pod(json!({"automountServiceAccountToken": false})),
        )
        .unwrap();
        assert!(created["spec"]["volumes"].is_null());
        assert_eq!(created["spec"]["serviceAccountName"], "default");
    }

    #[test]
    fn a_token_is_known_as_long_as_its_account() {
        let (resources, tokens) = (cluster(), Tokens::new());
        let path = ResourcePath::parse("/api/v1/namespaces/n/serviceaccounts/own").unwrap();
        let issue = |request| tokens.issue(&resources.store, &path, request).unwrap();
        let token = |answer: &Value| answer["status"]["token"].as_str().unwrap().to_owned();
        let own = token(&issue(json!({"spec": {}})));
        assert!(tokens.admit(&resources.store, &own));
        assert!(
            !Tokens::new().admit(&resources.store, &own),
            "another server does not know it"
        );
        assert!(!tokens.admit(&resources.store, &own.replacen('.', ".A", 1)));
        let others = token(&issue(json!({"spec": {"audiences": ["vault"]}})));
        assert!(
            !tokens.admit(&resources.store, &others),
            "it is meant for somebody else"
        );
        resources.delete(&path, &Query::default(), &Value::Null).unwrap();
        assert!(!tokens.admit(&resources.store, &own));
    }
}
