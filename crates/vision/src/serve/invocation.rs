//! What `POST /invocations` takes and gives.
//!
//! | Content-Type | body |
//! |---|---|
//! | `image/jpeg`, `image/png`, `application/x-image`, or none | an encoded picture |
//! | `application/json` | `{"url": "https://..."}` |
//! | `application/json` | `{"instances": [{"b64": "..."}, ...]}` |
//!
//! The answer is JSON: `[[logit, ...], ...]`, one row a picture, one number a class in the order of
//! `labels.json`. With `Accept: application/json;verbose` it is `{"predictions": [{"label": ...,
//! "probability": ..., "probabilities": [{"label": ..., "probability": ...}, ...]}, ...]}`, the most
//! probable first.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::HeaderValue;
use serde::{Deserialize, Serialize};

use super::Refusal;
use super::fetch::Fetcher;

/// Pictures in one request: a core works on this many for a few seconds.
const INSTANCES_MAX: usize = 64;

/// How the body is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    Picture,
    Json,
}

impl Input {
    pub fn of(content_type: Option<&HeaderValue>) -> Result<Self, Refusal> {
        let Some(value) = content_type else {
            return Ok(Self::Picture);
        };
        let text = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
        match text.split(';').next().unwrap_or_default().trim() {
            "image/jpeg" | "image/jpg" | "image/png" | "application/x-image" | "" => {
                Ok(Self::Picture)
            }
            "application/json" => Ok(Self::Json),
            _ => Err(Refusal::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "the Content-Type has to be image/jpeg, image/png, application/x-image or \
                 application/json",
            )),
        }
    }

    /// The encoded pictures that the body holds or points to.
    pub async fn pictures(self, body: Bytes, fetcher: &Fetcher) -> Result<Vec<Bytes>, Refusal> {
        match self {
            Self::Picture => Ok(vec![body]),
            Self::Json => match parse(&body)? {
                Document::Url { url } => match fetcher.fetch(&url).await {
                    Ok(picture) => Ok(vec![picture]),
                    Err(error) => Err(bad_request(crate::engine::describe(&error))),
                },
                Document::Instances { instances } => decode(&instances),
            },
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Document {
    Url { url: String },
    Instances { instances: Vec<Instance> },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Instance {
    b64: String,
}

fn parse(body: &[u8]) -> Result<Document, Refusal> {
    serde_json::from_slice(body).map_err(|_| {
        bad_request(
            "the body has to be {\"url\": \"https://...\"} or {\"instances\": [{\"b64\": \"...\"}]}",
        )
    })
}

fn decode(instances: &[Instance]) -> Result<Vec<Bytes>, Refusal> {
    if instances.is_empty() || instances.len() > INSTANCES_MAX {
        return Err(bad_request(format!(
            "there have to be 1 to {INSTANCES_MAX} instances, not {}",
            instances.len()
        )));
    }
    let decoded = instances.iter().enumerate().map(|(index, instance)| {
        STANDARD
            .decode(instance.b64.trim_ascii())
            .map(Bytes::from)
            .map_err(|error| bad_request(format!("instance {index}: not base64: {error}")))
    });
    decoded.collect()
}

fn bad_request(message: impl Into<String>) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, message)
}

/// How the answer is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    Logits,
    Verbose,
}

impl Output {
    pub fn of(accept: Option<&HeaderValue>) -> Result<Self, Refusal> {
        let Some(value) = accept else {
            return Ok(Self::Logits);
        };
        let text = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
        let mut acceptable = false;
        for range in text.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default();
            let json = matches!(kind, "application/json" | "application/*" | "*/*" | "");
            if json && parts.any(|part| part == "verbose" || part == "verbose=true") {
                return Ok(Self::Verbose);
            }
            acceptable |= json;
        }
        if acceptable {
            return Ok(Self::Logits);
        }
        Err(Refusal::new(
            StatusCode::NOT_ACCEPTABLE,
            "the answer is application/json, or application/json;verbose with labels",
        ))
    }

    /// The JSON text for rows of logits.
    pub fn encode(self, rows: &[Vec<f32>], labels: &[String]) -> String {
        let value = match self {
            Self::Logits => serde_json::to_string(rows),
            Self::Verbose => {
                let predictions = rows.iter().map(|row| Prediction::new(row, labels)).collect();
                serde_json::to_string(&Predictions { predictions })
            }
        };
        // Numbers and strings always have a JSON form; one that is not finite is `null`.
        value.unwrap_or_default()
    }
}

