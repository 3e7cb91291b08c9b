//! The wire contract, generated from `proto/pipeline/v1`.

#![allow(clippy::all, dead_code)]

tonic::include_proto!("pipeline.v1");

/// The descriptors of the contract, for reflection.
pub const DESCRIPTORS: &[u8] = tonic::include_file_descriptor_set!("contract");
