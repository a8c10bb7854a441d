//! Control planes to try the agent with: one of the fog, which lists deployments in pages, and one in
//! the shape of a Kubernetes API server, with pages and watches. The examples `fog_control_plane` and
//! `kubernetes_api` run them from the command line, tests run them in process.
//!
//! They answer one request per connection, and can be told to make trouble.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "the examples and the tests are crates of their own and each use a part of it"
)]

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::sleep;

/// Which control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plane {
    Fog,
    Kubernetes,
}

/// What it does instead of answering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlaneTrouble {
    /// Answers with this status.
    Status(u16),
    /// Answers 429, and asks to be left alone for so many seconds.
    Throttle(u64),
    /// Answers 200 with something else than what is expected.
    Garbage,
    /// Answers 200 with so many bytes.
    Huge(u64),
    /// Answers with a redirect to this URL.
    Redirect(String),
    /// Lists new deployments page after page, for ever.
    Endless,
    /// Lists the same page again and again.
    Repeat,
    /// Of Kubernetes: new deployments with the same `continue` token again and again.
    SameToken,
    /// Never answers.
    Hang,
    /// Answers details with this status, and lists as always.
    Details(u16),
}

#[derive(Debug, Clone)]
pub struct PlaneOptions {
    pub listen: SocketAddr,
    pub plane: Plane,
    /// The token that every request must have.
    pub token: Option<String>,
    /// The most deployments of a page.
    pub page: usize,
}

/// A deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployed {
    pub name: String,
    pub target: u64,
    pub ready: u64,
}

/// A request that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    pub path: String,
    pub query: HashMap<String, String>,
    pub authorization: Option<String>,
}

/// The server.
pub struct ControlPlane {
    options: PlaneOptions,
    pub address: SocketAddr,
    state: Mutex<PlaneState>,
    /// Told at every change.
    changed: Notify,
}

#[derive(Debug, Default)]
struct PlaneState {
    deployments: BTreeMap<String, Deployed>,
    /// The version of the collection.
    version: u64,
    /// Events with their versions.
    events: Vec<(u64, String)>,
    /// Versions up to this aren't known any more.
    expired: u64,
    /// How often watches were dropped.
    drops: u64,
    trouble: Option<PlaneTrouble>,
    asked: Vec<Asked>,
}

