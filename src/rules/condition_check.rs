//! What is checked of a condition when it is loaded.
//!
//! The logic (`&&`, `||`, `!`, `? :`) is taken apart, and each of its operands is evaluated on a
//! sample event, so that no operand hides behind another one. Operands that look at `event.data`
//! have no sample: of these only the structure is checked.

use cel::{
    IdedExpr, Program, Value,
    common::ast::{ComprehensionExpr, EntryExpr, Expr, LiteralValue, operators},
};

use super::{
    condition::evaluate,
    facts::{Facts, Group},
    mistake::{Refusal, suggest},
    path,
};

/// What evaluation costs, as far as it can be known without an event.
#[derive(Debug)]
pub(super) struct Shape {
    /// Steps without loops.
    pub(super) weight: usize,
    /// Loops inside each other.
    pub(super) loops: u32,
    /// Whether a loop makes a list.
    pub(super) collects: bool,
    /// Whether it looks at `event.data`.
    pub(super) reads_data: bool,
}

/// Most loops inside each other.
const MOST_LOOPS: u32 = 2;
/// Longest regular expression. It is compiled anew for every evaluation.
const LONGEST_PATTERN: usize = 100;
/// Largest product of the repetitions `{n}` in a regular expression.
const MOST_REPETITIONS: u64 = 100;
/// What compiling a regular expression weighs against one step.
const PATTERN_WEIGHT: usize = 2_000;

/// Functions that may be called, and whether they answer true or false.
const FUNCTIONS: [(&str, bool); 22] = [
    ("size", false),
    ("contains", true),
    ("startsWith", true),
    ("endsWith", true),
    ("matches", true),
    ("duration", false),
    ("timestamp", false),
    ("string", false),
    ("int", false),
    ("uint", false),
    ("double", false),
    ("bool", true),
    ("getFullYear", false),
    ("getMonth", false),
    ("getDate", false),
    ("getDayOfMonth", false),
    ("getDayOfWeek", false),
    ("getDayOfYear", false),
    ("getHours", false),
    ("getMinutes", false),
    ("getSeconds", false),
    ("getMilliseconds", false),
];

/// The names people may have meant: functions and macros.
const MACROS: [&str; 6] = ["has", "all", "exists", "exists_one", "map", "filter"];

/// Operators, and whether they answer true or false.
const OPERATORS: [(&str, bool); 19] = [
    (operators::LOGICAL_AND, true),
    (operators::LOGICAL_OR, true),
    (operators::LOGICAL_NOT, true),
    (operators::EQUALS, true),
    (operators::NOT_EQUALS, true),
    (operators::LESS, true),
    (operators::LESS_EQUALS, true),
    (operators::GREATER, true),
    (operators::GREATER_EQUALS, true),
    (operators::IN, true),
    (operators::NOT_STRICTLY_FALSE, true),
    (operators::CONDITIONAL, true),
    (operators::INDEX, true),
    (operators::ADD, false),
    (operators::SUBSTRACT, false),
    (operators::MULTIPLY, false),
    (operators::DIVIDE, false),
    (operators::MODULO, false),
    (operators::NEGATE, false),
];

/// Checks a parsed condition, which is known not to be too deep.
pub(super) fn check(program: &Program, sample: &Facts<'_>) -> Result<Shape, Vec<Refusal>> {
    let tree = sample.tree();
    let mut walk = Walk {
        program,
        facts: &tree,
        names: Vec::new(),
        loops: 0,
        refusals: Vec::new(),
        shape: Shape {
            weight: 0,
            loops: 0,
            collects: false,
            reads_data: false,
        },
    };
    let expression = program.expression();
    walk.expression(expression);
    if walk.refusals.is_empty() {
        walk.operands(expression, sample);
    }
    if walk.refusals.is_empty() {
        Ok(walk.shape)
    } else {
        Err(walk.refusals)
    }
}

struct Walk<'p> {
    program: &'p Program,
    facts: &'p Group,
    /// Names that loops around give to their elements.
    names: Vec<&'p str>,
    loops: u32,
    refusals: Vec<Refusal>,
    shape: Shape,
}

