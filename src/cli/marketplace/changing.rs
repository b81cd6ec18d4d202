//! Calls that leave something behind. Without `--yes` they only show what would be sent.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{ArgGroup, Args, ValueEnum};
use rust_decimal::Decimal;
use secrecy::SecretString;
use serde_json::json;

use super::{At, Desk, Leave, Told, failed};
use crate::{
    cli::Misused,
    marketplace::calls::{
        self,
        cabinet::{ChatMessage, Frame},
        channels::Channel,
    },
};

#[derive(Args)]
pub(super) struct Discount {
    #[command(flatten)]
    at: At,
    /// From 0 to 100; 0 takes it away.
    percent: Decimal,
    #[command(flatten)]
    leave: Leave,
}

impl Discount {
    pub(super) async fn run(&self, desk: &Desk<'_>) -> Result<ExitCode> {
        let served = desk.served(self.at.application)?;
        let call = calls::billing::add_discount(served.id, &[self.at.place().location_id], self.percent);
        desk.change(served, self.leave, call).await
    }
}

#[derive(Args)]
pub(super) struct Grant {
    #[command(flatten)]
    at: At,
    /// A file with the user token of the location's owner.
    #[arg(long, value_name = "FILE")]
    user_token_file: PathBuf,
    #[command(flatten)]
    leave: Leave,
}

impl Grant {
    pub(super) async fn run(&self, desk: &Desk<'_>) -> Result<ExitCode> {
        let served = desk.served(self.at.application)?;
        let file = self.user_token_file.display();
        let token = std::fs::read_to_string(&self.user_token_file)
            .map_err(|error| Misused(format!("{file}: cannot be read: {error}")))?;
        let token = token.trim();
        if token.is_empty() {
            return Err(Misused(format!("{file} is empty. Remedy: write the owner's user token into it")).into());
        }
        let call = calls::installation::grant_access(self.at.place());
        if !self.leave.yes {
            return desk.would_send(&call);
        }
        let client = served.client.as_user(&SecretString::from(token)).map_err(Misused::of)?;
        let mut line = desk.line(served).by(client);
        line.send(&call).await.map_err(|failure| failed(&failure))?;
        desk.tell(&Told::new(json!({"sent": true, "call": call.name()}), "Done."))
    }
}

#[derive(Args)]
pub(super) struct Message {
    #[command(flatten)]
    at: At,
    /// The client's phone number, digits alone.
    #[arg(long, value_name = "DIGITS")]
    phone: String,
    /// The client's name, at most 255 characters.
    #[arg(long, value_name = "TEXT")]
    name: String,
    /// What the client wrote, at most 4000 characters.
    #[arg(long, value_name = "TEXT")]
    text: String,
    #[command(flatten)]
    leave: Leave,
}

impl Message {
    pub(super) async fn run(&self, desk: &Desk<'_>) -> Result<ExitCode> {
        let served = desk.served(self.at.application)?;
        let message = ChatMessage {
            phone: self.phone.clone(),
            name: self.name.clone(),
            text: self.text.clone(),
        };
        let call = calls::cabinet::new_message(self.at.place(), &message);
        desk.change(served, self.leave, call).await
    }
}

/// Where in the cabinet a page stands.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Page {
    Chat,
    WaitingList,
    TaskTracker,
}

impl From<Page> for Frame {
    fn from(page: Page) -> Self {
        match page {
            Page::Chat => Self::Chat,
            Page::WaitingList => Self::WaitingList,
            Page::TaskTracker => Self::TaskTracker,
        }
    }
}

#[derive(Args)]
#[command(group = ArgGroup::new("what").required(true))]
pub(super) struct FramePage {
    #[command(flatten)]
    at: At,
    /// Which page.
    page: Page,
    /// Its address, https.
    #[arg(long, value_name = "ADDRESS", group = "what")]
    url: Option<String>,
    /// Take it out of the cabinet.
    #[arg(long, group = "what")]
    remove: bool,
    #[command(flatten)]
    leave: Leave,
}

impl FramePage {
    pub(super) async fn run(&self, desk: &Desk<'_>) -> Result<ExitCode> {
        let served = desk.served(self.at.application)?;
        let call = calls::cabinet::install_frame(self.at.place(), self.page.into(), self.url.as_deref());
        desk.change(served, self.leave, call).await
    }
}

/// Whether something is so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

#[derive(Args)]
pub(super) struct Highlight {
    #[command(flatten)]
    at: At,
    /// Which page.
    page: Page,
    /// Mark it or not.
    state: Switch,
    /// Only for this user of the cabinet.
    #[arg(long, value_name = "NUMBER")]
    user: Option<i64>,
    #[command(flatten)]
    leave: Leave,
}

impl Highlight {
    pub(super) async fn run(&self, desk: &Desk<'_>) -> Result<ExitCode> {
        let served = desk.served(self.at.application)?;
        let on = self.state == Switch::On;
        let call = calls::cabinet::toggle_highlight(self.at.place(), self.page.into(), self.user, on);
        desk.change(served, self.leave, Ok(call)).await
    }
}

#[derive(Args)]
pub(super) struct SenderNames {
    #[command(flatten)]
    at: At,
    /// The names, 1 to 20. They take the place of those before.
    #[arg(required = true)]
    names: Vec<String>,
    #[command(flatten)]
    leave: Leave,
}

impl SenderNames {
    pub(super) async fn run(&self, desk: &Desk<'_>) -> Result<ExitCode> {
        let served = desk.served(self.at.application)?;
        let call = calls::channels::short_names(self.at.place(), &self.names);
        desk.change(served, self.leave, call).await
    }
}

/// A message channel.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum ChannelName {
    Sms,
    Whatsapp,
}

#[derive(Args)]
pub(super) struct ChannelState {
    #[command(flatten)]
    at: At,
    /// Which channel.
    channel: ChannelName,
    /// Whether it can be used.
    state: Switch,
    #[command(flatten)]
    leave: Leave,
}

impl ChannelState {
    pub(super) async fn run(&self, desk: &Desk<'_>) -> Result<ExitCode> {
        let served = desk.served(self.at.application)?;
        let channel = match self.channel {
            ChannelName::Sms => Channel::Sms,
            ChannelName::Whatsapp => Channel::Whatsapp,
        };
        let call = calls::channels::update_channel(self.at.place(), channel, self.state == Switch::On);
        desk.change(served, self.leave, Ok(call)).await
    }
}