impl ControlPlane {
    /// Listens, and serves until the runtime ends.
    pub async fn start(options: PlaneOptions) -> io::Result<Arc<Self>> {
        let listener = TcpListener::bind(options.listen).await?;
        let plane = Arc::new(Self {
            address: listener.local_addr()?,
            options,
            state: Mutex::new(PlaneState {
                version: 100,
                ..PlaneState::default()
            }),
            changed: Notify::new(),
        });
        let serving = Arc::clone(&plane);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let plane = Arc::clone(&serving);
                // Whoever hangs up sees to it alone.
                tokio::spawn(async move { plane.serve(stream).await.ok() });
            }
        });
        Ok(plane)
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Adds a deployment, changes it, or takes it away.
    pub fn set(&self, id: &str, deployed: Option<Deployed>) {
        let mut state = self.lock();
        state.version += 1;
        let version = state.version;
        let (kind, shown) = match &deployed {
            Some(deployed) if state.deployments.contains_key(id) => ("MODIFIED", deployed.clone()),
            Some(deployed) => ("ADDED", deployed.clone()),
            None => match state.deployments.get(id) {
                Some(gone) => ("DELETED", gone.clone()),
                None => return,
            },
        };
        let object = object(id, &shown, version);
        let event = format!(r#"{{"type":"{kind}","object":{object}}}"#);
        state.events.push((version, event));
        if state.events.len() > 1000 {
            let (forgotten, _) = state.events.remove(0);
            state.expired = forgotten;
        }
        match deployed {
            Some(deployed) => state.deployments.insert(id.to_owned(), deployed),
            None => state.deployments.remove(id),
        };
        drop(state);
        self.changed.notify_waiters();
    }

    /// Sends whatever this is to all watches.
    pub fn say(&self, event: &str) {
        let mut state = self.lock();
        state.version += 1;
        let version = state.version;
        state.events.push((version, event.to_owned()));
        drop(state);
        self.changed.notify_waiters();
    }

    pub fn trouble(&self, trouble: Option<PlaneTrouble>) {
        self.lock().trouble = trouble;
    }

    /// Ends all watches.
    pub fn drop_watches(&self) {
        self.lock().drops += 1;
        self.changed.notify_waiters();
    }

    /// Forgets all versions up to now: who watches from one of them is told 410.
    pub fn expire(&self) {
        let mut state = self.lock();
        state.expired = state.version;
        state.events.clear();
        // The next list has a version that is known.
        state.version += 1;
        drop(state);
        self.drop_watches();
    }

    /// The requests since the last call.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.lock().asked)
    }

    fn lock(&self) -> MutexGuard<'_, PlaneState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        let Some(asked) = read_request(&mut stream).await? else {
            return Ok(());
        };
        self.lock().asked.push(asked.clone());
        let authorized = match &self.options.token {
            Some(token) => asked.authorization == Some(format!("Bearer {token}")),
            None => true,
        };
        if !authorized {
            return answer(&mut stream, "401 Unauthorized", "", "{}").await;
        }
        let trouble = self.lock().trouble.clone();
        let is_details = asked.path.starts_with("/api/deployment/status/");
        match trouble {
            Some(PlaneTrouble::Status(code)) => {
                return answer(&mut stream, &format!("{code} Trouble"), "", "{}").await;
            }
            Some(PlaneTrouble::Details(code)) if is_details => {
                return answer(&mut stream, &format!("{code} Trouble"), "", "{}").await;
            }
            Some(PlaneTrouble::Throttle(seconds)) => {
                let advice = format!("Retry-After: {seconds}\r\n");
                return answer(&mut stream, "429 Too Many Requests", &advice, "{}").await;
            }
            Some(PlaneTrouble::Garbage) => {
                return answer(&mut stream, "200 OK", "", r#"{"deployments":"moved"}"#).await;
            }
            Some(PlaneTrouble::Huge(bytes)) => return huge(&mut stream, bytes).await,
            Some(PlaneTrouble::Redirect(url)) => {
                let location = format!("Location: {url}\r\n");
                return answer(&mut stream, "302 Found", &location, "").await;
            }
            Some(PlaneTrouble::Hang) => std::future::pending().await,
            _ => {}
        }
        match self.options.plane {
            Plane::Fog => {
                let body = self.fog(&asked, trouble.as_ref());
                match body {
                    Some(body) => answer(&mut stream, "200 OK", "", &body).await,
                    None => answer(&mut stream, "404 Not Found", "", "{}").await,
                }
            }
            Plane::Kubernetes if asked.query.contains_key("watch") => {
                self.watch(&mut stream, &asked).await
            }
            Plane::Kubernetes => {
                let body = self.list(&asked, trouble.as_ref());
                answer(&mut stream, "200 OK", "", &body).await
            }
        }
    }

    /// What the fog answers; `None` for 404.
    fn fog(&self, asked: &Asked, trouble: Option<&PlaneTrouble>) -> Option<String> {
        let state = self.lock();
        if let Some(id) = asked.path.strip_prefix("/api/deployment/status/") {
            let deployed = state.deployments.get(id)?;
            let replicas: Vec<String> = (0..deployed.target)
                .map(|replica| {
                    let status = match replica < deployed.ready {
                        true => "running",
                        false => "failed",
                    };
                    format!(
                        r#"{{"status":"{status}","node_id":"node-{}"}}"#,
                        replica % 2
                    )
                })
                .collect();
            let health = match deployed.ready {
                ready if ready >= deployed.target => "healthy",
                0 => "unhealthy",
                _ => "degraded",
            };
            return Some(format!(
                r#"{{"id":"{id}","health":"{health}","replicas":[{}],
                    "resources":{{"cpu_cores":2,"memory_mb":512,"gpu_units":0,"storage_gb":10}}}}"#,
                replicas.join(",")
            ));
        }
        if asked.path != "/api/deployment/list" {
            return None;
        }
        let limit = number(asked, "limit", 100).min(self.options.page);
        let offset = number(asked, "offset", 0);
        let entry = |id: &str, deployed: &Deployed| {
            let status = if deployed.ready > 0 {
                "running"
            } else {
                "pending"
            };
            format!(
                r#"{{"id":"{id}","name":"{}","status":"{status}","target_replicas":{},
                    "running_replicas":{},"created_at":"2026-01-01T00:00:00Z",
                    "updated_at":"2026-01-01T00:00:00Z"}}"#,
                deployed.name, deployed.target, deployed.ready
            )
        };
        let made = |from: usize| -> Vec<String> {
            (from..from + limit)
                .map(|n| entry(&format!("made-{n}"), &deployed("made", 1, 1)))
                .collect()
        };
        let entries: Vec<String> = match trouble {
            Some(PlaneTrouble::Endless) => made(offset),
            Some(PlaneTrouble::Repeat) => made(0),
            _ => {
                let all = state.deployments.iter().skip(offset).take(limit);
                all.map(|(id, deployed)| entry(id, deployed)).collect()
            }
        };
        Some(format!("[{}]", entries.join(",")))
    }

    /// A page of the list, as Kubernetes gives it.
    fn list(&self, asked: &Asked, trouble: Option<&PlaneTrouble>) -> String {
        let state = self.lock();
        let limit = number(asked, "limit", 500).min(self.options.page);
        let from = number(asked, "continue", 0);
        let version = state.version;
        let made = |from: usize| -> Vec<String> {
            (from..from + limit)
                .map(|n| object(&format!("made-{n}"), &deployed("made", 1, 1), 1))
                .collect()
        };
        let all = state.deployments.len();
        let (items, next) = match trouble {
            Some(PlaneTrouble::Endless) => (made(from), (from + limit).to_string()),
            Some(PlaneTrouble::Repeat) => (made(0), (from + limit).to_string()),
            Some(PlaneTrouble::SameToken) => {
                let from = state.asked.len() * limit;
                (made(from), "7".to_owned())
            }
            _ => {
                let page = state.deployments.iter().skip(from).take(limit);
                let items: Vec<String> = page
                    .map(|(id, deployed)| object(id, deployed, version))
                    .collect();
                let next = from + limit;
                let token = if next < all {
                    next.to_string()
                } else {
                    String::new()
                };
                (items, token)
            }
        };
        let remaining = all.saturating_sub(from + limit);
        let mut meta = format!(r#""resourceVersion":"{version}""#);
        if !next.is_empty() {
            let _ = write!(
                meta,
                r#","continue":"{next}","remainingItemCount":{remaining}"#
            );
        }
        format!(
            r#"{{"kind":"DeploymentList","apiVersion":"apps/v1","metadata":{{{meta}}},"items":[{}]}}"#,
            items.join(",")
        )
    }

    async fn watch(&self, stream: &mut TcpStream, asked: &Asked) -> io::Result<()> {
        let mut version = number(asked, "resourceVersion", 0) as u64;
        let (expired, drops) = {
            let state = self.lock();
            (state.expired, state.drops)
        };
        if version <= expired {
            let body = r#"{"kind":"Status","code":410,"reason":"Expired"}"#;
            return answer(stream, "410 Gone", "", body).await;
        }
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
                    Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
        stream.write_all(head.as_bytes()).await?;
        let lifetime = number(asked, "timeoutSeconds", 300) as u64;
        let over = sleep(Duration::from_secs(lifetime));
        tokio::pin!(over);
        loop {
            let told = self.changed.notified();
            let (events, is_dropped) = {
                let state = self.lock();
                let new = state.events.iter().filter(|(at, _)| *at > version);
                let events: Vec<(u64, String)> = new.cloned().collect();
                (events, state.drops != drops)
            };
            for (at, event) in events {
                version = at;
                let chunk = format!("{:x}\r\n{event}\n\r\n", event.len() + 1);
                stream.write_all(chunk.as_bytes()).await?;
            }
            if is_dropped {
                return Ok(());
            }
            tokio::select! {
                () = told => {}
                () = &mut over => return stream.write_all(b"0\r\n\r\n").await,
            }
        }
    }
}

