//! Fetches a picture from the address that a request gives.
//!
//! The address is a stranger's. Only http and https are spoken, redirects are not followed, the
//! environment's proxy variables are not read, sizes and times are bounded, and the address that
//! is really connected to is checked *after* names were resolved, so that no name can lead into
//! the host's own network. Behind an egress proxy, the proxy resolves and checks.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::header::{ACCEPT, CONTENT_LENGTH, HOST, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::FetchOptions;
use super::address::is_public;

/// A photo straight from a camera fits.
const PICTURE_BYTES_MAX: usize = 25 * 1024 * 1024;
const CONNECT_SECS_MAX: u64 = 5;
const FETCH_SECS_MAX: u64 = 20;
const URL_BYTES_MAX: usize = 8 * 1024;
/// A proxy's answer to CONNECT is a few lines.
const PROXY_ANSWER_BYTES_MAX: usize = 8 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the url is not a valid http or https address")]
    Url,
    #[error("the url's host cannot be resolved")]
    Resolve(#[source] std::io::Error),
    #[error("the url leads to a private or special network address, which is not fetched from")]
    Private,
    #[error("the url's host cannot be connected to")]
    Connect(#[source] std::io::Error),
    #[error("the egress proxy refused the connection with status {0}")]
    Proxy(u16),
    #[error("the egress proxy does not answer CONNECT as HTTP says")]
    ProxyAnswer,
    #[error("no TLS connection with the url's host")]
    Tls(#[source] std::io::Error),
    #[error("the url's host did not answer as HTTP says")]
    Http(#[from] hyper::Error),
    #[error("the url answered with status {0}, and redirects are not followed")]
    Redirect(u16),
    #[error("the url answered with status {0}")]
    Status(u16),
    #[error("the picture behind the url has more than {PICTURE_BYTES_MAX} bytes")]
    TooLarge,
    #[error("the url's answer broke off")]
    Body,
    #[error("the url did not answer within {0} s")]
    Timeout(u64),
}

pub struct Fetcher {
    options: FetchOptions,
    tls: TlsConnector,
}

impl Fetcher {
    pub fn new(options: FetchOptions) -> Result<Self, rustls::Error> {
        let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { options, tls: TlsConnector::from(Arc::new(config)) })
    }

    /// The bytes behind `url`.
    pub async fn fetch(&self, url: &str) -> Result<Bytes, Error> {
        let limit = Duration::from_secs(FETCH_SECS_MAX);
        tokio::time::timeout(limit, self.fetch_in_time(url))
            .await
            .unwrap_or(Err(Error::Timeout(FETCH_SECS_MAX)))
    }

    async fn fetch_in_time(&self, url: &str) -> Result<Bytes, Error> {
        let target = Target::parse(url)?;
        let limit = Duration::from_secs(CONNECT_SECS_MAX);
        let connected = match &self.options.proxy {
            Some(proxy) => tokio::time::timeout(limit, self.connect_through(proxy, &target)).await,
            None => tokio::time::timeout(limit, self.connect(&target)).await,
        };
        let stream = connected.unwrap_or(Err(Error::Timeout(CONNECT_SECS_MAX)))?;
        if !target.tls {
            return get(stream, &target).await;
        }
        let name = ServerName::try_from(target.host.clone()).map_err(|_| Error::Url)?;
        let stream = self.tls.connect(name, stream).await.map_err(Error::Tls)?;
        get(stream, &target).await
    }

    /// Connects to an address that was checked, not to a name that could mean another one by then.
    async fn connect(&self, target: &Target) -> Result<TcpStream, Error> {
        let addresses: Vec<SocketAddr> =
            tokio::net::lookup_host((target.host.as_str(), target.port))
                .await
                .map_err(Error::Resolve)?
                .collect();
        let mut last = Error::Private;
        for address in addresses {
            if !self.may_connect(address.ip()) {
                continue;
            }
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = Error::Connect(error),
            }
        }
        Err(last)
    }

    async fn connect_through(&self, proxy: &str, target: &Target) -> Result<TcpStream, Error> {
        if let Some(address) = target.literal
            && !self.may_connect(address)
        {
            return Err(Error::Private);
        }
        let mut stream = TcpStream::connect(proxy).await.map_err(Error::Connect)?;
        let authority = target.authority(true);
        let request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.map_err(Error::Connect)?;
        match proxy_status(&mut stream).await? {
            200 => Ok(stream),
            status => Err(Error::Proxy(status)),
        }
    }

    fn may_connect(&self, address: IpAddr) -> bool {
        self.options.private_allowed || is_public(address)
    }
}

/// Reads a proxy's answer byte by byte: what follows it belongs to the tunnel.
async fn proxy_status(stream: &mut TcpStream) -> Result<u16, Error> {
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() >= PROXY_ANSWER_BYTES_MAX {
            return Err(Error::ProxyAnswer);
        }
        answer.push(stream.read_u8().await.map_err(Error::Connect)?);
    }
    let text = String::from_utf8_lossy(&answer);
    let mut words = text.split_ascii_whitespace();
    let is_http = words.next().is_some_and(|word| word.starts_with("HTTP/1."));
    let status = words.next().and_then(|word| word.parse().ok());
    status.filter(|_| is_http).ok_or(Error::ProxyAnswer)
}

