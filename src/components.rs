//! The one table that names every built-in component.
//!
//! It lists explicitly what the agent can do, and `foghorn components` prints it. Registration by
//! the linker was rejected, since a search in the sources wouldn't find it.
//!
//! **Architecture Invariant:** only this module names components.

use crate::component::Factories;
use crate::{exporters, extensions, processors, receivers};

/// All built-in components, each list in alphabetical order.
pub const FACTORIES: Factories = Factories {
    receivers: &[
        receivers::betanet::FACTORY,
        receivers::deployment::FACTORY,
        receivers::host_metrics::FACTORY,
        receivers::node::FACTORY,
        receivers::otlp::FACTORY,
        receivers::prometheus::FACTORY,
    ],
    processors: &[
        processors::aggregate::FACTORY,
        processors::attributes::FACTORY,
        processors::batch::FACTORY,
        processors::cardinality::FACTORY,
        processors::filter::FACTORY,
        processors::request_metrics::FACTORY,
        processors::resource::FACTORY,
        processors::resource_detection::FACTORY,
        processors::window::FACTORY,
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
