use serde_json::json;

use super::*;

fn rendered(world: &World, template: &str) -> String {
    let mut results = serde_json::Map::new();
    results.insert("link".to_owned(), json!({"url": "https://example.com/pay?a=1&b=2"}));
    match render(template, &world.facts(), &results) {
        Ok(text) => text,
        Err(error) => format!("- {error}"),
    }
}

#[test]
fn texts_show_facts_as_they_are() {
    let mut world = World::payment("990.90");
    world.location.email = Some("owner@example.com".to_owned());
    for (template, text) in [
        ("{{ location.title }}", "Salon \"<b>\""),
        (
            "{{ event.payment.amount }} {{ event.payment.currency | default('EUR') }}",
            "990.90 EUR",
        ),
        ("{{ link.url }}", "https://example.com/pay?a=1&b=2"),
        ("{{ location.id }}/{{ application.id }}", "100001/18289"),
        // 21:30 in UTC is the next day in Tbilisi.
        ("{{ now | date }}", "6 March 2026"),
        ("{{ now | date('%H:%M %Z') }}", "01:30 +04"),
        ("{{ '2026-01-05 10:00:00' | date('%d.%m. %H:%M') }}", "05.01. 10:00"),
        ("{{ '2026-01-05T10:00:00+0100' | date('%H:%M') }}", "13:00"),
        ("{{ '2026-01-05' | date }}", "5 January 2026"),
        ("{{ now }}", "2026-03-05T21:30:00Z"),
        ("{% if location.phone %}a{% else %}b{% endif %}", "b"),
        ("{{ location.title | tojson }}", r#""Salon \"\u003cb\u003e\"""#),
        ("{# {{ don't #}x", "x"),
    ] {
        assert_eq!(rendered(&world, template), text, "{template}");
    }
}

#[test]
fn a_text_that_cannot_be_written_says_why() {
    let world = World::payment("1");
    for (template, reason) in [
        (
            "\n{{ location.phone }}",
            "- the text cannot be written: `location.phone` is undefined (line 2)",
        ),
        (
            "{{ location.title | date }}",
            "- the text cannot be written: `date` was given something that is not a time (line 1)",
        ),
        (
            "{{ now | date('%Q') }}",
            "- the text cannot be written: `date` cannot write the format \"%Q\" (line 1)",
        ),
        (
            "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}",
            "- the text cannot be written: it takes too much work (line 1)",
        ),
        (
            "{{ debug() }}",
            "- the text cannot be written: debug is unknown (line 1)",
        ),
    ] {
        assert_eq!(rendered(&world, template), reason, "{template}");
    }
}

#[test]
fn an_unknown_time_zone_is_utc() {
    let mut world = World::payment("1");
    for zone in [None, Some("Mars/Base".to_owned())] {
        world.location.timezone_name = zone;
        assert_eq!(rendered(&world, "{{ now | date('%H:%M') }}"), "21:30");
    }
}

#[test]
fn nesting_that_would_overflow_the_stack_is_refused_before_parsing() {
    let world = World::payment("1");
    for template in [
        format!("{{{{ now{} }}}}", ".b".repeat(5000)),
        format!("{{{{ {}1 }}}}", "-".repeat(5000)),
        format!("{{{{ now{} }}}}", " ~ '}}' ~ now".repeat(5000)),
        format!("{{{{ {} }}}}", "(".repeat(200)),
        format!("{{% if not now %}}{}{{% endif %}}", "{% elif not now %}x".repeat(5000)),
        format!("{{% raw %}}{{{{ \" {{% endraw %}}{{{{ now{} }}}}", ".b".repeat(5000)),
        "{% if now %}".repeat(5000),
    ] {
        assert!(rendered(&world, &template).starts_with("- "), "{}", &template[..40]);
    }
}
