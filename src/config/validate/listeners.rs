use crate::config::{Config, operator::Operator, place::Notes, value::Secret};

/// The two listeners, and who may use the operator's.
pub(super) fn check(config: &Config, notes: &mut Notes<'_>) {
    let operator = &config.operator;
    let has_token = operator.token.is_some() || operator.token_file.is_some();
    if !operator.listen.ip().is_loopback() && !has_token {
        notes.at(
            "operator.listen",
            format!(
                "operator.listen = \"{}\" is reachable from elsewhere, and operator.token is not set. \
                 Remedy: set operator.token_file, or listen on 127.0.0.1",
                operator.listen
            ),
        );
    }
    if config.server.listen == operator.listen && config.server.listen.port() != 0 {
        notes.at(
            "operator.listen",
            "server.listen and operator.listen are the same address. Remedy: give them two ports",
        );
    }
    tokens(operator, has_token, notes);
}

fn tokens(operator: &Operator, has_token: bool, notes: &mut Notes<'_>) {
    let all = [
        ("operator.token", &operator.token),
        ("operator.token_previous", &operator.token_previous),
        ("operator.read_token", &operator.read_token),
    ];
    for (key, token) in all {
        if token.as_ref().is_some_and(|token| token.expose().len() < 16) {
            notes.at(
                key,
                format!("{key} is shorter than 16 characters, and could be guessed. Remedy: a longer random text"),
            );
        }
    }
    for (key, is_set) in [
        (
            "operator.token_previous",
            operator.token_previous.is_some() || operator.token_previous_file.is_some(),
        ),
        (
            "operator.read_token",
            operator.read_token.is_some() || operator.read_token_file.is_some(),
        ),
    ] {
        if is_set && !has_token {
            notes.at(
                key,
                format!(
                    "{key} is set and operator.token is not, so that nobody is asked for a token. \
                     Remedy: set operator.token_file too"
                ),
            );
        }
    }
    let read = operator.read_token.as_ref().map(Secret::expose);
    let full = [&operator.token, &operator.token_previous];
    if read.is_some() && full.into_iter().flatten().any(|token| Some(token.expose()) == read) {
        notes.at(
            "operator.read_token",
            "operator.read_token is the same as another token, and would allow everything. Remedy: one of its own",
        );
    }
}
