//! Models: an image, an artifact, an environment and a role under a name.

pub struct Models {}
