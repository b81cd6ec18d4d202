//! A new process in place of this one, without a gap: it is started with the listening sockets, and
//! this one goes when it says that it is ready. If it never does, this one stays.

use std::{
    io::{PipeWriter, Write as _, pipe, stdin},
    os::fd::{AsFd, OwnedFd},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use command_fds::{CommandFdExt as _, FdMapping};
use tokio::{
    io::AsyncReadExt as _,
    net::unix::pipe::Receiver,
    process::{Child, Command},
};

use crate::web::{Copies, SOCKET_NAMES};

/// The option that tells a process that it is a successor: its standard input is where it says that it is ready.
pub(super) const OPTION: &str = "--successor";

/// Where handed-down files begin (`sd_listen_fds`).
const FIRST: i32 = 3;

/// Migrations and the first connection may take a while.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Starts a successor from the program and the arguments of this process, and waits until it is ready.
/// Returns its process id.
///
/// # Errors
/// When it did not start, ended, or was not ready in time. It is gone then.
pub(super) async fn hand_over(sockets: Copies) -> Result<u32> {
    let (reader, writer) = pipe().context("making a pipe")?;
    let mut reader = Receiver::from_owned_fd(OwnedFd::from(reader)).context("reading from a pipe")?;
    let mut child = start(sockets, writer)?;
    let id = child.id().unwrap_or_default();
    let mut word = [0];
    let problem = match tokio::time::timeout(READY_WITHIN, reader.read(&mut word)).await {
        Ok(Ok(1)) => {
            // It lives on when we end.
            std::mem::forget(child);
            return Ok(id);
        }
        Ok(Ok(_)) => format!("process {id} ended before it was ready; its log tells why"),
        Ok(Err(error)) => format!("process {id} cannot be heard: {error}"),
        Err(_) => format!("process {id} was not ready within {} s", READY_WITHIN.as_secs()),
    };
    // It may be gone already.
    let _ = child.kill().await;
    bail!(problem)
}

fn start(sockets: Copies, ready: PipeWriter) -> Result<Child> {
    let mut arguments = std::env::args_os();
    let program = arguments.next().context("the name of the program is not known")?;
    let mut command = Command::new(&program);
    command
        .args(arguments.filter(|argument| argument != OPTION))
        .arg(OPTION)
        // Until it is ready: when we are asked to end meanwhile, it is not wanted.
        .kill_on_drop(true)
        .stdin(Stdio::from(OwnedFd::from(ready)))
        .env("LISTEN_FDS", sockets.len().to_string())
        .env("LISTEN_FDNAMES", SOCKET_NAMES.join(":"))
        .env_remove("LISTEN_PID");
    let mappings = (FIRST..)
        .zip(sockets)
        .map(|(child_fd, parent_fd)| FdMapping { parent_fd, child_fd })
        .collect();
    command.fd_mappings(mappings).context("handing the sockets over")?;
    command
        .spawn()
        .with_context(|| format!("starting {}", program.display()))
}

/// Tells the process before this one that it may go.
///
/// # Errors
/// When it is gone already.
pub(super) fn tell_predecessor() -> Result<()> {
    let mut word = PipeWriter::from(stdin().as_fd().try_clone_to_owned()?);
    word.write_all(b"!").context("telling the process before this one")
}
