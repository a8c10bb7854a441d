//! The one table that names every component which is built in.
//!
//! Explicit on purpose: what the agent can do is read here, from top to bottom, and
//! `foghorn components` prints just this. Registration by linker tricks was rejected,
//! because nobody can grep for it.
//!
//! **Architecture Invariant:** only this module names components.

use crate::component::Factories;
use crate::{exporters, extensions, processors, receivers};

/// Everything that is built in, each list in alphabetical order.
pub const FACTORIES: Factories = Factories {
    receivers: &[
        receivers::betanet::FACTORY,
        receivers::node::FACTORY,
        receivers::otlp::FACTORY,
    ],
    processors: &[
        processors::attributes::FACTORY,
        processors::batch::FACTORY,
        processors::cardinality::FACTORY,
        processors::filter::FACTORY,
        processors::resource::FACTORY,
    ],
    policies: &[
        processors::memory_limiter::FACTORY,
        processors::resilience::FACTORY,
    ],
    exporters: &[
        exporters::debug::FACTORY,
        exporters::file::FACTORY,
        exporters::otlp::GRPC,
        exporters::otlp::HTTP,
        exporters::prometheus::FACTORY,
    ],
    extensions: &[extensions::health_check::FACTORY],
};