impl<'p> Walk<'p> {
    fn refuse(&mut self, at: &IdedExpr, what: impl Into<String>, remedy: impl Into<String>) {
        let at = start(self.program, at).unwrap_or(0);
        self.refusals.push(Refusal::new(at, what, remedy));
    }

    fn expression(&mut self, at: &'p IdedExpr) {
        self.shape.weight += 1;
        if let Some(path) = path_of(at) {
            return self.path(at, &path);
        }
        match &at.expr {
            Expr::Call(call) => self.call(at, &call.func_name),
            Expr::Comprehension(comprehension) => return self.comprehension(at, comprehension),
            Expr::Struct(_) => self.refuse(at, "objects of a type cannot be made here", "compare single values"),
            Expr::Unspecified => self.refuse(at, "the condition cannot be read", "write it in a simpler way"),
            Expr::Ident(_) | Expr::List(_) | Expr::Literal(_) | Expr::Map(_) | Expr::Select(_) => {}
        }
        for child in children(at) {
            self.expression(child);
        }
    }

    fn path(&mut self, at: &'p IdedExpr, path: &[&'p str]) {
        let root = path.first().copied().unwrap_or_default();
        if root.starts_with('@') || self.names.contains(&root) {
            return;
        }
        self.shape.reads_data |= is_data(path);
        if let Err((what, remedy)) = path::check(self.facts, path) {
            self.refuse(at, what, remedy);
        }
    }

    fn call(&mut self, at: &'p IdedExpr, name: &str) {
        if name == "matches" {
            self.shape.weight += PATTERN_WEIGHT;
            if let Err((what, remedy)) = check_pattern(at) {
                self.refuse(at, what, remedy);
            }
        }
        if name == operators::IN {
            // It looks through the whole list.
            self.shape.loops = self.shape.loops.max(self.loops + 1);
        }
        let known = FUNCTIONS.iter().chain(&OPERATORS).any(|(known, _)| *known == name);
        if !known {
            let mut names: Vec<&str> = FUNCTIONS.iter().map(|(name, _)| *name).collect();
            names.extend(MACROS);
            let what = format!("no function is called `{}`", super::table::shorten(name));
            self.refuse(at, what, suggest(name, &names));
        }
    }

    fn comprehension(&mut self, at: &'p IdedExpr, comprehension: &'p ComprehensionExpr) {
        self.expression(&comprehension.iter_range);
        self.loops += 1;
        self.shape.loops = self.shape.loops.max(self.loops);
        self.shape.collects |= matches!(comprehension.accu_init.expr, Expr::List(_));
        if self.loops == MOST_LOOPS + 1 {
            self.refuse(
                at,
                format!("more than {MOST_LOOPS} loops inside each other"),
                "an event could keep it busy for hours; take it apart into several rules",
            );
        }
        let names = self.names.len();
        self.names.push(&comprehension.iter_var);
        self.names.push(&comprehension.accu_var);
        self.names.extend(comprehension.iter_var2.as_deref());
        for part in [
            &comprehension.accu_init,
            &comprehension.loop_cond,
            &comprehension.loop_step,
            &comprehension.result,
        ] {
            self.expression(part);
        }
        self.names.truncate(names);
        self.loops -= 1;
    }

    /// Tries the operands of the logic one by one.
    fn operands(&mut self, at: &'p IdedExpr, sample: &Facts<'_>) {
        if let Expr::Call(call) = &at.expr {
            match call.func_name.as_str() {
                operators::LOGICAL_AND | operators::LOGICAL_OR | operators::LOGICAL_NOT | operators::CONDITIONAL => {
                    return call.args.iter().for_each(|operand| self.operands(operand, sample));
                }
                _ => {}
            }
        }
        if mentions_data(at) {
            if never_boolean(at) {
                self.refuse(at, "this is not true or false", "compare it with something");
            }
            return;
        }
        match evaluate(at, sample.context()) {
            Ok(Value::Bool(_)) => {}
            Ok(other) => {
                let what = format!("this is of type {}, not true or false", other.type_of());
                self.refuse(at, what, "compare it with something");
            }
            Err(why) => self.refuse(at, format!("this can never work: {why}"), "correct it"),
        }
    }
}

