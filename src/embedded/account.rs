//! Who the server runs as: PostgreSQL refuses to run as root.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;

use tokio::process::Command;

use super::error::Error;

/// Read once per start; names are not resolved through network directories.
const ACCOUNTS: &str = "/etc/passwd";
const CANDIDATES: [&str; 2] = ["postgres", "nobody"];

/// The user of the server's processes and files: ourselves, unless we are root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Account {
    Ourselves,
    Other { uid: u32, gid: u32 },
}

impl Account {
    /// As root, the owner of a cluster that exists already, else `postgres`, else `nobody`.
    pub(super) async fn choose(cluster: &Path) -> Result<Self, Error> {
        if !we_are_root().await? {
            return Ok(Self::Ourselves);
        }
        if let Ok(metadata) = fs::metadata(cluster)
            && metadata.uid() != 0
        {
            return Ok(Self::Other {
                uid: metadata.uid(),
                gid: metadata.gid(),
            });
        }
        let accounts = fs::read_to_string(ACCOUNTS).map_err(Error::io("read", Path::new(ACCOUNTS)))?;
        let found = CANDIDATES.iter().find_map(|name| lookup(&accounts, name));
        let (uid, gid) = found.ok_or(Error::NoServerUser)?;
        Ok(Self::Other { uid, gid })
    }

    /// A command that will run as this user. Supplementary groups are dropped by the standard library.
    pub(super) fn command(self, program: &Path) -> Command {
        let mut command = Command::new(program);
        if let Self::Other { uid, gid } = self {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// Gives a file or folder that we made to this user.
    pub(super) fn give(self, path: &Path) -> Result<(), Error> {
        match self {
            Self::Ourselves => Ok(()),
            Self::Other { uid, gid } => {
                chown(path, Some(uid), Some(gid)).map_err(Error::io("change the owner of", path))
            }
        }
    }

    /// Checks that this user may enter every folder above `path`, which is ours to own.
    pub(super) fn check_reach(self, path: &Path) -> Result<(), Error> {
        let Self::Other { uid, gid } = self else { return Ok(()) };
        for folder in path.ancestors().skip(1) {
            let metadata = fs::metadata(folder).map_err(Error::io("look at", folder))?;
            let bit = match (metadata.uid() == uid, metadata.gid() == gid) {
                (true, _) => 0o100,
                (false, true) => 0o010,
                (false, false) => 0o001,
            };
            if metadata.mode() & bit == 0 {
                return Err(Error::Unreachable {
                    folder: folder.to_owned(),
                    uid,
                });
            }
        }
        Ok(())
    }
}

/// The standard library does not tell, and asking the system directly would take `unsafe`.
async fn we_are_root() -> Result<bool, Error> {
    let output = Command::new("id")
        .arg("-u")
        .output()
        .await
        .map_err(Error::io("run", Path::new("id")))?;
    Ok(output.stdout.trim_ascii() == b"0")
}

/// `name:password:uid:gid:…`
fn lookup(accounts: &str, name: &str) -> Option<(u32, u32)> {
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then_some(())?;
        Some((fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let accounts =
            "root:x:0:0:root:/root:/bin/sh\npostgresql:x:5:6::/:\npostgres:x:103:104::/var/lib/postgresql:\n";
        assert_eq!(lookup(accounts, "postgres"), Some((103, 104)));
        assert_eq!(lookup(accounts, "nobody"), None);
        assert_eq!(lookup("postgres:x:many", "postgres"), None);
    }

    #[test]
    fn a_closed_folder_on_the_way_is_named() {
        use std::os::unix::fs::PermissionsExt;
        let closed = tempfile::tempdir().unwrap();
        fs::set_permissions(closed.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let stranger = Account::Other {
            uid: 4_000_000,
            gid: 4_000_000,
        };
        let error = stranger
            .check_reach(&closed.path().join("data"))
            .unwrap_err()
            .to_string();
        assert!(error.contains(&closed.path().display().to_string()), "{error}");
        assert!(Account::Ourselves.check_reach(&closed.path().join("data")).is_ok());
    }
}
