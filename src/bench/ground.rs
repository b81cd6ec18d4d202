//! Where a run takes place: a folder of its own with private clusters, gone afterwards.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, symlink},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use super::{Plan, database, process};
use crate::{
    embedded::{self, Embedded},
    store::{self, PgPool, partitions},
};

/// A cluster takes no longer for one question.
const PATIENCE: Duration = Duration::from_secs(30);

/// Connections of the bench itself; its workers have one each, and the cleaning has others.
const CONNECTIONS: u32 = 8;

/// The folders of clusters, by name.
const CLUSTERS: [&str; 3] = ["plain", "slow", "full"];

/// The source of what makes a disk slower.
const SLOW_FSYNC: &str = include_str!("slow_fsync.c");

/// The folder of a run, and how PostgreSQL is found.
pub(super) struct Ground {
    pub(super) folder: PathBuf,
    bin_dir: Option<PathBuf>,
    search_path: Option<std::ffi::OsString>,
}

/// A running private cluster with Bellhop's tables and those of the references.
pub(super) struct Cluster {
    embedded: Embedded,
    pub(super) pool: PgPool,
    pub(super) url: String,
    /// Where `pgbench` is.
    pub(super) programs: PathBuf,
    /// The first process of the server; `None` where the system does not tell.
    pub(super) postmaster: Option<u32>,
    /// Whether it was filled on purpose: then only the queues are emptied between runs.
    pub(super) keeps: bool,
}

impl Ground {
    /// Makes the folder.
    pub(super) async fn prepare(plan: &Plan) -> Result<Self> {
        let above = plan.folder.clone().unwrap_or_else(std::env::temp_dir);
        let folder = std::path::absolute(above)?.join(format!("bellhop-bench-{}", std::process::id()));
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        // The server may run as another user, who has to get to its folder.
        fs::set_permissions(&folder, Permissions::from_mode(0o755))?;
        Ok(Self {
            folder,
            bin_dir: plan.bin_dir.clone(),
            search_path: plan.search_path.clone(),
        })
    }

    /// Removes everything, and stops first what a run that broke off has left running.
    pub(super) async fn clear(&self) -> Result<()> {
        for name in CLUSTERS {
            let options = self.options(name, self.bin_dir.clone());
            let exists = options.data_dir.exists();
            if exists && embedded::beside(&options.data_dir).await?.is_some() {
                embedded::start(&options).await?.stop().await?;
            }
        }
        fs::remove_dir_all(&self.folder).with_context(|| format!("removing {}", self.folder.display()))
    }

    /// What should be known about the machine.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = vec![format!("machine: {}", process::machine())];
        if cfg!(debug_assertions) {
            notes.push("this is a debug build: build with --release before you believe a figure".to_owned());
        }
        match process::file_system(&self.folder).as_deref() {
            Some("tmpfs" | "ramfs") => notes.push(format!(
                "{} is memory and no disk: choose another folder with --dir",
                self.folder.display()
            )),
            Some(kind) => notes.push(format!("the clusters are on {kind}")),
            None => {}
        }
        notes
    }

    /// A cluster as `bellhop serve` would run it.
    pub(super) async fn cluster(&self, name: &str) -> Result<Cluster> {
        Cluster::start(self.options(name, self.bin_dir.clone())).await
    }

    /// The same with every flush one millisecond slower; `None` where that cannot be made.
    pub(super) async fn slow_cluster(&self) -> Result<Option<Cluster>> {
        let Some(library) = self.slow_library().await? else {
            return Ok(None);
        };
        // Made with the real programs, which also tells where they are.
        let made = Cluster::start(self.options("slow", self.bin_dir.clone())).await?;
        let programs = made.programs.clone();
        made.stop().await?;
        let folder = self.folder.join("slow-programs");
        fs::create_dir(&folder)?;
        for tool in ["initdb", "pg_ctl"] {
            symlink(programs.join(tool), folder.join(tool))?;
        }
        let postgres = folder.join("postgres");
        let script = format!(
            "#!/bin/sh\nLD_PRELOAD='{}' exec '{}' \"$@\"\n",
            library.display(),
            programs.join("postgres").display()
        );
        fs::write(&postgres, script)?;
        fs::set_permissions(&postgres, Permissions::from_mode(0o755))?;
        Ok(Some(Cluster::start(self.options("slow", Some(folder))).await?))
    }

    async fn slow_library(&self) -> Result<Option<PathBuf>> {
        if !cfg!(target_os = "linux") {
            return Ok(None);
        }
        let (source, library) = (self.folder.join("slow_fsync.c"), self.folder.join("slow_fsync.so"));
        fs::write(&source, SLOW_FSYNC)?;
        let mut compiler = Command::new("cc");
        compiler
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(&library)
            .arg(&source)
            .arg("-ldl");
        match compiler.kill_on_drop(true).output().await {
            Ok(output) if output.status.success() => Ok(Some(library)),
            Ok(output) => bail!("cc: {}", String::from_utf8_lossy(&output.stderr).trim()),
            Err(_) => Ok(None),
        }
    }

    fn options(&self, name: &str, bin_dir: Option<PathBuf>) -> embedded::Options {
        embedded::Options {
            data_dir: self.folder.join(name),
            bin_dir,
            search_path: self.search_path.clone(),
            durable: true,
            settings: Vec::new(),
        }
    }

    /// A new folder for the files of a process.
    pub(super) fn corner(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder.join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir(&folder)?;
        Ok(folder)
    }
}

impl Cluster {
    async fn start(options: embedded::Options) -> Result<Self> {
        let embedded = embedded::start(&options).await?;
        match Self::furnished(embedded.url()).await {
            Ok((pool, programs, postmaster)) => Ok(Self {
                url: embedded.url(),
                embedded,
                pool,
                programs,
                postmaster,
                keeps: false,
            }),
            Err(error) => {
                embedded.stop().await?;
                Err(error)
            }
        }
    }

    async fn furnished(url: String) -> Result<(PgPool, PathBuf, Option<u32>)> {
        let pool = store::connect(&url, CONNECTIONS, PATIENCE)?;
        store::migrate(&pool).await?;
        partitions::ensure(&pool, 2).await?;
        database::add_references(&pool).await?;
        let (programs, backend) = database::whereabouts(&pool).await?;
        Ok((pool, PathBuf::from(programs), process::parent(backend)))
    }

    /// Stops the server. Its folder goes with the ground.
    pub(super) async fn stop(self) -> Result<()> {
        self.pool.close().await;
        self.embedded.stop().await.context("stopping a private PostgreSQL")
    }
}
