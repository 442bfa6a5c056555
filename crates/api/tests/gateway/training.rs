//! What the session of a training run may do: its own work, and nothing beside it.

use aws_sigv4::http_request::SigningSettings;
use http::StatusCode;
use kennel_platform::names::EntityName;
use serde_json::{Value, json};

use crate::s3::signed;
use crate::support::{Answer, Bench, Call, Key, ROLE};

fn request(job: &str) -> Value {
    json!({
        "TrainingJobName": job,
        "RoleArn": ROLE,
        "AlgorithmSpecification": {
            "TrainingImage": "kennel/image-classification:1",
            "TrainingInputMode": "File",
        },
        "InputDataConfig": [{
            "ChannelName": "train",
            "DataSource": {"S3DataSource": {
                "S3DataType": "S3Prefix",
                "S3Uri": "s3://photos/dogs/",
            }},
        }],
        "OutputDataConfig": {"S3OutputPath": "s3://results/models"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
        "Tags": [{"Key": "team", "Value": "dogs"}],
    })
}

async fn sagemaker(bench: &Bench, key: &Key, operation: &str, input: &Value) -> Answer {
    let call = Call::json("sagemaker", &format!("SageMaker.{operation}"), input);
    bench.send(key.sign(call)).await
}

async fn s3(bench: &Bench, key: &Key, method: &'static str, path: &str) -> StatusCode {
    let body = if method == "PUT" && path.matches('/').count() > 1 { "bytes" } else { "" };
    let settings = SigningSettings::default();
    bench.send(signed(key, settings, method, path, &[], body)).await.status
}

/// A session as the run of the job gets it.
async fn session_of(bench: &Bench, job: &str) -> Key {
    let training = &bench.platform.training;
    let job = training.get(&EntityName::parse(job).unwrap()).await.unwrap().unwrap();
    let policies = training.session_policies(&job).await.unwrap();
    let documents: Vec<Value> =
        policies.iter().map(|policy| serde_json::from_str(policy).unwrap()).collect();
    bench.session(&documents).await
}

async fn with_a_job() -> (Bench, Key) {
    let bench = Bench::with_real_s3().await;
    for path in ["/photos", "/results", "/photos/dogs/a.jpg", "/photos/secret.jpg"] {
        assert_eq!(s3(&bench, &bench.root, "PUT", path).await, StatusCode::OK, "{path}");
    }
    let created = sagemaker(&bench, &bench.root, "CreateTrainingJob", &request("Dogs")).await;
    assert_eq!(created.status, StatusCode::OK, "{}", created.text());
    let session = session_of(&bench, "Dogs").await;
    (bench, session)
}

#[tokio::test]
async fn run_reads_its_channel_and_writes_its_artifacts() {
    let (bench, session) = with_a_job().await;
    for (method, path) in [
        ("GET", "/photos/dogs/a.jpg"),
        ("GET", "/photos?list-type=2&prefix=dogs%2F"),
        ("PUT", "/results/models/Dogs/output/model.tar.gz"),
        ("PUT", "/results/models/Dogs/output/output.tar.gz"),
    ] {
        assert_eq!(s3(&bench, &session, method, path).await, StatusCode::OK, "{method} {path}");
    }
}

#[tokio::test]
async fn run_neither_lists_buckets_nor_leaves_its_places() {
    let (bench, session) = with_a_job().await;
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/photos/secret.jpg"),
        ("PUT", "/photos/dogs/a.jpg"),
        ("DELETE", "/photos/dogs/a.jpg"),
        ("GET", "/results/models/Dogs/output/model.tar.gz"),
        ("GET", "/results?list-type=2"),
        ("PUT", "/results/models/other/output/model.tar.gz"),
        ("PUT", "/new-bucket"),
    ] {
        let status = s3(&bench, &session, method, path).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{method} {path}");
    }
}

#[tokio::test]
async fn run_creates_no_job_and_sees_none() {
    let (bench, session) = with_a_job().await;
    for (operation, input) in [
        ("CreateTrainingJob", request("more")),
        // Neither validation nor existence is told to who may not ask.
        ("CreateTrainingJob", json!({"TrainingJobName": "not a name"})),
        ("DescribeTrainingJob", json!({"TrainingJobName": "Dogs"})),
        ("DescribeTrainingJob", json!({"TrainingJobName": "absent"})),
        ("ListTrainingJobs", json!({})),
        ("StopTrainingJob", json!({"TrainingJobName": "Dogs"})),
    ] {
        let answer = sagemaker(&bench, &session, operation, &input).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{operation}");
        let error = answer.json();
        assert!(error["__type"].as_str().unwrap().ends_with("AccessDeniedException"), "{error}");
        let message = error["message"].as_str().or(error["Message"].as_str()).unwrap();
        assert!(
            message.contains(&format!("is not authorized to perform: sagemaker:{operation}")),
            "{message}"
        );
    }
}

#[tokio::test]
async fn run_writes_its_own_log_stream_alone() {
    let (bench, session) = with_a_job().await;
    let group = "/aws/sagemaker/TrainingJobs";
    let job = bench.platform.training.get(&EntityName::parse("Dogs").unwrap()).await.unwrap();
    let own = job.unwrap().log.stream;
    let logs = async |operation: &str, input: Value| {
        let call = Call::json("logs", &format!("Logs_20140328.{operation}"), &input);
        bench.send(session.sign(call)).await
    };
    let made = logs("CreateLogGroup", json!({"logGroupName": group})).await;
    assert_eq!(made.status, StatusCode::OK, "{}", made.text());
    for (stream, expected) in
        [(own.as_str(), StatusCode::OK), ("other/algo-1-1", StatusCode::BAD_REQUEST)]
    {
        let input = json!({"logGroupName": group, "logStreamName": stream});
        let made = logs("CreateLogStream", input).await;
        assert_eq!(made.status, expected, "{stream}: {}", made.text());
    }
    let read = logs("GetLogEvents", json!({"logGroupName": group, "logStreamName": own})).await;
    assert_eq!(read.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn whoever_creates_a_job_must_be_allowed_to_pass_its_role() {
    let bench = Bench::new().await;
    let allow = |actions: Value| json!({"Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]});
    for (actions, missing) in [
        (json!(["sagemaker:CreateTrainingJob", "sagemaker:AddTags"]), "iam:PassRole"),
        (json!(["sagemaker:CreateTrainingJob", "iam:PassRole"]), "sagemaker:AddTags"),
    ] {
        let session = bench.session(&[allow(actions)]).await;
        let answer = sagemaker(&bench, &session, "CreateTrainingJob", &request("dogs")).await;
        assert!(answer.text().contains(&format!("perform: {missing} on")), "{}", answer.text());
    }
    let all = json!(["sagemaker:CreateTrainingJob", "sagemaker:AddTags", "iam:PassRole"]);
    let session = bench.session(&[allow(all)]).await;
    let answer = sagemaker(&bench, &session, "CreateTrainingJob", &request("dogs")).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
}
