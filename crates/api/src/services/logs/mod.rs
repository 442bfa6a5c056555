//! CloudWatch Logs.

mod arn;
mod create_log_group;
mod create_log_stream;
mod delete_log_group;
mod delete_log_stream;
mod delete_retention_policy;
mod describe_log_groups;
mod describe_log_streams;
mod errors;
mod filter_log_events;
mod get_log_events;
mod members;
mod put_log_events;
mod put_retention_policy;
mod token;

use kennel_wire::Protocol;

use crate::limits;
use crate::registry::{Service, operations, raw_operations};

pub static SERVICE: Service = Service {
    name: "logs",
    scope: "logs",
    target: Some("Logs_20140328"),
    version: "2014-03-28",
    xml_namespace: None,
    protocols: &[Protocol::Json11],
    any_region: false,
    body_bytes_max: limits::JSON_BODY_BYTES_MAX,
    operations: operations![
        create_log_group::CreateLogGroup,
        create_log_stream::CreateLogStream,
        delete_log_group::DeleteLogGroup,
        delete_log_stream::DeleteLogStream,
        delete_retention_policy::DeleteRetentionPolicy,
        describe_log_groups::DescribeLogGroups,
        describe_log_streams::DescribeLogStreams,
        filter_log_events::FilterLogEvents,
        get_log_events::GetLogEvents,
        put_log_events::PutLogEvents,
        put_retention_policy::PutRetentionPolicy,
    ],
    raw: raw_operations![],
};
