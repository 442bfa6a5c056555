//! The root key and the sessions of roles.

pub struct Identity {}
