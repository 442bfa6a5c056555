//! Structures that several operations of SageMaker share, with their checks.
//!
//! Each `validate` is told the path of its structure (`inputDataConfig.1.member`) and records what
//! AWS's model does not allow, and what this version has no behaviour for.

pub mod channel;
pub mod debugger;
pub mod endpoint_listing;
pub mod endpoint_variant;
pub mod model_container;
pub mod paging;
pub mod resources;
pub mod tag;
pub mod text;
pub mod training;
pub mod unsupported;
