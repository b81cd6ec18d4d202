use std::process::ExitCode;

use anyhow::Result;

use super::configured;
use crate::{
    cli::{
        ConfigFile, Misused,
        output::tell,
        sheet::{Sheet, bare},
        table::Table,
    },
    rules::{self, Explanation, Rule, Trigger},
};

/// Explains a trigger or a rule; without either the triggers are listed.
pub(super) fn run(config: &ConfigFile, what: Option<&str>, as_json: bool) -> Result<ExitCode> {
    let Some(what) = what else { return names(as_json) };
    let no_trigger = match rules::explain(what) {
        Ok(explained) => return show(None, &explained, as_json),
        // Names of rules have no dot, and with one no configuration is needed to say what is wrong.
        Err(problem) if what.contains('.') => return Err(Misused(problem).into()),
        Err(problem) => problem,
    };
    let sets = configured(config)?;
    let all: Vec<&Rule> = sets.iter().flat_map(|(_, set)| set.with_retired()).collect();
    if let Some(rule) = all.iter().find(|rule| rule.name == what) {
        return show(Some(rule), &rules::explain_rule(rule), as_json);
    }
    let names: Vec<&str> = all.iter().map(|rule| rule.name.as_str()).collect();
    Err(Misused(match rules::nearest(what, &names) {
        Some(near) => format!("no rule is called `{what}`; did you mean `{near}`?"),
        None => format!("no rule is called `{what}`, and: {no_trigger}"),
    })
    .into())
}

fn names(as_json: bool) -> Result<ExitCode> {
    let names = Trigger::names();
    if as_json {
        return tell(&serde_json::json!({"items": names, "next_cursor": null}).to_string());
    }
    tell(&format!(
        "{}\n\nEntity events are `<resource>.created`, `.updated` and `.deleted`; `*` stands for any resource or change.\n\
         `bellhop rules explain record.updated` shows what their rules can refer to.",
        names.join("\n")
    ))
}

fn show(rule: Option<&Rule>, explained: &Explanation, as_json: bool) -> Result<ExitCode> {
    if as_json {
        return tell(&serde_json::to_string(explained)?);
    }
    let mut sheet = match rule {
        None => Sheet::new(&format!("Rules with on = \"{}\"", explained.trigger)),
        Some(rule) => about(rule),
    };
    let mut facts = Table::new(&["fact", "type", "there", "example"]);
    for fact in &explained.facts {
        facts.row([
            fact.path.clone(),
            fact.sort.to_owned(),
            if fact.always { "always" } else { "maybe" }.to_owned(),
            bare(&fact.example),
        ]);
    }
    sheet.table("Conditions and texts can refer to", &facts);
    if !explained.results.is_empty() {
        sheet.note("Results, for the texts of later steps", &explained.results.join("\n"));
    }
    sheet.note(
        "What is there only maybe",
        "In a condition ask first: has(location.email) && …\nIn a text: {{ location.title | default(\"dear owner\") }}",
    );
    if rule.is_none() {
        sheet.note("A rule to begin with", &explained.example);
    }
    tell(&sheet.text())
}

fn about(rule: &Rule) -> Sheet {
    let outline = rule.outline();
    let mut sheet = Sheet::new(&format!("Rule {}", rule.name));
    sheet.field("where", Some(format!("{}:{}", outline.file, outline.line)));
    sheet.field("on", Some(&outline.on));
    sheet.field("when", outline.when.as_deref().map(str::trim));
    sheet.field("once per", Some(outline.once_per));
    sheet.field("mode", Some(outline.mode));
    sheet.field("actions", Some(outline.actions.join(", ")));
    sheet
}