/// A deployment of this name and these replicas.
pub fn deployed(name: &str, target: u64, ready: u64) -> Deployed {
    Deployed {
        name: name.to_owned(),
        target,
        ready,
    }
}

fn object(id: &str, deployed: &Deployed, version: u64) -> String {
    let Deployed {
        name,
        target,
        ready,
    } = deployed;
    let unavailable = target.saturating_sub(*ready);
    format!(
        r#"{{"kind":"Deployment","metadata":{{"uid":"{id}","name":"{name}","namespace":"default","resourceVersion":"{version}","labels":{{"app":"{name}"}}}},"spec":{{"replicas":{target}}},"status":{{"replicas":{target},"readyReplicas":{ready},"availableReplicas":{ready},"unavailableReplicas":{unavailable}}}}}"#
    )
}

fn number(asked: &Asked, key: &str, default: usize) -> usize {
    let value = asked.query.get(key).and_then(|value| value.parse().ok());
    value.unwrap_or(default)
}

async fn read_request(stream: &mut TcpStream) -> io::Result<Option<Asked>> {
    let mut head = Vec::new();
    let mut piece = [0; 4096];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let read = stream.read(&mut piece).await?;
        if read == 0 || head.len() > 64 * 1024 {
            return Ok(None);
        }
        head.extend_from_slice(&piece[..read]);
    }
    let head = String::from_utf8_lossy(&head);
    let mut lines = head.lines();
    let target = lines.next().and_then(|line| line.split(' ').nth(1));
    let target = target.unwrap_or("/");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let query = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    let authorization = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("authorization")
            .then(|| value.trim().to_owned())
    });
    Ok(Some(Asked {
        path: path.to_owned(),
        query,
        authorization,
    }))
}

