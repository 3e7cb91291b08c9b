//! The gRPC services of a source, a transform stage and a sink.

mod draft;
pub mod folders;
pub mod ingest;
pub mod lines;
pub mod payload;
pub mod sink;
mod timing;
pub mod transform;
