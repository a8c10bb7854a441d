//! Where the API server of the cluster is that this agent runs in.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use url::{Host, Url};

use crate::net::{ClientTls, Pem};
use crate::receivers::scrape::http::{ClientAuthConfig, Credential};

/// Where the cluster puts what a pod needs to know.
const MOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// The name of the API server in every cluster.
const NAME: &str = "kubernetes.default.svc";

/// What a pod knows of its cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InCluster {
    /// The API server.
    pub url: Url,
    /// The directory with the token and the certificates of the cluster's authority.
    pub mount: PathBuf,
}

impl InCluster {
    /// Reads the environment of this process.
    ///
    /// # Errors
    ///
    /// When it is that of no pod.
    pub fn from_environment() -> anyhow::Result<Self> {
        let read = |name: &str| std::env::var(name).unwrap_or_default();
        let (host, port) = (
            read("KUBERNETES_SERVICE_HOST"),
            read("KUBERNETES_SERVICE_PORT"),
        );
        Self::of(&host, &port, Path::new(MOUNT))
    }

    /// With these values of `KUBERNETES_SERVICE_HOST` and `..._PORT`.
    ///
    /// # Errors
    ///
    /// When they don't name a server.
    pub fn of(host: &str, port: &str, mount: &Path) -> anyhow::Result<Self> {
        anyhow::ensure!(
            !host.is_empty() && !port.is_empty(),
            "not in a cluster (KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set)"
        );
        let host = match host.contains(':') {
            true => format!("[{host}]"),
            false => host.to_owned(),
        };
        Ok(Self {
            url: Url::parse(&format!("https://{host}:{port}"))?,
            mount: mount.to_owned(),
        })
    }

    /// The namespace that the pod is in.
    ///
    /// # Errors
    ///
    /// When its file can't be read.
    pub fn namespace(&self) -> anyhow::Result<String> {
        let path = self.mount.join("namespace");
        let text = std::fs::read_to_string(&path);
        let text = text.with_context(|| path.display().to_string())?;
        Ok(text.trim().to_owned())
    }

    /// Whether a URL is that of this cluster's API server, which alone gets its token.
    pub fn is_at(&self, url: &Url) -> bool {
        let by_name = match url.host() {
            Some(Host::Domain(name)) => {
                name == NAME
                    || name == "kubernetes.default"
                    || name == "kubernetes"
                    || name == "kubernetes.default.svc.cluster.local"
            }
            _ => false,
        };
        url.scheme() == "https" && (by_name || url.origin() == self.url.origin())
    }

    /// The token of the pod's account, which is renewed from time to time.
    pub fn auth(&self) -> ClientAuthConfig {
        let token = self.mount.join("token");
        ClientAuthConfig::Token {
            scheme: "Bearer".to_owned(),
            token: Credential::File("auth::bearer_token_file", token),
        }
    }

    /// TLS with the cluster's authority.
    pub fn tls(&self) -> ClientTls {
        ClientTls {
            ca: Some(Pem::file("ca_file", self.mount.join("ca.crt"))),
            ..ClientTls::default()
        }
    }
}
