//! The native workload: image classification on the SageMaker container contract.

pub mod backbone;
pub mod engine;
mod log;
mod onnx;
