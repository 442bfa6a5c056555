//! The ARNs of log groups and streams, and groups named by ARN.

use kennel_wire::Arn;

use crate::context::Context;

pub fn group(context: &Context, name: &str) -> String {
    context.arn("logs", &format!("log-group:{name}"))
}

/// As DescribeLogGroups names a group: everything in it.
pub fn group_contents(context: &Context, name: &str) -> String {
    format!("{}:*", group(context, name))
}

/// As policies are asked about a group: a stream without a name, so that `...:log-group:NAME:*`
/// covers it.
pub fn group_resource(context: &Context, name: &str) -> String {
    stream(context, name, "")
}

pub fn stream(context: &Context, group_name: &str, name: &str) -> String {
    format!("{}:log-stream:{name}", group(context, group_name))
}

/// The group's name, where `identifier` may be its ARN.
pub fn group_name(identifier: &str) -> &str {
    let resource = Arn::parse(identifier).and_then(|arn| arn.resource.strip_prefix("log-group:"));
    resource.map_or(identifier, |name| name.strip_suffix(":*").unwrap_or(name))
}
