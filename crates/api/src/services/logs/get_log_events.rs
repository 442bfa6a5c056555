//! `GetLogEvents`: a page of one stream.
//!
//! Both tokens are always there, and an empty page repeats the one that asked for it: clients stop
//! at that page, keep the token, and get with it what has arrived since.

use async_trait::async_trait;
use kennel_platform::telemetry::{GetQuery, Page, Position};
use serde::{Deserialize, Serialize};

use super::{arn, members, token};
use crate::context::Context;
use crate::failure::Failure;
use crate::operation::{Access, Operation};
use crate::validate::Violations;

/// AWS's page size, both by default and at most.
const PAGE: usize = 10_000;

pub struct GetLogEvents;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Input {
    log_group_name: Option<String>,
    log_group_identifier: Option<String>,
    log_stream_name: Option<String>,
    start_time: Option<i64>,
    end_time: Option<i64>,
    next_token: Option<String>,
    limit: Option<i64>,
    start_from_head: Option<bool>,
    /// Nothing is ever masked here, so that both values ask for the same.
    #[serde(rename = "unmask")]
    _unmask: Option<bool>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    events: Vec<OutputLogEvent>,
    next_forward_token: String,
    next_backward_token: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct OutputLogEvent {
    timestamp: i64,
    message: String,
    ingestion_time: i64,
}

#[async_trait]
impl Operation for GetLogEvents {
    const NAME: &'static str = "GetLogEvents";
    type Input = Input;
    type Output = Output;

    fn authorize(context: &Context, input: &Input) -> Vec<Access> {
        let stream = input.log_stream_name.as_deref().unwrap_or_default();
        vec![Access::new("logs:GetLogEvents", arn::stream(context, input.group(), stream))]
    }

    fn validate(input: &Input, violations: &mut Violations) {
        let identifier = input.log_group_identifier.as_ref();
        members::group(violations, input.log_group_name.as_ref(), identifier);
        violations.required("logStreamName", input.log_stream_name.as_ref());
        members::stream_name(violations, "logStreamName", input.log_stream_name.as_deref());
        violations.range("startTime", input.start_time, 0..=i64::MAX);
        violations.range("endTime", input.end_time, 0..=i64::MAX);
        violations.range("limit", input.limit, 1..=PAGE as i64);
    }

    async fn handle(context: &Context, input: Input) -> Result<Output, Failure> {
        let stream = input.log_stream_name.as_deref().unwrap_or_default();
        let position = input.next_token.as_deref().map(token::decode_position).transpose()?;
        let query = GetQuery {
            start_ms: input.start_time,
            end_ms: input.end_time,
            position,
            from_head: input.start_from_head.unwrap_or_default(),
            limit: input.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(PAGE),
        };
        let page = context.platform.logs.get_events(input.group(), stream, query).await?;
        Ok(output(page))
    }
}

impl Input {
    fn group(&self) -> &str {
        members::chosen_group(self.log_group_name.as_ref(), self.log_group_identifier.as_ref())
    }
}

fn output(page: Page) -> Output {
    let event = |event: kennel_platform::telemetry::SequencedEvent| OutputLogEvent {
        timestamp: event.timestamp_ms,
        message: event.message,
        ingestion_time: event.ingestion_ms,
    };
    Output {
        events: page.events.into_iter().map(event).collect(),
        next_forward_token: token::encode_position(Position::Forward(page.forward)),
        next_backward_token: token::encode_position(Position::Backward(page.backward)),
    }
}
