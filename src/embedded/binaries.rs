//! Finding `postgres`, `initdb` and `pg_ctl`, which packages put into different places.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::error::Error;

/// The oldest major version the queries are written for.
const OLDEST: u32 = 15;
/// Debian keeps every major version in a folder of its own, outside `PATH`.
const DISTRIBUTION: &str = "/usr/lib/postgresql";
const TOOLS: [&str; 3] = ["postgres", "initdb", "pg_ctl"];

/// A folder of server binaries of one version.
#[derive(Debug, Clone)]
pub(super) struct Binaries {
    folder: PathBuf,
    major: u32,
}

impl Binaries {
    /// The named folder, else the newest of the distribution's, else the first in `PATH`. With a cluster that exists
    /// already, only its own major version can read it.
    pub(super) async fn find(
        named: Option<&Path>,
        search_path: Option<&OsStr>,
        cluster: Option<(u32, &Path)>,
    ) -> Result<Self, Error> {
        if let Some(folder) = named
            && !is_complete(folder)
        {
            return Err(Error::NotABinaryFolder {
                folder: folder.to_owned(),
            });
        }
        let candidates = match named {
            Some(folder) => vec![folder.to_owned()],
            None => candidates(search_path),
        };
        let mut newest: Option<Self> = None;
        for folder in candidates {
            let found = Self::inspect(folder).await?;
            if cluster.is_none_or(|(major, _)| major == found.major) {
                return found.new_enough();
            }
            if newest.as_ref().is_none_or(|best| best.major < found.major) {
                newest = Some(found);
            }
        }
        match (newest, cluster) {
            (Some(found), Some((cluster, folder))) => Err(Error::OtherVersion {
                folder: folder.to_owned(),
                cluster,
                binaries: found.major,
            }),
            _ => Err(Error::BinariesNotFound),
        }
    }

    /// The path of one tool.
    pub(super) fn tool(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    async fn inspect(folder: PathBuf) -> Result<Self, Error> {
        let postgres = folder.join("postgres");
        let output = Command::new(&postgres)
            .arg("--version")
            .output()
            .await
            .map_err(Error::io("run", &postgres))?;
        let text = String::from_utf8_lossy(&output.stdout);
        match major_version(&text) {
            Some(major) => Ok(Self { folder, major }),
            None => Err(Error::NotABinaryFolder { folder }),
        }
    }

    fn new_enough(self) -> Result<Self, Error> {
        if self.major < OLDEST {
            return Err(Error::TooOld {
                folder: self.folder,
                found: self.major,
                oldest: OLDEST,
            });
        }
        Ok(self)
    }
}

fn is_complete(folder: &Path) -> bool {
    TOOLS.iter().all(|tool| folder.join(tool).is_file())
}

fn candidates(search_path: Option<&OsStr>) -> Vec<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir(DISTRIBUTION)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    versions.sort_by(|left, right| right.cmp(left));
    let in_path = search_path.into_iter().flat_map(std::env::split_paths);
    versions
        .into_iter()
        .map(|(_, folder)| folder)
        .chain(in_path)
        .filter(|folder| is_complete(folder))
        .collect()
}

/// "postgres (PostgreSQL) 15.18 (Debian …)", "postgres (PostgreSQL) 18beta1".
fn major_version(text: &str) -> Option<u32> {
    let version = text.split_once("(PostgreSQL) ")?.1;
    let digits = version.split(|letter: char| !letter.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_the_first_number() {
        assert_eq!(
            major_version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"),
            Some(15)
        );
        assert_eq!(major_version("postgres (PostgreSQL) 19beta2"), Some(19));
        assert_eq!(major_version("postgres (EnterpriseDB) 15"), None);
        assert_eq!(major_version("postgres (PostgreSQL) next"), None);
    }

    #[tokio::test]
    async fn a_named_folder_without_the_tools_is_refused_by_name() {
        let empty = tempfile::tempdir().unwrap();
        let error = Binaries::find(Some(empty.path()), None, None)
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(&empty.path().display().to_string()) && error.contains("PG_BIN"),
            "{error}"
        );
    }
}
