//! Servers that come as jars: fetched with Maven, with all they depend on, at fixed versions.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::download::Download;
use super::programs;
use crate::process;

/// Fixed like the jars, so that a new release of the plug-in changes nothing here.
const PLUGIN: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";

/// A server as Maven knows it.
#[derive(Debug)]
pub(crate) struct Jars {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    /// `group:artifact:version` of what is asked for; the rest follows.
    pub(crate) artifacts: &'static [&'static str],
}

impl Download for Jars {
    fn folder_name(&self) -> String {
        format!("{}-{}", self.name, self.version)
    }

    fn shown(&self) -> String {
        format!("mvn dependency:copy-dependencies for {}", self.artifacts.join(", "))
    }

    fn fetch_into(&self, folder: &Path) -> Result<()> {
        let pom = folder.join("pom.xml");
        fs::write(&pom, self.pom()).context("cannot write a pom.xml")?;
        let mut maven = Command::new(programs::find("mvn")?);
        maven
            .args(["-q", "-B", "-Dstyle.color=never", "-f"])
            .arg(&pom)
            .arg(PLUGIN)
            .arg("-DincludeScope=runtime");
        process::run(maven.arg(format!("-DoutputDirectory={}", folder.display())))
    }
}

impl Jars {
    fn pom(&self) -> String {
        let dependencies: String = self.artifacts.iter().map(|artifact| dependency(artifact)).collect();
        format!(
            "<project xmlns=\"http://maven.apache.org/POM/4.0.0\">\n  <modelVersion>4.0.0</modelVersion>\n  \
             <groupId>local</groupId><artifactId>{}</artifactId><version>1</version><packaging>pom</packaging>\n  \
             <dependencies>\n{dependencies}  </dependencies>\n</project>\n",
            self.name
        )
    }
}

fn dependency(artifact: &str) -> String {
    let mut words = artifact.split(':');
    let mut next = || words.next().unwrap_or_default();
    format!(
        "    <dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>\n",
        next(),
        next(),
        next()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pom_asks_for_each_artifact_by_its_version() {
        let jars = Jars { name: "a", version: "1.2", artifacts: &["org.a:a_2.13:1.2", "org.b:b:3"] };
        let pom = jars.pom();
        assert!(
            pom.contains("<groupId>org.a</groupId><artifactId>a_2.13</artifactId><version>1.2</version>")
        );
        assert!(pom.contains("<groupId>org.b</groupId><artifactId>b</artifactId><version>3</version>"));
        assert_eq!(jars.folder_name(), "a-1.2");
    }
}
