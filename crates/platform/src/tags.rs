//! Tags of SageMaker resources, by ARN.

pub struct Tags {}
