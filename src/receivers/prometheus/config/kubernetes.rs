//! An element of `kubernetes_sd_configs`.

use url::Url;

use super::http::{HttpConfig, http_url};
use crate::yaml::{Fields, FromValue, PlacedNode, is_empty};

/// A cluster whose objects are targets.
#[derive(Debug, Clone)]
pub struct KubernetesConfig {
    /// `role`.
    pub role: KubernetesRole,
    /// `api_server`; `None` for the cluster that the agent runs in.
    pub api_server: Option<Url>,
    /// `namespaces.names`; none for all, unless there is `own_namespace`.
    pub namespaces: Vec<String>,
    /// `namespaces.own_namespace`.
    pub own_namespace: bool,
    /// `selectors`, at most one for each kind of object.
    pub selectors: Vec<ObjectSelector>,
    /// How the server is requested.
    pub http: HttpConfig,
}

/// A kind of object: of targets, and of what they are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KubernetesRole {
    /// Each port of each container.
    Pod,
    /// Each port of each service.
    Service,
    /// Each address and port behind a service.
    EndpointSlice,
    /// Each kubelet.
    Node,
}

/// Which objects of a kind the server is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectSelector {
    /// The kind.
    pub role: KubernetesRole,
    /// `label`, as the API takes it; may be empty.
    pub label: String,
    /// `field`, likewise.
    pub field: String,
}

/// The keys of the HTTP client that need `api_server`.
const CLIENT: [&str; 9] = [
    "basic_auth",
    "authorization",
    "oauth2",
    "bearer_token",
    "bearer_token_file",
    "tls_config",
    "proxy_url",
    "proxy_from_environment",
    "no_proxy",
];

impl KubernetesRole {
    const ALL: [(&str, Self); 4] = [
        ("pod", Self::Pod),
        ("service", Self::Service),
        ("endpointslice", Self::EndpointSlice),
        ("node", Self::Node),
    ];

    /// The kinds of object that the targets of this role are made of.
    fn kinds(self) -> &'static [Self] {
        match self {
            Self::Pod => &[Self::Pod],
            Self::Service => &[Self::Service],
            Self::Node => &[Self::Node],
            Self::EndpointSlice => &[Self::EndpointSlice, Self::Service, Self::Pod],
        }
    }
}

impl FromValue for KubernetesRole {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        match value.text() {
            Some("endpoints") => value.error(
                "this role isn't supported: use endpointslice, whose labels begin with \
                 __meta_kubernetes_endpointslice_",
            ),
            Some("ingress") => value.error("this role isn't supported"),
            _ => value.choice(&Self::ALL),
        }
    }
}

impl KubernetesConfig {
    pub(super) fn read(value: &PlacedNode<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let role: Option<KubernetesRole> = fields.required("role");
        let server = fields.value("api_server");
        let server = server.filter(|value| !value.is_null() && value.text() != Some(""));
        for (key, instead) in [
            ("kubeconfig_file", "name the server with `api_server`"),
            (
                "attach_metadata",
                "labels of nodes and namespaces aren't attached",
            ),
        ] {
            let written = fields.foreign(key).filter(|value| !is_empty(value));
            if let Some(value) = written.filter(|value| value.text().is_some() || !says_no(value)) {
                value.error::<()>(format_args!("this isn't supported: {instead}"));
            }
        }
        let (namespaces, own_namespace) = namespaces(&mut fields);
        let selectors = fields.value("selectors").and_then(|value| value.items());
        let selectors = selectors.unwrap_or_default();
        if server.is_none() {
            for key in CLIENT {
                if let Some(value) = fields.value(key).filter(|value| !is_empty(value)) {
                    value.error::<()>(
                        "this is for the server that `api_server` names; that of the own cluster \
                         is asked with what the cluster gives the pod",
                    );
                }
            }
        }
        let http = HttpConfig::read(&mut fields);
        fields.finish();
        let selectors = role.and_then(|role| read_selectors(&selectors, role));
        let api_server = match server {
            Some(server) => Some(http_url(&server)?),
            None => None,
        };
        Some(Self {
            role: role?,
            api_server,
            namespaces: namespaces?,
            own_namespace,
            selectors: selectors?,
            http: http?,
        })
    }
}

/// Whether every entry of a map is `false`.
fn says_no(value: &PlacedNode<'_>) -> bool {
    let entries = value.entries().unwrap_or_default();
    entries
        .iter()
        .all(|(_, value)| value.text() == Some("false"))
}

/// `namespaces`: the names, and whether the pod's own is one of them.
fn namespaces(fields: &mut Fields<'_>) -> (Option<Vec<String>>, bool) {
    let Some(value) = fields.value("namespaces").filter(|value| !is_empty(value)) else {
        return (Some(Vec::new()), false);
    };
    let Some(mut keys) = value.fields() else {
        return (None, false);
    };
    let names = keys.or("names", Vec::new());
    let own = keys.or("own_namespace", false);
    keys.finish();
    (Some(names), own)
}

fn read_selectors(items: &[PlacedNode<'_>], role: KubernetesRole) -> Option<Vec<ObjectSelector>> {
    let mut selectors: Vec<ObjectSelector> = Vec::new();
    let mut is_right = true;
    for item in items {
        let Some(mut fields) = item.fields() else {
            is_right = false;
            continue;
        };
        let selector = ObjectSelector {
            role: fields.required("role").unwrap_or(role),
            label: fields.or("label", String::new()),
            field: fields.or("field", String::new()),
        };
        fields.finish();
        let problem = if !role.kinds().contains(&selector.role) {
            "targets of this role are made of other kinds of object"
        } else if selectors.iter().any(|other| other.role == selector.role) {
            "there is another selector for this role"
        } else {
            selectors.push(selector);
            continue;
        };
        item.error::<()>(problem);
        is_right = false;
    }
    is_right.then_some(selectors)
}
