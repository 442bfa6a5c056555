//! Starts, confines and ends processes, and tells truthfully how they ended.
//!
//! Three things live here. The *launcher* ([`Executor`], [`ProcessExecutor`]) starts one
//! supervisor process for a run, finds it again after the server was restarted, and reaps what
//! has no supervisor. The *mailbox* carries frames between the server and its supervisors. The
//! *sandbox* is what a supervisor runs its workload in.
//!
//! This crate knows nothing of AWS, and it never weakens isolation by itself: the isolation in
//! force was found out by really trying, is named in [`Capability`], and other people's code is
//! refused where it would be weaker unless the caller allows that by name.
//!
//! Read next: `sandbox/mod.rs` for the life of a sandbox, `sandbox/stages.rs` for the processes
//! that make one.

mod executor;
mod isolation;
mod landlock;
mod limiter;
mod limits;
pub mod mailbox;
mod process;
mod record;
mod removal;
pub mod run_dir;
mod sandbox;
mod scripted;
pub mod socket;
mod token;

pub use executor::{
    Capability, Executor, Launch, LaunchError, Needs, Presence, Reaped, Refusal, Supervisor,
};
pub use isolation::{IdMapping, Isolation, Probe};
pub use limiter::LimiterKind;
pub use process::{Entry, ProcessExecutor, die, enter_supervisor};
pub use sandbox::{
    Access, Bind, Child, Exit, ExitStatus, HostEntry, INSIDE_ID, Inbound, Limits, OWN_PROGRAM,
    Outbound, Program, Sandbox, SandboxError, SandboxSpec, Signal, Trust, Usage, WORKLOAD_HOST_ID,
    reexec,
};
pub use scripted::{Script, ScriptedExecutor};
pub use token::Token;
