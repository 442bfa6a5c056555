//! `FilterLogEvents`: a page of several streams of a group, in the order of time.

use async_trait::async_trait;
use kennel_platform::telemetry::{FilterQuery, FilteredEvent, Mark, Pattern};
use serde::{Deserialize, Serialize};

use super::{arn, errors, members, token};
use crate::context::Context;
use crate::failure::Failure;
use crate::operation::{Access, Operation};
use crate::validate::Violations;

/// AWS's page size, both by default and at most.
const PAGE: usize = 10_000;

/// AWS's bound of logStreamNames.
const STREAM_NAMES_MAX: usize = 100;

pub struct FilterLogEvents;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Input {
    log_group_name: Option<String>,
    log_group_identifier: Option<String>,
    log_stream_names: Option<Vec<String>>,
    log_stream_name_prefix: Option<String>,
    start_time: Option<i64>,
    end_time: Option<i64>,
    filter_pattern: Option<String>,
    next_token: Option<String>,
    limit: Option<i64>,
    /// Deprecated on AWS, where answers are interleaved whatever it says.
    #[serde(rename = "interleaved")]
    _interleaved: Option<bool>,
    /// Nothing is ever masked here, so that both values ask for the same.
    #[serde(rename = "unmask")]
    _unmask: Option<bool>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    events: Vec<FilteredLogEvent>,
    /// Always empty, as on AWS.
    searched_log_streams: [(); 0],
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FilteredLogEvent {
    log_stream_name: String,
    timestamp: i64,
    message: String,
    ingestion_time: i64,
    event_id: String,
}

#[async_trait]
impl Operation for FilterLogEvents {
    const NAME: &'static str = "FilterLogEvents";
    type Input = Input;
    type Output = Output;

    fn authorize(context: &Context, input: &Input) -> Vec<Access> {
        vec![Access::new("logs:FilterLogEvents", arn::group_resource(context, input.group()))]
    }

    fn validate(input: &Input, violations: &mut Violations) {
        let identifier = input.log_group_identifier.as_ref();
        members::group(violations, input.log_group_name.as_ref(), identifier);
        let prefix = input.log_stream_name_prefix.as_deref();
        members::stream_name(violations, "logStreamNamePrefix", prefix);
        if let Some(names) = &input.log_stream_names {
            if !(1..=STREAM_NAMES_MAX).contains(&names.len()) {
                let constraint = "Member must have length between 1 and 100";
                violations.add("logStreamNames", "", constraint);
            }
            for name in names.iter().take(STREAM_NAMES_MAX) {
                members::stream_name(violations, "logStreamNames", Some(name));
            }
        }
        violations.range("startTime", input.start_time, 0..=i64::MAX);
        violations.range("endTime", input.end_time, 0..=i64::MAX);
        violations.range("limit", input.limit, 1..=PAGE as i64);
        violations.text("filterPattern", input.filter_pattern.as_deref(), 0..=1024, ".*", |_| true);
    }

    async fn handle(context: &Context, input: Input) -> Result<Output, Failure> {
        if input.log_stream_names.is_some() && input.log_stream_name_prefix.is_some() {
            let message = "LogStreamNamePrefix and LogStreamNames cannot be specified together.";
            return Err(errors::invalid(message));
        }
        let pattern = Pattern::parse(input.filter_pattern.as_deref().unwrap_or_default());
        let after: Option<Mark> = input.next_token.as_deref().map(token::decode).transpose()?;
        let query = FilterQuery {
            stream_names: input.log_stream_names.clone(),
            stream_prefix: input.log_stream_name_prefix.clone().unwrap_or_default(),
            start_ms: input.start_time,
            end_ms: input.end_time,
            pattern: pattern.map_err(|error| errors::invalid(error.to_string()))?,
            after,
            limit: input.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(PAGE),
        };
        let page = context.platform.logs.filter_events(input.group(), query).await?;
        Ok(Output {
            events: page.events.into_iter().map(event).collect(),
            searched_log_streams: [],
            next_token: page.next.as_ref().map(token::encode).transpose()?,
        })
    }
}

impl Input {
    fn group(&self) -> &str {
        members::chosen_group(self.log_group_name.as_ref(), self.log_group_identifier.as_ref())
    }
}

fn event(found: FilteredEvent) -> FilteredLogEvent {
    let FilteredEvent { stream, event } = found;
    FilteredLogEvent {
        event_id: event_id(&stream, event.sequence),
        log_stream_name: stream,
        timestamp: event.timestamp_ms,
        message: event.message,
        ingestion_time: event.ingestion_ms,
    }
}

/// 56 digits, the same whenever the event is found: `aws logs tail --follow` knows by it what it
/// has shown.
fn event_id(stream: &str, sequence: u64) -> String {
    // FNV-1a; two streams of one search whose names collide are not to be expected.
    let hash = stream.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{hash:028}{sequence:028}")
}
