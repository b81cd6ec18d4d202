//! A bulk action: what a person wants to have done once at many locations. It has the condition and the steps of a
//! rule, and is one from there on, under a name that no rule can have.

use super::{
    SourceFile,
    condition::Condition,
    load::{RuleReader, USUAL_MAX_LATE, document},
    mistake::{Mistake, Notebook},
    rule::{Late, Mode, OncePer, Rule},
    sample::Sample,
    step::StepReader,
    table::{Table, shorten},
    trigger::Trigger,
    vocabulary::{BULK, actions, has_secret, names},
};
use crate::domain::{action::BULK as BULK_NAME, event::Kind};

/// Reads the file of a bulk action. Its rule waits for [`Kind::BulkRequested`] and fires once per location, by its name
/// with `bulk.` before it.
///
/// # Errors
/// With every mistake of the file.
pub fn read_bulk(file: &SourceFile) -> Result<Rule, Vec<Mistake>> {
    let mut notebook = Notebook::new(file);
    let rule = read(file, &mut notebook);
    let mistakes = notebook.into_mistakes();
    rule.filter(|_| mistakes.is_empty()).ok_or(mistakes)
}

fn read(file: &SourceFile, notebook: &mut Notebook<'_>) -> Option<Rule> {
    let document = document(file, notebook)?;
    let top = Table::new(document.get_ref(), 0);
    top.refuse_unknown(&["bulk"], notebook);
    let table = top.table("bulk", notebook);
    if !top.has("bulk") {
        let remedy = "begin it with `[bulk]` and `name = \"…\"`";
        notebook.note(0, "this is not the file of a bulk action", remedy);
    }
    let table = table?;
    table.refuse_unknown(&names(BULK), notebook);
    table.ask_for(BULK, notebook);
    let trigger = Trigger::Fixed(Kind::BulkRequested);
    let sample = Sample::of(&trigger);
    let facts = sample.facts();
    let name = RuleReader {
        table: &table,
        notebook,
        secrets: &no_secrets,
    }
    .name();
    let when = Condition::read(&table, Some(&facts), notebook);
    let steps = table.tables("then", "[[bulk.then]]", notebook);
    if !table.has("then") {
        let remedy = "add a `[[bulk.then]]` with an `action`";
        notebook.note(table.start, "the bulk action does nothing", remedy);
    }
    let open: Vec<Table<'_>> = steps.into_iter().filter(|step| !needs_secret(step, notebook)).collect();
    let steps = StepReader {
        sample: Some(&facts),
        secrets: &no_secrets,
        notebook,
    }
    .read_all(&open);
    Some(Rule {
        name: format!("{BULK_NAME}{}", name?.0),
        trigger,
        once_per: OncePer::Location,
        when,
        mode: Mode::Live,
        late: Late::Run,
        max_late: USUAL_MAX_LATE,
        keep_after_uninstall: false,
        cap_per_day: None,
        steps: steps.into_iter().map(|read| read.step).collect(),
        file: file.name.clone(),
        line: notebook.line_of(table.start),
    })
}

/// A plan is kept in the database, and secrets are not.
fn needs_secret(step: &Table<'_>, notebook: &mut Notebook<'_>) -> bool {
    let Some(action) = step.word("action").filter(|action| has_secret(action)) else {
        return false;
    };
    let possible: Vec<&str> = actions().into_iter().filter(|action| !has_secret(action)).collect();
    notebook.note(
        step.place_of("action"),
        format!(
            "`{}` needs a secret, and a bulk action has no place for one",
            shorten(action)
        ),
        format!("possible are `{}`; or let a rule do it", possible.join("`, `")),
    );
    true
}

fn no_secrets(_: &str) -> Result<Option<String>, String> {
    Err("a bulk action has none".to_owned())
}
