//! Components that behave as their script says.

mod gatekeeper;
mod local;
mod processors;
mod remote;
mod source;

use std::sync::{Arc, Mutex};

pub(super) use gatekeeper::Gatekeeper;
pub(super) use local::Local;
pub(super) use processors::{Hoard, Making, each};
pub(super) use remote::{Remote, Reply};
pub(super) use source::{Source, SourceKind};

pub(super) type Shared<T> = Arc<Mutex<T>>;
