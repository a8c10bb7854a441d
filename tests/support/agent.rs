//! An agent in this process, from a configuration in YAML.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test needs another part of it"
)]

use foghorn::component::{Health, Subject};
use foghorn::components::FACTORIES;
use foghorn::config::{Config, Sources};
use foghorn::pipeline::Ledger;
use foghorn::service::{Drained, Service};
use foghorn::telemetry::{Telemetry, TelemetrySettings};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A running agent.
pub struct Agent {
    pub health: Health,
    pub ledger: Ledger,
    /// What it serves by HTTP.
    pub urls: Vec<String>,
    stop: oneshot::Sender<()>,
    running: JoinHandle<Drained>,
}

impl Agent {
    /// Starts it, or fails with everything that is wrong.
    pub async fn start(yaml: &str) -> Self {
        let sources = Sources {
            configs: vec![format!("yaml:{yaml}")],
            sets: Vec::new(),
        };
        let loaded =
            Config::load(&sources, &|_| None, &FACTORIES).unwrap_or_else(|e| panic!("{e}"));
        let telemetry = Telemetry::new(&TelemetrySettings::default()).unwrap();
        let service = Service::build(&loaded.config, &telemetry).unwrap_or_else(|e| panic!("{e}"));
        let running = service.start().await.unwrap_or_else(|e| panic!("{e}"));
        let (health, ledger) = (running.health(), running.ledger());
        let urls = running.urls().to_vec();
        let (stop, stopped) = oneshot::channel();
        let shutdown = async {
            let _ = stopped.await;
        };
        let running = tokio::spawn(running.run(shutdown, std::future::pending()));
        Self {
            health,
            ledger,
            urls,
            stop,
            running,
        }
    }

    /// The address that a listener of the agent was bound to, such as `grpc`.
    pub fn address(&self, protocol: &str) -> String {
        let prefix = format!("{protocol}://");
        self.health
            .reports()
            .iter()
            .filter(|report| report.subject == Subject::Endpoint)
            .find_map(|report| report.id.strip_prefix(&prefix).map(str::to_owned))
            .unwrap_or_else(|| panic!("nothing listens for {protocol}"))
    }

    /// Stops it and checks that the books balance.
    pub async fn stop(self) -> Drained {
        let _ = self.stop.send(());
        let drained = self.running.await.unwrap();
        drained
            .ledger
            .snapshot()
            .check()
            .unwrap_or_else(|e| panic!("{e:?}"));
        drained
    }
}
