//! Training jobs.

pub struct Training {}