/// Where to connect and what to ask for.
#[derive(Debug)]
struct Target {
    tls: bool,
    /// A name, or an address without brackets.
    host: String,
    port: u16,
    /// The host where it is an address.
    literal: Option<IpAddr>,
    path: String,
}

impl Target {
    fn parse(url: &str) -> Result<Self, Error> {
        if url.len() > URL_BYTES_MAX {
            return Err(Error::Url);
        }
        let uri: Uri = url.trim().parse().map_err(|_| Error::Url)?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(Error::Url),
        };
        let authority = uri.authority().ok_or(Error::Url)?;
        // Credentials in an address would end up in someone's log.
        if authority.as_str().contains('@') {
            return Err(Error::Url);
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(Error::Url);
        }
        Ok(Self {
            tls,
            port: authority.port_u16().unwrap_or(if tls { 443 } else { 80 }),
            literal: host.parse().ok(),
            host,
            path: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        })
    }

    /// `host:port`, the port left out where it is the scheme's own and `full` is not wanted.
    fn authority(&self, full: bool) -> String {
        let host = match self.literal {
            Some(IpAddr::V6(_)) => format!("[{}]", self.host),
            _ => self.host.clone(),
        };
        let own = if self.tls { 443 } else { 80 };
        if full || self.port != own { format!("{host}:{}", self.port) } else { host }
    }
}

