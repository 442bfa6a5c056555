//! The workload's own credentials, over the protocol that containers on AWS know: a GET that
//! answers with the session that is valid now, so that renewals reach programs that run for days.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use kennel_wire::run::Credentials;
use serde_json::json;
use tokio::net::UnixListener;

use super::connections;
use crate::error::Failure;
use crate::limits::CONNECT_TIMEOUT;
use crate::post::Post;

/// Answers those who know the token; on hosts without namespaces the port is seen by others.
#[derive(Clone)]
pub(super) struct CredentialsServer {
    post: Post,
    token: Arc<str>,
}

impl CredentialsServer {
    pub fn new(post: Post) -> Result<Self, Failure> {
        let mut bytes = [0_u8; 32];
        getrandom::fill(&mut bytes)
            .map_err(|error| Failure::Internal(format!("no random numbers: {error}")))?;
        Ok(Self { post, token: hex::encode(bytes).into() })
    }

    pub fn token(&self) -> String {
        self.token.to_string()
    }

    pub async fn serve(self, listener: UnixListener) {
        connections::accept(listener, |stream| {
            let server = self.clone();
            async move {
                let service = service_fn(move |request| {
                    let answer = server.answer(&request);
                    async move { Ok::<_, Infallible>(answer) }
                });
                hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(CONNECT_TIMEOUT)
                    .serve_connection(TokioIo::new(stream), service)
                    .await
                    .map_err(std::io::Error::other)
            }
        })
        .await;
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let shown = request.headers().get(http::header::AUTHORIZATION);
        let known = shown.is_some_and(|shown| same(shown.as_bytes(), self.token.as_bytes()));
        let (status, body) = match (known, self.post.session()) {
            (false, _) => {
                (StatusCode::FORBIDDEN, json!({ "message": "wrong authorization token" }))
            }
            (true, None) => (StatusCode::NOT_FOUND, json!({ "message": "no credentials yet" })),
            (true, Some(session)) => (StatusCode::OK, document(&session)),
        };
        let mut response = Response::new(Full::from(body.to_string()));
        *response.status_mut() = status;
        response
    }
}

fn document(session: &Credentials) -> serde_json::Value {
    json!({
        "AccessKeyId": session.access_key_id,
        "SecretAccessKey": session.secret_access_key,
        "Token": session.session_token,
        "Expiration": iso8601(session.expires_at_ms),
    })
}

/// In constant time for equal lengths.
fn same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len()
        && left.iter().zip(right).fold(0, |difference, (left, right)| difference | (left ^ right))
            == 0
}

/// `2026-11-22T15:04:05Z`, from milliseconds since 1970. The date is computed by counting days in
/// years that begin in March, where leap days come last.
fn iso8601(at_ms: i64) -> String {
    let secs = at_ms.div_euclid(1000);
    let (days, second_of_day) = (secs.div_euclid(86_400), secs.rem_euclid(86_400));
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let (hour, minute, second) =
        (second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_aws_programs_read_them() {
        let cases = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399_999, "2000-02-28T23:59:59Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (1_709_251_200_000, "2024-03-01T00:00:00Z"),
            (1_795_359_845_000, "2026-11-22T15:04:05Z"),
        ];
        for (at_ms, text) in cases {
            assert_eq!(iso8601(at_ms), text);
        }
    }
}
