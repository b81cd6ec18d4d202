//! The floors and manners of the house (ARCHITECTURE.md): every breach is named with file, line and remedy.
//!
//! A text scan, not a compiler: it sees what is written as a path, not what a glob or a macro brings in.

mod lexer;
mod paths;
mod rules;

use std::fs;
use std::path::{Path, PathBuf};

/// One breach of a rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Breach {
    file: String,
    line: usize,
    what: String,
}

#[test]
fn the_house_is_in_order() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    collect(&root.join("src"), &mut files);
    assert!(files.len() > 3, "the sources are where they are looked for");
    files.sort();
    let mut report = Vec::new();
    for file in files {
        let name = file.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
        let source = fs::read_to_string(&file).unwrap();
        for Breach { file, line, what } in rules::breaches(&name, &source) {
            report.push(format!("{file}:{line}: {what}"));
        }
    }
    assert!(
        report.is_empty(),
        "{} breaches of the house rules:\n{}\n",
        report.len(),
        report.join("\n")
    );
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
