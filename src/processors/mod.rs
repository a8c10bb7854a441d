//! What changes data on its way. Processors are synchronous and cannot fail; the pipeline
//! hands them the time and accounts for every item.
//!
//! **Architecture Invariant:** no processor imports another, nor the pipeline.

pub mod batch;
pub mod memory_limiter;
#[cfg(test)]
mod testing;
