//! Training jobs over a scripted world: a store in memory, runs that move when told, a clock
//! moved by hand.

mod crashes;
mod lifecycle;
mod listing;
mod world;
