//! The quickstart, killed on its way and run again as a new user would.

#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed, also in its helpers")]

use std::{
    env, fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
};

/// The program itself, which `cargo test` builds beside its tests.
fn program() -> PathBuf {
    let test = env::current_exe().unwrap();
    let program = test.ancestors().nth(2).unwrap().join("examples/quickstart");
    let program = program.with_extension(env::consts::EXE_EXTENSION);
    assert!(program.exists(), "build it first: cargo build -p stream-examples --example quickstart");
    program
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", process::id()));
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Runs it in a folder until it has printed a line with these words, and kills it then.
fn run_and_kill(folder: &Path, words: &str) {
    let mut running = Command::new(program()).current_dir(folder).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(running.stdout.take().unwrap()).lines();
    assert!(lines.map(Result::unwrap).any(|line| line.contains(words)), "no line with {words:?}");
    running.kill().unwrap();
    running.wait().unwrap();
}

fn run(folder: &Path) -> String {
    let output = Command::new(program()).current_dir(folder).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    text
}

#[test]
fn it_goes_on_where_it_was_killed() {
    let folder = folder("killed");
    for words in ["attempt 2 failed", "Pushed:"] {
        run_and_kill(&folder, words);
        let second = run(&folder);

        assert!(second.contains("A run was killed: it left"), "{second}");
        assert!(!second.contains("Pushed"), "{second}");
        assert!(second.contains("0 waiting, 0 dead"), "{second}");
        if words == "attempt 2 failed" {
            assert!(second.contains("got the rate of EUR in attempt 3"), "{second}");
            assert!(!second.contains("attempt 1 failed"), "{second}");
        }
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn it_begins_anew_when_an_earlier_run_has_ended() {
    let folder = folder("ended");
    for _ in 0..2 {
        assert!(run(&folder).contains("5 jobs pushed, 5 done, 0 waiting, 0 dead."));
    }
    fs::remove_dir_all(folder).unwrap();
}
