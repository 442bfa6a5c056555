//! Whose everything is: the account.

use s3s::dto::{Initiator, Owner};

use crate::context::Context;

pub(super) fn owner(context: &Context) -> Owner {
    Owner { id: Some(canonical_id(context)), display_name: None }
}

pub(super) fn initiator(context: &Context) -> Initiator {
    Initiator { id: Some(canonical_id(context)), display_name: None }
}

/// 64 hexadecimal digits, the same for an account always.
fn canonical_id(context: &Context) -> String {
    format!("{:0>64}", context.account())
}
