//! SageMaker Runtime: one request to an endpoint.

use bytes::Bytes;
use http::Method;

use crate::error::Error;
use crate::s3::encode_segment;
use crate::transport::{Call, Client};

/// What an endpoint is asked.
#[derive(Debug, Clone)]
pub struct InvokeEndpoint<'a> {
    pub endpoint_name: &'a str,
    pub body: Bytes,
    pub content_type: &'a str,
    pub accept: &'a str,
}

/// What the model answered.
#[derive(Debug, Clone)]
pub struct Invoked {
    pub body: Bytes,
    pub content_type: Option<String>,
    /// The production variant that answered.
    pub variant: Option<String>,
}

impl Client {
    pub async fn invoke_endpoint(&self, request: InvokeEndpoint<'_>) -> Result<Invoked, Error> {
        let call = Call {
            operation: "InvokeEndpoint".to_owned(),
            service: Some("sagemaker"),
            method: Method::POST,
            path: format!("/endpoints/{}/invocations", encode_segment(request.endpoint_name)),
            headers: vec![
                (http::header::CONTENT_TYPE, request.content_type.to_owned()),
                (http::header::ACCEPT, request.accept.to_owned()),
            ],
            body: request.body,
            // A model may do more than answer; only what surely did not reach it is sent again.
            repeatable: false,
        };
        let (headers, body) = self.fetch(&call).await?;
        let header = |name: &str| Some(headers.get(name)?.to_str().ok()?.to_owned());
        Ok(Invoked {
            body,
            content_type: header("content-type"),
            variant: header("x-amzn-invoked-production-variant"),
        })
    }
}