/// The dotted name an expression spells, with `a["b"]` counting as `a.b`.
fn path_of(at: &IdedExpr) -> Option<Vec<&str>> {
    let mut path = Vec::new();
    let mut here = at;
    loop {
        match &here.expr {
            Expr::Ident(name) => {
                path.push(name.as_str());
                path.reverse();
                return Some(path);
            }
            Expr::Select(select) => {
                path.push(&select.field);
                here = &select.operand;
            }
            Expr::Call(call) if call.func_name == operators::INDEX => match &call.args[..] {
                [operand, index] => {
                    let Expr::Literal(LiteralValue::String(name)) = &index.expr else {
                        return None;
                    };
                    path.push(name.inner());
                    here = operand;
                }
                _ => return None,
            },
            _ => return None,
        }
    }
}

fn is_data(path: &[&str]) -> bool {
    // The whole event holds the data too.
    matches!(path, ["event"] | ["event", "data", ..])
}

fn mentions_data(at: &IdedExpr) -> bool {
    path_of(at).is_some_and(|path| is_data(&path)) || children(at).into_iter().any(mentions_data)
}

/// Whether the value cannot be true or false, whatever the event.
fn never_boolean(at: &IdedExpr) -> bool {
    match &at.expr {
        Expr::Call(call) => FUNCTIONS
            .iter()
            .chain(&OPERATORS)
            .any(|(name, boolean)| *name == call.func_name && !boolean),
        Expr::Comprehension(comprehension) => matches!(comprehension.accu_init.expr, Expr::List(_)),
        Expr::Literal(literal) => !matches!(literal, LiteralValue::Boolean(_)),
        Expr::List(_) | Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified => true,
        Expr::Ident(_) | Expr::Select(_) => false,
    }
}

/// A regular expression must be written out and small, because it is compiled for every event and
/// some that are short take a second.
fn check_pattern(at: &IdedExpr) -> Result<(), (String, String)> {
    let Expr::Call(call) = &at.expr else { return Ok(()) };
    let Some(Expr::Literal(LiteralValue::String(pattern))) = call.args.last().map(|last| &last.expr) else {
        return Err((
            "the pattern of `matches` is not written out".to_owned(),
            "write it as a text in quotes".to_owned(),
        ));
    };
    let pattern = pattern.inner();
    let repetitions = pattern
        .split('{')
        .skip(1)
        .filter_map(|rest| rest.split('}').next())
        .flat_map(|counts| counts.split(','))
        .filter_map(|count| count.trim().parse::<u64>().ok())
        .fold(1_u64, |product, count| product.saturating_mul(count.max(1)));
    if pattern.len() > LONGEST_PATTERN || repetitions > MOST_REPETITIONS {
        return Err((
            "the pattern of `matches` is too large".to_owned(),
            format!(
                "at most {LONGEST_PATTERN} bytes are possible, and {MOST_REPETITIONS} as the product of all `{{n}}`"
            ),
        ));
    }
    Ok(())
}

/// Levels of an expression.
pub(super) fn depth(at: &IdedExpr) -> usize {
    1 + children(at).into_iter().map(depth).max().unwrap_or(0)
}

fn children(at: &IdedExpr) -> Vec<&IdedExpr> {
    match &at.expr {
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
        Expr::Comprehension(loops) => vec![
            &loops.iter_range,
            &loops.accu_init,
            &loops.loop_cond,
            &loops.loop_step,
            &loops.result,
        ],
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Map(map) => map
            .entries
            .iter()
            .flat_map(|entry| entry_children(&entry.expr))
            .collect(),
        Expr::Struct(object) => object
            .entries
            .iter()
            .flat_map(|entry| entry_children(&entry.expr))
            .collect(),
        Expr::Select(select) => vec![&select.operand],
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => Vec::new(),
    }
}

fn entry_children(entry: &EntryExpr) -> Vec<&IdedExpr> {
    match entry {
        EntryExpr::StructField(field) => vec![&field.value],
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
    }
}

/// Where an expression starts, as a byte offset. The parser puts a node where its operator stands.
fn start(program: &Program, at: &IdedExpr) -> Option<usize> {
    let own = program
        .source_info()
        .offset_for(at.id)
        .and_then(|(start, _)| usize::try_from(start).ok());
    let parts = children(at).into_iter().filter_map(|part| start(program, part));
    own.into_iter().chain(parts).min()
}
