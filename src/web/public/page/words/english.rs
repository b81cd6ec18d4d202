use super::{Date, Left, Message, Notice, Said, Way, Words};
use crate::store::activations::Progress;

pub(in crate::web::public::page) static ENGLISH: Words = Words {
    lang: "en",
    location: "Location",
    help: "Need help?",
    open_card: "Open in the marketplace",
    state,
    next,
    notice,
    deadline,
    tally,
};

fn state(progress: Progress) -> Said {
    let (headline, sentence) = match progress {
        Progress::Requested => ("Looking", "We are asking the marketplace about this location."),
        Progress::Activating => (
            "Connecting",
            "This takes a few seconds. It goes on even when you close this page.",
        ),
        Progress::External => (
            "One step left",
            "Finish your registration to start using the application.",
        ),
        Progress::Active => ("Connected", "Everything is set up."),
        Progress::Frozen => (
            "Paused",
            "The trial or the paid period is over. Pay in the marketplace to go on.",
        ),
        Progress::NotConnected => (
            "Not connected",
            "The marketplace says that this location is not connected. Press Connect there first.",
        ),
        Progress::Expired => (
            "Please connect again",
            "The time to finish this connection is over. Press Connect in the marketplace once more.",
        ),
        Progress::Failed => (
            "Still trying",
            "The marketplace refused the connection. We have been told, and keep trying by ourselves.",
        ),
    };
    Said { headline, sentence }
}

fn next(progress: Progress, way: Way) -> &'static str {
    match (progress, way) {
        (Progress::Requested | Progress::Activating, _) => {
            "There is nothing for you to do: this page goes on by itself."
        }
        (Progress::Failed, _) => "There is nothing for you to do. You can close this page and look again later.",
        (Progress::External, Way::Product) => "Finish registration",
        (Progress::External, Way::Nowhere) => "Go on where you signed up with us.",
        (Progress::Active, Way::Product) => "Continue",
        (Progress::Active, Way::Card) => "Back to the marketplace",
        (Progress::Active, Way::Nowhere) => "You can close this page.",
        (Progress::Frozen, Way::Card | Way::Product) => "Pay in the marketplace",
        (Progress::Frozen, Way::Nowhere) => "Open the application in the marketplace and choose a tariff there.",
        (Progress::NotConnected | Progress::Expired, Way::Nowhere) => {
            "Open the application in the marketplace and press Connect."
        }
        (Progress::External | Progress::NotConnected | Progress::Expired, Way::Card | Way::Product) => {
            ENGLISH.open_card
        }
    }
}

fn notice(notice: Notice) -> Message {
    let goes_on = "There is nothing for you to do: this page tries again by itself.";
    let (headline, sentence, next) = match notice {
        Notice::UnknownApplication => (
            "Unknown application",
            "This address belongs to no application.",
            "Open the application in the marketplace once more.",
        ),
        Notice::NoLocation => (
            "Nothing to connect yet",
            "This page opens by itself when you press Connect in the marketplace.",
            "Open the application in the marketplace and press Connect.",
        ),
        Notice::Forged => (
            "Please connect again",
            "The link that brought you here could not be verified.",
            "Press Connect in the marketplace once more.",
        ),
        Notice::TooOld => (
            "Please open it again",
            "This page is too old to follow the connection.",
            "Open the application in the marketplace again.",
        ),
        Notice::Throttled => ("One moment", "Many connections are being made right now.", goes_on),
        Notice::NotNoted => ("One moment", "We could not note your connection.", goes_on),
        Notice::CannotLook => (
            "One moment",
            "We cannot look at your connection right now. It goes on all the same.",
            goes_on,
        ),
    };
    Message {
        headline,
        sentence,
        next,
    }
}

fn deadline(date: &Date) -> String {
    let zone = if date.zone_known { "" } else { " UTC" };
    let (time, day) = (date.local.format("%H:%M"), date.local.format("%-d %B"));
    let left = match date.left() {
        Left::Hours(1) | Left::Nothing => String::new(),
        Left::Hours(hours) => format!(" ({hours}\u{a0}hours left)"),
        Left::Minutes(1) => " (1\u{a0}minute left)".to_owned(),
        Left::Minutes(minutes) => format!(" ({minutes}\u{a0}minutes left)"),
    };
    format!("It has to be finished by {time}{zone} on {day}{left}.")
}

fn tally(connected: usize, all: usize) -> String {
    format!("{connected} of {all} locations connected")
}
