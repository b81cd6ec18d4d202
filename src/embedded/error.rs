use std::io;
use std::path::{Path, PathBuf};

/// Why the embedded server cannot be used. Every message ends with what the reader can do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No folder holds `postgres`, `initdb` and `pg_ctl`.
    #[error(
        "no PostgreSQL binaries found: install the distribution's postgresql package, \
         name their folder with PG_BIN, or set database.url"
    )]
    BinariesNotFound,
    /// The folder named by the configuration is not a folder of server binaries.
    #[error("{} does not hold postgres, initdb and pg_ctl: name the folder that does with PG_BIN", folder.display())]
    NotABinaryFolder {
        /// The folder that was named.
        folder: PathBuf,
    },
    /// The binaries are older than what the queries are written for.
    #[error("PostgreSQL {found} in {} is too old: install version {oldest} or newer", folder.display())]
    TooOld {
        /// Where the binaries lie.
        folder: PathBuf,
        /// Their major version.
        found: u32,
        /// The oldest one that works.
        oldest: u32,
    },
    /// The data folder was written by another major version than the one installed.
    #[error(
        "the data in {} was written by PostgreSQL {cluster}, but only version {binaries} is installed: \
         install postgresql-{cluster} beside it, or move the data with pg_upgrade", folder.display()
    )]
    OtherVersion {
        /// The cluster's folder.
        folder: PathBuf,
        /// The major version that wrote it.
        cluster: u32,
        /// The newest major version found.
        binaries: u32,
    },
    /// A Unix socket's address is a short fixed array in the kernel.
    #[error(
        "the database socket {} would be {length} bytes long and the system allows {limit}: \
         choose a data folder with a shorter path", socket.display()
    )]
    PathTooLong {
        /// The socket file.
        socket: PathBuf,
        /// The length of its path in bytes.
        length: usize,
        /// The longest path the system takes.
        limit: usize,
    },
    /// The connection URL is text, so the path in it must be text.
    #[error("the data folder {} is not valid Unicode: choose another one", folder.display())]
    NotUnicode {
        /// The folder that was named.
        folder: PathBuf,
    },
    /// Another Bellhop has the data folder.
    #[error(
        "{} is in use by another running Bellhop{owner}: stop it, or choose another data folder",
        folder.display()
    )]
    Owned {
        /// The data folder.
        folder: PathBuf,
        /// Its process, as far as it is known: " (process 17)" or nothing.
        owner: String,
    },
    /// PostgreSQL refuses to run as root, and there is nobody else.
    #[error("PostgreSQL does not run as root and there is no user postgres or nobody: run Bellhop as another user")]
    NoServerUser,
    /// The server's user cannot reach the data folder.
    #[error(
        "PostgreSQL does not run as root, and its user (uid {uid}) may not enter {}: \
         choose a data folder elsewhere, for example below /var/lib", folder.display()
    )]
    Unreachable {
        /// The folder that keeps the server out.
        folder: PathBuf,
        /// The user the server would run as.
        uid: u32,
    },
    /// A tool of PostgreSQL ended with an error.
    #[error("{tool} failed, its last words are below; correct what they name and start again\n{output}")]
    ToolFailed {
        /// Which tool.
        tool: &'static str,
        /// The end of what it wrote.
        output: String,
    },
    /// The server ended while it was starting.
    #[error(
        "PostgreSQL ended while starting; correct what its log {} names and start again\n{tail}", log.display()
    )]
    ServerEnded {
        /// Its log file.
        log: PathBuf,
        /// The end of that file.
        tail: String,
    },
    /// The server runs but takes no connection.
    #[error("PostgreSQL took no connection within {seconds} s: look into its log {}", log.display())]
    Silent {
        /// How long was waited.
        seconds: u64,
        /// Its log file.
        log: PathBuf,
    },
    /// The server answered a statement of ours with an error.
    #[error("PostgreSQL answered {code} {message}: look into its log {}", log.display())]
    Refused {
        /// The SQLSTATE.
        code: String,
        /// Its message.
        message: String,
        /// Its log file.
        log: PathBuf,
    },
    /// A file, folder or program could not be used.
    #[error("cannot {deed} {}: {source}; check who owns it, its permissions and the free space", path.display())]
    Io {
        /// What was tried.
        deed: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Error {
    /// For `map_err`: what was tried, and on what.
    pub(super) fn io(deed: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { deed, path, source }
    }
}
