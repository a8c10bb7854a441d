//! Checks the files that listeners need before anything is bound.
//!
//! Certificates, keys and tokens of a listener are read when it is bound, which `validate` doesn't
//! do. So they are read once more when the components are built: what start-up would refuse is
//! told by both, with its place. The clients of receivers and exporters read theirs when they are
//! built.

use std::fmt::Display;

use crate::component::{AGENT, Claimed, Listener, ResourceClaim};
use crate::config::Config;
use crate::pipeline::BuildError;
use crate::server;
use crate::settings::ListenerConfig;

/// An error for each listener whose files are missing or can't be used.
pub(super) fn unusable(config: &Config) -> Vec<BuildError> {
    let mut errors = Vec::new();
    let mut check = |path: String, listener: &ListenerConfig| {
        let checked = server::check_files(listener).into_iter();
        errors.extend(checked.map(|error| BuildError {
            path: server::listener_path(&path).to_owned(),
            error,
        }));
    };
    if let Some(listener) = &config.service.http.listener {
        check(AGENT.to_owned(), listener);
    }
    for page in &config.service.telemetry.pages {
        check(page.owner.clone(), &page.listener);
    }
    let mut claims = |section: &str, id: &dyn Display, claims: Vec<ResourceClaim>| {
        for ResourceClaim { key, claimed } in claims {
            if let Claimed::Port(listener) | Claimed::Page(Listener::At(listener), _) = &claimed {
                check(format!("{section}::{id}::{key}"), listener);
            }
        }
    };
    for (id, receiver) in &config.receivers {
        claims("receivers", id, receiver.claims());
    }
    for (id, exporter) in &config.exporters {
        claims("exporters", id, exporter.claims());
    }
    for (id, extension) in &config.extensions {
        claims("extensions", id, extension.claims());
    }
    errors
}
