//! Disconnecting an application.

use serde_json::json;

use super::Done;
use crate::{
    app::line::{Failure, Line},
    marketplace::calls::{self, installation::Uninstallation},
    store::jobs::{Claimed, Outcome},
};

/// Disconnects, and has the status looked at: what is seen there moves the installation. Where it is not installed, it
/// is done already.
pub(super) async fn run(job: &Claimed, line: &mut Line<'_>) -> Result<Done, Failure> {
    let came_to = line.send(&calls::installation::uninstall(job.place)).await?;
    let was_installed = matches!(came_to, Uninstallation::Done);
    Ok(Done {
        look_again: true,
        ..Done::of(Outcome::Done(json!({"was_installed": was_installed})))
    })
}
