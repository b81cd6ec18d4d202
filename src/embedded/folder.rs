//! The data folder: what lies in it, whose it is, and who may use it.
//!
//! ```text
//! <data folder>/lock        held by the one Bellhop that uses the folder
//! <data folder>/cluster/    PostgreSQL's own; appears whole or not at all
//! <data folder>/socket/     the only way in, closed to other users
//! <data folder>/server.log  what the server says; the previous run's beside it
//! ```

use std::fs::{self, DirBuilder, File, Permissions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process;

use super::account::Account;
use super::error::Error;

/// `sockaddr_un.sun_path` less its closing zero.
const SOCKET_PATH_LIMIT: usize = if cfg!(target_os = "linux") { 107 } else { 103 };
/// Folders in the making carry this and the maker's process id.
const HALF_MADE: &str = "initdb-";

/// A data folder that exists and that the server's user may enter.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    root: PathBuf,
    account: Account,
}

impl Folder {
    /// Checks the path before anything is made, then makes what is missing. Folders that were there keep their owner
    /// and permissions, because the path may be a shared one.
    pub(super) async fn prepare(data_dir: &Path) -> Result<Self, Error> {
        let root = std::path::absolute(data_dir).map_err(Error::io("find", data_dir))?;
        let account = Account::choose(&root.join("cluster")).await?;
        let folder = Self { root, account };
        folder.check_path()?;
        if !folder.root.exists() {
            fs::create_dir_all(&folder.root).map_err(Error::io("create the folder", &folder.root))?;
            if account != Account::Ourselves {
                let enter_only = Permissions::from_mode(0o711);
                fs::set_permissions(&folder.root, enter_only).map_err(Error::io("open", &folder.root))?;
            }
        }
        account.check_reach(&folder.cluster())?;
        Ok(folder)
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn account(&self) -> Account {
        self.account
    }

    pub(super) fn cluster(&self) -> PathBuf {
        self.root.join("cluster")
    }

    pub(super) fn socket_folder(&self) -> PathBuf {
        self.root.join("socket")
    }

    /// The name is fixed by PostgreSQL and the port.
    pub(super) fn socket(&self) -> PathBuf {
        self.socket_folder().join(format!(".s.PGSQL.{}", super::PORT))
    }

    pub(super) fn log(&self) -> PathBuf {
        self.root.join("server.log")
    }

    /// Takes the folder for this process, for as long as the file lives; the system lets go of it however we end.
    pub(super) fn lock(&self) -> Result<File, Error> {
        let path = self.root.join("lock");
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(Error::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(self.owned(&mut file)),
            Err(TryLockError::Error(source)) => return Err(Error::io("lock", &path)(source)),
        }
        file.set_len(0)
            .and_then(|()| write!(file, "{}", process::id()))
            .map_err(Error::io("write", &path))?;
        Ok(file)
    }

    /// The major version that wrote the cluster, or `None` when there is none yet.
    pub(super) fn cluster_version(&self) -> Result<Option<u32>, Error> {
        let path = self.cluster().join("PG_VERSION");
        if !self.cluster().exists() {
            return Ok(None);
        }
        let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
        match text.trim().parse() {
            Ok(major) => Ok(Some(major)),
            Err(error) => Err(Error::io("understand", &path)(io::Error::other(error))),
        }
    }

    /// The folder for the socket; only the server's user and root get in, which is what makes `trust` safe.
    pub(super) fn make_socket_folder(&self) -> Result<(), Error> {
        let path = self.socket_folder();
        if !path.exists() {
            self.make_private(&path)?;
        }
        Ok(())
    }

    /// An empty folder for `initdb`, under a name that no server will ever look at. The process id keeps it apart from
    /// one that an orphaned `initdb` of a killed Bellhop is still writing to.
    pub(super) fn begin_cluster(&self) -> Result<PathBuf, Error> {
        let path = self.root.join(format!("{HALF_MADE}{}", process::id()));
        self.make_private(&path)?;
        Ok(path)
    }

    /// Gives the finished cluster its name; until then it does not exist. The folder is synced so that a power cut
    /// cannot take the name back after the first acknowledged event.
    pub(super) fn finish_cluster(&self, half_made: &Path) -> Result<(), Error> {
        let cluster = self.cluster();
        fs::rename(half_made, &cluster).map_err(Error::io("create", &cluster))?;
        File::open(&self.root)
            .and_then(|root| root.sync_all())
            .map_err(Error::io("sync", &self.root))
    }

    /// Removes what crashed starts left half-made. A failure is no reason not to start: nothing reads those folders.
    pub(super) fn sweep(&self) {
        let entries = fs::read_dir(&self.root).into_iter().flatten().filter_map(Result::ok);
        for entry in entries.filter(|entry| entry.file_name().as_bytes().starts_with(HALF_MADE.as_bytes())) {
            let path = entry.path();
            match fs::remove_dir_all(&path) {
                Ok(()) => tracing::info!(folder = %path.display(), "removed a half-made database cluster"),
                Err(error) => tracing::warn!(folder = %path.display(), %error, "a half-made cluster stays behind"),
            }
        }
    }

    fn check_path(&self) -> Result<(), Error> {
        if self.root.to_str().is_none() {
            return Err(Error::NotUnicode {
                folder: self.root.clone(),
            });
        }
        let socket = self.socket();
        let length = socket.as_os_str().len();
        if length > SOCKET_PATH_LIMIT {
            return Err(Error::PathTooLong {
                socket,
                length,
                limit: SOCKET_PATH_LIMIT,
            });
        }
        Ok(())
    }

    fn make_private(&self, path: &Path) -> Result<(), Error> {
        DirBuilder::new()
            .mode(0o700)
            .create(path)
            .map_err(Error::io("create the folder", path))?;
        self.account.give(path)
    }

    fn owned(&self, lock: &mut File) -> Error {
        let mut text = String::new();
        let owner = match lock.read_to_string(&mut text) {
            Ok(_) if !text.is_empty() => format!(" (process {text})"),
            // The owner has not written its number yet; the message does without.
            _ => String::new(),
        };
        Error::Owned {
            folder: self.root.clone(),
            owner,
        }
    }
}
