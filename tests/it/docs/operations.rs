//! The table of operations in docs/api.md, made from the description of the API.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

const BEGIN: &str = "<!-- Made from the code. To refresh: make reference -->\n";
const END: &str = "<!-- End of what is made from the code. -->\n";

/// What the table has to say, by path: the order of keys in a JSON value is that of nobody in particular.
fn table(document: &Value) -> String {
    let mut rows = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let summary = operation["summary"].as_str().expect("a summary");
            let method = method.to_uppercase();
            let row = format!("| `{method} {path}` | {summary} | {} |\n", takes(operation));
            rows.insert((path, row));
        }
    }
    let rows: String = rows.into_iter().map(|(_, row)| row).collect();
    format!("\n| operation | what it does | takes |\n|---|---|---|\n{rows}\n")
}

/// The keys of the query string and of the body.
fn takes(operation: &Value) -> String {
    let parameters = operation["parameters"].as_array().expect("a list").iter();
    let query = parameters.filter(|parameter| parameter["in"] == "query");
    let names = query.map(|parameter| parameter["name"].as_str().expect("a name"));
    let body = &operation["requestBody"]["content"]["application/json"]["schema"]["properties"];
    let keys = body
        .as_object()
        .into_iter()
        .flat_map(|keys| keys.keys().map(String::as_str));
    let all: BTreeSet<String> = names.chain(keys).map(|name| format!("`{name}`")).collect();
    Vec::from_iter(all).join(" ")
}

/// Whether the document says so; with `refresh` it is made to.
pub(crate) fn told(file: &Path, refresh: bool) -> Result<(), String> {
    let text = fs::read_to_string(file).expect("the document");
    let (before, rest) = text.split_once(BEGIN).expect("where the table begins");
    let (there, after) = rest.split_once(END).expect("where the table ends");
    let wanted = table(&bellhop::web::openapi());
    if refresh {
        fs::write(file, format!("{before}{BEGIN}{wanted}{END}{after}")).expect("written");
        return Ok(());
    }
    let other = wanted.lines().find(|line| !there.lines().any(|has| has == *line));
    let more = there.lines().find(|line| !wanted.lines().any(|has| has == *line));
    match other.or(more) {
        None if there == wanted => Ok(()),
        line => Err(format!(
            "the table of operations is not that of the code, first at {}: `make reference`",
            line.unwrap_or("its order")
        )),
    }
}
