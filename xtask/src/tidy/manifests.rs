//! What stands in the manifests: everything a published crate needs, and external dependencies in one place.

use anyhow::{Context as _, Result};
use toml::{Table, Value};

use super::arrows::manifest_of;
use super::{Finding, TextFile, line_of_key};
use crate::workspace::{Package, Workspace};

const ROOT: &str = "Cargo.toml";
const TABLES: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

/// Checks the root's dependencies and each member's manifest.
pub(super) fn check(workspace: &Workspace, files: &[TextFile]) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.path.ends_with(ROOT)) {
        let manifest: Table = file.text.parse().with_context(|| file.path.display().to_string())?;
        findings.extend(external_without_features(file, &manifest));
        findings.extend(external_outside_the_root(file, &manifest));
    }
    for package in workspace.crates().filter(|package| package.is_published()) {
        let path = manifest_of(workspace, package);
        let file =
            files.iter().find(|file| file.path == path).context("a member's manifest is not known to git")?;
        findings.extend(published(package, file)?);
        if !package.directory().join("README.md").is_file() {
            findings.push(Finding::new(
                path,
                1,
                "write README.md beside this manifest: it is the crate's page",
            ));
        }
    }
    Ok(findings)
}

/// `[workspace.dependencies]`: nothing external brings features that nobody asked for.
fn external_without_features(file: &TextFile, manifest: &Table) -> Vec<Finding> {
    let dependencies = manifest.get("workspace").and_then(|workspace| workspace.get("dependencies"));
    let dependencies = dependencies.and_then(Value::as_table).into_iter().flatten();
    let external = dependencies.filter(|(_, value)| value.get("path").is_none());
    let wrong =
        external.filter(|(_, value)| value.get("default-features").and_then(Value::as_bool) != Some(false));
    let found = wrong.map(|(name, _)| {
        let line = line_of_key(&file.text, name);
        Finding::new(
            &file.path,
            line,
            format!("give {name} `default-features = false` and name the features used"),
        )
    });
    found.collect()
}

/// Members take external dependencies from the workspace, where the rule above sees them.
fn external_outside_the_root(file: &TextFile, manifest: &Table) -> Vec<Finding> {
    let tables = TABLES.iter().filter_map(|name| manifest.get(*name).and_then(Value::as_table));
    let is_own = |value: &Value| value.get("path").is_some();
    let is_inherited = |value: &Value| value.get("workspace").and_then(Value::as_bool) == Some(true);
    let wrong = tables.flatten().filter(|(_, value)| !is_own(value) && !is_inherited(value));
    let found = wrong.map(|(name, _)| {
        let message =
            format!("name {name} in [workspace.dependencies] and write `{name}.workspace = true` here");
        Finding::new(&file.path, line_of_key(&file.text, name), message)
    });
    found.collect()
}

fn published(package: &Package, file: &TextFile) -> Result<Vec<Finding>> {
    let manifest: Table = file.text.parse().with_context(|| file.path.display().to_string())?;
    let own_version = manifest.get("package").and_then(|table| table.get("version"));
    let is_missing = |text: &Option<String>| text.as_ref().is_none_or(|text| text.trim().is_empty());

    let mut messages = Vec::new();
    if !own_version.is_some_and(Value::is_str) {
        messages.push("give this crate a `version` of its own: crates are released one by one");
    }
    if is_missing(&package.description) {
        messages.push("give this crate a `description`: one line for the registry's list");
    }
    if is_missing(&package.license) {
        messages.push("write `license.workspace = true`");
    }
    let line = line_of_key(&file.text, "[package]");
    Ok(messages.into_iter().map(|message| Finding::new(&file.path, line, message)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::file;

    fn checked(text: &str, rule: fn(&TextFile, &Table) -> Vec<Finding>) -> Vec<usize> {
        let findings = rule(&file("Cargo.toml", text), &text.parse().unwrap());
        findings.into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn external_dependencies_have_no_default_features() {
        let root = "[workspace.dependencies]\na = \"1\"\nb = { version = \"1\", default-features = false }\nours = { path = \"x\" }\nc = { version = \"1\" }\n";
        assert_eq!(checked(root, external_without_features), [2, 5]);
    }

    #[test]
    fn members_inherit_their_external_dependencies() {
        let member = "[dependencies]\na.workspace = true\nb = { workspace = true, features = [] }\nours = { path = \"../x\" }\n\n[dev-dependencies]\nd = \"1\"\n";
        assert_eq!(checked(member, external_outside_the_root), [7]);
    }

    #[test]
    fn a_published_crate_has_a_version_a_description_and_a_licence() {
        let whole =
            Package { description: Some("a".into()), license: Some("MIT".into()), ..Package::default() };
        let own = file("Cargo.toml", "[package]\nversion = \"0.1.0\"\n");
        assert!(published(&whole, &own).unwrap().is_empty());
        let inherited = file("Cargo.toml", "[package]\nversion.workspace = true\n");
        assert_eq!(published(&whole, &inherited).unwrap().len(), 1);
        assert_eq!(published(&Package::default(), &own).unwrap().len(), 2);
    }
}
