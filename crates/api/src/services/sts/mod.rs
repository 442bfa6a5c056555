//! The Security Token Service.

mod get_caller_identity;

use kennel_wire::Protocol;

use crate::limits;
use crate::registry::{Service, operations, raw_operations};

pub static SERVICE: Service = Service {
    name: "sts",
    scope: "sts",
    target: None,
    version: "2011-06-15",
    xml_namespace: Some("https://sts.amazonaws.com/doc/2011-06-15/"),
    protocols: &[Protocol::Query],
    any_region: true,
    body_bytes_max: limits::QUERY_BODY_BYTES_MAX,
    operations: operations![get_caller_identity::GetCallerIdentity],
    raw: raw_operations![],
};