async fn answer(stream: &mut TcpStream, status: &str, headers: &str, body: &str) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         {headers}Connection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}

/// A list whose one entry doesn't end before so many bytes.
async fn huge(stream: &mut TcpStream, bytes: u64) -> io::Result<()> {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n[\"";
    stream.write_all(head.as_bytes()).await?;
    let piece = [b'x'; 64 * 1024];
    let mut left = bytes;
    while left > 0 {
        let length = left.min(piece.len() as u64) as usize;
        stream.write_all(&piece[..length]).await?;
        left -= length as u64;
    }
    stream.write_all(b"\"]").await
}

/// Lets deployments come and go for ever: `d-001` comes and goes every 20 s, and the replicas of
/// `d-002` every 7 s.
pub async fn live(plane: &ControlPlane, deployments: usize) -> ! {
    for n in 0..deployments {
        plane.set(
            &format!("d-{n:03}"),
            Some(deployed(&format!("app-{n}"), 3, 3)),
        );
    }
    for second in 1_u64.. {
        sleep(Duration::from_secs(1)).await;
        if second % 20 == 0 {
            let comes = (second / 20).is_multiple_of(2);
            plane.set("d-001", comes.then(|| deployed("app-1", 3, 3)));
        }
        if second % 7 == 0 {
            plane.set("d-002", Some(deployed("app-2", 3, second / 7 % 4)));
        }
    }
    unreachable!("seconds are many");
}
