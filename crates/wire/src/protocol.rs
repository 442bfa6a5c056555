//! The AWS protocols, and what each makes of an answer or an error.
//!
//! A service declares which it accepts. A further one joins as a variant here, a codec beside
//! `json` and `query`, and an arm in the two `match`es below.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::decode::DecodeError;
use crate::query::Form;
use crate::{cbor, json, xml};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    Json10,
    Json11,
    RestJson,
    Query,
    /// S3's; only its errors are written here.
    RestXml,
    /// Recognized, so that its clients are told in their own words that it is not there.
    RpcV2Cbor,
}

/// The operation's input as it arrived, after the body was verified.
#[derive(Debug)]
pub enum Payload<'a> {
    Document(&'a [u8]),
    Form(&'a Form),
}

impl Payload<'_> {
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        match self {
            Self::Document(bytes) => json::decode(bytes),
            Self::Form(form) => form.decode(),
        }
    }
}

/// A body with what its headers must say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    pub content_type: &'static str,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

/// What a query answer is wrapped in.
#[derive(Debug, Clone, Copy)]
pub struct Envelope<'a> {
    pub operation: &'a str,
    pub xml_namespace: Option<&'a str>,
    pub request_id: &'a str,
}

/// An error as the client will see it, before a protocol gave it a shape.
#[derive(Debug, Clone, Copy)]
pub struct ErrorAnswer<'a> {
    pub status: u16,
    pub code: &'a str,
    pub message: &'a str,
    pub members: &'a Map<String, Value>,
    /// The client said `x-amzn-query-mode: true` and reads the code from a header of its own.
    pub query_mode: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    #[error("the answer cannot be written as JSON")]
    Json(#[from] serde_json::Error),
    #[error("the answer cannot be written as XML")]
    Xml(#[from] xml::Error),
    #[error("answers are not written as {0:?}")]
    Protocol(Protocol),
}

impl Protocol {
    /// An operation's output; `()` becomes an empty body, or a query answer without a result.
    pub fn encode<T: Serialize>(
        self,
        envelope: Envelope<'_>,
        output: &T,
    ) -> Result<Encoded, EncodeError> {
        let body = match self {
            Self::Json10 | Self::Json11 | Self::RestJson => json::encode(output)?,
            Self::Query => xml::response(envelope, output)?.into_bytes(),
            Self::RestXml | Self::RpcV2Cbor => return Err(EncodeError::Protocol(self)),
        };
        Ok(Encoded { content_type: self.content_type(), headers: Vec::new(), body })
    }

    /// An error in the shape this protocol's clients read.
    pub fn encode_error(self, envelope: Envelope<'_>, error: ErrorAnswer<'_>) -> Encoded {
        let mut headers = Vec::new();
        let body = match self {
            Self::Json10 | Self::Json11 | Self::RestJson => {
                headers.push(("x-amzn-errortype", error.code.to_owned()));
                if error.query_mode {
                    let code = format!("{};{}", error.code, fault(error.status));
                    headers.push(("x-amzn-query-error", code));
                }
                json_error(self, error)
            }
            Self::Query => xml::query_error(envelope, error, fault(error.status)).into_bytes(),
            Self::RestXml => xml::rest_error(envelope, error).into_bytes(),
            Self::RpcV2Cbor => {
                headers.push(("smithy-protocol", "rpc-v2-cbor".to_owned()));
                cbor::error(error.code, error.message)
            }
        };
        Encoded { content_type: self.content_type(), headers, body }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Json10 => "application/x-amz-json-1.0",
            Self::Json11 => "application/x-amz-json-1.1",
            Self::RestJson => "application/json",
            Self::Query => "text/xml",
            Self::RestXml => "application/xml",
            Self::RpcV2Cbor => "application/cbor",
        }
    }
}

fn fault(status: u16) -> &'static str {
    if status >= 500 { "Receiver" } else { "Sender" }
}

fn json_error(protocol: Protocol, error: ErrorAnswer<'_>) -> Vec<u8> {
    let mut shape = error.members.clone();
    shape.insert("message".to_owned(), error.message.into());
    if protocol == Protocol::RestJson {
        // Some rest-json shapes name the member with a capital and are read by that name alone.
        shape.insert("Message".to_owned(), error.message.into());
    } else {
        shape.insert("__type".to_owned(), error.code.into());
    }
    Value::Object(shape).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENVELOPE: Envelope<'static> = Envelope {
        operation: "GetCallerIdentity",
        xml_namespace: Some("https://sts.amazonaws.com/doc/2011-06-15/"),
        request_id: "id-1",
    };

    fn text(encoded: &Encoded) -> &str {
        std::str::from_utf8(&encoded.body).unwrap()
    }

    #[test]
    fn each_protocol_names_the_error_where_its_clients_look() {
        let members = Map::new();
        let error = ErrorAnswer {
            status: 400,
            code: "ValidationException",
            message: "a < b",
            members: &members,
            query_mode: true,
        };
        let json = Protocol::Json11.encode_error(ENVELOPE, error);
        assert_eq!(text(&json), r#"{"__type":"ValidationException","message":"a < b"}"#);
        assert_eq!(
            json.headers,
            [
                ("x-amzn-errortype", "ValidationException".to_owned()),
                ("x-amzn-query-error", "ValidationException;Sender".to_owned()),
            ]
        );
        let rest = Protocol::RestJson.encode_error(ENVELOPE, error);
        assert_eq!(text(&rest), r#"{"Message":"a < b","message":"a < b"}"#);
        let query = Protocol::Query.encode_error(ENVELOPE, error);
        assert_eq!(
            text(&query),
            "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error>\
             <Type>Sender</Type><Code>ValidationException</Code><Message>a &lt; b</Message></Error>\
             <RequestId>id-1</RequestId></ErrorResponse>"
        );
        let xml = Protocol::RestXml.encode_error(ENVELOPE, error);
        assert_eq!(
            text(&xml),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>ValidationException</Code>\
             <Message>a &lt; b</Message><RequestId>id-1</RequestId></Error>"
        );
        let cbor = Protocol::RpcV2Cbor.encode_error(ENVELOPE, error);
        assert_eq!(cbor.body.first(), Some(&0xa2));
    }

    #[test]
    fn an_operation_without_output_answers_an_empty_body() {
        assert!(Protocol::Json11.encode(ENVELOPE, &()).unwrap().body.is_empty());
        assert_eq!(
            text(&Protocol::Query.encode(ENVELOPE, &()).unwrap()),
            "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
             <ResponseMetadata><RequestId>id-1</RequestId></ResponseMetadata>\
             </GetCallerIdentityResponse>"
        );
    }
}
