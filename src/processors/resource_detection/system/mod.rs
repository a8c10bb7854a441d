//! `system`: what the machine says about itself.

mod cpu;
mod names;
mod release;

use std::io;

use tokio::time::Instant;

use self::cpu::CpuDescription;
use self::names::HostnameSource;
use self::release::Release;
use super::super::constant::Constant;
use super::found::{Detected, on_a_thread};
use super::machine::ObservedMachine;
use super::netlink::NetworkInterface;
use super::switches::read_switches;
use crate::host;
use crate::yaml::{FromValue, PlacedNode};

/// The attributes, and whether they are there without being asked for.
const ATTRIBUTES: [(&str, bool); 17] = [
    ("host.arch", false),
    ("host.cpu.cache.l2.size", false),
    ("host.cpu.family", false),
    ("host.cpu.model.id", false),
    ("host.cpu.model.name", false),
    ("host.cpu.stepping", false),
    ("host.cpu.vendor.id", false),
    ("host.id", false),
    ("host.interface", false),
    ("host.ip", false),
    ("host.mac", false),
    ("host.name", true),
    ("os.build.id", false),
    ("os.description", false),
    ("os.name", false),
    ("os.type", true),
    ("os.version", false),
];

/// Its settings.
#[derive(Debug, Clone)]
pub(super) struct SystemDetector {
    sources: Vec<HostnameSource>,
    /// Which of [`ATTRIBUTES`] are wanted.
    wanted: [bool; ATTRIBUTES.len()],
}

impl Default for SystemDetector {
    fn default() -> Self {
        Self {
            sources: vec![HostnameSource::Dns, HostnameSource::Os],
            wanted: ATTRIBUTES.map(|(_, default)| default),
        }
    }
}

impl FromValue for SystemDetector {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let sources = fields.value("hostname_sources");
        let sources = match sources.as_ref().map(PlacedNode::items) {
            None => Some(Vec::new()),
            Some(None) => None,
            Some(Some(items)) => {
                let read: Vec<_> = items.iter().map(PlacedNode::read).collect();
                read.into_iter().collect()
            }
        };
        let wanted = read_switches(&mut fields, &ATTRIBUTES);
        fields.finish();
        // An empty list stands for the default, as in the Collector.
        let sources: Vec<HostnameSource> = sources?;
        Some(Self {
            sources: match sources.is_empty() {
                true => Self::default().sources,
                false => sources,
            },
            wanted,
        })
    }
}

impl SystemDetector {
    pub(super) async fn detect(&self, machine: &ObservedMachine, deadline: Instant) -> Detected {
        let own = host::name();
        let name = async {
            match self.wants("host.name") {
                true => names::first(&self.sources, &own, machine, deadline).await,
                false => Ok(None),
            }
        };
        let (this, machine) = (self.clone(), machine.clone());
        let rest = on_a_thread(move || this.read(&machine));
        let (name, rest) = futures_util::future::join(name, rest).await;
        let mut detected = rest.unwrap_or_else(|| Detected::failed("couldn't be read"));
        match name {
            Ok(Some(name)) => detected.attributes.put("host.name", Constant::text(&name)),
            Ok(None) => {}
            Err(problem) => detected.problems.push(problem),
        }
        detected
    }

    fn wants(&self, key: &str) -> bool {
        let mut all = ATTRIBUTES.iter().zip(self.wanted);
        all.any(|((own, _), wanted)| *own == key && wanted)
    }

    fn wants_any(&self, prefix: &str) -> bool {
        let mut all = ATTRIBUTES.iter().zip(self.wanted);
        all.any(|((own, _), wanted)| own.starts_with(prefix) && wanted)
    }

