//! The steps by which the schema grows, each run once.

use std::sync::Arc;

use crate::names::Names;

/// A step as it stands in the source of a dialect.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Written {
    /// What it does, for people.
    pub(crate) name: &'static str,
    /// Statements, each ended by a `;` at the end of a line, but for those between `$body$` and `$body$`.
    pub(crate) sql: &'static str,
}

/// A step with the configured names in it.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// Counted from 1.
    pub(crate) version: u32,
    pub(crate) name: &'static str,
    /// In the order in which they are to be run.
    pub(crate) statements: Vec<Arc<str>>,
}

/// Renders the steps of a dialect; the first becomes version 1.
pub(crate) fn rendered(names: &Names, written: &[Written]) -> Vec<Step> {
    let steps = (1..).zip(written);
    steps
        .map(|(version, step)| Step {
            version,
            name: step.name,
            statements: statements(&names.render(step.sql)),
        })
        .collect()
}

/// Steps as a script for people who run it by hand.
pub(crate) fn script(steps: &[Step]) -> String {
    let mut script = String::new();
    for step in steps {
        script.push_str(&format!("-- version {}: {}\n", step.version, step.name));
        for statement in &step.statements {
            script.push_str(statement);
            script.push_str(";\n");
        }
    }
    script
}

fn statements(sql: &str) -> Vec<Arc<str>> {
    let (mut statements, mut statement, mut is_in_body) = (Vec::new(), String::new(), false);
    for line in sql.lines() {
        // A function of ours has its body between two of these, and each on a line of its own.
        is_in_body ^= line.contains("$body$");
        statement.push_str(line);
        match line.strip_suffix(';') {
            Some(_) if !is_in_body => {
                statement.pop();
                statements.push(Arc::from(statement.trim()));
                statement.clear();
            }
            _ => statement.push('\n'),
        }
    }
    let rest = statement.trim();
    statements.extend((!rest.is_empty()).then(|| Arc::from(rest)));
    statements
}
