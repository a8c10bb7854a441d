//! `docker`: what the daemon says about its host and about the agent's container.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep};

use super::super::constant::Constant;
use super::found::Detected;
use super::machine::ObservedMachine;
use super::switches::read_switches;
use crate::host;
use crate::yaml::{FromValue, PlacedNode};

/// The attributes, and whether they are there without being asked for.
const ATTRIBUTES: [(&str, bool); 4] = [
    ("container.image.name", false),
    ("container.name", false),
    ("host.name", true),
    ("os.type", true),
];

/// The most bytes of an answer.
const MAX_ANSWER: usize = 4 << 20;

/// Between the first two attempts; each further pause is twice as long.
const PAUSE: Duration = Duration::from_secs(1);

/// Its settings.
#[derive(Debug, Clone, Copy)]
pub(super) struct DockerDetector {
    /// Which of [`ATTRIBUTES`] are wanted.
    wanted: [bool; ATTRIBUTES.len()],
}

impl Default for DockerDetector {
    fn default() -> Self {
        Self {
            wanted: ATTRIBUTES.map(|(_, default)| default),
        }
    }
}

impl FromValue for DockerDetector {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let wanted = read_switches(&mut fields, &ATTRIBUTES);
        fields.finish();
        Some(Self { wanted })
    }
}

/// Why an answer is missing.
#[derive(Debug, thiserror::Error)]
enum DockerError {
    /// There is no daemon: asking again is of no use.
    #[error("{0} doesn't exist: is the daemon's socket mounted?")]
    NoSocket(String),
    /// The daemon has answered, and would answer the same again.
    #[error("{0}")]
    Answered(String),
    /// Anything else, which may pass.
    #[error("{0}")]
    Passing(String),
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct DaemonAnswer {
    name: String,
    #[serde(rename = "OSType")]
    os_type: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ContainerAnswer {
    name: String,
    config: ContainerConfig,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ContainerConfig {
    image: String,
}

impl DockerDetector {
    pub(super) async fn detect(&self, machine: &ObservedMachine, deadline: Instant) -> Detected {
        let socket = match socket(machine) {
            Ok(socket) => socket,
            Err(problem) => return Detected::failed(problem),
        };
        let [image, container, host, os] = self.wanted;
        let mut detected = Detected::default();
        let Detected {
            attributes,
            problems,
        } = &mut detected;
        let mut put = |key: &str, wanted: bool, value: &str| {
            if wanted && !value.is_empty() {
                attributes.put(key, Constant::text(value));
            }
        };
        if host || os {
            match asked::<DaemonAnswer>(&socket, "/info", deadline).await {
                Ok(answer) => {
                    put("host.name", host, &answer.name);
                    put("os.type", os, &answer.os_type.to_lowercase());
                }
                Err(error) => problems.push(absent("host.name and os.type", &error)),
            }
        }
        if image || container {
            // A container's name for itself is the beginning of its id.
            let path = format!("/containers/{}/json", host::name());
            match asked::<ContainerAnswer>(&socket, &path, deadline).await {
                Ok(answer) => {
                    let name = answer.name.trim_start_matches('/');
                    put("container.name", container, name);
                    put("container.image.name", image, &answer.config.image);
                }
                Err(error) => problems.push(absent("the container", &error)),
            }
        }
        detected
    }
}

fn absent(what: &str, error: &DockerError) -> String {
    format!("{what}: absent, {error}")
}

/// Where the daemon listens.
fn socket(machine: &ObservedMachine) -> Result<PathBuf, String> {
    match machine.variable("DOCKER_HOST") {
        None => Ok(machine.root.join("var/run/docker.sock")),
        Some(place) => match place.strip_prefix("unix://") {
            Some(path) => Ok(PathBuf::from(path)),
            None => Err("DOCKER_HOST names no socket of this host (unix://): absent".to_owned()),
        },
    }
}

/// Asks until there is an answer, or until shortly before the deadline.
async fn asked<T: DeserializeOwned>(
    socket: &Path,
    path: &str,
    deadline: Instant,
) -> Result<T, DockerError> {
    let mut pause = PAUSE;
    loop {
        let error = match ask(socket, path).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let late = Instant::now() + pause >= deadline;
        if late || !matches!(error, DockerError::Passing(_)) {
            return Err(error);
        }
        sleep(pause).await;
        pause *= 2;
    }
}

async fn ask<T: DeserializeOwned>(socket: &Path, path: &str) -> Result<T, DockerError> {
    fn passing(error: impl std::fmt::Display) -> DockerError {
        DockerError::Passing(error.to_string())
    }

    let stream = UnixStream::connect(socket).await.map_err(|error| {
        let shown = socket.display().to_string();
        match error.kind() {
            std::io::ErrorKind::NotFound => DockerError::NoSocket(shown),
            _ => DockerError::Passing(format!("{shown}: {error}")),
        }
    })?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(passing)?;
    let request = Request::get(path)
        .header(header::HOST, "docker")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| DockerError::Answered(error.to_string()))?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(passing)?;
        let status = response.status();
        if status != StatusCode::OK {
            let message = format!("the daemon answers {status}");
            return Err(match status.is_server_error() {
                true => DockerError::Passing(message),
                false => DockerError::Answered(message),
            });
        }
        let body = Limited::new(response.into_body(), MAX_ANSWER)
            .collect()
            .await;
        let body = body.map_err(passing)?.to_bytes();
        serde_json::from_slice(&body)
            .map_err(|_| DockerError::Answered("the daemon's answer isn't Docker's".to_owned()))
    };
    // Within this task, so that nothing of it stays when the time is over.
    let (mut answer, mut connection) = (pin!(answer), pin!(connection));
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        // What has arrived is still there, and otherwise this says why it ended.
        _ = &mut connection => answer.await,
    }
}
