//! `PutLogEvents`. Sequence tokens are accepted and not needed, as on AWS since 2023.

use async_trait::async_trait;
use kennel_platform::telemetry::{LogEvent, Put};
use serde::{Deserialize, Serialize};

use super::{arn, errors, members};
use crate::context::Context;
use crate::failure::Failure;
use crate::operation::{Access, Operation};
use crate::validate::Violations;

/// AWS's bounds of one batch.
const EVENTS_MAX: usize = 10_000;
const BATCH_BYTES_MAX: usize = 1_048_576;
const EVENT_OVERHEAD_BYTES: usize = 26;
const SPAN_MS_MAX: i64 = 24 * 60 * 60 * 1000;

/// Events from further ahead or back are rejected one by one.
const AHEAD_MS_MAX: i64 = 2 * 60 * 60 * 1000;
const BACK_MS_MAX: i64 = 14 * 24 * 60 * 60 * 1000;

pub struct PutLogEvents;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Input {
    log_group_name: Option<String>,
    log_stream_name: Option<String>,
    log_events: Option<Vec<InputLogEvent>>,
    #[serde(rename = "sequenceToken")]
    _sequence_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct InputLogEvent {
    timestamp: Option<i64>,
    message: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    next_sequence_token: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    rejected_log_events_info: Option<RejectedLogEventsInfo>,
}

/// Indexes into the batch: from the first too new, up to and without the last too old.
#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct RejectedLogEventsInfo {
    #[serde(skip_serializing_if = "Option::is_none")]
    too_new_log_event_start_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    too_old_log_event_end_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expired_log_event_end_index: Option<usize>,
}

#[async_trait]
impl Operation for PutLogEvents {
    const NAME: &'static str = "PutLogEvents";
    type Input = Input;
    type Output = Output;

    fn authorize(context: &Context, input: &Input) -> Vec<Access> {
        let group = input.log_group_name.as_deref().unwrap_or_default();
        let stream = input.log_stream_name.as_deref().unwrap_or_default();
        vec![Access::new("logs:PutLogEvents", arn::stream(context, group, stream))]
    }

    fn validate(input: &Input, violations: &mut Violations) {
        violations.required("logGroupName", input.log_group_name.as_ref());
        members::group_name(violations, "logGroupName", input.log_group_name.as_deref());
        violations.required("logStreamName", input.log_stream_name.as_ref());
        members::stream_name(violations, "logStreamName", input.log_stream_name.as_deref());
        violations.required("logEvents", input.log_events.as_ref());
        let Some(events) = &input.log_events else { return };
        if !(1..=EVENTS_MAX).contains(&events.len()) {
            let constraint = "Member must have length between 1 and 10000";
            violations.add("logEvents", "", constraint);
            return;
        }
        for (index, event) in events.iter().enumerate() {
            let member = |name: &str| format!("logEvents.{}.member.{name}", index + 1);
            violations.required(&member("timestamp"), event.timestamp.as_ref());
            violations.range(&member("timestamp"), event.timestamp, 0..=i64::MAX);
            violations.required(&member("message"), event.message.as_ref());
            if event.message.as_deref() == Some("") {
                let constraint = "Member must have length greater than or equal to 1";
                violations.add(&member("message"), "''", constraint);
            }
        }
    }

    async fn handle(context: &Context, input: Input) -> Result<Output, Failure> {
        let group = input.log_group_name.unwrap_or_default();
        let stream = input.log_stream_name.unwrap_or_default();
        let events: Vec<LogEvent> = input
            .log_events
            .unwrap_or_default()
            .into_iter()
            .map(|event| LogEvent {
                timestamp_ms: event.timestamp.unwrap_or_default(),
                message: event.message.unwrap_or_default(),
            })
            .collect();
        check_batch(&events)?;
        let count = events.len();
        let logs = &context.platform.logs;
        let retention = logs.group(&group).await?.retention_days;
        let now_ms = context.platform.clock.now_ms();
        let (kept, mut rejected) = sort_out(events, now_ms, retention);
        if logs.put_events(&group, &stream, kept).await? == Put::Full {
            // Nothing in AWS's model says that a stream is full; that nothing was kept it can say.
            rejected = Some(RejectedLogEventsInfo {
                expired_log_event_end_index: Some(count),
                ..RejectedLogEventsInfo::default()
            });
        }
        Ok(Output {
            next_sequence_token: format!("{now_ms:056}"),
            rejected_log_events_info: rejected,
        })
    }
}

