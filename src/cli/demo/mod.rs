mod compare;
mod story;
mod world;

use std::{net::SocketAddr, process::ExitCode, time::Instant};

use anyhow::Result;
use clap::Args;

use self::world::World;
use super::serve::stop_asked;

/// Options of the demonstration.
#[derive(Args)]
pub struct Demo {
    /// End by itself, with status 1 when the marketplace and Bellhop disagree.
    #[arg(long)]
    exit: bool,
    /// Where the public listener opens; a free port when this one is taken.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where the operator listener opens; a free port when this one is taken.
    #[arg(long, default_value = "127.0.0.1:9090")]
    operator: SocketAddr,
    /// Show the log of the service too.
    #[arg(long)]
    verbose: bool,
}

impl Demo {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let began = Instant::now();
        println!(
            "Bellhop's demonstration: a private PostgreSQL, a sandbox marketplace and the real service, on this machine."
        );
        let world = World::create(&self).await?;
        let played = tokio::select! {
            played = play(&world) => played,
            stopped = stop_asked() => stopped.map(|()| true),
        };
        let agree = match played {
            Ok(agree) => agree,
            Err(error) => {
                world.destroy().await?;
                return Err(error);
            }
        };
        println!("\nThat took {} seconds.", began.elapsed().as_secs());
        if !self.exit {
            world.where_to_look();
            stop_asked().await?;
        }
        world.destroy().await?;
        Ok(if agree { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

async fn play(world: &World) -> Result<bool> {
    story::tell(world).await?;
    compare::both_views(world).await
}
