/// How each command is used, by its words: the whole program first, then as `--help` lists them.
pub(super) const EXAMPLES: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "bellhop demo",
            "bellhop check",
            "bellhop serve",
            "bellhop locations list",
        ],
    ),
    (
        "serve",
        &[
            "bellhop serve",
            "bellhop serve --only intake --config /etc/bellhop/bellhop.toml",
        ],
    ),
    ("demo", &["bellhop demo", "bellhop demo --exit"]),
    (
        "bench",
        &["bellhop bench", "bellhop bench intake --rounds 3 --json > before.json"],
    ),
    (
        "sandbox",
        &[
            "bellhop sandbox --trial-days 7",
            "bellhop sandbox --listen 127.0.0.1:7070 --no-limits",
        ],
    ),
    (
        "conformance",
        &[
            "bellhop conformance --list",
            "bellhop conformance --target http://127.0.0.1:8080 --connect-path apps/18289/connect --json",
        ],
    ),
    (
        "check",
        &[
            "bellhop check",
            "bellhop check --online",
            "bellhop check --json | jq .applications",
        ],
    ),
    ("migrate", &["bellhop migrate"]),
    (
        "urls",
        &["bellhop urls", "bellhop urls --json | jq -r .items[0].callback_url"],
    ),
    (
        "completion",
        &["bellhop completion bash > ~/.local/share/bash-completion/completions/bellhop"],
    ),
    (
        "locations",
        &[
            "bellhop locations list --status frozen",
            "bellhop locations show 18289 100001",
        ],
    ),
    (
        "locations list",
        &[
            "bellhop locations list --q \"Studio Anna\"",
            "bellhop locations list --status active --json",
        ],
    ),
    ("locations show", &["bellhop locations show 18289 100001"]),
    (
        "events",
        &[
            "bellhop events list --location 100001",
            "bellhop events show 3",
            "bellhop events replay 3",
        ],
    ),
    (
        "events list",
        &[
            "bellhop events list --state failed",
            "bellhop events list --kind record.updated --since 2026-01-31T00:00:00Z",
        ],
    ),
    ("events show", &["bellhop events show 3"]),
    (
        "events replay",
        &[
            "bellhop events replay 3 4",
            "bellhop events replay --state failed --since 2026-01-31T00:00:00Z --dry-run",
        ],
    ),
    (
        "jobs",
        &[
            "bellhop jobs list --state discarded",
            "bellhop jobs show 2",
            "bellhop jobs retry 2",
        ],
    ),
    ("firings", &["bellhop firings list --location 100001"]),
    (
        "firings list",
        &[
            "bellhop firings list --location 100001",
            "bellhop firings list --rule welcome-discount --result held --json",
        ],
    ),
    (
        "jobs list",
        &[
            "bellhop jobs list --location 100001",
            "bellhop jobs list --action activate --state available",
        ],
    ),
    (
        "jobs show",
        &["bellhop jobs show 2", "bellhop jobs show 2 --json | jq .history"],
    ),
    (
        "jobs retry",
        &[
            "bellhop jobs retry 2 3",
            "bellhop jobs retry --rule welcome-discount --state discarded --yes",
        ],
    ),
    (
        "jobs cancel",
        &[
            "bellhop jobs cancel 2",
            "bellhop jobs cancel --rule welcome-discount --dry-run",
        ],
    ),
    ("plan", &["bellhop plan discount.toml", "bellhop plan show 1"]),
    ("plan show", &["bellhop plan show 1"]),
    ("plans", &["bellhop plans", "bellhop plans --limit 5 --json"]),
    ("apply", &["bellhop apply 1 --confirm \"set_discount at 12 locations\""]),
    (
        "ledger",
        &[
            "bellhop ledger list --state unknown",
            "bellhop ledger close 7 --payment 900001",
        ],
    ),
    (
        "ledger list",
        &[
            "bellhop ledger list --state unknown",
            "bellhop ledger list --location 100001 --json",
        ],
    ),
    (
        "ledger close",
        &[
            "bellhop ledger close 7 --payment 900001",
            "bellhop ledger close 7 --not-made",
        ],
    ),
    (
        "reconcile",
        &[
            "bellhop reconcile --dry-run",
            "bellhop reconcile --plan --locations 5000",
        ],
    ),
    (
        "marketplace",
        &[
            "bellhop marketplace status 18289 100001",
            "bellhop marketplace locations 18289 --json | jq length",
        ],
    ),
    (
        "marketplace locations",
        &["bellhop marketplace locations 18289 --limit 100"],
    ),
    ("marketplace status", &["bellhop marketplace status 18289 100001"]),
    ("marketplace tariffs", &["bellhop marketplace tariffs 18289"]),
    (
        "marketplace payment-link",
        &["bellhop marketplace payment-link 18289 100001 --discount 20"],
    ),
    (
        "marketplace discount",
        &["bellhop marketplace discount 18289 100001 20 --yes"],
    ),
    ("marketplace hooks", &["bellhop marketplace hooks show 18289 100001"]),
    (
        "marketplace hooks show",
        &["bellhop marketplace hooks show 18289 100001"],
    ),
    (
        "marketplace hooks repair",
        &["bellhop marketplace hooks repair 18289 100001 --yes"],
    ),
    (
        "marketplace grant",
        &["bellhop marketplace grant 18289 100001 --user-token-file secrets/owner --yes"],
    ),
    (
        "marketplace message",
        &["bellhop marketplace message 18289 100001 --phone 10000000001 --name Anna --text Hello --yes"],
    ),
    (
        "marketplace frame",
        &[
            "bellhop marketplace frame 18289 100001 chat --url https://app.example.com/chat --yes",
            "bellhop marketplace frame 18289 100001 chat --remove --yes",
        ],
    ),
    (
        "marketplace highlight",
        &["bellhop marketplace highlight 18289 100001 chat on --yes"],
    ),
    (
        "marketplace sender-names",
        &["bellhop marketplace sender-names 18289 100001 Studio --yes"],
    ),
    (
        "marketplace channel",
        &["bellhop marketplace channel 18289 100001 whatsapp on --yes"],
    ),
    ("marketplace countries", &["bellhop marketplace countries 18289"]),
    ("marketplace cities", &["bellhop marketplace cities 18289 --country DE"]),
    (
        "marketplace business-types",
        &["bellhop marketplace business-types 18289"],
    ),
    (
        "marketplace calls",
        &["bellhop marketplace calls 18289 100001 --from 2026-06-01 --to 2026-06-30"],
    ),
    (
        "marketplace voip",
        &["bellhop marketplace voip enable 18289 reception --yes"],
    ),
    (
        "marketplace voip enable",
        &["bellhop marketplace voip enable 18289 reception --yes"],
    ),
    (
        "marketplace voip disable",
        &["bellhop marketplace voip disable 18289 reception --yes"],
    ),
    (
        "rules",
        &[
            "bellhop rules list",
            "bellhop rules check",
            "bellhop rules explain installation.activated",
        ],
    ),
    (
        "rules check",
        &["bellhop rules check", "bellhop rules check rules/welcome.toml"],
    ),
    ("rules list", &["bellhop rules list", "bellhop rules list --json"]),
    (
        "rules explain",
        &["bellhop rules explain", "bellhop rules explain record.updated"],
    ),
    (
        "rules test",
        &["bellhop rules test rules/welcome.toml --status active --country DE"],
    ),
    (
        "rules backtest",
        &[
            "bellhop rules backtest new.toml",
            "bellhop rules backtest --rule welcome-discount --since 2026-01-31T00:00:00Z",
        ],
    ),
    (
        "rules held",
        &[
            "bellhop rules held",
            "bellhop rules held release welcome-discount --limit 10",
        ],
    ),
    (
        "rules held release",
        &["bellhop rules held release welcome-discount --limit 10"],
    ),
    ("rules held drop", &["bellhop rules held drop welcome-discount"]),
    ("schema", &["bellhop schema rules > rules.schema.json"]),
    ("schema rules", &["bellhop schema rules > rules.schema.json"]),
    ("schema bulk", &["bellhop schema bulk > bulk.schema.json"]),
    ("schema api", &["bellhop schema api > openapi.json"]),
    ("schema config", &["bellhop schema config > bellhop.schema.json"]),
    (
        "health",
        &[
            "bellhop health",
            "bellhop health --ready --config /etc/bellhop/bellhop.toml",
        ],
    ),
    (
        "erase",
        &[
            "bellhop erase --application 18289 --location 100001",
            "bellhop erase --application 18289 --location 100001 --yes",
        ],
    ),
];
