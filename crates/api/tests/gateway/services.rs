//! The services whose operations live beside the gateway.

use http::StatusCode;
use serde_json::{Value, json};

use crate::support::{Bench, Call, NOW_MS};

const GROUP: &str = "/aws/sagemaker/TrainingJobs";

async fn call(bench: &Bench, operation: &str, input: Value) -> Value {
    let (status, output) = bench.json(&format!("Logs_20140328.{operation}"), input).await;
    assert_eq!(status, StatusCode::OK, "{operation}: {output}");
    output
}

async fn refusal(bench: &Bench, operation: &str, input: Value) -> (String, String) {
    let (status, error) = bench.json(&format!("Logs_20140328.{operation}"), input).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{operation}: {error}");
    let text = |name: &str| error[name].as_str().unwrap().to_owned();
    (text("__type"), text("message"))
}

#[tokio::test]
async fn sts_tells_root_who_it_is() {
    let bench = Bench::new().await;
    let who = Call::query("sts", "Action=GetCallerIdentity&Version=2011-06-15");
    let answer = bench.send(bench.root.sign(who)).await;
    assert_eq!(answer.header("content-type"), "text/xml");
    let id = answer.header("x-amzn-requestid");
    assert_eq!(
        answer.text(),
        format!(
            "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
             <GetCallerIdentityResult><UserId>123456789012</UserId><Account>123456789012</Account>\
             <Arn>arn:aws:iam::123456789012:root</Arn></GetCallerIdentityResult>\
             <ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata>\
             </GetCallerIdentityResponse>"
        )
    );
}

#[tokio::test]
async fn sts_tells_a_session_its_role() {
    let bench = Bench::new().await;
    let session = bench.session(&[json!({"Statement": []})]).await;
    let who = Call::query("sts", "Action=GetCallerIdentity&Version=2011-06-15");
    let answer = bench.send(session.sign(who)).await;
    let text = answer.text();
    assert!(text.contains("<Arn>arn:aws:sts::123456789012:assumed-role/Trainer/job-1</Arn>"));
    let (_, user) = text.split_once("<UserId>").unwrap();
    assert!(user.starts_with("AROA") && user.contains(":job-1</UserId>"), "{text}");
}

#[tokio::test]
async fn log_groups_are_made_listed_and_deleted() {
    let bench = Bench::new().await;
    for name in ["a/1", "a/2", "b"] {
        assert_eq!(
            call(&bench, "CreateLogGroup", json!({"logGroupName": name})).await,
            Value::Null
        );
    }
    let input = json!({"logGroupName": "b", "retentionInDays": 7});
    call(&bench, "PutRetentionPolicy", input).await;
    let listed = call(&bench, "DescribeLogGroups", json!({"logGroupNamePrefix": "b"})).await;
    assert_eq!(
        listed,
        json!({"logGroups": [{
            "logGroupName": "b", "creationTime": NOW_MS, "retentionInDays": 7,
            "metricFilterCount": 0, "storedBytes": 0, "logGroupClass": "STANDARD",
            "arn": "arn:aws:logs:us-east-1:123456789012:log-group:b:*",
            "logGroupArn": "arn:aws:logs:us-east-1:123456789012:log-group:b",
        }]})
    );
    let first = call(&bench, "DescribeLogGroups", json!({"limit": 2})).await;
    let token = first["nextToken"].clone();
    let second = call(&bench, "DescribeLogGroups", json!({"limit": 2, "nextToken": token})).await;
    assert_eq!(second["logGroups"][0]["logGroupName"], "b");
    assert_eq!(second.get("nextToken"), None);
    let found = call(&bench, "DescribeLogGroups", json!({"logGroupNamePattern": "/2"})).await;
    assert_eq!(found["logGroups"].as_array().unwrap().len(), 1);
    call(&bench, "DeleteLogGroup", json!({"logGroupName": "b"})).await;
    assert_eq!(
        refusal(&bench, "DeleteLogGroup", json!({"logGroupName": "b"})).await,
        (
            "ResourceNotFoundException".to_owned(),
            "The specified log group does not exist.".to_owned()
        )
    );
    assert_eq!(
        refusal(&bench, "CreateLogGroup", json!({"logGroupName": "a/1"})).await,
        (
            "ResourceAlreadyExistsException".to_owned(),
            "The specified log group already exists".to_owned()
        )
    );
    let (code, message) = refusal(&bench, "CreateLogGroup", json!({"logGroupName": "a b"})).await;
    assert_eq!(code, "ValidationException");
    assert!(message.contains("Value 'a b' at 'logGroupName'"), "{message}");
}

#[tokio::test]
async fn describing_streams_gives_a_token_only_where_there_is_more() {
    let bench = Bench::new().await;
    for stream in ["job/algo-1-1", "job/algo-1-2", "other"] {
        bench.platform.logs.ensure_stream(GROUP, stream).await.unwrap();
    }
    let put = json!({"logGroupName": GROUP, "logStreamName": "job/algo-1-1",
        "logEvents": [{"timestamp": NOW_MS, "message": "m"}]});
    call(&bench, "PutLogEvents", put).await;
    let input = json!({"logGroupName": GROUP, "logStreamNamePrefix": "job/"});
    let all = call(&bench, "DescribeLogStreams", input).await;
    assert_eq!(all["logStreams"].as_array().unwrap().len(), 2);
    assert_eq!(all.get("nextToken"), None);
    assert_eq!(all["logStreams"][0]["lastEventTimestamp"], NOW_MS);
    assert_eq!(all["logStreams"][1].get("lastEventTimestamp"), None);
    let mut names = Vec::new();
    let mut input = json!({"logGroupName": GROUP, "limit": 1, "descending": true,
        "orderBy": "LastEventTime"});
    loop {
        let page = call(&bench, "DescribeLogStreams", input.clone()).await;
        names.push(page["logStreams"][0]["logStreamName"].as_str().unwrap().to_owned());
        match page.get("nextToken") {
            Some(token) => input["nextToken"] = token.clone(),
            None => break,
        }
    }
    assert_eq!(names, ["job/algo-1-1", "other", "job/algo-1-2"]);
    let input = json!({"logGroupName": GROUP, "orderBy": "LastEventTime",
        "logStreamNamePrefix": "job"});
    let (code, _) = refusal(&bench, "DescribeLogStreams", input).await;
    assert_eq!(code, "InvalidParameterException");
}

