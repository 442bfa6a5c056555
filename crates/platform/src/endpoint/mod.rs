//! Endpoint configurations and endpoints: replicas that answer /ping.

pub struct Endpoints {}
