//! Log groups, log streams and their events.

pub struct Logs {}