async fn get<S>(stream: S, target: &Target) -> Result<Bytes, Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the connection, at the latest when the sender is dropped.
    let driver = tokio::spawn(connection);
    let fetched = async {
        let request = Request::builder()
            .method(Method::GET)
            .uri(&target.path)
            .header(HOST, target.authority(false))
            .header(USER_AGENT, concat!("kennel/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, "image/jpeg, image/png")
            .body(Empty::<Bytes>::new())
            .map_err(|_| Error::Url)?;
        read(sender.send_request(request).await?).await
    }
    .await;
    driver.abort();
    fetched
}

async fn read(response: Response<hyper::body::Incoming>) -> Result<Bytes, Error> {
    let status = response.status();
    if status.is_redirection() {
        return Err(Error::Redirect(status.as_u16()));
    }
    if status != StatusCode::OK {
        return Err(Error::Status(status.as_u16()));
    }
    let length = response.headers().get(CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > PICTURE_BYTES_MAX) {
        return Err(Error::TooLarge);
    }
    match Limited::new(response.into_body(), PICTURE_BYTES_MAX).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(Error::TooLarge),
        Err(_) => Err(Error::Body),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    fn fetcher(private_allowed: bool, proxy: Option<String>) -> Fetcher {
        Fetcher::new(FetchOptions { proxy, private_allowed }).unwrap()
    }

    /// A server on this host that gives each of `answers` to one request of the first connection;
    /// its port, and what it was asked first.
    async fn server(answers: &[&str]) -> (u16, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let answers: Vec<String> = answers.iter().map(|answer| (*answer).to_owned()).collect();
        let asked = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut first = None;
            for answer in answers {
                let mut asked = Vec::new();
                while !asked.ends_with(b"\r\n\r\n") {
                    asked.push(stream.read_u8().await.unwrap());
                }
                stream.write_all(answer.as_bytes()).await.unwrap();
                first.get_or_insert(String::from_utf8(asked).unwrap());
            }
            stream.shutdown().await.unwrap();
            first.unwrap()
        });
        (port, asked)
    }

    #[tokio::test]
    async fn a_picture_is_fetched_where_private_addresses_are_allowed() {
        let (port, asked) = server(&["HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd"]).await;
        let url = format!("http://127.0.0.1:{port}/dog.jpg?size=2");
        assert_eq!(fetcher(true, None).fetch(&url).await.unwrap(), "abcd");
        let asked = asked.await.unwrap().to_ascii_lowercase();
        assert!(asked.starts_with("get /dog.jpg?size=2 http/1.1\r\n"), "{asked}");
        assert!(asked.contains(&format!("host: 127.0.0.1:{port}\r\n")), "{asked}");
    }

    #[tokio::test]
    async fn addresses_and_names_of_this_host_are_refused() {
        for host in ["127.0.0.1", "localhost", "[::1]", "0.0.0.0", "[::ffff:127.0.0.1]", "127.1"] {
            let result = fetcher(false, None).fetch(&format!("http://{host}:9/x")).await;
            assert!(
                matches!(result, Err(Error::Private | Error::Resolve(_))),
                "{host}: {result:?}"
            );
        }
    }

    #[tokio::test]
    async fn redirects_errors_and_too_large_pictures_are_refused() {
        let cases = [
            ("HTTP/1.1 302 Found\r\nLocation: http://x/\r\nContent-Length: 0\r\n\r\n", "redirects"),
            ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "status 404"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", "more than"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab", "broke off"),
            ("nonsense\r\n\r\n", "HTTP"),
        ];
        for (answer, expected) in cases {
            let (port, _asked) = server(&[answer]).await;
            let url = format!("http://127.0.0.1:{port}/");
            let error = fetcher(true, None).fetch(&url).await.unwrap_err().to_string();
            assert!(error.contains(expected), "{answer}: {error}");
        }
    }

    #[tokio::test]
    async fn a_host_that_does_not_speak_tls_is_said() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        });
        let url = format!("https://127.0.0.1:{port}/");
        let error = fetcher(true, None).fetch(&url).await.unwrap_err();
        assert!(matches!(error, Error::Tls(_)), "{error}");
    }

    #[tokio::test]
    async fn behind_a_proxy_it_asks_for_a_tunnel_and_private_literals_are_still_refused() {
        let (port, asked) = server(&[
            "HTTP/1.1 200 Connection established\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        ])
        .await;
        let fetcher = fetcher(false, Some(format!("127.0.0.1:{port}")));
        let private = fetcher.fetch("http://169.254.169.254/latest/meta-data").await;
        assert!(matches!(private, Err(Error::Private)));
        assert_eq!(fetcher.fetch("http://dogs.example/a.jpg").await.unwrap(), "ok");
        let asked = asked.await.unwrap();
        assert!(asked.starts_with("CONNECT dogs.example:80 HTTP/1.1\r\n"), "{asked}");
    }

    #[tokio::test]
    async fn a_proxy_that_refuses_is_said() {
        let (port, _asked) = server(&["HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"]).await;
        let fetcher = fetcher(false, Some(format!("127.0.0.1:{port}")));
        let error = fetcher.fetch("https://dogs.example/a.jpg").await.unwrap_err();
        assert!(matches!(error, Error::Proxy(403)), "{error}");
    }

    #[test]
    fn only_plain_http_addresses_are_taken() {
        for url in ["", "x", "/a", "ftp://a/b", "file:///etc/passwd", "http://u:p@host/", "http://"]
        {
            assert!(Target::parse(url).is_err(), "{url}");
        }
        let target = Target::parse("https://[2606:4700::1111]/a").unwrap();
        assert_eq!(target.authority(true), "[2606:4700::1111]:443");
        assert_eq!(target.authority(false), "[2606:4700::1111]");
        let target = Target::parse("https://dogs.example:8443").unwrap();
        assert_eq!(
            (target.authority(false).as_str(), target.path.as_str()),
            ("dogs.example:8443", "/")
        );
    }
}
