//! Capabilities: carried from stage to stage while the sandbox is built, all gone before the
//! workload starts.

use rustix::io::Errno;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set,
    clear_ambient_capability_set, configure_capability_in_ambient_set,
    remove_capability_from_bounding_set, set_capabilities,
};

use super::report::{At, StageFailure};

/// Lets the next program keep the present capabilities although it is not the namespace's root.
pub(super) fn pass_on() -> Result<(), StageFailure> {
    let held = capabilities(None).at(|| "read capabilities".to_owned())?;
    let sets = CapabilitySets { inheritable: held.permitted, ..held };
    set_capabilities(None, sets).at(|| "make capabilities inheritable".to_owned())?;
    for capability in held.permitted.iter() {
        configure_capability_in_ambient_set(capability, true)
            .at(|| "raise ambient capabilities".to_owned())?;
    }
    Ok(())
}

/// Gives up every capability but `kept`, for this thread and the programs it starts.
pub(super) fn keep_only(kept: CapabilitySet) -> Result<(), StageFailure> {
    shrink_bounding_set(kept)?;
    let held = capabilities(None).at(|| "read capabilities".to_owned())?;
    clear_ambient_capability_set().at(|| "clear ambient capabilities".to_owned())?;
    let rest = held.permitted & kept;
    let sets =
        CapabilitySets { effective: rest, permitted: rest, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets).at(|| "drop capabilities".to_owned())
}

/// Comes before a change of user, which takes away the right to do this.
pub(super) fn empty_bounding_set() -> Result<(), StageFailure> {
    shrink_bounding_set(CapabilitySet::empty())
}

/// A process without the right to shrink its bounding set has none of the capabilities in it, and
/// `no_new_privs` keeps it from gaining them.
fn shrink_bounding_set(kept: CapabilitySet) -> Result<(), StageFailure> {
    let held = capabilities(None).at(|| "read capabilities".to_owned())?;
    if !held.effective.contains(CapabilitySet::SETPCAP) {
        return Ok(());
    }
    // By number, so that capabilities newer than this program go too.
    for number in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        if kept.contains(capability) {
            continue;
        }
        match capability_is_in_bounding_set(capability) {
            Ok(true) => remove_capability_from_bounding_set(capability)
                .at(|| format!("drop capability {number} from the bounding set"))?,
            Ok(false) => {}
            Err(Errno::INVAL) => break,
            Err(error) => return Err(error).at(|| "read the bounding set".to_owned()),
        }
    }
    Ok(())
}