fn check_batch(events: &[LogEvent]) -> Result<(), Failure> {
    let bytes: usize = events.iter().map(|event| event.message.len() + EVENT_OVERHEAD_BYTES).sum();
    if bytes > BATCH_BYTES_MAX {
        return Err(errors::invalid(format!(
            "Upload too large: {bytes} bytes exceeds limit of {BATCH_BYTES_MAX}"
        )));
    }
    if !events.is_sorted_by_key(|event| event.timestamp_ms) {
        return Err(errors::invalid(
            "Log events in a single PutLogEvents request must be in chronological order.",
        ));
    }
    let (first, last) = (events.first(), events.last());
    let span_ms = last.zip(first).map_or(0, |(last, first)| last.timestamp_ms - first.timestamp_ms);
    if span_ms > SPAN_MS_MAX {
        return Err(errors::invalid(
            "The batch of log events in a single PutLogEvents request cannot span more than 24 \
             hours.",
        ));
    }
    Ok(())
}

/// The events that are neither too old nor too new, of a batch in the order of time.
fn sort_out(
    mut events: Vec<LogEvent>,
    now_ms: i64,
    retention_days: Option<u32>,
) -> (Vec<LogEvent>, Option<RejectedLogEventsInfo>) {
    const DAY_MS: i64 = 24 * 60 * 60 * 1000;
    let mut info = RejectedLogEventsInfo::default();
    let too_new = events.partition_point(|event| event.timestamp_ms <= now_ms + AHEAD_MS_MAX);
    if too_new < events.len() {
        info.too_new_log_event_start_index = Some(too_new);
        events.truncate(too_new);
    }
    let before = |limit: i64| events.partition_point(|event| event.timestamp_ms < limit);
    let too_old = before(now_ms - BACK_MS_MAX);
    let expired = retention_days.map_or(0, |days| before(now_ms - i64::from(days) * DAY_MS));
    info.too_old_log_event_end_index = (too_old > 0).then_some(too_old);
    info.expired_log_event_end_index = (expired > too_old).then_some(expired);
    events.drain(..too_old.max(expired));
    let rejected = (info != RejectedLogEventsInfo::default()).then_some(info);
    (events, rejected)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_700_000_000_000;
    const DAY_MS: i64 = 24 * 60 * 60 * 1000;

    fn events(offsets: &[i64]) -> Vec<LogEvent> {
        let event = |offset: &i64| LogEvent { timestamp_ms: NOW_MS + offset, message: "m".into() };
        offsets.iter().map(event).collect()
    }

    #[test]
    fn old_and_new_events_are_sorted_out_and_named() {
        let batch = events(&[-20 * DAY_MS, -5 * DAY_MS, 0, DAY_MS]);
        let (kept, rejected) = sort_out(batch, NOW_MS, Some(1));
        assert_eq!(kept, events(&[0]));
        assert_eq!(
            rejected.unwrap(),
            RejectedLogEventsInfo {
                too_new_log_event_start_index: Some(3),
                too_old_log_event_end_index: Some(1),
                expired_log_event_end_index: Some(2),
            }
        );
        assert_eq!(sort_out(events(&[-DAY_MS, 0]), NOW_MS, None).1, None);
    }

    #[test]
    fn a_batch_has_bounds_and_an_order() {
        assert!(check_batch(&events(&[0, 0, 1])).is_ok());
        assert!(check_batch(&events(&[1, 0])).is_err());
        assert!(check_batch(&events(&[0, DAY_MS + 1])).is_err());
        let large = LogEvent { timestamp_ms: NOW_MS, message: "x".repeat(BATCH_BYTES_MAX) };
        assert!(check_batch(&[large]).is_err());
    }
}
