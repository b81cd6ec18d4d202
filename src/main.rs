//! The program: everything is in the library, see `bellhop::cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    bellhop::cli::main()
}
