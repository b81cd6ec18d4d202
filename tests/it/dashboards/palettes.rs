//! Names that have the same colour wherever they occur.

/// Name and colour; a name between slashes is an expression.
pub(super) type Palette = &'static [(&'static str, &'static str)];

/// Families of names.
const PALETTES: [(&str, Palette); 14] = [
    ("alerts", &[("/critical/", "red"), ("/warning/", "orange")]),
    (
        "results",
        &[
            ("accepted", "green"),
            ("duplicate", "blue"),
            ("rejected", "orange"),
            ("quarantined", "yellow"),
            ("dropped", "purple"),
            ("refused", "#8e8e8e"),
            ("unavailable", "red"),
        ],
    ),
    (
        "status",
        &[("active", "green"), ("pending", "yellow"), ("frozen", "blue")],
    ),
    (
        "outcomes",
        &[
            ("processed", "green"),
            ("failed", "red"),
            ("done", "green"),
            ("retry", "yellow"),
            ("snooze", "blue"),
            ("discard", "red"),
        ],
    ),
    (
        "percentiles",
        &[
            ("p50", "green"),
            ("p95", "yellow"),
            ("p99", "orange"),
            ("oldest waiting", "red"),
        ],
    ),
    ("pool", &[("used", "orange"), ("idle", "green"), ("limit", "red")]),
    (
        "rounds",
        &[("complete", "green"), ("incomplete", "yellow"), ("interrupted", "red")],
    ),
    (
        "hooks",
        &[
            ("registered", "green"),
            ("former", "blue"),
            ("missing", "red"),
            ("refused", "orange"),
        ],
    ),
    (
        "priorities",
        &[
            ("activation", "orange"),
            ("rule", "green"),
            ("unproven", "purple"),
            ("reconciliation", "blue"),
            ("limit", "red"),
        ],
    ),
    (
        "reasons",
        &[
            ("condition", "green"),
            ("before", "blue"),
            ("late", "orange"),
            ("over", "#8e8e8e"),
            ("off", "purple"),
            ("condition_failed", "red"),
        ],
    ),
    (
        "failures",
        &[
            ("deliveries refused", "red"),
            ("events failed", "dark-red"),
            ("conditions failed", "purple"),
            ("jobs given up", "orange"),
            ("requests failed", "yellow"),
            ("steps failed", "blue"),
        ],
    ),
    (
        "answers",
        &[
            ("/^2/", "green"),
            ("/^3/", "blue"),
            ("/^4/", "orange"),
            ("429", "purple"),
            ("/^5/", "red"),
            ("/^(unreachable|no_answer)$/", "dark-red"),
        ],
    ),
    (
        "ends",
        &[
            ("paid", "green"),
            ("connected", "green"),
            ("unpaid", "blue"),
            ("left", "orange"),
        ],
    ),
    (
        "waiting",
        &[("events to judge", "orange"), ("moments to announce", "purple")],
    ),
];

/// The colours of a family of names.
pub(super) fn palette(name: &str) -> Palette {
    let found = PALETTES.iter().find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("there is no palette {name}")).1
}
