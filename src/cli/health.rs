use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    ConfigFile, Misused,
    output::{harmless, tell},
};

/// Less than what supervisors wait before they give a check up. A database that is silent takes `/readyz` 2 s.
const PATIENCE: Duration = Duration::from_millis(2500);

/// No answer of a probe is longer.
const LONGEST_ANSWER: u64 = 16 * 1024;

#[derive(Args)]
pub(super) struct Health {
    #[command(flatten)]
    config: ConfigFile,
    /// Ask whether it does its work, and not only whether it runs: the database answers, the workers get on.
    #[arg(long)]
    ready: bool,
}

impl Health {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let config = self.config.load()?;
        let address = reached_at(config.operator.listen)?;
        let path = if self.ready { "/readyz" } else { "/livez" };
        let answer = tokio::time::timeout(PATIENCE, ask(address, path)).await;
        let answer = answer
            .unwrap_or_else(|_| Err(anyhow!("no answer within {PATIENCE:?}")))
            .with_context(|| format!("http://{address}{path}"))?;
        let (status, body) =
            parts(&answer).with_context(|| format!("http://{address}{path}: {}", harmless(answer.trim(), false)))?;
        if status != 200 {
            bail!("http://{address}{path}: {status}: {}", harmless(body.trim(), false));
        }
        tell(body)
    }
}

/// Where this machine finds a listener.
fn reached_at(listen: SocketAddr) -> Result<SocketAddr> {
    if listen.port() == 0 {
        return Err(Misused(format!(
            "operator.listen = \"{listen}\" is another port at each start. Remedy: name one"
        ))
        .into());
    }
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    Ok(SocketAddr::new(ip, listen.port()))
}

/// HTTP/1.0 ends an answer with its connection, and so needs no client.
async fn ask(address: SocketAddr, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(LONGEST_ANSWER).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Status and body of an answer.
fn parts(answer: &str) -> Result<(u16, &str)> {
    let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
    let status = head.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5));
    Ok((status.context("no HTTP answer")?.parse()?, body))
}
