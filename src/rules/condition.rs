//! Conditions in CEL.
//!
//! The `cel` crate has no static types, no budget, and a parser that needs tens of kilobytes of
//! stack for every level of nesting. So a condition is checked hard when it is loaded
//! (`super::condition_check`), parsed on a thread with a large stack, and refused when it is
//! nested so deep that evaluating it could overflow the stack of a worker. What depends on the
//! size of an event is bounded at run time.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, LazyLock},
    thread,
};

use cel::{Context, Env, ExecutionError, IdedExpr, Program, Value};

use super::{
    condition_check::{self, Shape},
    facts::{Facts, Group},
    mistake::{Notebook, Refusal},
    table::{Table, shorten_to},
};
use crate::domain::event::Cause;

/// Longest source, in bytes.
const LONGEST: usize = 2048;
/// Deepest expression. Evaluation takes about 35 kB of stack a level in a debug build, and the
/// smallest stack it runs on has 2 MB.
pub(super) const DEEPEST: usize = 24;
/// Stack for parsing. The longest source that nests as fast as it can takes less than half.
const PARSER_STACK: usize = 128 * 1024 * 1024;
/// Most steps an evaluation may take, roughly.
const MOST_STEPS: usize = 2_000_000;
/// Most values in the data of an event that a condition looks at.
const MOST_VALUES: usize = 20_000;

static STANDARD: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// A checked condition.
#[derive(Debug)]
pub struct Condition {
    source: String,
    program: Program,
    shape: Shape,
}

impl Condition {
    /// The `when` of a rule or a step; notes what is wrong with it. It is checked only when there is a sample, which
    /// needs a valid trigger.
    pub(super) fn read(table: &Table<'_>, sample: Option<&Facts<'_>>, notebook: &mut Notebook<'_>) -> Option<Self> {
        let when = table.text("when", notebook)?;
        match Self::compile(when.value, sample?) {
            Ok(condition) => Some(condition),
            Err(refusals) => {
                for refusal in refusals {
                    notebook.note_inside(&when.span, when.value, refusal);
                }
                None
            }
        }
    }

    /// Why it does not hold, as a word and for people; nothing when it does.
    pub(super) fn objection(&self, facts: &Facts<'_>) -> Option<(Cause, String)> {
        match self.holds(facts) {
            Ok(true) => None,
            Ok(false) => Some((Cause::Condition, format!("condition is false: {}", self.source))),
            Err(why) => Some((
                Cause::ConditionFailed,
                format!("condition failed: {}", shorten_to(200, &why)),
            )),
        }
    }

    /// Parses and checks a condition against the facts of a sample event.
    pub(super) fn compile(source: &str, sample: &Facts<'_>) -> Result<Self, Vec<Refusal>> {
        let program = parse(source)?;
        let shape = condition_check::check(&program, sample)?;
        Ok(Self {
            source: source.to_owned(),
            program,
            shape,
        })
    }

    /// As it stands in the file.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether it is true; an error is the reason why nobody can say.
    pub(super) fn holds(&self, facts: &Facts<'_>) -> Result<bool, String> {
        if self.shape.reads_data {
            self.afford(facts)?;
        }
        match evaluate(self.program.expression(), facts.context())? {
            Value::Bool(answer) => Ok(answer),
            other => Err(format!("it gives {}, not true or false", other.type_of())),
        }
    }

    /// Refuses an evaluation that would take too long or too much memory: the size of an event is
    /// in the hands of whoever caused it.
    fn afford(&self, facts: &Facts<'_>) -> Result<(), String> {
        let size = facts.data().map(Size::of).unwrap_or_default();
        let too_many = size.values > MOST_VALUES;
        let passes = size.longest.max(1).saturating_pow(self.shape.loops);
        let steps = passes.saturating_mul(self.shape.weight);
        let copies = if self.shape.collects {
            size.longest.saturating_mul(size.values)
        } else {
            0
        };
        if too_many || steps > MOST_STEPS || copies > MOST_STEPS {
            return Err(format!(
                "the event is too large for it ({} values, longest list {})",
                size.values, size.longest
            ));
        }
        Ok(())
    }
}

/// How large JSON from outside is.
#[derive(Default)]
struct Size {
    /// Values in it; long texts count for several.
    values: usize,
    /// Elements of the longest list or object.
    longest: usize,
}

impl Size {
    fn of(value: &serde_json::Value) -> Self {
        let mut size = Self::default();
        size.add(value);
        size
    }

    fn add(&mut self, value: &serde_json::Value) {
        self.values += 1;
        match value {
            serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => {}
            serde_json::Value::String(text) => self.values += text.len() / 64,
            serde_json::Value::Array(list) => {
                self.longest = self.longest.max(list.len());
                list.iter().for_each(|element| self.add(element));
            }
            serde_json::Value::Object(map) => {
                self.longest = self.longest.max(map.len());
                map.values().for_each(|element| self.add(element));
            }
        }
    }
}

/// Puts facts under their roots where conditions find them.
pub(super) fn context(facts: Group) -> Context<'static, 'static> {
    let mut context = Context::with_env(Arc::clone(&STANDARD));
    for (name, fact) in facts {
        context.add_variable_from_value(name, fact.into_cel());
    }
    context
}

