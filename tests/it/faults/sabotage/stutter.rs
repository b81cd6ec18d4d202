//! Somebody who says everything twice.

use bellhop::sandbox::Sandbox;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Hands each request on twice and answers with the first answer. One request a connection.
pub(super) async fn stutter(listener: TcpListener, marketplace: Sandbox) {
    let to = marketplace.url().trim_start_matches("http://").to_owned();
    while let Ok((mut stream, _)) = listener.accept().await {
        let to = to.clone();
        tokio::spawn(async move {
            let request = one_request(&mut stream).await?;
            let answer = said(&to, &request).await?;
            said(&to, &request).await?;
            stream.write_all(&answer).await?;
            stream.shutdown().await
        });
    }
}

/// Reads a request with its body, and asks for the end of the connection after its answer.
async fn one_request(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut request = Vec::new();
    loop {
        let mut some = [0; 4096];
        let read = stream.read(&mut some).await?;
        request.extend_from_slice(&some[..read]);
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length")
                    .then(|| value.trim().parse::<usize>().unwrap_or(0))
            });
            if body.len() >= length.unwrap_or(0) {
                return Ok(text.replacen("\r\n", "\r\nconnection: close\r\n", 1).into_bytes());
            }
        }
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}

async fn said(to: &str, request: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(to).await?;
    stream.write_all(request).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(answer)
}
