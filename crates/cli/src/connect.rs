//! Finds the server a verb talks to and the key it signs with.
//!
//! `AWS_ENDPOINT_URL` with `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` wins, as for every AWS
//! program; else the data directory tells where its server answers and holds the root key.

use kennel_client::{Client, Credentials};

use crate::data_dir::DataDir;
use crate::failure::{Failure, Kind};

/// Where the API answers and who asks.
pub struct Connection {
    pub client: Client,
    pub endpoint: String,
    pub region: String,
    pub credentials: Credentials,
}

impl Connection {
    pub fn open(endpoint: &str, region: &str, credentials: Credentials) -> Result<Self, Failure> {
        let client = Client::new(endpoint, region, credentials.clone()).map_err(|error| {
            Failure::caused(Kind::Environment, "cannot use the endpoint", &error)
        })?;
        Ok(Self { client, endpoint: endpoint.to_owned(), region: region.to_owned(), credentials })
    }
}

/// The connection the environment names, else the one of the data directory's running server.
pub async fn connect(data_dir: &DataDir) -> Result<Connection, Failure> {
    let connection = match from_environment()? {
        Some(connection) => connection,
        None => from_data_dir(data_dir)?.ok_or_else(|| not_running(data_dir))?,
    };
    match connection.client.healthy().await {
        Ok(true) => Ok(connection),
        Ok(false) => Err(not_running(data_dir)),
        Err(error) => {
            let message = format!("`{}` does not answer as Kennel does", connection.endpoint);
            Err(Failure::caused(Kind::Unreachable, &message, &error))
        }
    }
}

/// The connection to the server of this data directory, whether or not it answers; `None` where
/// none was started or it stopped in order.
pub fn from_data_dir(data_dir: &DataDir) -> Result<Option<Connection>, Failure> {
    let Some(facts) = data_dir.read_facts()? else { return Ok(None) };
    let Some(key) = data_dir.read_root_key()? else { return Ok(None) };
    let credentials = Credentials {
        access_key_id: key.access_key_id,
        secret_access_key: key.secret_access_key,
        session_token: None,
    };
    Connection::open(&facts.endpoint, &facts.region, credentials).map(Some)
}

/// The connection `AWS_ENDPOINT_URL` and the AWS key variables name; `None` where none is named.
pub fn from_environment() -> Result<Option<Connection>, Failure> {
    let of = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let Some(endpoint) = of("AWS_ENDPOINT_URL") else { return Ok(None) };
    let (Some(access_key_id), Some(secret_access_key)) =
        (of("AWS_ACCESS_KEY_ID"), of("AWS_SECRET_ACCESS_KEY"))
    else {
        return Err(Failure::new(
            Kind::Environment,
            "AWS_ENDPOINT_URL is set, AWS_ACCESS_KEY_ID or AWS_SECRET_ACCESS_KEY is not",
        )
        .hinted("eval \"$(kennel env)\" sets all of them"));
    };
    let region = of("AWS_REGION").or_else(|| of("AWS_DEFAULT_REGION"));
    let credentials =
        Credentials { access_key_id, secret_access_key, session_token: of("AWS_SESSION_TOKEN") };
    let region = region.unwrap_or_else(|| "us-east-1".to_owned());
    Connection::open(&endpoint, &region, credentials).map(Some)
}

fn not_running(data_dir: &DataDir) -> Failure {
    let place = data_dir.path().display();
    Failure::new(Kind::Unreachable, format!("no server answers for the data directory `{place}`"))
        .hinted("start one with `kennel up`")
}

/// An error of the API as a failure of the verb.
pub fn refused(what: &str, error: &kennel_client::Error) -> Failure {
    let kind = if error.is_unreachable() { Kind::Unreachable } else { Kind::Refused };
    Failure::caused(kind, what, error)
}