/// Evaluates; whatever goes wrong is a sentence. A panic of the library is one more thing that can
/// go wrong: it must not take the worker with it.
pub(super) fn evaluate(expression: &IdedExpr, context: &Context<'_, '_>) -> Result<Value, String> {
    catch_unwind(AssertUnwindSafe(|| Value::resolve(expression, context)))
        .map_err(|_| "it broke the evaluator".to_owned())?
        .map_err(|error| explain(&error))
}

/// An error in words, without the values: these may be somebody's name.
fn explain(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(key) => format!("no such key: {key}"),
        ExecutionError::NoSuchOverload(overload) => {
            let function = overload.function().trim_matches('_').trim_start_matches('@');
            format!("`{function}` does not work on {}", types(overload.argument_types()))
        }
        ExecutionError::UnsupportedBinaryOperator(operator, left, right) => format!(
            "`{}` does not work on {} and {}",
            symbol(operator),
            left.type_of(),
            right.type_of()
        ),
        ExecutionError::ValuesNotComparable(left, right) => {
            format!("{} and {} cannot be compared", left.type_of(), right.type_of())
        }
        ExecutionError::UnexpectedType { got, want } => format!("{got} where {want} is wanted"),
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => "division by zero".to_owned(),
        ExecutionError::Overflow(..) => "the result is too large".to_owned(),
        ExecutionError::IndexOutOfBounds(_) => "the list has no such element".to_owned(),
        ExecutionError::DuplicateKey(_) => "a key occurs twice".to_owned(),
        ExecutionError::UndeclaredReference(name) => format!("nothing is called `{name}`"),
        ExecutionError::FunctionError { function, .. } => match function.as_str() {
            "duration" => "`duration` reads hours, minutes and seconds, like \"72h\" or \"1h30m\"".to_owned(),
            "timestamp" => "`timestamp` reads RFC 3339, like \"2026-03-05T10:00:00Z\"".to_owned(),
            "matches" => "`matches` needs a valid regular expression".to_owned(),
            other => format!("`{other}` cannot read its argument"),
        },
        _ => "a value has the wrong type".to_owned(),
    }
}

fn types(names: &[String]) -> String {
    let names: Vec<&str> = names
        .iter()
        .map(|name| match name.as_str() {
            "google.protobuf.Timestamp" => "timestamp",
            "google.protobuf.Duration" => "duration",
            "null_type" => "null",
            other => other,
        })
        .collect();
    names.join(" and ")
}

fn symbol(operator: &str) -> &str {
    match operator {
        "add" => "+",
        "sub" => "-",
        "mul" => "*",
        "div" => "/",
        "rem" => "%",
        other => other,
    }
}

/// Parses on a thread of its own: the stack the parser takes grows with the nesting of the
/// source, and an overflow could not be caught.
fn parse(source: &str) -> Result<Program, Vec<Refusal>> {
    if source.len() > LONGEST {
        return Err(vec![Refusal::new(
            0,
            format!("the condition has {} bytes", source.len()),
            format!("at most {LONGEST} are possible"),
        )]);
    }
    let broken = |what: &str| vec![Refusal::new(0, what.to_owned(), "write it in a simpler way")];
    thread::scope(|scope| {
        thread::Builder::new()
            .name("condition-parser".to_owned())
            .stack_size(PARSER_STACK)
            .spawn_scoped(scope, || parse_here(source))
            .map_err(|error| broken(&format!("no memory to read the condition ({error})")))?
            .join()
            .map_err(|_| broken("the condition broke the parser"))?
    })
}

fn parse_here(source: &str) -> Result<Program, Vec<Refusal>> {
    let program = Program::compile(source).map_err(|errors| {
        // What follows the first error is mostly its consequence.
        let first = errors.errors.iter().min_by_key(|error| error.pos);
        vec![first.map_or_else(
            || Refusal::new(0, "the condition cannot be read", "compare with the examples"),
            |error| Refusal::new(offset(source, error.pos), syntax(&error.msg), syntax_remedy(&error.msg)),
        )]
    })?;
    if condition_check::depth(program.expression()) > DEEPEST {
        return Err(vec![too_deep(0)]);
    }
    Ok(program)
}

fn too_deep(at: usize) -> Refusal {
    Refusal::new(
        at,
        "the condition is nested too deeply",
        format!("at most {DEEPEST} levels are possible"),
    )
}

/// The parser lists every token that could follow; the first half says enough.
fn syntax(message: &str) -> String {
    if message.contains("Recursion limit") {
        return "the condition is nested too deeply".to_owned();
    }
    let message = message.split(" expecting {").next().unwrap_or(message);
    let message = message.strip_prefix("Syntax error: ").unwrap_or(message);
    let message = message.replace("<EOF>", "end of the condition");
    format!("syntax error: {}", shorten_to(120, &message))
}

fn syntax_remedy(message: &str) -> &'static str {
    if message.contains("error at: '= '") {
        "compare with `==`"
    } else {
        "see the CEL language"
    }
}

/// Byte offset of a line and column, both from 1, columns in characters.
fn offset(source: &str, (line, column): (isize, isize)) -> usize {
    let (Ok(line), Ok(column)) = (usize::try_from(line - 1), usize::try_from(column - 1)) else {
        return 0;
    };
    let start: usize = source.split_inclusive('\n').take(line).map(str::len).sum();
    let rest = source.get(start..).unwrap_or_default();
    start + rest.char_indices().nth(column).map_or(rest.len(), |(at, _)| at)
}
