//! What the renderer makes of values: a snapshot for each kind of object and each branch.

use prefect_e2e_renderer::{KubeVersion, Layers, Object, Release, render, to_yaml};
use rstest::{Context, rstest};

fn objects(minor: u32, values: &str) -> Vec<Object> {
    let mut release = Release::new("team-a", "data");
    release.kube_version = KubeVersion::new(1, minor);
    let mut layers = Layers::default();
    layers.file("values.yaml", values).expect("YAML");
    let values = layers.values().unwrap_or_else(|error| panic!("{error}"));
    render(&release, &values).unwrap_or_else(|error| panic!("{error}"))
}

/// The objects of these kinds; all of them for `*`.
fn chosen(minor: u32, kinds: &str, values: &str) -> String {
    let wanted: Vec<&str> = kinds.split(' ').collect();
    let mut objects = objects(minor, values);
    objects.retain(|object| kinds == "*" || wanted.contains(&object.kind()));
    to_yaml(&objects)
}

const ON_SQLITE: &str = "postgresql: {enabled: false}\nsqlite: {enabled: true}\n";

#[rstest]
#[case::default("*", "")]
#[case::sqlite("*", ON_SQLITE)]
#[case::sqlite_class("PersistentVolumeClaim", &format!("{ON_SQLITE}  # a class\nnamespaceOverride: other\nsqlite: {{enabled: true, persistence: {{size: 5Gi, storageClassName: fast}}}}\n").replacen("sqlite: {enabled: true}\n", "", 1))]
#[case::sqlite_without_claim(
    "PersistentVolumeClaim",
    "postgresql: {enabled: false}\nsqlite: {enabled: true, persistence: {enabled: false}}"
)]
#[case::external_database(
    "*",
    "postgresql: {enabled: false}\nsecret: {username: u, password: p, host: h, port: 5433, database: d}"
)]
#[case::existing_connection("*", "postgresql: {enabled: false}\nsecret: {create: false, name: conn}")]
#[case::separate_background_services(
    "*",
    "backgroundServices: {runAsSeparateDeployment: true}\nglobal: {prefect: {image: {prefectTag: 3.2.7}}}\npostgresql: {enabled: false}\nsecret: {create: false, name: conn}"
)]
#[case::background_services_account(
    "Deployment ServiceAccount",
    "backgroundServices: {runAsSeparateDeployment: true, serviceAccount: {name: own, annotations: {a: '{{ .Release.Name }}'}}}\nglobal: {prefect: {image: {prefectTag: 3.2.7}}}\ncommonAnnotations: {c: d}"
)]
#[case::background_services_fallback_account(
    "ServiceAccount",
    "backgroundServices: {runAsSeparateDeployment: true, serviceAccount: {create: false}}\nglobal: {prefect: {image: {prefectTag: 3.2.7}}}"
)]
#[case::background_services_settings(
    "Deployment",
    "backgroundServices: {runAsSeparateDeployment: true, debug: true, loggingLevel: DEBUG, priorityClassName: high, env: [{name: A, value: b}], revisionHistoryLimit: 2, resources: null, livenessProbe: {enabled: true}, readinessProbe: {enabled: true, config: {periodSeconds: 1}}, podSecurityContext: {fsGroupChangePolicy: Always}, containerSecurityContext: null, podLabels: {l: m}, podAnnotations: {x: z}, affinity: {nodeAffinity: {}}, nodeSelector: {k: v}, tolerations: [{operator: Exists}], extraEnvVarsCM: cm, extraEnvVarsSecret: sec, extraContainers: [{name: s}], extraVolumes: [{name: v}], extraVolumeMounts: [{name: v, mountPath: /v}]}\nglobal: {prefect: {image: {prefectTag: 3.2.7}}}\npostgresql: {enabled: false}\nsecret: {create: false}"
)]
#[case::server_settings(
    "Deployment",
    "server: {debug: true, loggingLevel: INFO, priorityClassName: high, env: [{name: A, value: b}], command: [c], args: [d], revisionHistoryLimit: 2, replicaCount: 4, livenessProbe: {enabled: true}, readinessProbe: {enabled: true, config: {periodSeconds: 1}}, podLabels: {l: m}, podAnnotations: {x: z}, affinity: {nodeAffinity: {}}, nodeSelector: {k: v}, tolerations: [{operator: Exists}], extraEnvVarsCM: '{{ .Release.Name }}-cm', extraEnvVarsSecret: sec, extraContainers: [{name: s}], extraVolumes: [{name: v}], extraVolumeMounts: [{name: v, mountPath: /v}], uiConfig: {enabled: false, prefectUiApiUrl: http://x/api, prefectUiStaticDirectory: /srv}}\nglobal: {prefect: {env: [{name: G, value: h}], image: {repository: r/p, prefectTag: t, pullPolicy: Always, pullSecrets: [s1, s2]}}}\npostgresql: {enabled: false}\nsecret: {create: false}\nservice: {targetPort: '4300'}"
)]
#[case::server_extra_args(
    "Deployment",
    "server: {extraArgs: [--a, 5, 'true']}\nbackgroundServices: {runAsSeparateDeployment: false}\npostgresql: {auth: {existingSecret: mine}}"
)]
#[case::server_deleted_defaults(
    "Deployment",
    "server: {debug: null, loggingLevel: null, revisionHistoryLimit: null, replicaCount: null, resources: null, podSecurityContext: null, containerSecurityContext: {capabilities: null, runAsUser: null}, uiConfig: {enabled: null, prefectUiApiUrl: null, prefectUiStaticDirectory: null}}"
)]
#[case::basic_auth("Deployment", "server: {basicAuth: {enabled: true, authString: 'a:b'}}")]
#[case::basic_auth_secret("Deployment", "server: {basicAuth: {enabled: true, existingSecret: s}}")]
#[case::autoscaling(
    "HorizontalPodAutoscaler",
    "server: {autoscaling: {enabled: true, minReplicas: 2, maxReplicas: 5, targetCPU: 50, targetMemory: 60}}\ncommonLabels: {l: m}"
)]
#[case::autoscaling_of_cpu(
    "HorizontalPodAutoscaler",
    "server: {autoscaling: {enabled: true, targetMemory: 0}}"
)]
#[case::autoscaling_without_requests(
    "HorizontalPodAutoscaler",
    "server: {autoscaling: {enabled: true}, resources: {requests: null}}"
)]
#[case::autoscaling_on_sqlite("HorizontalPodAutoscaler", &format!("{ON_SQLITE}server: {{autoscaling: {{enabled: true}}}}"))]
#[case::service_of_nodes(
    "Service",
    "service: {type: NodePort, nodePort: 30080, externalTrafficPolicy: Local, clusterIP: 10.0.0.1, annotations: {a: b}, extraPorts: [{name: m, port: 1, targetPort: 2, nodePort: 30081}]}\ncommonAnnotations: {c: d}\npostgresql: {enabled: false}\nsecret: {create: false}"
)]
#[case::service_of_load_balancer(
    "Service",
    "service: {type: LoadBalancer, nodePort: '30080', clusterIP: 10.0.0.1}\npostgresql: {enabled: false}\nsecret: {create: false}"
)]
#[case::service_of_cluster(
    "Service",
    "service: {clusterIP: 10.0.0.1, nodePort: 30080, port: 80, extraPorts: [{name: m, port: 1, targetPort: 2, nodePort: 30081}]}\npostgresql: {enabled: false}\nsecret: {create: false}"
)]
#[case::service_account(
    "ServiceAccount Deployment",
    "serviceAccount: {name: own, annotations: {a: b}}\ncommonAnnotations: {c: d}"
)]
#[case::no_service_account("ServiceAccount Deployment", "serviceAccount: {create: false}")]
#[case::named_foreign_service_account(
    "ServiceAccount Deployment",
    "serviceAccount: {create: false, name: theirs}"
)]
#[case::names(
    "*",
    "fullnameOverride: ''\nnameOverride: orion\nnamespaceOverride: other\npostgresql: {nameOverride: db}"
)]
#[case::database_full_name("StatefulSet Secret", "postgresql: {fullnameOverride: db}")]
#[case::common_labels(
    "*",
    "commonLabels: {team: '{{ .Chart.Name }}', app.kubernetes.io/component: mine}\ncommonAnnotations: {port: 'p{{ .Values.service.port }}'}"
)]
#[case::ingress("Ingress", "ingress: {enabled: true}")]
#[case::ingress_everything(
    "Ingress",
    "ingress: {enabled: true, className: nginx, tls: true, selfSigned: true, servicePort: web, annotations: {a: b}, host: {hostname: h, path: /p, pathType: Prefix}, extraHosts: [{name: x}, {name: z, path: /q, pathType: Exact}, {name: 5}], extraPaths: [{path: /r}], extraTls: [{hosts: ['{{ .Release.Name }}']}], extraRules: [{host: r}]}"
)]
#[case::ingress_cert_manager(
    "Ingress",
    "ingress: {enabled: true, tls: true, annotations: {cert-manager.io/issuer: a}}"
)]
#[case::ingress_acme(
    "Ingress",
    "ingress: {enabled: true, tls: true, annotations: {kubernetes.io/tls-acme: 'true'}}"
)]
#[case::ingress_tls_of_nobody("Ingress", "ingress: {enabled: true, tls: true}")]
#[case::ingress_issuer_without_tls(
    "Ingress",
    "ingress: {enabled: true, annotations: {cert-manager.io/cluster-issuer: a}}"
)]
#[case::ingress_without_host(
    "Ingress",
    "ingress: {enabled: true, host: {hostname: '', path: null, pathType: null}, extraHosts: [{name: x}]}"
)]
#[case::database_persistence(
    "StatefulSet",
    "postgresql: {primary: {persistence: {enabled: true, size: 1Gi, storageClass: fast, subPath: s, accessModes: [A, 5], annotations: {a: b}, labels: {c: d}, selector: {e: f}, dataSource: {g: h}}}}"
)]
#[case::database_no_class(
    "StatefulSet",
    "postgresql: {primary: {persistence: {enabled: true, storageClass: '-'}}}"
)]
#[case::database_global_class(
    "StatefulSet",
    "postgresql: {primary: {persistence: {enabled: true, storageClass: fast}}}\nglobal: {storageClass: slow, imageRegistry: r, imagePullSecrets: [a, {name: b}]}"
)]
#[case::database_existing_claim(
    "StatefulSet",
    "postgresql: {primary: {persistence: {enabled: true, existingClaim: '{{ .Release.Name }}-claim'}}}"
)]
#[case::database_existing_secret(
    "*",
    "postgresql: {auth: {existingSecret: s, enablePostgresUser: true, secretKeys: {adminPasswordKey: a, userPasswordKey: u}}}"
)]
#[case::database_admin_of_existing_secret(
    "StatefulSet",
    "postgresql: {auth: {existingSecret: s, enablePostgresUser: true, username: postgres}}"
)]
#[case::database_admin(
    "Secret StatefulSet",
    "postgresql: {auth: {enablePostgresUser: true, postgresPassword: admin}}"
)]
#[case::database_admin_alone(
    "Secret StatefulSet",
    "postgresql: {auth: {enablePostgresUser: true, username: postgres, postgresPassword: admin}}"
)]
#[case::database_without_password(
    "Secret StatefulSet",
    "postgresql: {auth: {username: '', existingSecret: s}}"
)]
#[case::database_global_auth(
    "Secret StatefulSet",
    "global: {postgresql: {auth: {username: gu, password: gp, database: gd, postgresPassword: gpp}, service: {ports: {postgresql: 7777}}}}"
)]
#[case::database_global_secret(
    "Secret StatefulSet",
    "global: {postgresql: {auth: {existingSecret: gs, secretKeys: {userPasswordKey: gk}}}}"
)]
#[case::database_password_files(
    "StatefulSet",
    "postgresql: {auth: {usePasswordFiles: true, enablePostgresUser: true, postgresPassword: x}}"
)]
#[case::database_image(
    "StatefulSet",
    "postgresql: {image: {registry: r, repository: bitnamilegacy/postgresql, tag: t, pullPolicy: Always, pullSecrets: [s, s], debug: true}}"
)]
#[case::database_digest("StatefulSet", "postgresql: {image: {registry: '', digest: 'sha256:ab'}}")]
#[case::database_tls(
    "StatefulSet",
    "postgresql: {tls: {enabled: true, preferServerCiphers: false, certificatesSecret: s, certFilename: c, certKeyFilename: k, certCAFilename: a, crlFilename: r}, primary: {startupProbe: {enabled: true}}}"
)]
#[case::database_tls_without_authority(
    "StatefulSet",
    "postgresql: {tls: {enabled: true, certificatesSecret: s, certFilename: c, certKeyFilename: k}, primary: {resources: null, containerSecurityContext: {enabled: false}}}"
)]
#[case::database_tls_and_permissions(
    "StatefulSet",
    "postgresql: {tls: {enabled: true, certificatesSecret: s, certFilename: c, certKeyFilename: k}, volumePermissions: {enabled: true, image: {registry: q, pullSecrets: [v]}}, primary: {configuration: x, persistence: {enabled: true, subPath: s}}}"
)]
#[case::database_permissions_auto(
    "StatefulSet",
    "postgresql: {volumePermissions: {enabled: true, resources: null, containerSecurityContext: {runAsUser: auto}}, primary: {persistence: {enabled: true}}}"
)]
#[case::database_permissions_without_volumes(
    "StatefulSet",
    "postgresql: {volumePermissions: {enabled: true}, shmVolume: {enabled: false}}"
)]
#[case::database_permissions_of_memory("StatefulSet", "postgresql: {volumePermissions: {enabled: true}}")]
#[case::database_configuration(
    "ConfigMap StatefulSet",
    "postgresql: {primary: {configuration: \"a = '{{ .Release.Name }}'\\n\\n\", pgHbaConfiguration: \"host all\", extendedConfiguration: \"b = 1\\nc = 2\\n\", initdb: {scripts: {a.sql: 'SELECT 1'}, scriptsSecret: s, args: -x, postgresqlWalDir: /w, user: u, password: p}}}"
)]
#[case::database_existing_configuration(
    "ConfigMap StatefulSet",
    "postgresql: {primary: {configuration: a, existingConfigmap: c, extendedConfiguration: b, existingExtendedConfigmap: e, initdb: {scripts: {a: b}, scriptsConfigMap: i}}}"
)]
#[case::database_service_of_nodes(
    "Service",
    "postgresql: {primary: {service: {type: NodePort, nodePorts: {postgresql: 30432}, clusterIP: 1.1.1.1, externalTrafficPolicy: Local, annotations: {a: b}, headless: {annotations: {c: d}}, extraPorts: [{name: x, port: 1}]}}}"
)]
#[case::database_service_of_load_balancer(
    "Service",
    "postgresql: {primary: {service: {type: LoadBalancer, loadBalancerIP: 1.2.3.4, loadBalancerSourceRanges: [10.0.0.0/8], sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: 5}}, nodePorts: {postgresql: '30432'}}}}"
)]
#[case::database_service_of_cluster(
    "Service",
    "postgresql: {primary: {service: {clusterIP: 1.1.1.1, ports: {postgresql: 6000}, sessionAffinity: '', nodePorts: {postgresql: 30432}, loadBalancerIP: 1.2.3.4, loadBalancerSourceRanges: [a]}}}"
)]
#[case::database_scheduling(
    "StatefulSet",
    "postgresql: {primary: {affinity: {a: b}, nodeSelector: {c: d}, tolerations: [{key: e}], topologySpreadConstraints: [{maxSkew: 1}], priorityClassName: p, schedulerName: s, terminationGracePeriodSeconds: 5, updateStrategy: {type: OnDelete}, hostAliases: [{ip: 1.1.1.1}], hostNetwork: true, hostIPC: true, extraPodSpec: {dnsPolicy: None}}}"
)]
#[case::database_presets(
    "StatefulSet",
    "postgresql: {primary: {podAffinityPreset: soft, podAntiAffinityPreset: hard, nodeAffinityPreset: {type: hard, key: k, values: [v, 5]}}}"
)]
#[case::database_soft_nodes(
    "StatefulSet",
    "postgresql: {primary: {podAntiAffinityPreset: '', nodeAffinityPreset: {type: soft, key: k, values: [v]}}}"
)]
#[case::database_container(
    "StatefulSet",
    "postgresql: {containerPorts: {postgresql: 6000}, audit: {logHostname: true, logConnections: true, logDisconnections: true, pgAuditLog: READ, pgAuditLogCatalog: null, clientMinMessages: log, logLinePrefix: '%m', logTimezone: UTC}, postgresqlSharedPreloadLibraries: x, postgresqlDataDir: /d, shmVolume: {sizeLimit: 1Gi}, primary: {command: [a], args: [b], lifecycleHooks: {c: d}, extraEnvVars: [{name: E}], extraEnvVarsCM: cm, extraEnvVarsSecret: sec, extraVolumes: [{name: v}], extraVolumeMounts: [{name: v}], sidecars: [{name: s}], initContainers: [{name: i}], resources: {limits: {cpu: '1'}}, podSecurityContext: {enabled: false}, containerSecurityContext: {enabled: false}}}"
)]
#[case::database_probes(
    "StatefulSet",
    "postgresql: {primary: {livenessProbe: {enabled: false}, readinessProbe: {periodSeconds: 3}, startupProbe: {enabled: true}}}"
)]
#[case::database_custom_probes(
    "StatefulSet",
    "postgresql: {primary: {customLivenessProbe: {l: 1}, customReadinessProbe: {r: 2}, customStartupProbe: {s: 3}}}"
)]
#[case::database_no_readiness(
    "StatefulSet",
    "postgresql: {primary: {readinessProbe: {enabled: false}, persistence: {mountPath: ''}}}"
)]
#[case::database_labels(
    "StatefulSet ServiceAccount",
    "postgresql: {commonLabels: {l: m}, commonAnnotations: {n1: o}, primary: {labels: {p: q}, annotations: {r: s}, podLabels: {t: u, app.kubernetes.io/name: mine}, podAnnotations: {v: w}}, serviceAccount: {create: true, annotations: {x: z}}}"
)]
#[case::database_service_account(
    "StatefulSet ServiceAccount",
    "postgresql: {serviceAccount: {create: true, name: sa, automountServiceAccountToken: false}}"
)]
#[case::database_foreign_service_account("StatefulSet", "postgresql: {serviceAccount: {name: theirs}}")]
#[case::database_without_a_name(
    "StatefulSet Deployment",
    "postgresql: {auth: {database: ''}, tls: {enabled: true, certificatesSecret: s, certFilename: c, certKeyFilename: k, certCAFilename: a}}\nsecret: {create: false}"
)]
fn objects_are_rendered(#[context] context: Context, #[case] kinds: &str, #[case] values: &str) {
    let name = context.description.expect("each case has a name");
    insta::with_settings!({description => values, omit_expression => true}, {
        insta::assert_snapshot!(name, chosen(34, kinds, values));
    });
}