#[tokio::test]
async fn an_empty_page_of_events_repeats_its_token_and_the_token_stays_good() {
    let bench = Bench::new().await;
    bench.platform.logs.ensure_stream(GROUP, "s").await.unwrap();
    let place = json!({"logGroupName": GROUP, "logStreamName": "s"});
    let put = |message: &str| {
        let mut input = place.clone();
        input["logEvents"] = json!([{"timestamp": NOW_MS, "message": message}]);
        input
    };
    let get = |token: &Value| {
        let mut input = place.clone();
        input["startFromHead"] = json!(true);
        if !token.is_null() {
            input["nextToken"] = token.clone();
        }
        input
    };
    let empty = call(&bench, "GetLogEvents", get(&Value::Null)).await;
    let token = empty["nextForwardToken"].clone();
    assert!(token.as_str().unwrap().starts_with("f/"));
    let again = call(&bench, "GetLogEvents", get(&token)).await;
    assert_eq!(again["nextForwardToken"], token);
    call(&bench, "PutLogEvents", put("one")).await;
    let page = call(&bench, "GetLogEvents", get(&token)).await;
    assert_eq!(
        page["events"],
        json!([{"timestamp": NOW_MS, "message": "one", "ingestionTime": NOW_MS}])
    );
    let token = page["nextForwardToken"].clone();
    let empty = call(&bench, "GetLogEvents", get(&token)).await;
    assert_eq!((&empty["events"], &empty["nextForwardToken"]), (&json!([]), &token));
    let (code, _) = refusal(&bench, "GetLogEvents", get(&json!("nonsense"))).await;
    assert_eq!(code, "InvalidParameterException");
}

#[tokio::test]
async fn a_group_may_be_named_by_its_arn() {
    let bench = Bench::new().await;
    bench.platform.logs.ensure_stream(GROUP, "s").await.unwrap();
    let arn = format!("arn:aws:logs:us-east-1:123456789012:log-group:{GROUP}");
    let input = json!({"logGroupIdentifier": arn, "logStreamName": "s"});
    call(&bench, "GetLogEvents", input).await;
    let (code, _) = refusal(&bench, "GetLogEvents", json!({"logStreamName": "s"})).await;
    assert_eq!(code, "ValidationException");
}

#[tokio::test]
async fn filtering_takes_patterns_and_refuses_what_it_does_not_know() {
    let bench = Bench::new().await;
    for (stream, message) in [("a", "an ERROR"), ("b", "fine"), ("b", "ERROR again")] {
        bench.platform.logs.ensure_stream(GROUP, stream).await.unwrap();
        let put = json!({"logGroupName": GROUP, "logStreamName": stream,
            "logEvents": [{"timestamp": NOW_MS, "message": message}]});
        call(&bench, "PutLogEvents", put).await;
    }
    let input = json!({"logGroupName": GROUP, "filterPattern": "ERROR", "limit": 1});
    let first = call(&bench, "FilterLogEvents", input.clone()).await;
    assert_eq!(first["events"][0]["logStreamName"], "a");
    let mut next = input;
    next["nextToken"] = first["nextToken"].clone();
    let second = call(&bench, "FilterLogEvents", next).await;
    assert_eq!(second["events"][0]["message"], "ERROR again");
    assert_ne!(second["events"][0]["eventId"], first["events"][0]["eventId"]);
    assert_eq!(second.get("nextToken"), None);
    let input = json!({"logGroupName": GROUP, "filterPattern": "{ $.level = \"x\" }"});
    let (code, message) = refusal(&bench, "FilterLogEvents", input).await;
    assert_eq!(code, "InvalidParameterException");
    assert_eq!(message, "JSON filter patterns are not supported");
}

#[tokio::test]
async fn putting_events_says_what_was_not_kept() {
    let bench = Bench::new().await;
    bench.platform.logs.ensure_stream(GROUP, "s").await.unwrap();
    let day_ms = 24 * 3_600_000;
    let put = |timestamp: i64| {
        json!({"logGroupName": GROUP, "logStreamName": "s",
            "logEvents": [{"timestamp": timestamp, "message": "m"}]})
    };
    let output = call(&bench, "PutLogEvents", put(NOW_MS)).await;
    assert_eq!(output.get("rejectedLogEventsInfo"), None);
    let output = call(&bench, "PutLogEvents", put(NOW_MS - 15 * day_ms)).await;
    assert_eq!(output["rejectedLogEventsInfo"], json!({"tooOldLogEventEndIndex": 1}));
    let output = call(&bench, "PutLogEvents", put(NOW_MS + day_ms)).await;
    assert_eq!(output["rejectedLogEventsInfo"], json!({"tooNewLogEventStartIndex": 0}));
    let absent = json!({"logGroupName": GROUP, "logStreamName": "absent",
        "logEvents": [{"timestamp": NOW_MS, "message": "m"}]});
    assert_eq!(
        refusal(&bench, "PutLogEvents", absent).await.1,
        "The specified log stream does not exist."
    );
}
