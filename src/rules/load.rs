use std::time::Duration;

use secrecy::SecretString;
use toml::{Spanned, de::DeTable};

use super::{
    SourceFile,
    condition::Condition,
    facts::Facts,
    mistake::{Mistake, Notebook, suggest},
    rule::{Late, Mode, OncePer, Rule},
    sample::Sample,
    step::{ReadSecret, ReadStep, StepReader},
    table::{Table, Text, shorten},
    together,
    trigger::{DETAILS, Details, MOMENTS, Trigger},
    vocabulary::{RULE, names},
};
use crate::domain::{calendar::Calendar, moment::Moment};

/// The largest cap.
pub(super) const MOST_A_DAY: u32 = 1_000_000;

/// Largest file, in bytes.
const LARGEST_FILE: usize = 1024 * 1024;

/// How late a moment may be when the rule does not say.
fn usual_max_late(trigger: &Trigger) -> Duration {
    match trigger {
        // It comes again, and in time.
        Trigger::Moment(Moment::Schedule { .. }) => Duration::from_secs(3600),
        Trigger::Moment(_) | Trigger::Fixed(_) | Trigger::Every(_) | Trigger::Entity { .. } => USUAL_MAX_LATE,
    }
}

pub(super) const USUAL_MAX_LATE: Duration = Duration::from_secs(2 * 86_400);

/// A rule that was read, where its name stands, and the secrets of its steps in their order.
pub(super) struct ReadRule {
    pub(super) rule: Rule,
    pub(super) name_at: usize,
    pub(super) secrets: Vec<Vec<SecretString>>,
}

/// Reads one file. A rule with mistakes is left out of the answer.
pub(super) fn read_file(file: &SourceFile, secrets: ReadSecret<'_>) -> (Vec<ReadRule>, Vec<Mistake>) {
    let mut notebook = Notebook::new(file);
    let Some(document) = document(file, &mut notebook) else {
        return (Vec::new(), notebook.into_mistakes());
    };
    let top = Table::new(document.get_ref(), 0);
    top.refuse_unknown(&["rule"], &mut notebook);
    let rules = top
        .tables("rule", "[[rule]]", &mut notebook)
        .iter()
        .filter_map(|table| {
            RuleReader {
                table,
                notebook: &mut notebook,
                secrets,
            }
            .read()
        })
        .collect();
    (rules, notebook.into_mistakes())
}

/// The content of a file, or notes why it is none.
pub(super) fn document<'f>(file: &'f SourceFile, notebook: &mut Notebook<'_>) -> Option<Spanned<DeTable<'f>>> {
    if file.text.len() > LARGEST_FILE {
        notebook.note(0, "the file is larger than 1 MiB", "this is hardly a file of rules");
        return None;
    }
    let (document, errors) = DeTable::parse_recoverable(&file.text);
    for error in &errors {
        let at = error.span().map_or(0, |span| span.start);
        let what = format!("this is not TOML: {}", error.message().replace('\n', ", "));
        notebook.note(at, what, "correct the syntax");
    }
    // What could be read of a file with errors would be judged wrongly.
    errors.is_empty().then_some(document)
}

/// Reads a table that has a name, a condition and steps.
pub(super) struct RuleReader<'r, 'f> {
    pub(super) table: &'r Table<'r>,
    pub(super) notebook: &'r mut Notebook<'f>,
    pub(super) secrets: ReadSecret<'r>,
}

impl RuleReader<'_, '_> {
    fn read(mut self) -> Option<ReadRule> {
        let before_reading = self.notebook.count();
        self.table.refuse_unknown(&names(RULE), self.notebook);
        self.table.ask_for(RULE, self.notebook);
        let name = self.name();
        let trigger = self.trigger();
        // Where only the details of a trigger are wrong, conditions and texts are checked all the same.
        let meant = || self.table.word("on").and_then(|on| Trigger::example(on).ok());
        let sample = trigger
            .as_ref()
            .map_or_else(|| meant().as_ref().map(Sample::of), |trigger| Some(Sample::of(trigger)));
        let facts = sample.as_ref().map(Sample::facts);
        let when = Condition::read(self.table, facts.as_ref(), self.notebook);
        let once_per = self.word(
            "once_per",
            OncePer::parse,
            OncePer::ALL.iter().map(|word| word.as_str()),
        );
        let mode = self.word("mode", Mode::parse, Mode::ALL.iter().map(|word| word.as_str()));
        let late = self.word("late", Late::parse, Late::ALL.iter().map(|word| word.as_str()));
        let cap_per_day = self.table.count("cap_per_day", MOST_A_DAY, self.notebook);
        let max_late = self.table.duration("max_late", self.notebook);
        self.only_for_moments(trigger.as_ref());
        let keep_after_uninstall = self.table.boolean("keep_after_uninstall", self.notebook);
        let steps = self.steps(facts.as_ref());
        let keeps = keep_after_uninstall.unwrap_or(false);
        together::check(self.table, trigger.as_ref(), &steps, keeps, self.notebook);
        if self.notebook.count() > before_reading {
            return None;
        }
        let (name, name_at) = name?;
        let (steps, secrets) = steps.into_iter().map(|read| (read.step, read.secrets)).unzip();
        let trigger = trigger?;
        let rule = Rule {
            name,
            once_per: once_per.unwrap_or(OncePer::Occurrence),
            when,
            mode: mode.unwrap_or(Mode::Live),
            late: late.unwrap_or(Late::Run),
            max_late: max_late.unwrap_or_else(|| usual_max_late(&trigger)),
            trigger,
            keep_after_uninstall: keeps,
            cap_per_day,
            steps,
            file: self.notebook.file_name().to_owned(),
            line: self.notebook.line_of(self.table.start),
        };
        Some(ReadRule { rule, name_at, secrets })
    }

