//! `DescribeLogStreams`. A `nextToken` is only given where there is a next page: the SageMaker
//! SDK loops for as long as one is present, without handing it back.

use async_trait::async_trait;
use kennel_platform::telemetry::{Extent, Stream};
use serde::{Deserialize, Serialize};

use super::{arn, errors, members, token};
use crate::context::Context;
use crate::failure::Failure;
use crate::operation::{Access, Operation};
use crate::validate::Violations;

/// AWS's page size, both by default and at most.
const PAGE: usize = 50;

pub struct DescribeLogStreams;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Input {
    log_group_name: Option<String>,
    log_group_identifier: Option<String>,
    log_stream_name_prefix: Option<String>,
    order_by: Option<String>,
    descending: Option<bool>,
    limit: Option<i64>,
    next_token: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    log_streams: Vec<LogStream>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct LogStream {
    log_stream_name: String,
    creation_time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_event_timestamp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_event_timestamp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_ingestion_time: Option<i64>,
    /// AWS stopped counting per stream in 2019 and says so with a zero.
    stored_bytes: u64,
    arn: String,
}

/// What the list is ordered by: the time of the last event (or always 0), then the name.
type Place = (i64, String);

#[async_trait]
impl Operation for DescribeLogStreams {
    const NAME: &'static str = "DescribeLogStreams";
    type Input = Input;
    type Output = Output;

    fn authorize(context: &Context, input: &Input) -> Vec<Access> {
        vec![Access::new("logs:DescribeLogStreams", arn::group_resource(context, input.group()))]
    }

    fn validate(input: &Input, violations: &mut Violations) {
        let identifier = input.log_group_identifier.as_ref();
        members::group(violations, input.log_group_name.as_ref(), identifier);
        let prefix = input.log_stream_name_prefix.as_deref();
        members::stream_name(violations, "logStreamNamePrefix", prefix);
        let orders = ["LogStreamName", "LastEventTime"];
        violations.one_of("orderBy", input.order_by.as_deref(), &orders);
        violations.range("limit", input.limit, 1..=PAGE as i64);
    }

    async fn handle(context: &Context, input: Input) -> Result<Output, Failure> {
        let by_time = input.order_by.as_deref() == Some("LastEventTime");
        if by_time && input.log_stream_name_prefix.is_some() {
            let message = "Cannot order by LastEventTime with a logStreamNamePrefix.";
            return Err(errors::invalid(message));
        }
        let after: Option<Place> = input.next_token.as_deref().map(token::decode).transpose()?;
        let limit = input.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(PAGE);
        let descending = input.descending.unwrap_or_default();
        let mut places = input.places(context, by_time).await?;
        places.sort_by(|(left, _), (right, _)| left.cmp(right));
        if descending {
            places.reverse();
        }
        let is_after = |place: &Place| match &after {
            Some(after) if descending => place < after,
            Some(after) => place > after,
            None => true,
        };
        places.retain(|(place, _)| is_after(place));
        let more = places.len() > limit;
        places.truncate(limit);
        let last = places.last().filter(|_| more).map(|(place, _)| place);
        let next_token = last.map(token::encode).transpose()?;
        let mut log_streams = Vec::with_capacity(places.len());
        for (_, stream) in places {
            let extent = context.platform.logs.extent(input.group(), &stream.name).await?;
            log_streams.push(describe(context, input.group(), stream, extent));
        }
        Ok(Output { log_streams, next_token })
    }
}

impl Input {
    fn group(&self) -> &str {
        members::chosen_group(self.log_group_name.as_ref(), self.log_group_identifier.as_ref())
    }

    async fn places(
        &self,
        context: &Context,
        by_time: bool,
    ) -> Result<Vec<(Place, Stream)>, Failure> {
        let logs = &context.platform.logs;
        let prefix = self.log_stream_name_prefix.as_deref().unwrap_or_default();
        let streams = logs.streams(self.group(), prefix).await?;
        let mut places = Vec::with_capacity(streams.len());
        for stream in streams {
            let mut time = 0;
            if by_time {
                let extent = logs.extent(self.group(), &stream.name).await?;
                time = extent.map_or(0, |extent| extent.last_event_ms);
            }
            places.push(((time, stream.name.clone()), stream));
        }
        Ok(places)
    }
}

fn describe(context: &Context, group: &str, stream: Stream, extent: Option<Extent>) -> LogStream {
    LogStream {
        creation_time: stream.created_at_ms,
        first_event_timestamp: extent.map(|extent| extent.first_event_ms),
        last_event_timestamp: extent.map(|extent| extent.last_event_ms),
        last_ingestion_time: extent.map(|extent| extent.last_ingestion_ms),
        stored_bytes: 0,
        arn: arn::stream(context, group, &stream.name),
        log_stream_name: stream.name,
    }
}
