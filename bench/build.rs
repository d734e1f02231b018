//! Tells the program which compiler and which crates it is made of.

use std::{env, error::Error, fs, process::Command};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=../Cargo.lock");
    let rustc = Command::new(env::var("RUSTC")?).arg("--version").output()?;
    println!("cargo::rustc-env=STREAM_BENCH_RUSTC={}", String::from_utf8(rustc.stdout)?.trim());
    println!("cargo::rustc-env=STREAM_BENCH_CRATES={}", crates(&fs::read_to_string("../Cargo.lock")?));
    Ok(())
}

/// `name version` of each locked crate, separated by commas.
fn crates(lock: &str) -> String {
    let value = |line: &str, key: &str| {
        let value = line.strip_prefix(key)?.strip_prefix(" = ")?;
        Some(value.trim_matches('"').to_owned())
    };
    let packages = lock.split("[[package]]").skip(1).filter_map(|package| {
        let find = |key| package.lines().find_map(|line| value(line, key));
        Some(format!("{} {}", find("name")?, find("version")?))
    });
    packages.collect::<Vec<_>>().join(",")
}