#[derive(Serialize)]
struct Predictions<'a> {
    predictions: Vec<Prediction<'a>>,
}

#[derive(Serialize)]
struct Prediction<'a> {
    label: &'a str,
    probability: f32,
    probabilities: Vec<Probability<'a>>,
}

#[derive(Serialize)]
struct Probability<'a> {
    label: &'a str,
    probability: f32,
}

impl<'a> Prediction<'a> {
    fn new(logits: &[f32], labels: &'a [String]) -> Self {
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let exponentials: Vec<f32> = logits.iter().map(|logit| (logit - largest).exp()).collect();
        let sum: f32 = exponentials.iter().sum();
        let mut probabilities: Vec<Probability<'_>> = labels
            .iter()
            .zip(exponentials)
            .map(|(label, value)| Probability { label, probability: value / sum })
            .collect();
        probabilities.sort_by(|a, b| b.probability.total_cmp(&a.probability));
        let (label, probability) =
            probabilities.first().map_or(("", 0.0), |first| (first.label, first.probability));
        Self { label, probability, probabilities }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(text: &'static str) -> HeaderValue {
        HeaderValue::from_static(text)
    }

    #[test]
    fn content_types_are_read_or_refused() {
        assert_eq!(Input::of(None).unwrap(), Input::Picture);
        assert_eq!(Input::of(Some(&header("image/PNG"))).unwrap(), Input::Picture);
        let json = header("application/json; charset=utf-8");
        assert_eq!(Input::of(Some(&json)).unwrap(), Input::Json);
        let refusal = Input::of(Some(&header("text/csv"))).unwrap_err();
        assert_eq!(refusal.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }

    #[test]
    fn accept_chooses_the_form_of_the_answer() {
        for (accept, output) in [
            ("*/*", Output::Logits),
            ("application/json", Output::Logits),
            ("application/json;verbose", Output::Verbose),
            ("application/json; verbose=true", Output::Verbose),
            ("text/html, application/json", Output::Logits),
        ] {
            assert_eq!(Output::of(Some(&header(accept))).unwrap(), output, "{accept}");
        }
        let refusal = Output::of(Some(&header("text/csv"))).unwrap_err();
        assert_eq!(refusal.status, StatusCode::NOT_ACCEPTABLE);
    }

    #[test]
    fn logits_are_rows_of_numbers() {
        let labels = ["a".to_owned(), "b".to_owned()];
        let text = Output::Logits.encode(&[vec![1.5, -2.0], vec![0.0, 0.25]], &labels);
        assert_eq!(text, "[[1.5,-2.0],[0.0,0.25]]");
    }

    #[test]
    fn verbose_answers_are_sorted_and_add_up_to_one() {
        let labels = ["a".to_owned(), "b".to_owned(), "c".to_owned()];
        let text = Output::Verbose.encode(&[vec![0.0, 1000.0, 1.0]], &labels);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let prediction = &value["predictions"][0];
        assert_eq!(prediction["label"], "b");
        assert_eq!(prediction["probability"], 1.0);
        assert_eq!(prediction["probabilities"][0]["label"], "b");
        assert_eq!(prediction["probabilities"].as_array().unwrap().len(), 3);
    }

    #[test]
    fn documents_that_are_neither_form_are_refused() {
        for body in [r#"{}"#, r#"{"url": 1}"#, r#"{"instances": [{"b64": "", "x": 1}]}"#, "x"] {
            assert_eq!(parse(body.as_bytes()).err().unwrap().status, StatusCode::BAD_REQUEST);
        }
        assert!(decode(&[]).is_err());
        assert!(decode(&[Instance { b64: "%".to_owned() }]).is_err());
    }
}
