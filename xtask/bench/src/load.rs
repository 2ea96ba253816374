//! The load generator: raw HTTP/1.1 over keep-alive connections, as cheap as it gets, because it shares the machine with
//! what it measures.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Requests to send: the same again and again, or each once.
#[derive(Clone)]
pub enum Requests {
    /// The same bytes.
    Same(Arc<Vec<u8>>),
    /// Each of these once.
    Each(Arc<Vec<Vec<u8>>>),
}

impl Requests {
    fn get(&self, number: usize) -> Option<&[u8]> {
        match self {
            Self::Same(request) => Some(request),
            Self::Each(requests) => requests.get(number).map(Vec::as_slice),
        }
    }
}

/// What a load did.
pub struct Measured {
    /// Answers a second.
    pub per_second: f64,
    /// Median latency.
    pub p50_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// Answers.
    pub count: usize,
    /// The bodies, in no order.
    pub bodies: Vec<Vec<u8>>,
}

/// A request's bytes.
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    let said = headers.iter().any(|(name, _)| *name == "content-type");
    if !body.is_empty() && !said {
        text.push_str("content-type: application/json\r\n");
    }
    text.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
    text.into_bytes()
}

/// Sends over `connections` until the time is over or the requests are.
///
/// # Errors
/// Any answer but 200 and 202: a figure that counts refusals is none.
pub async fn run(
    address: SocketAddr,
    connections: usize,
    requests: &Requests,
    time: Duration,
) -> anyhow::Result<Measured> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut streams = vec![];
    for _ in 0..connections {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        streams.push(stream);
    }
    let started = Instant::now();
    let mut workers = JoinSet::new();
    for stream in streams {
        let (requests, next) = (requests.clone(), next.clone());
        workers.spawn(connection(stream, requests, next, started + time));
    }
    gather(workers, started).await
}

type Taken = (Vec<u32>, Vec<Vec<u8>>);

async fn gather(
    mut workers: JoinSet<anyhow::Result<Taken>>,
    started: Instant,
) -> anyhow::Result<Measured> {
    let (mut latencies, mut bodies) = (vec![], vec![]);
    while let Some(worker) = workers.join_next().await {
        let (took, read) = worker??;
        latencies.extend(took);
        bodies.extend(read);
    }
    let seconds = started.elapsed().as_secs_f64();
    latencies.sort_unstable();
    let at = |share: f64| {
        let index = (latencies.len() as f64 * share) as usize;
        let micros = latencies.get(index.min(latencies.len().saturating_sub(1)));
        f64::from(micros.copied().unwrap_or(0)) / 1000.0
    };
    Ok(Measured {
        per_second: latencies.len() as f64 / seconds,
        p50_ms: at(0.5),
        p99_ms: at(0.99),
        count: latencies.len(),
        bodies,
    })
}

/// Sends each once, at a rate. A latency counts from when its request was due: one that had to wait for a free
/// connection is not let off.
///
/// # Errors
/// Any answer but 200 and 202.
pub async fn paced(
    address: SocketAddr,
    connections: usize,
    requests: Arc<Vec<Vec<u8>>>,
    rate: f64,
) -> anyhow::Result<Measured> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    let started = Instant::now();
    for _ in 0..connections {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (requests, next) = (requests.clone(), next.clone());
        workers.spawn(async move {
            let (mut latencies, mut buffer) = (vec![], Vec::with_capacity(4096));
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(request) = requests.get(number) else {
                    return Ok((latencies, vec![]));
                };
                let due = started + Duration::from_secs_f64(number as f64 / rate);
                tokio::time::sleep_until(due.into()).await;
                stream.write_all(request).await?;
                answer(&mut stream, &mut buffer).await?;
                latencies.push(due.elapsed().as_micros() as u32);
            }
        });
    }
    gather(workers, started).await
}

async fn connection(
    mut stream: TcpStream,
    requests: Requests,
    next: Arc<AtomicUsize>,
    until: Instant,
) -> anyhow::Result<Taken> {
    let keep = matches!(requests, Requests::Each(_));
    let (mut latencies, mut bodies, mut buffer) = (vec![], vec![], Vec::with_capacity(4096));
    while Instant::now() < until {
        let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) else {
            break;
        };
        let sent = Instant::now();
        stream.write_all(request).await?;
        let body = answer(&mut stream, &mut buffer).await?;
        latencies.push(sent.elapsed().as_micros() as u32);
        if keep {
            bodies.push(buffer[body..].to_vec());
        }
    }
    Ok((latencies, bodies))
}

// Reads one answer; where its body begins.
async fn answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> anyhow::Result<usize> {
    buffer.clear();
    loop {
        if stream.read_buf(buffer).await? == 0 {
            bail!("the connection was closed");
        }
        let Some(end) = buffer.windows(4).position(|w| w == b"\r\n\r\n") else {
            continue;
        };
        let head = std::str::from_utf8(&buffer[..end])?;
        let length: usize = head
            .lines()
            .find_map(|line| {
                let (name, value) = line.split_once(':')?;
                let is = name.eq_ignore_ascii_case("content-length");
                is.then(|| value.trim().parse().ok())?
            })
            .context("an answer without content-length")?;
        if buffer.len() >= end + 4 + length {
            let is_done = ["HTTP/1.1 200", "HTTP/1.1 202"]
                .iter()
                .any(|ok| head.starts_with(ok));
            if !is_done {
                bail!("{}", String::from_utf8_lossy(buffer));
            }
            return Ok(end + 4);
        }
    }
}
