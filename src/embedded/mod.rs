//! A private PostgreSQL from the system's own binaries, for when no database is configured.
//!
//! Made on the first start, reached through a Unix socket only. A server whose Bellhop was killed is not killed with
//! it: the next start adopts it. For trying out, development and small installations; a larger one names its database.
//!
//! This module knows no SQL beyond `CREATE DATABASE`, no configuration and no environment.

mod account;
mod binaries;
mod error;
mod folder;
mod handshake;
mod server;

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};

use tokio::process::Child;

use binaries::Binaries;
use folder::Folder;

pub use error::Error;

/// The database made for Bellhop in the cluster.
const DATABASE: &str = "bellhop";
/// The only role; who may enter the socket's folder is it.
const SUPERUSER: &str = "bellhop";
/// Nothing listens on it; it only names the socket.
const PORT: u16 = 5432;

/// How to run the server.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder for everything: data, socket, log, lock. Made when missing.
    pub data_dir: PathBuf,
    /// The folder of the server's binaries (`PG_BIN`); `None` looks for the newest ones.
    pub bin_dir: Option<PathBuf>,
    /// Where to look for binaries when the distribution's own folder has none: the value of `PATH`.
    pub search_path: Option<OsString>,
    /// Whether commits survive a power cut. Only tests go without.
    pub durable: bool,
    /// Further settings of `postgresql.conf`, stronger than ours. An adopted server keeps those it was started with.
    pub settings: Vec<(String, String)>,
}

/// A running server and the right to use its folder.
///
/// Dropped without [`Embedded::stop`], it gives up the right and leaves the server running, just as a killed process
/// does; the next [`start`] adopts it.
#[derive(Debug)]
pub struct Embedded {
    folder: Folder,
    binaries: Binaries,
    /// Ours to wait for; `None` when adopted.
    child: Option<Child>,
    /// Held, never read.
    _lock: File,
}

/// Makes the cluster when there is none, adopts the server when one runs, starts it otherwise, and returns once it
/// takes connections.
///
/// # Errors
/// See [`Error`]; each message names the remedy.
pub async fn start(options: &Options) -> Result<Embedded, Error> {
    let folder = Folder::prepare(&options.data_dir).await?;
    let lock = folder.lock()?;
    folder.sweep();
    let cluster = folder.cluster();
    let version = folder.cluster_version()?;
    let existing = version.map(|major| (major, cluster.as_path()));
    let binaries = Binaries::find(options.bin_dir.as_deref(), options.search_path.as_deref(), existing).await?;
    if version.is_none() {
        server::create_cluster(&folder, &binaries, options.durable).await?;
    }
    folder.make_socket_folder()?;
    let child = match server::adopt(&folder).await? {
        true => None,
        false => Some(server::spawn(&folder, &binaries, options).await?),
    };
    server::ensure_database(&folder).await?;
    Ok(Embedded {
        folder,
        binaries,
        child,
        _lock: lock,
    })
}

/// A connection URL of the server that another Bellhop keeps running in this folder, for who only wants to look.
/// `None` when none runs.
///
/// # Errors
/// When the folder cannot be used, or the server there does not get ready.
pub async fn beside(data_dir: &Path) -> Result<Option<String>, Error> {
    let folder = Folder::prepare(data_dir).await?;
    Ok(server::adopt(&folder).await?.then(|| url_in(&folder)))
}

/// Role, database and port are spelt out so that no `PG…` variable changes them.
fn url_in(folder: &Folder) -> String {
    let host = percent_encoded(&folder.socket_folder().to_string_lossy());
    format!("postgres:///{DATABASE}?host={host}&port={PORT}&user={SUPERUSER}&sslmode=disable")
}

impl Embedded {
    /// A connection URL over the socket.
    pub fn url(&self) -> String {
        url_in(&self.folder)
    }

    /// Whether the server was already running, left behind by a Bellhop that was killed.
    pub fn adopted(&self) -> bool {
        self.child.is_none()
    }

    /// Stops the server and waits until it is gone; open transactions are rolled back.
    ///
    /// # Errors
    /// When the server does not stop; it is then left running, to be adopted by the next [`start`].
    pub async fn stop(mut self) -> Result<(), Error> {
        server::stop(&self.folder, &self.binaries).await?;
        if let Some(child) = &mut self.child {
            child
                .wait()
                .await
                .map_err(Error::io("wait for the server of", self.folder.root()))?;
        }
        Ok(())
    }
}

/// Not the form encoding of the `url` crate: libpq, and so `psql`, would read its `+` as a plus.
fn percent_encoded(path: &str) -> String {
    let mut encoded = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => encoded.push(byte.into()),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_survives_the_url() {
        assert_eq!(
            percent_encoded("/var/lib/bell hop+é&x"),
            "/var/lib/bell%20hop%2B%C3%A9%26x"
        );
    }
}
