//! What stands in front of several processes, as in production: one address, and whoever lives behind it answers.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::timeout,
};

/// A balancer of connections.
pub(crate) struct Door {
    listener: Option<TcpListener>,
    pub(crate) port: u16,
    task: Option<JoinHandle<()>>,
}

impl Door {
    /// Takes an address; nobody is behind it yet.
    pub(crate) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        Self {
            listener: Some(listener),
            port,
            task: None,
        }
    }

    /// Opens it to these ports.
    pub(crate) fn open(&mut self, behind: Vec<u16>) {
        let listener = self.listener.take().expect("opened once");
        let behind: Arc<[u16]> = behind.into();
        self.task = Some(tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let behind = Arc::clone(&behind);
                tokio::spawn(async move {
                    if let Some(mut other) = somebody(&behind).await {
                        let _ = copy_bidirectional(&mut stream, &mut other).await;
                    }
                });
            }
        }));
    }
}

/// The first who takes the connection, beginning anywhere.
async fn somebody(behind: &[u16]) -> Option<TcpStream> {
    let first = fastrand::usize(..behind.len());
    for n in 0..behind.len() {
        let port = behind[(first + n) % behind.len()];
        let connecting = TcpStream::connect(("127.0.0.1", port));
        if let Ok(Ok(stream)) = timeout(Duration::from_millis(500), connecting).await {
            return Some(stream);
        }
    }
    None
}

impl Drop for Door {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}
