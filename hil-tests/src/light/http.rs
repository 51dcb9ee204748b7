//! HTTP as boot programs speak it: UEFI asks for the head first, iPXE loads
//! at once.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use smoltcp::socket::tcp;

use super::network::Network;

/// Longest response head.
const MAX_HEAD: usize = 4096;
/// Bytes that may wait in each direction.
const BUFFER: usize = 65_535;
/// A server that acknowledges nothing for so long is given up.
const STALL: smoltcp::time::Duration = smoltcp::time::Duration::from_secs(20);
/// Longest wait for the next bytes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Which program asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// EDK II's HTTP boot: HEAD, then GET.
    Uefi,
    /// iPXE: GET.
    Ipxe,
}

/// Loads what a URL names, whole.
pub(super) fn fetch(network: &mut Network, url: &str, style: Style) -> Result<Vec<u8>> {
    load(network, url, style).with_context(|| url.to_owned())
}

fn load(network: &mut Network, url: &str, style: Style) -> Result<Vec<u8>> {
    let (server, path) = parse(url)?;
    match style {
        Style::Uefi => {
            let common = "Accept: */*\r\nUser-Agent: UefiHttpBoot/1.0\r\n";
            let (length, _) = request(network, server, "HEAD", path, common)?;
            let (_, body) = request(network, server, "GET", path, common)?;
            ensure!(
                body.len() == length,
                "{url}: HEAD says {length} bytes, GET gave {}",
                body.len()
            );
            Ok(body)
        }
        Style::Ipxe => {
            let common = "User-Agent: iPXE/1.21.1+git-20220113\r\nConnection: keep-alive\r\n";
            Ok(request(network, server, "GET", path, common)?.1)
        }
    }
}

/// Server and path of `http://ADDRESS[:PORT]/PATH`.
fn parse(url: &str) -> Result<(SocketAddrV4, &str)> {
    let rest = url
        .strip_prefix("http://")
        .with_context(|| format!("{url} is no HTTP URL"))?;
    let at = rest.find('/').unwrap_or(rest.len());
    let (host, path) = rest.split_at(at);
    let (host, port) = match host.split_once(':') {
        Some((host, port)) => (host, port.parse()?),
        None => (host, 80),
    };
    let address: Ipv4Addr = host.parse().with_context(|| format!("the host of {url}"))?;
    let path = if path.is_empty() { "/" } else { path };
    Ok((SocketAddrV4::new(address, port), path))
}

/// One request on a connection of its own: the length that the head says,
/// and the body.
fn request(
    network: &mut Network,
    server: SocketAddrV4,
    method: &str,
    path: &str,
    headers: &str,
) -> Result<(usize, Vec<u8>)> {
    let buffer = || tcp::SocketBuffer::new(vec![0; BUFFER]);
    let mut socket = tcp::Socket::new(buffer(), buffer());
    socket.set_timeout(Some(STALL));
    let port = network.local_port();
    socket.connect(network.interface.context(), server, port)?;
    let handle = network.sockets.add(socket);
    let text = format!(
        "{method} {path} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n",
        server.ip()
    );
    let result = exchange(network, handle, text.as_bytes(), method == "HEAD");
    let socket = network.sockets.get_mut::<tcp::Socket<'_>>(handle);
    if result.is_ok() {
        socket.close();
    } else {
        socket.abort();
    }
    network.poll();
    // Its FIN is on the way; what the server says to it concerns nobody.
    network.sockets.remove(handle);
    result
}

fn exchange(
    network: &mut Network,
    handle: smoltcp::iface::SocketHandle,
    mut request: &[u8],
    head_only: bool,
) -> Result<(usize, Vec<u8>)> {
    let mut received = Vec::new();
    let mut head = None;
    let mut end = Instant::now() + PATIENCE;
    loop {
        network.turn(end.min(Instant::now() + Duration::from_secs(1)), &[])?;
        let socket = network.sockets.get_mut::<tcp::Socket<'_>>(handle);
        if !request.is_empty() && socket.can_send() {
            let sent = socket.send_slice(request)?;
            request = &request[sent..];
            network.poll();
            continue;
        }
        while socket.can_recv() {
            socket.recv(|bytes| {
                received.extend_from_slice(bytes);
                (bytes.len(), ())
            })?;
            end = Instant::now() + PATIENCE;
        }
        let open = socket.is_open() && (socket.may_recv() || !request.is_empty());
        if head.is_none() {
            head = parse_head(&received)?;
            ensure!(
                head.is_some() || received.len() < MAX_HEAD,
                "the response's head does not end"
            );
        }
        if let Some((start, length)) = head
            && (head_only || received.len() >= start + length)
        {
            let body = if head_only { 0 } else { length };
            received.drain(..start);
            received.truncate(body);
            return Ok((length, received));
        }
        if !open {
            bail!("the server closed after {} bytes", received.len());
        }
        ensure!(Instant::now() < end, "the server sends nothing any more");
    }
}

/// Where the body starts and how long it is; none where the head is not
/// whole.
fn parse_head(bytes: &[u8]) -> Result<Option<(usize, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(start) = response
        .parse(bytes)
        .map_err(|error| anyhow!("the head: {error}"))?
    else {
        return Ok(None);
    };
    let status = response.code.unwrap_or(0);
    ensure!(status == 200, "status {status}");
    let length = response
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"))
        .context("no Content-Length")?;
    Ok(Some((start, std::str::from_utf8(length.value)?.parse()?)))
}
