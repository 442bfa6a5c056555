//! Kennel's own page, signed like everything else: what AWS has no word for.

pub mod get_status;

use kennel_wire::Protocol;

use crate::limits;
use crate::registry::{Service, operations, raw_operations};

pub static SERVICE: Service = Service {
    name: "kennel",
    scope: "kennel",
    target: None,
    version: "2026-11-22",
    xml_namespace: None,
    protocols: &[Protocol::RestJson],
    any_region: false,
    body_bytes_max: limits::JSON_BODY_BYTES_MAX,
    operations: operations![],
    raw: raw_operations![get_status::GetStatus],
};
