//! Runs: one supervised process on one host, whatever it runs for.

pub struct Runs {}
