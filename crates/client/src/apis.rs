//! The services that speak JSON 1.1, and STS, which speaks query.

use http::{HeaderName, Method};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::transport::{Call, Client};

/// A service of the JSON 1.1 protocol.
#[derive(Debug, Clone, Copy)]
pub struct JsonApi {
    pub signing_name: &'static str,
    pub target_prefix: &'static str,
}

pub const SAGEMAKER: JsonApi = JsonApi { signing_name: "sagemaker", target_prefix: "SageMaker" };
pub const LOGS: JsonApi = JsonApi { signing_name: "logs", target_prefix: "Logs_20140328" };

const STS_VERSION: &str = "2011-06-15";

/// Who the credentials belong to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CallerIdentity {
    #[serde(rename = "Account")]
    pub account: String,
    #[serde(rename = "Arn")]
    pub arn: String,
    #[serde(rename = "UserId")]
    pub user_id: String,
}

impl Client {
    /// Calls `operation` of a JSON 1.1 service. An empty answer reads as `{}`.
    pub async fn call_json<I, O>(
        &self,
        api: &JsonApi,
        operation: &str,
        input: &I,
    ) -> Result<O, Error>
    where
        I: Serialize + ?Sized,
        O: DeserializeOwned,
    {
        let body = serde_json::to_vec(input).map_err(|source| Error::Build {
            operation: operation.to_owned(),
            source: Box::new(source),
        })?;
        let call = Call {
            operation: operation.to_owned(),
            service: Some(api.signing_name),
            method: Method::POST,
            path: "/".to_owned(),
            headers: vec![
                (http::header::CONTENT_TYPE, "application/x-amz-json-1.1".to_owned()),
                (
                    HeaderName::from_static("x-amz-target"),
                    format!("{}.{operation}", api.target_prefix),
                ),
            ],
            body: body.into(),
            repeatable: true,
        };
        let (_headers, body) = self.fetch(&call).await?;
        let text: &[u8] = if body.is_empty() { b"{}" } else { &body };
        serde_json::from_slice(text).map_err(|source| Error::Decode {
            operation: operation.to_owned(),
            source: Box::new(source),
        })
    }

    /// STS GetCallerIdentity.
    pub async fn caller_identity(&self) -> Result<CallerIdentity, Error> {
        #[derive(Deserialize)]
        struct Response {
            #[serde(rename = "GetCallerIdentityResult")]
            result: CallerIdentity,
        }
        let operation = "GetCallerIdentity";
        let call = Call {
            operation: operation.to_owned(),
            service: Some("sts"),
            method: Method::POST,
            path: "/".to_owned(),
            headers: vec![(
                http::header::CONTENT_TYPE,
                "application/x-www-form-urlencoded; charset=utf-8".to_owned(),
            )],
            body: format!("Action={operation}&Version={STS_VERSION}").into(),
            repeatable: true,
        };
        let (_headers, body) = self.fetch(&call).await?;
        let response: Response = read_xml(operation, &body)?;
        Ok(response.result)
    }

    /// Whether a server answers its health check. False when nothing listens there.
    pub async fn healthy(&self) -> Result<bool, Error> {
        let call = own_page("/_kennel/health", None);
        match self.fetch(&call).await {
            Ok(_) => Ok(true),
            Err(Error::Connect { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// One of the server's own JSON pages, such as `/_kennel/status`.
    pub async fn get_own<O: DeserializeOwned>(&self, path: &str) -> Result<O, Error> {
        let call = own_page(path, Some("kennel"));
        let (_headers, body) = self.fetch(&call).await?;
        serde_json::from_slice(&body)
            .map_err(|source| Error::Decode { operation: call.operation, source: Box::new(source) })
    }
}

fn own_page(path: &str, service: Option<&'static str>) -> Call {
    Call {
        operation: format!("GET {path}"),
        service,
        method: Method::GET,
        path: path.to_owned(),
        headers: Vec::new(),
        body: bytes::Bytes::new(),
        repeatable: true,
    }
}

pub(crate) fn read_xml<O: DeserializeOwned>(operation: &str, body: &[u8]) -> Result<O, Error> {
    let decode = |source| Error::Decode { operation: operation.to_owned(), source };
    let text = std::str::from_utf8(body).map_err(|error| decode(Box::new(error)))?;
    quick_xml::de::from_str(text).map_err(|error| decode(Box::new(error)))
}
