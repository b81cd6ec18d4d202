use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Bellhop, output::tell};

#[derive(Args)]
pub(super) struct Completion {
    /// For which shell.
    shell: Shell,
}

impl Completion {
    pub(super) fn run(self) -> Result<ExitCode> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Bellhop::command(), "bellhop", &mut script);
        tell(&String::from_utf8(script)?)
    }
}
