//! The way between a Bellhop and its database, with somebody on it who can be mean.

use std::{net::Ipv4Addr, time::Duration};

use sqlx::PgPool;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixStream},
    sync::watch,
};

/// What becomes of what is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// It arrives.
    Open,
    /// Every connection ends at once.
    Shut,
    /// Nothing arrives, and nobody is told.
    Silent,
    /// It arrives and is done; the answer is lost, and the connection with it.
    Unanswered,
    /// The same, and the way is open again after that.
    UnansweredOnce,
}

/// A way to the database of a pool.
pub(crate) struct Gate {
    port: u16,
    user: String,
    database: String,
    way: watch::Sender<Way>,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Gate {
    pub(crate) async fn to(pool: &PgPool, way: Way) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let way = watch::Sender::new(way);
        let options = pool.connect_options();
        let gate = Self {
            port,
            user: options.get_username().to_owned(),
            database: options.get_database().expect("a database").to_owned(),
            way: way.clone(),
        };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server: Box<dyn Stream> = match options.get_socket() {
                    Some(folder) => {
                        let socket = folder.join(format!(".s.PGSQL.{}", options.get_port()));
                        Box::new(UnixStream::connect(socket).await.expect("the server"))
                    }
                    None => {
                        let address = (options.get_host(), options.get_port());
                        Box::new(TcpStream::connect(address).await.expect("the server"))
                    }
                };
                tokio::spawn(carry(client, server, way.clone()));
            }
        });
        gate
    }

    /// The address of the database by this way.
    pub(crate) fn url(&self) -> String {
        format!(
            "postgres://{}@127.0.0.1:{}/{}?sslmode=disable",
            self.user, self.port, self.database
        )
    }

    pub(crate) fn now(&self, way: Way) {
        self.way.send_replace(way);
    }

    pub(crate) fn is(&self, way: Way) -> bool {
        *self.way.borrow() == way
    }
}

async fn carry(mut client: TcpStream, mut server: Box<dyn Stream>, way: watch::Sender<Way>) {
    let mut changes = way.subscribe();
    let (mut asked, mut answered) = ([0; 8192], [0; 8192]);
    loop {
        let now = *changes.borrow_and_update();
        if now == Way::Shut {
            return;
        }
        let silent = now == Way::Silent;
        tokio::select! {
            _ = changes.changed() => {}
            read = client.read(&mut asked), if !silent => match read {
                Ok(length) if length > 0 && server.write_all(&asked[..length]).await.is_ok() => {}
                Ok(_) | Err(_) => return,
            },
            read = server.read(&mut answered), if !silent => match (read, now) {
                (Ok(length), Way::Open) if length > 0 => {
                    if client.write_all(&answered[..length]).await.is_err() {
                        return;
                    }
                }
                (Ok(length), Way::Unanswered | Way::UnansweredOnce) if length > 0 => {
                    // Whatever the server still does for this client, it does.
                    tokio::time::sleep(Duration::from_millis(30)).await;
                    way.send_if_modified(|way| {
                        let once = *way == Way::UnansweredOnce;
                        if once {
                            *way = Way::Open;
                        }
                        once
                    });
                    return;
                }
                _ => return,
            },
        }
    }
}
