//! `cargo xtask mutants`: breaks one promise at a time and sees whether its test notices.

pub(crate) mod catalogue;
mod tree;
mod trial;

use std::collections::BTreeSet;
use std::time::Instant;

use anyhow::{Result, bail};

use self::catalogue::Mutant;
use self::trial::{Attempt, Trials};
use crate::drivers::{
    backends::{self, Backends},
    catalogue::of_test,
    selection::Selection,
};
use crate::workspace::Workspace;

/// How a mutant fared.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fate {
    /// The test failed, as it should; the words say how.
    Caught(&'static str),
    /// The test passed although its promise is broken.
    Survived,
    /// The mutant itself is at fault: it does not compile, or its test does not run.
    Broken(String),
}

/// Prints every mutant with the promise it breaks.
pub(crate) fn list(workspace: &Workspace) -> Result<()> {
    for mutant in catalogue::load(workspace)? {
        println!(
            "{}\n    breaks: {}\n    test:   {} {}",
            mutant.name, mutant.promise, mutant.package, mutant.case
        );
    }
    Ok(())
}

/// Tries the named mutants, or all, on a copy of the tree.
pub(crate) fn run(workspace: &Workspace, names: &[String]) -> Result<()> {
    let mutants = select(catalogue::load(workspace)?, names)?;
    let tree = tree::copy(workspace)?;
    for mutant in &mutants {
        catalogue::apply(&tree, mutant)?;
    }
    let rows: Vec<_> = mutants.iter().filter_map(|mutant| of_test(&mutant.package, &mutant.case)).collect();
    let backends = Backends::up(workspace, backends::needed(&rows)?, &Selection::default())?;
    let trials = Trials::new(tree, workspace.target.join("mutants/target"), &backends);
    let fates = try_all(&trials, &mutants);
    backends.down()?;
    conclude(&fates?)
}

fn try_all(trials: &Trials<'_>, mutants: &[Mutant]) -> Result<Vec<Fate>> {
    prove_the_cases(trials, mutants)?;
    let mut fates = Vec::new();
    for mutant in mutants {
        let started = Instant::now();
        let fate = try_one(trials, mutant)?;
        println!("{}", line(mutant, &fate, started.elapsed().as_secs()));
        fates.push(fate);
    }
    Ok(fates)
}

fn select(mutants: Vec<Mutant>, names: &[String]) -> Result<Vec<Mutant>> {
    if let Some(unknown) = names.iter().find(|name| !mutants.iter().any(|mutant| mutant.name == **name)) {
        bail!("no mutant is named {unknown}; `cargo xtask mutants --list` prints them");
    }
    let mut chosen: Vec<_> =
        mutants.into_iter().filter(|mutant| names.is_empty() || names.contains(&mutant.name)).collect();
    if chosen.is_empty() {
        bail!("there are no mutants in mutants/*.toml");
    }
    // Mutants of one file follow each other, so that the least has to be built again.
    chosen.sort_by(|a, b| (&a.file, &a.package, &a.target).cmp(&(&b.file, &b.package, &b.target)));
    Ok(chosen)
}

/// A test that fails or does not run on the sound code would prove nothing by failing on the broken code.
fn prove_the_cases(trials: &Trials<'_>, mutants: &[Mutant]) -> Result<()> {
    let cases: BTreeSet<_> = mutants.iter().map(Mutant::test).collect();
    println!("running {} tests on the unchanged code", cases.len());
    let mut unfit = Vec::new();
    for test in cases {
        match trials.run_on_sound_code(&test)? {
            Attempt::Passed => {}
            attempt => unfit.push(format!("{} {} {}: {attempt}", test.package, test.target, test.case)),
        }
    }
    if !unfit.is_empty() {
        bail!("these tests do not pass on the unchanged code:\n{}", unfit.join("\n"));
    }
    Ok(())
}

fn try_one(trials: &Trials<'_>, mutant: &Mutant) -> Result<Fate> {
    let path = trials.tree().join(&mutant.file);
    let changed = catalogue::apply(trials.tree(), mutant)?;
    let _restored_on_drop = tree::Changed::write(&path, &changed)?;
    Ok(fate(trials.run(&mutant.test())?))
}

fn fate(attempt: Attempt) -> Fate {
    match attempt {
        Attempt::Passed => Fate::Survived,
        Attempt::Failed => Fate::Caught("caught"),
        Attempt::Died => Fate::Caught("caught, the test process died"),
        Attempt::Hung => Fate::Caught("caught by timeout"),
        attempt @ (Attempt::NotBuilt(_) | Attempt::NotRun) => Fate::Broken(attempt.to_string()),
    }
}

fn line(mutant: &Mutant, fate: &Fate, seconds: u64) -> String {
    let name = &mutant.name;
    match fate {
        Fate::Caught(how) => format!("{seconds:>4} s  {name}: {how}"),
        Fate::Survived => {
            format!("{seconds:>4} s  {name}: SURVIVED {}, so nothing keeps: {}", mutant.case, mutant.promise)
        }
        Fate::Broken(why) => {
            format!("{seconds:>4} s  {name}: BROKEN, mend it in {}: {why}", mutant.listed_in.display())
        }
    }
}

fn conclude(fates: &[Fate]) -> Result<()> {
    let count = |is: fn(&Fate) -> bool| fates.iter().filter(|fate| is(fate)).count();
    let caught = count(|fate| matches!(fate, Fate::Caught(_)));
    let survived = count(|fate| matches!(fate, Fate::Survived));
    let broken = count(|fate| matches!(fate, Fate::Broken(_)));
    println!("{caught} caught, {survived} survived, {broken} broken");
    if survived + broken > 0 {
        bail!("not every mutant was caught");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_failing_test_catches_a_mutant() {
        assert_eq!(fate(Attempt::Passed), Fate::Survived);
        assert!(matches!(fate(Attempt::Failed), Fate::Caught(_)));
        assert!(matches!(fate(Attempt::Hung), Fate::Caught("caught by timeout")));
        assert!(matches!(fate(Attempt::NotRun), Fate::Broken(_)));
        assert!(matches!(fate(Attempt::NotBuilt("E0425".into())), Fate::Broken(_)));
    }

    #[test]
    fn one_survivor_or_broken_mutant_fails_the_run() {
        assert!(conclude(&[Fate::Caught("caught")]).is_ok());
        assert!(conclude(&[Fate::Caught("caught"), Fate::Survived]).is_err());
        assert!(conclude(&[Fate::Broken(String::new())]).is_err());
    }
}
