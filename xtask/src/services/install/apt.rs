//! Packages of Debian and its relatives.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::programs;
use crate::process;
use crate::services::user;

/// Asked by every package before it starts its service.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Ours is known by its second line, so that one left by a killed run is removed by the next.
const OURS: &str = "#!/bin/sh\n# cargo xtask services --install: services are started by hand\nexit 101\n";

/// Says no to packages that would start their service, until it is dropped.
struct NoServices {
    is_ours: bool,
}

impl NoServices {
    fn begin() -> Result<Self> {
        let there = fs::read_to_string(POLICY).ok();
        let is_ours = there.as_deref().is_none_or(|text| text == OURS);
        if is_ours {
            let script = std::env::temp_dir().join(format!("policy-rc.d-{}", std::process::id()));
            fs::write(&script, OURS).context("cannot write a file")?;
            let installed = as_root("install", &["-m", "755", &script.display().to_string(), POLICY]);
            let outcome = process::run(&mut installed?);
            fs::remove_file(&script).context("cannot remove a file")?;
            outcome?;
        }
        Ok(Self { is_ours })
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.is_ours {
            let removed = as_root("rm", &["-f", POLICY]).and_then(|mut command| process::run(&mut command));
            if let Err(error) = removed {
                eprintln!("remove {POLICY} by hand: {error:#}");
            }
        }
    }
}

/// Why packages cannot be installed here, if so.
pub(crate) fn obstacle() -> Option<&'static str> {
    if programs::look_for("apt-get").is_none() {
        Some("this system has no apt-get")
    } else if !user::is_root() && !has_sudo() {
        Some("installing needs root or sudo")
    } else {
        None
    }
}

/// The command that installs them, for a person to type.
pub(crate) fn shown(packages: &[&str]) -> String {
    let sudo = if user::is_root() { "" } else { "sudo " };
    format!("{sudo}apt-get install -y --no-install-recommends {}", packages.join(" "))
}

/// Installs packages without starting their services; prints each command first.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    if let Some(obstacle) = obstacle() {
        bail!("{obstacle}, and these packages are missing: {}", packages.join(" "));
    }
    // Another source may be out of reach; whether that matters shows when packages are fetched.
    if let Err(error) = process::run(&mut apt_get(&["-qq", "update"])?) {
        eprintln!("{error:#}");
    }
    let _no_services = NoServices::begin()?;
    let words = ["-y", "-qq", "-o", "DPkg::Lock::Timeout=300", "install", "--no-install-recommends"];
    process::run(&mut apt_get(&[&words[..], packages].concat())?)
}

fn apt_get(arguments: &[&str]) -> Result<Command> {
    let mut command = as_root("apt-get", arguments)?;
    command.env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null()).stdout(Stdio::null());
    Ok(command)
}

fn as_root(program: &str, arguments: &[&str]) -> Result<Command> {
    let program = programs::find(program)?;
    let mut command = if user::is_root() { Command::new(&program) } else { sudo(&program) };
    command.args(arguments);
    Ok(command)
}

fn sudo(program: &Path) -> Command {
    let mut command = Command::new("sudo");
    command.args(["-n", "DEBIAN_FRONTEND=noninteractive"]).arg(program);
    command
}

fn has_sudo() -> bool {
    let mut command = Command::new("sudo");
    let status = command.args(["-n", "true"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
