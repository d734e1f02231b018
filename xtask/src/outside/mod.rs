//! A program outside the workspace that uses the packed crates, as a user's program does.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self as own, Command};

use anyhow::{Context as _, Result, ensure};

use crate::workspace::Workspace;
use crate::{package, process};

const MAIN: &str = include_str!("main.rs.txt");

/// The crates that the program names: the core and one driver are all a user needs.
const USED: [&str; 2] = ["stream-core", "stream-memory"];

/// Clients of stores that the program does not name, so it must not compile them.
const STRANGERS: [&str; 5] = ["sqlx", "fred", "rskafka", "aws-sdk-sqs", "lapin"];

/// Packs the crates, builds and runs the program, checks what it brought along.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let folder = env::temp_dir().join(format!("stream-outside-{}", own::id()));
    let outcome = build_in(workspace, &folder);
    if let Err(error) = fs::remove_dir_all(&folder) {
        eprintln!("cannot remove {}: {error}", folder.display());
    }
    outcome
}

fn build_in(workspace: &Workspace, folder: &Path) -> Result<()> {
    let packed = package::pack(workspace, &USED)?;
    let packages: Vec<PathBuf> =
        packed.iter().map(|file| package::unpack(file, &folder.join("packages"))).collect::<Result<_>>()?;
    let program = folder.join("program");
    write_program(workspace, &program, &packages)?;

    let printed = process::output(&mut cargo_in(workspace, &program, &["run", "--quiet"]))?;
    print!("{printed}");
    let tree = process::output(&mut cargo_in(
        workspace,
        &program,
        &["tree", "--edges", "normal", "--prefix", "none"],
    ))?;
    let strangers = strangers_in(&tree);
    ensure!(
        strangers.is_empty(),
        "a program with {} alone also builds {}",
        USED.join(" and "),
        strangers.join(", ")
    );
    println!("it builds {} crates, no other driver among them", names_in(&tree).len());
    Ok(())
}

fn write_program(workspace: &Workspace, program: &Path, packages: &[PathBuf]) -> Result<()> {
    fs::create_dir_all(program.join("src")).context("cannot create the program's folder")?;
    fs::write(program.join("Cargo.toml"), manifest(packages)).context("cannot write its manifest")?;
    fs::write(program.join("src/main.rs"), MAIN).context("cannot write its source")?;
    // The versions that everything else was tested with; cargo takes out what is not needed.
    fs::copy(workspace.root.join("Cargo.lock"), program.join("Cargo.lock"))
        .context("cannot copy Cargo.lock")?;
    Ok(())
}

/// Names the crates by version, as a user does, and points the registry's names at the unpacked packages.
fn manifest(packages: &[PathBuf]) -> String {
    let mut dependencies = String::new();
    let mut patches = String::new();
    for (name, folder) in USED.iter().zip(packages) {
        dependencies += &format!("{name} = \"*\"\n");
        patches += &format!("{name} = {{ path = {:?} }}\n", folder.display().to_string());
    }
    format!(
        "[package]\nname = \"outside\"\nversion = \"0.0.0\"\nedition = \"2024\"\npublish = false\n\n\
         [dependencies]\n{dependencies}serde = {{ version = \"1\", features = [\"derive\"] }}\n\
         tokio = {{ version = \"1\", features = [\"macros\", \"rt-multi-thread\"] }}\n\n\
         [patch.crates-io]\n{patches}\n[workspace]\n"
    )
}

fn cargo_in(workspace: &Workspace, program: &Path, words: &[&str]) -> Command {
    let mut command = process::cargo(words);
    // The target folder stays for the next run, the program's own folder does not.
    command.current_dir(program).env("CARGO_TARGET_DIR", workspace.target.join("outside"));
    command
}

/// The crate names in the output of `cargo tree --prefix none`, each once.
fn names_in(tree: &str) -> Vec<&str> {
    let mut names: Vec<_> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn strangers_in(tree: &str) -> Vec<&str> {
    let is_stranger =
        |name: &&str| (name.starts_with("stream-") && !USED.contains(name)) || STRANGERS.contains(name);
    names_in(tree).into_iter().filter(is_stranger).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str =
        "outside v0.0.0 (/tmp/x)\nserde v1.0.0\nstream-core v0.1.0 (/tmp/y)\nserde v1.0.0 (*)\n\n";

    #[test]
    fn the_tree_is_read_by_name() {
        assert_eq!(names_in(TREE), ["outside", "serde", "stream-core"]);
    }

    #[test]
    fn other_drivers_and_their_clients_are_strangers() {
        assert!(strangers_in(TREE).is_empty());
        let more = format!("{TREE}stream-redis v0.1.0\nfred v10.0.0\nsqlx-core v0.9.0\n");
        assert_eq!(strangers_in(&more), ["fred", "stream-redis"]);
    }

    #[test]
    fn the_manifest_patches_both_crates() {
        let text = manifest(&["/tmp/a".into(), "/tmp/b".into()]);
        let manifest: toml::Table = text.parse().unwrap();
        assert_eq!(manifest["patch"]["crates-io"]["stream-memory"]["path"].as_str(), Some("/tmp/b"));
        assert!(manifest["dependencies"]["stream-core"].is_str());
    }
}