    /// Everything but the host's name. May block.
    fn read(&self, machine: &ObservedMachine) -> Detected {
        let mut reading = SystemReading {
            detector: self,
            detected: Detected::default(),
        };
        reading.text("os.type", || Ok(Some("linux".to_owned())));
        reading.text("host.arch", || Ok(Some(architecture().to_owned())));
        reading.text("host.id", || machine_id(machine));
        let release = Release::read(machine);
        reading.text("os.name", || Ok(release.platform()));
        reading.text("os.version", || Ok(release.version()));
        reading.text("os.description", || Ok(Some(release.description())));
        reading.text("os.build.id", || Ok(Some(release.build())));
        if self.wants_any("host.cpu.") {
            reading.cpu(machine.text("proc/cpuinfo"));
        }
        if ["host.ip", "host.mac", "host.interface"]
            .iter()
            .any(|key| self.wants(key))
        {
            reading.interfaces((machine.interfaces)());
        }
        reading.detected
    }
}

/// What is being read.
struct SystemReading<'a> {
    detector: &'a SystemDetector,
    detected: Detected,
}

impl SystemReading<'_> {
    /// Puts an attribute if it is wanted and has a value.
    fn text(&mut self, key: &str, read: impl FnOnce() -> io::Result<Option<String>>) {
        if !self.detector.wants(key) {
            return;
        }
        match read() {
            Ok(Some(value)) => self.put(key, Constant::text(&value)),
            Ok(None) => self.absent(key, "the machine doesn't say"),
            Err(error) => self.absent(key, &error.to_string()),
        }
    }

    fn put(&mut self, key: &str, value: Constant) {
        if self.detector.wants(key) {
            self.detected.attributes.put(key, value);
        }
    }

    fn absent(&mut self, key: &str, why: &str) {
        self.detected
            .problems
            .push(format!("{key} is absent: {why}"));
    }

    /// What a processor doesn't have, such as a family, is absent and no problem.
    fn cpu(&mut self, text: io::Result<String>) {
        let text = match text {
            Ok(text) => text,
            Err(error) => return self.absent("host.cpu", &error.to_string()),
        };
        let cpu = CpuDescription::first(&text);
        for (key, value) in [
            ("host.cpu.vendor.id", &cpu.vendor),
            ("host.cpu.family", &cpu.family),
            ("host.cpu.model.id", &cpu.model),
            ("host.cpu.model.name", &cpu.name),
            ("host.cpu.stepping", &cpu.stepping),
        ] {
            if let Some(value) = value {
                self.put(key, Constant::text(value));
            }
        }
        if let Some(cache) = cpu.cache {
            self.put("host.cpu.cache.l2.size", Constant::int(cache));
        }
    }

    fn interfaces(&mut self, interfaces: io::Result<Vec<NetworkInterface>>) {
        let interfaces = match interfaces {
            Ok(interfaces) => interfaces,
            Err(error) => return self.absent("host.interface", &error.to_string()),
        };
        let names = interfaces.iter().map(|interface| interface.name.as_str());
        self.put("host.interface", Constant::texts(names));
        let outward = || interfaces.iter().filter(|interface| interface.is_outward());
        let addresses: Vec<String> = outward()
            .flat_map(|interface| &interface.addresses)
            .filter(|address| !address.is_loopback())
            .map(ToString::to_string)
            .collect();
        let addresses = addresses.iter().map(String::as_str);
        self.put("host.ip", Constant::texts(addresses));
        let hardware: Vec<String> = outward().map(NetworkInterface::hardware_text).collect();
        let hardware = hardware.iter().map(String::as_str);
        self.put("host.mac", Constant::texts(hardware));
    }
}

/// This processor's architecture, in the word of the semantic conventions.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "arm" => "arm32",
        "powerpc" => "ppc32",
        "powerpc64" => "ppc64",
        other => other,
    }
}

fn machine_id(machine: &ObservedMachine) -> io::Result<Option<String>> {
    let id = machine.text("etc/machine-id");
    let id = id.or_else(|_| machine.text("var/lib/dbus/machine-id"))?;
    Ok(Some(id.trim().to_owned()).filter(|id| !id.is_empty()))
}

/// A file's text; `None` if it can't be read or there is nothing in it.
fn text_of(machine: &ObservedMachine, path: &str) -> Option<String> {
    let text = machine.text(path).ok()?;
    (!text.trim().is_empty()).then_some(text)
}
