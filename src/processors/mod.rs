//! What changes data on its way. Processors are synchronous and cannot fail; the pipeline
//! hands them the time and accounts for every item.
//!
//! **Architecture Invariant:** no processor imports another, nor the pipeline.

mod actions;
pub mod aggregate;
pub mod attributes;
pub mod batch;
pub mod cardinality;
mod constant;
pub mod filter;
mod matching;
pub mod memory_limiter;
pub mod request_metrics;
pub mod resilience;
pub mod resource;
pub mod resource_detection;
#[cfg(test)]
mod testing;
pub mod window;
