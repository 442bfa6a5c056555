//! The way to the rest of the world: HTTP CONNECT, to public addresses alone.
//!
//! The name is resolved here and the address that was checked is the one connected to, so that a
//! name that resolves differently a moment later leads nowhere else.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::time::timeout;

use super::connections;
use crate::limits::{CONNECT_HEAD_BYTES_MAX, CONNECT_TIMEOUT};

pub(super) async fn serve(listener: UnixListener) {
    connections::accept(listener, relay).await;
}

async fn relay(mut inside: UnixStream) -> io::Result<()> {
    let timed_out = |_| io::Error::from(io::ErrorKind::TimedOut);
    let head = timeout(CONNECT_TIMEOUT, read_head(&mut inside)).await.map_err(timed_out)??;
    let outside = match parse(&head) {
        Ok((host, port)) => match timeout(CONNECT_TIMEOUT, connect(&host, port)).await {
            Ok(connected) => connected,
            Err(_) => Err(Refusal::Unreachable("the connection took too long".to_owned())),
        },
        Err(refusal) => Err(refusal),
    };
    match outside {
        Ok(outside) => {
            inside.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
            connections::join(inside, outside).await
        }
        Err(refusal) => {
            let (status, reason) = match refusal {
                Refusal::Bad(reason) => ("400 Bad Request", reason),
                Refusal::Forbidden(reason) => ("403 Forbidden", reason),
                Refusal::Unreachable(reason) => ("502 Bad Gateway", reason),
            };
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\
                 Connection: close\r\n\r\n{reason}",
                reason.len()
            );
            inside.write_all(answer.as_bytes()).await
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    Bad(String),
    Forbidden(String),
    Unreachable(String),
}

/// Reads up to the empty line and not a byte further: what follows belongs to the other end.
async fn read_head(inside: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= CONNECT_HEAD_BYTES_MAX {
            return Err(io::Error::other("the CONNECT request is too long"));
        }
        head.push(inside.read_u8().await?);
    }
    Ok(head)
}

/// `CONNECT host:port HTTP/1.1`.
fn parse(head: &[u8]) -> Result<(String, u16), Refusal> {
    let bad = || Refusal::Bad("only `CONNECT host:port` is relayed".to_owned());
    let text = std::str::from_utf8(head).map_err(|_| bad())?;
    let mut words = text.lines().next().unwrap_or_default().split(' ');
    let (Some("CONNECT"), Some(target), Some(version)) = (words.next(), words.next(), words.next())
    else {
        return Err(bad());
    };
    if !version.starts_with("HTTP/1.") {
        return Err(bad());
    }
    let (host, port) = target.rsplit_once(':').ok_or_else(bad)?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let port = port.parse().map_err(|_| bad())?;
    if host.is_empty() || port == 0 { Err(bad()) } else { Ok((host.to_owned(), port)) }
}

async fn connect(host: &str, port: u16) -> Result<TcpStream, Refusal> {
    let unreachable = |error: io::Error| Refusal::Unreachable(format!("`{host}`: {error}"));
    let addresses: Vec<SocketAddr> =
        tokio::net::lookup_host((host, port)).await.map_err(unreachable)?.collect();
    // One private address among public ones is a trick, not a choice.
    if let Some(private) = addresses.iter().find(|address| !is_public(address.ip())) {
        let reason = format!("`{host}` is {}, which is not a public address", private.ip());
        return Err(Refusal::Forbidden(reason));
    }
    let mut last = io::Error::other("it has no address");
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(unreachable(last))
}

/// Whether the address is one of the public Internet.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [first, second, third, _] = address.octets();
    let carrier_grade_nat = first == 100 && (64..128).contains(&second);
    let this_network = first == 0;
    let protocol_assignments = first == 192 && second == 0 && third == 0;
    let benchmarks = first == 198 && (18..20).contains(&second);
    let reserved = first >= 240;
    !(address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        || carrier_grade_nat
        || this_network
        || protocol_assignments
        || benchmarks
        || reserved)
}

/// Global unicast is 2000::/3; within it lie forms that hold IPv4 addresses.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    let global_unicast = first & 0xE000 == 0x2000;
    let teredo = first == 0x2001 && second == 0;
    let documentation = first == 0x2001 && second == 0x0DB8;
    let six_to_four = first == 0x2002;
    global_unicast && !teredo && !documentation && !six_to_four
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_reached() {
        let refused = [
            "127.0.0.1",
            "127.8.9.1",
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.127.255.255",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "192.0.0.1",
            "198.18.0.1",
            "192.0.2.1",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
        ];
        for address in refused {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
        for address in ["8.8.8.8", "100.63.0.1", "100.128.0.1", "172.32.0.1", "2606:4700::1111"] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn only_connect_is_understood() {
        let parsed = |head: &str| parse(head.as_bytes()).map_err(|_| ());
        assert_eq!(
            parsed("CONNECT a.example:443 HTTP/1.1\r\n\r\n"),
            Ok(("a.example".to_owned(), 443))
        );
        assert_eq!(parsed("CONNECT [::1]:80 HTTP/1.1\r\n\r\n"), Ok(("::1".to_owned(), 80)));
        let bad = [
            "GET http://a/ HTTP/1.1\r\n\r\n",
            "CONNECT a HTTP/1.1\r\n\r\n",
            "CONNECT a:0 HTTP/1.1\r\n\r\n",
            "CONNECT :1 HTTP/1.1\r\n\r\n",
            "CONNECT a:99999 HTTP/1.1\r\n\r\n",
            "CONNECT a:1\r\n\r\n",
        ];
        for head in bad {
            assert_eq!(parsed(head), Err(()), "{head}");
        }
    }

    #[tokio::test]
    async fn a_name_that_leads_to_this_host_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("egress.sock");
        let listener = kennel_exec::socket::listen(&path).unwrap();
        let relay = tokio::spawn(serve(listener));
        for host in ["127.0.0.1", "localhost", "[::ffff:10.0.0.1]"] {
            let mut stream = kennel_exec::socket::connect(&path).await.unwrap();
            let request = format!("CONNECT {host}:80 HTTP/1.1\r\nHost: x\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 403 "), "{host}: {answer}");
        }
        relay.abort();
    }
}
