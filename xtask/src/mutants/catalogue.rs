//! The list of mutants in `mutants/*.toml`, and what each does to its file.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;

use crate::workspace::Workspace;

/// A small change that breaks one promise, and the test that must notice.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mutant {
    pub(crate) name: String,
    /// The sentence of the contract that is broken.
    pub(crate) promise: String,
    pub(crate) file: PathBuf,
    /// Must stand exactly once in the file.
    pub(crate) find: String,
    pub(crate) replace: String,
    pub(crate) package: String,
    /// `lib` for unit tests, else the name of an integration test.
    pub(crate) target: String,
    /// The whole name of the test, as the harness lists it.
    pub(crate) case: String,
    #[serde(skip)]
    pub(crate) listed_in: PathBuf,
}

/// The one test that a mutant is tried on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Test {
    pub(crate) package: String,
    pub(crate) target: String,
    pub(crate) case: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    mutant: Vec<Mutant>,
}

impl Mutant {
    pub(crate) fn test(&self) -> Test {
        Test { package: self.package.clone(), target: self.target.clone(), case: self.case.clone() }
    }
}

/// Reads every list in `mutants/`.
pub(crate) fn load(workspace: &Workspace) -> Result<Vec<Mutant>> {
    let is_list = |file: &PathBuf| {
        file.parent() == Some(Path::new("mutants")) && file.extension().is_some_and(|ext| ext == "toml")
    };
    let mut mutants = Vec::new();
    for file in workspace.files()?.into_iter().filter(is_list) {
        let text = fs::read_to_string(workspace.root.join(&file));
        let text = text.with_context(|| format!("cannot read {}", file.display()))?;
        mutants.extend(parse(&text, &file).with_context(|| file.display().to_string())?);
    }
    let mut names = BTreeSet::new();
    if let Some(mutant) = mutants.iter().find(|mutant| !names.insert(mutant.name.as_str())) {
        bail!("two mutants are named {}: rename one", mutant.name);
    }
    Ok(mutants)
}

fn parse(text: &str, listed_in: &Path) -> Result<Vec<Mutant>> {
    let File { mut mutant } = toml::from_str(text)?;
    for one in &mut mutant {
        one.listed_in = listed_in.to_owned();
    }
    Ok(mutant)
}

/// The content of the mutant's file below `root` with the change made.
pub(crate) fn apply(root: &Path, mutant: &Mutant) -> Result<String> {
    let file = mutant.file.display();
    let text = fs::read_to_string(root.join(&mutant.file));
    let text = text.with_context(|| format!("{}: cannot read {file}", mutant.name))?;
    changed(&text, mutant).with_context(|| format!("{} in {file}", mutant.name))
}

fn changed(text: &str, mutant: &Mutant) -> Result<String> {
    let found = text.matches(&mutant.find).count();
    ensure!(found == 1, "`find` must stand exactly once in the file, it stands there {found} times");
    ensure!(mutant.find != mutant.replace, "`replace` is the same as `find`");
    Ok(text.replacen(&mutant.find, &mutant.replace, 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"
        [[mutant]]
        name = "adds_wrongly"
        promise = "two and two make four"
        file = "src/add.rs"
        find = "a + b"
        replace = "a - b"
        package = "adder"
        target = "suite"
        case = "conformance::adds"
    "#;

    fn mutant() -> Mutant {
        parse(LIST, Path::new("mutants/adder.toml")).unwrap().remove(0)
    }

    #[test]
    fn a_list_is_read_with_its_origin() {
        let mutant = mutant();
        assert_eq!(mutant.case, "conformance::adds");
        assert_eq!(mutant.listed_in, Path::new("mutants/adder.toml"));
    }

    #[test]
    fn an_unknown_key_is_refused() {
        assert!(parse(&LIST.replace("promise", "promises"), Path::new("x")).is_err());
    }

    #[test]
    fn the_place_must_be_unique() {
        assert_eq!(changed("fn add() { a + b }", &mutant()).unwrap(), "fn add() { a - b }");
        assert!(changed("fn add() { b + a }", &mutant()).is_err());
        assert!(changed("a + b; a + b", &mutant()).is_err());
    }
}
