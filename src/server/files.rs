//! Checks the files of a listener without binding it.

use std::path::PathBuf;

use super::auth::Credentials;
use crate::settings::{ListenerAuthConfig, ListenerConfig};

/// Reads the certificates, keys and tokens of a listener as binding it would, and returns what is
/// wrong, each beginning with the key below the listener's.
///
/// A file that isn't a regular one, such as a pipe, can be read only once. So where there is one,
/// its files aren't checked before the listener is bound.
pub fn check_files(config: &ListenerConfig) -> Vec<anyhow::Error> {
    let mut errors = Vec::new();
    if let Some(tls) = &config.tls
        && can_be_read_twice(tls.files())
    {
        errors.extend(tls.server_config(&[]).err());
    }
    if let Some(auth) = &config.auth {
        let file = match auth {
            ListenerAuthConfig::BearerTokenFile(path) => Some(path.clone()),
            ListenerAuthConfig::BearerToken(_) | ListenerAuthConfig::Basic { .. } => None,
        };
        if can_be_read_twice(file) {
            let unusable = Credentials::load(auth).err();
            errors.extend(unusable.map(|error| anyhow::anyhow!("auth::{error:#}")));
        }
    }
    errors
}

/// The path of a listener's keys, of which `owner` is the one with its address.
pub fn listener_path(owner: &str) -> &str {
    let keys = ["::endpoint", "::address"];
    let mut parents = keys.iter().filter_map(|key| owner.strip_suffix(key));
    parents.next().unwrap_or(owner)
}

/// Whether none of the files is a pipe or the like; one that is missing isn't.
fn can_be_read_twice(files: impl IntoIterator<Item = PathBuf>) -> bool {
    let mut found = files.into_iter().map(std::fs::metadata);
    found.all(|found| found.map_or(true, |found| found.is_file() || found.is_dir()))
}
