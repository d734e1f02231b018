//! The table of capabilities in `docs/drivers.md`, printed by the drivers themselves.

use std::fs;

use anyhow::{Context as _, Result, bail};

use crate::process;
use crate::workspace::Workspace;

const FILE: &str = "docs/drivers.md";
const START: &str = "<!-- capabilities:start -->";
const END: &str = "<!-- capabilities:end -->";

/// Puts the current table into the document.
pub(crate) fn write(workspace: &Workspace) -> Result<()> {
    let (old, new) = old_and_new(workspace)?;
    if old == new {
        println!("{FILE} is up to date");
        return Ok(());
    }
    fs::write(workspace.root.join(FILE), new).with_context(|| format!("cannot write {FILE}"))?;
    println!("{FILE} written");
    Ok(())
}

/// Fails if the document does not hold the current table.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let (old, new) = old_and_new(workspace)?;
    if old != new {
        bail!("the table in {FILE} is out of date: run `cargo xtask capabilities`");
    }
    println!("{FILE} is up to date");
    Ok(())
}

fn old_and_new(workspace: &Workspace) -> Result<(String, String)> {
    let old = fs::read_to_string(workspace.root.join(FILE)).with_context(|| format!("cannot read {FILE}"))?;
    let mut example = process::cargo([
        "run",
        "-q",
        "-p",
        "stream-examples",
        "--features",
        "drivers",
        "--example",
        "capabilities",
    ]);
    let table = process::output(example.current_dir(&workspace.root))?;
    let new = with_table(&old, &table)?;
    Ok((old, new))
}

/// The document with `table` between its two marks.
fn with_table(document: &str, table: &str) -> Result<String> {
    let missing = || format!("{FILE} needs a line `{START}` and after it a line `{END}`");
    let (before, rest) = document.split_once(START).with_context(missing)?;
    let (_, after) = rest.split_once(END).with_context(missing)?;
    Ok(format!("{before}{START}\n{}\n{END}{after}", table.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_text_between_the_marks_changes() {
        let document = format!("# Drivers\n\n{START}\nold\n{END}\n\nThe end.\n");
        let expected = format!("# Drivers\n\n{START}\n| a |\n{END}\n\nThe end.\n");
        assert_eq!(with_table(&document, "| a |\n").unwrap(), expected);
        assert_eq!(with_table(&expected, "| a |\n").unwrap(), expected);
    }

    #[test]
    fn a_document_without_marks_is_refused() {
        assert!(with_table("# Drivers\n", "| a |").is_err());
        assert!(with_table(&format!("{END}{START}"), "| a |").is_err());
    }
}
