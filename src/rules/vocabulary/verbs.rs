//! The actions and their keys.

use super::{Key, Sort, Verb, needed, one_of, possible, words};
use crate::domain::messaging::{Channel, MOST_SENDER_NAMES};

const SECRET_FILE: Key = one_of(
    "secret_file",
    Sort::Text,
    "\"/run/secrets/webhook\"",
    "A file that holds `whsec_…`; relative to the configuration.",
);

const SECRET: Key = one_of(
    "secret",
    Sort::Shaped("^\\s*whsec_"),
    "\"whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"",
    "`whsec_` and the base64 of 24 to 64 random bytes.",
);

const PREVIOUS_FILE: Key = possible(
    "secret_previous_file",
    Sort::Text,
    "\"/run/secrets/webhook-previous\"",
    "A file that holds the secret before, which signs too while the receiver changes over.",
);

const PREVIOUS: Key = possible(
    "secret_previous",
    Sort::Shaped("^\\s*whsec_"),
    "\"whsec_BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB\"",
    "The secret before, which signs too while the receiver changes over.",
);

/// The actions.
pub(in crate::rules) const ACTIONS: &[Verb] = &[
    Verb {
        name: "set_discount",
        help: "Set the discount of the location for payments through the platform.",
        keys: &[needed("percent", Sort::Percent, "20", "0 takes it away.")],
    },
    Verb {
        name: "create_payment_link",
        help: "Make a link by which the owner pays through the platform. Result: `url`, `discount`.",
        keys: &[
            possible("discount", Sort::Percent, "15", "Discount in this link, in percent."),
            possible(
                "tariff_option_id",
                Sort::Whole,
                "123",
                "Which option of the tariffs; else the cheapest, when there are any.",
            ),
        ],
    },
    Verb {
        name: "report_payment",
        help: "Report a payment made on your side, for the period after what is paid for already. \
               Result: `payment_id`, `period_from`, `period_to`.",
        keys: &[
            needed("amount", Sort::Amount, "29.90", "Whole units and their parts."),
            needed(
                "currency",
                Sort::Shaped("^[A-Z]{3}$"),
                "\"EUR\"",
                "Three capital letters.",
            ),
            one_of("months", Sort::Count(120), "1", "The period, in calendar months."),
            one_of("days", Sort::Count(3660), "30", "The period, in days."),
        ],
    },
    Verb {
        name: "refund_payment",
        help: "Give back a payment that was reported. Result: `payment_id`.",
        keys: &[needed(
            "payment",
            Sort::Text,
            "\"{{ event.payment.id }}\"",
            "The number of the payment; a text with `{{ … }}`.",
        )],
    },
    Verb {
        name: "send_webhook",
        help: "POST to another system, signed by the Standard Webhooks specification.",
        keys: &[
            needed(
                "url",
                Sort::Shaped("^https?://"),
                "\"https://example.com/hook\"",
                "`{{ … }}` can stand only after the host.",
            ),
            SECRET_FILE,
            SECRET,
            PREVIOUS_FILE,
            PREVIOUS,
            possible(
                "body",
                Sort::Text,
                "\"{{ event.kind }}\"",
                "A text with `{{ … }}`; without it all that is known, as JSON.",
            ),
        ],
    },
    Verb {
        name: "send_email",
        help: "A mail through the mail server of the configuration.",
        keys: &[
            needed(
                "to",
                Sort::Text,
                "\"{{ location.email }}\"",
                "The recipient; a text with `{{ … }}`.",
            ),
            needed(
                "subject",
                Sort::Text,
                "\"…\"",
                "The subject line; a text with `{{ … }}`.",
            ),
            needed("text", Sort::Text, "\"…\"", "Plain text with `{{ … }}`."),
        ],
    },
    Verb {
        name: "send_telegram",
        help: "A message of a Telegram bot.",
        keys: &[
            one_of(
                "token_file",
                Sort::Text,
                "\"/run/secrets/telegram\"",
                "A file that holds the bot's token; relative to the configuration.",
            ),
            one_of(
                "token",
                Sort::Shaped("^\\s*[0-9]+:[A-Za-z0-9_-]{20,}\\s*$"),
                "\"123456789:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"",
                "The bot's token, as BotFather tells it.",
            ),
            needed(
                "chat",
                Sort::Shaped("^(-?[0-9]+|@[A-Za-z0-9_]+)$"),
                "\"-1001234567890\"",
                "The number of the chat, or the `@name` of a public one.",
            ),
            needed(
                "text",
                Sort::Text,
                "\"…\"",
                "Plain text with `{{ … }}`, at most 4096 characters.",
            ),
        ],
    },
    Verb {
        name: "send_slack",
        help: "A message in a Slack channel, through an incoming webhook.",
        keys: &[
            one_of(
                "url_file",
                Sort::Text,
                "\"/run/secrets/slack\"",
                "A file that holds the address of the incoming webhook; relative to the configuration.",
            ),
            one_of(
                "url",
                Sort::Shaped("^\\s*https?://"),
                "\"https://hooks.slack.com/services/T0/B0/X0\"",
                "The address of the incoming webhook. It is a secret.",
            ),
            needed("text", Sort::Text, "\"…\"", "A text with `{{ … }}`."),
        ],
    },
    Verb {
        name: "forward_event",
        help: "Relay the event itself, signed by the Standard Webhooks specification, in order per location, retried \
               for days. The only step of its rule.",
        keys: &[
            needed(
                "url",
                Sort::Shaped("^\\s*https?://"),
                "\"https://example.com/events\"",
                "Where to; fixed.",
            ),
            SECRET_FILE,
            SECRET,
            PREVIOUS_FILE,
            PREVIOUS,
            possible(
                "retry_for",
                Sort::Duration,
                "\"3d\"",
                "How long an event is tried before it is given up; at most 14 days.",
            ),
        ],
    },
    Verb {
        name: "set_tag",
        help: "Mark the location for conditions of other rules: `\"vip\" in installation.tags`.",
        keys: &[
            needed(
                "tag",
                Sort::Shaped("^[a-z0-9_-]{1,40}$"),
                "\"vip\"",
                "Small letters, digits, `-` and `_`, at most 40.",
            ),
            possible("present", Sort::Flag, "true", "`false` takes the mark away."),
        ],
    },
    Verb {
        name: "uninstall",
        help: "Disconnect the application from the location.",
        keys: &[],
    },
    Verb {
        name: "set_channel",
        help: "Say whether a channel can be used at the location. For chat bots and SMS aggregators only.",
        keys: &[
            needed(
                "channel",
                Sort::Word(|| words(Channel::ALL, Channel::as_str)),
                "\"sms\"",
                "Which channel.",
            ),
            needed("available", Sort::Flag, "true", "Whether it can be used."),
        ],
    },
    Verb {
        name: "set_sender_names",
        help: "Name who text messages come from. For SMS aggregators.",
        keys: &[needed(
            "names",
            Sort::Texts(MOST_SENDER_NAMES),
            "[\"Example\"]",
            "1 to 20 names without Cyrillic letters.",
        )],
    },
];