#[rstest]
#[case(13)]
#[case(17)]
#[case(18)]
#[case(19)]
#[case(22)]
#[case(23)]
fn versions_of_kubernetes_differ(#[case] minor: u32) {
    let values = "ingress: {enabled: true, className: c}\nserver: {autoscaling: {enabled: true}}";
    let versions: Vec<String> = objects(minor, values)
        .iter()
        .map(|object| format!("{} {}", object.api_version(), object.kind()))
        .collect();
    let text = format!(
        "{}\n{}",
        versions.join("\n"),
        chosen(minor, "Ingress HorizontalPodAutoscaler", values)
    );
    insta::assert_snapshot!(format!("kubernetes_1_{minor}"), text);
}

#[rstest]
#[case(
    "postgresql: {auth: {password: ''}}",
    "`postgresql.auth.password` is required to write the connection string of the database"
)]
#[case(
    "postgresql: {auth: {database: ''}}",
    "`postgresql.auth.database` is required to write the connection string of the database"
)]
#[case(
    "postgresql: {auth: {password: ''}}\nsecret: {create: false}",
    "`postgresql.auth.password` is empty; the chart would invent a password, write one down"
)]
#[case(
    "postgresql: {auth: {enablePostgresUser: true}}",
    "`postgresql.auth.postgresPassword` is empty while `postgresql.auth.enablePostgresUser` is true; the chart would invent a password, write one down"
)]
#[case(
    "postgresql: {tls: {enabled: true, certKeyFilename: k}}",
    "`postgresql.tls.certFilename` is required when `postgresql.tls.enabled` is true"
)]
#[case(
    "postgresql: {tls: {enabled: true, certFilename: a, certKeyFilename: b}}",
    "`postgresql.tls.certificatesSecret` is required when `postgresql.tls.enabled` is true"
)]
#[case(
    "postgresql: {tls: {enabled: true, certFilename: a}}",
    "`postgresql.tls.certKeyFilename` is required when `postgresql.tls.enabled` is true"
)]
#[case(
    "postgresql: {enabled: false}",
    "`secret.username` is required to write the connection string of the database"
)]
#[case(
    "server: {podLabels: {a: '{{ foo }}'}}",
    "`server.podLabels.a`: in the template `{{ foo }}`, column 4: unknown function `foo`; did you mean `floor`?"
)]
#[case(
    "server: {env: [{name: A, value: 'é {{ .Foo }}'}]}",
    "`server.env[0].value`: in the template `é {{ .Foo }}`, column 6: unknown field `Foo`; known are Capabilities, Chart, Release, Values"
)]
#[case(
    "server: {podLabels: {a: 'p{{ \"\\n[\" }}'}}",
    "`server.podLabels` leads to invalid YAML"
)]
#[case(
    "postgresql: {primary: {podLabels: {a: '{{ .Values.service.port }}'}}}",
    "`postgresql.primary.podLabels.a`: in the template `{{ .Values.service.port }}`, column 4: unknown field `service`"
)]
#[case(
    "postgresql: {primary: {podLabels: {a: '{{ .Values.server }}'}}}",
    "`postgresql.primary.podLabels.a`: in the template `{{ .Values.server }}`, column 4: unknown field `server`"
)]
fn what_cannot_be_rendered_is_explained(#[case] values: &str, #[case] expected: &str) {
    let mut layers = Layers::default();
    layers.file("values.yaml", values).expect("YAML");
    let values = layers.values().unwrap_or_else(|error| panic!("{error}"));
    let error = render(&Release::new("team-a", "data"), &values)
        .expect_err("a refusal")
        .to_string();
    assert!(error.starts_with(expected), "{error}");
}