    pub(super) fn name(&mut self) -> Option<(String, usize)> {
        let Text { value, span } = self.table.text("name", self.notebook)?;
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if value.is_empty() || value.len() > 80 || !value.chars().all(plain) {
            self.notebook.note(
                span.start,
                format!("`{}` cannot be the name of a rule", shorten(value)),
                "use small letters, digits and `-`, at most 80",
            );
            return None;
        }
        Some((value.to_owned(), span.start))
    }

    fn trigger(&mut self) -> Option<Trigger> {
        let on = self.table.text("on", self.notebook);
        let details = Details {
            before: self.table.duration("before", self.notebook),
            lasting: self.table.duration("for", self.notebook),
            cron: self.cron(),
        };
        let on = on?;
        let mut is_told = false;
        for (key, owners) in DETAILS.iter().filter(|(key, _)| self.table.has(key)) {
            if owners.contains(&on.value) {
                is_told |= match *key {
                    "before" => details.before.is_none(),
                    "for" => details.lasting.is_none(),
                    _ => details.cron.is_none(),
                };
                continue;
            }
            let what = format!("`{key}` means nothing with `{}`", shorten(on.value));
            let remedy = format!("remove it; it belongs to `{}`", owners.join("` and `"));
            self.notebook.note(self.table.place_of(key), what, remedy);
        }
        match Trigger::parse(on.value, &details) {
            Ok(trigger) => Some(trigger),
            Err(_) if is_told => None,
            Err((what, remedy)) => {
                self.notebook.note(on.span.start, what, remedy);
                None
            }
        }
    }

    fn cron(&mut self) -> Option<String> {
        let Text { value, span } = self.table.text("cron", self.notebook)?;
        match Calendar::parse(value) {
            Ok(calendar) => Some(calendar.as_str().to_owned()),
            Err((what, remedy)) => {
                let what = format!("`cron` is \"{}\": {what}", shorten(value));
                self.notebook.note(span.start, what, remedy);
                None
            }
        }
    }

    fn word<T>(
        &mut self,
        key: &str,
        parse: fn(&str) -> Option<T>,
        valid: impl Iterator<Item = &'static str>,
    ) -> Option<T> {
        let Text { value, span } = self.table.text(key, self.notebook)?;
        let parsed = parse(value);
        if parsed.is_none() {
            let valid: Vec<&str> = valid.collect();
            let what = format!("`{key}` is \"{}\"", shorten(value));
            self.notebook.note(span.start, what, suggest(value, &valid));
        }
        parsed
    }

    fn only_for_moments(&mut self, trigger: Option<&Trigger>) {
        let Some(trigger) = trigger else { return };
        if trigger.moment().is_some() {
            return;
        }
        for key in ["late", "max_late"] {
            if self.table.has(key) {
                let what = format!("`{key}` means nothing with `{trigger}`");
                let remedy = format!("remove it; it belongs to `{}`", MOMENTS.join("`, `"));
                self.notebook.note(self.table.place_of(key), what, remedy);
            }
        }
    }

    fn steps(&mut self, sample: Option<&Facts<'_>>) -> Vec<ReadStep> {
        let tables = self.table.tables("then", "[[rule.then]]", self.notebook);
        if !self.table.has("then") {
            self.notebook.note(
                self.table.start,
                "the rule does nothing",
                "add a `[[rule.then]]` with an `action`",
            );
        }
        StepReader {
            sample,
            secrets: self.secrets,
            notebook: self.notebook,
        }
        .read_all(&tables)
    }
}
