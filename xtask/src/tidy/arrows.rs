//! Which crate of ours may depend on which: arrows point at `stream-core` only.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use super::{DRIVERS, Finding, line_of_key};
use crate::workspace::{Dependency, Package, Workspace};

const CORE: &str = "stream-core";
const TESTKIT: &str = "stream-testkit";

/// What a crate's normal dependencies on our own crates may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Arrows {
    None,
    Core,
    Any,
}

fn arrows_of(name: &str) -> Option<Arrows> {
    match name {
        CORE => Some(Arrows::None),
        TESTKIT | "stream-persistence" | "stream-worker" => Some(Arrows::Core),
        driver if DRIVERS.contains(&driver) => Some(Arrows::Core),
        "stream-cli" => Some(Arrows::Any),
        _ => None,
    }
}

/// Checks the manifests of every crate under `crates/`.
pub(super) fn check(workspace: &Workspace) -> Vec<Finding> {
    let ours: BTreeSet<&str> = workspace.packages.iter().map(|package| package.name.as_str()).collect();
    let mut findings = Vec::new();
    for package in workspace.crates() {
        let text = fs::read_to_string(&package.manifest_path).unwrap_or_default();
        let manifest = workspace.relative(&package.manifest_path).to_owned();
        let at = |dependency: &str, message| Finding::new(&manifest, line_of_key(&text, dependency), message);
        findings.extend(
            check_package(package, &ours).into_iter().map(|(dependency, message)| at(&dependency, message)),
        );
        if package.name == CORE {
            findings.extend(check_core_size(package).into_iter().map(|message| {
                Finding::new(manifest.clone(), line_of_key(&text, "[dependencies]"), message)
            }));
        }
    }
    findings
}

/// Pairs of the dependency at fault and what to do about it.
fn check_package(package: &Package, ours: &BTreeSet<&str>) -> Vec<(String, String)> {
    let name = &package.name;
    let Some(arrows) = arrows_of(name) else {
        let message =
            format!("name the arrows of {name} in xtask/src/tidy/arrows.rs, with a decision record");
        return vec![(name.clone(), message)];
    };
    let own = package.dependencies.iter().filter(|dependency| ours.contains(dependency.name.as_str()));
    let wrong = own.filter_map(|dependency| {
        let message = if dependency.is_dev() {
            wrong_dev_arrow(package, dependency)
        } else {
            wrong_arrow(name, arrows, dependency)
        };
        Some((dependency.name.clone(), message?))
    });
    wrong.collect()
}

fn wrong_arrow(name: &str, arrows: Arrows, dependency: &Dependency) -> Option<String> {
    let to = &dependency.name;
    match arrows {
        Arrows::Any => None,
        Arrows::None => Some(format!("remove the dependency on {to}: {name} depends on no crate of ours")),
        Arrows::Core if to != CORE => {
            Some(format!("remove the dependency on {to}: {name} may depend on {CORE} only"))
        }
        Arrows::Core
            if DRIVERS.contains(&name) && dependency.is_normal() && dependency.uses_default_features =>
        {
            Some(format!(
                "give {CORE} `default-features = false`: a driver does not bring the consumer along"
            ))
        }
        Arrows::Core => None,
    }
}

fn wrong_dev_arrow(package: &Package, dependency: &Dependency) -> Option<String> {
    let (name, to) = (&package.name, &dependency.name);
    if name == CORE {
        return Some(format!("remove the dev-dependency on {to}: {CORE} has no arrow to a crate of ours"));
    }
    if DRIVERS.contains(&name.as_str()) && ![CORE, TESTKIT].contains(&to.as_str()) {
        return Some(format!(
            "remove the dev-dependency on {to}: a driver is tested with {TESTKIT} and {CORE} only"
        ));
    }
    // Where the normal dependency already asks for the version, a dev-dependency that repeats it asks for no more.
    let is_normal_too = package.dependencies.iter().any(|other| other.is_normal() && other.name == *to);
    if dependency.req != "*" && !is_normal_too {
        return Some(format!("name {to} by path without a version, or {name} cannot be published before it"));
    }
    None
}

/// The promise is 5 dependencies for programs that only push, 8 with the consumer.
const DEPENDENCIES_MAX: usize = 5;
const DEPENDENCIES_WITH_WORKER_MAX: usize = 8;

fn check_core_size(core: &Package) -> Vec<String> {
    let normal: Vec<_> = core.dependencies.iter().filter(|dependency| dependency.is_normal()).collect();
    let always = normal.iter().filter(|dependency| !dependency.optional).count();
    let brought = brought_by("worker", core);
    let with_worker =
        always + normal.iter().filter(|d| d.optional && brought.contains(d.name.as_str())).count();

    let mut messages = Vec::new();
    if always > DEPENDENCIES_MAX {
        messages.push(format!(
            "take out {} of {always} dependencies: {CORE} has at most {DEPENDENCIES_MAX} without the worker",
            always - DEPENDENCIES_MAX
        ));
    }
    if with_worker > DEPENDENCIES_WITH_WORKER_MAX {
        messages.push(format!("take out {} of {with_worker} dependencies: {CORE} has at most {DEPENDENCIES_WITH_WORKER_MAX} with the worker", with_worker - DEPENDENCIES_WITH_WORKER_MAX));
    }
    messages
}

/// The optional dependencies that a feature turns on, itself or through other features.
fn brought_by<'p>(feature: &'p str, package: &'p Package) -> BTreeSet<&'p str> {
    let (mut brought, mut seen, mut open) = (BTreeSet::new(), BTreeSet::new(), vec![feature]);
    while let Some(name) = open.pop() {
        if !seen.insert(name) {
            continue;
        }
        for part in package.features.get(name).into_iter().flatten() {
            if let Some(dependency) = part.strip_prefix("dep:") {
                brought.insert(dependency);
            } else if let Some((dependency, _)) = part.split_once('/') {
                // `name?/feature` brings nothing along: no dependency is named with the question mark.
                brought.insert(dependency);
            } else {
                open.push(part);
            }
        }
    }
    brought
}

/// The manifest of a package, for messages of other rules.
pub(super) fn manifest_of(workspace: &Workspace, package: &Package) -> PathBuf {
    workspace.relative(&package.manifest_path).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: [&str; 5] = ["stream-core", "stream-memory", "stream-redis", "stream-testkit", "stream-cli"];

    fn dependency(name: &str) -> Dependency {
        Dependency { name: name.into(), req: "^0.1.0".into(), ..Dependency::default() }
    }

    fn dev(name: &str, req: &str) -> Dependency {
        Dependency { name: name.into(), req: req.into(), kind: Some("dev".into()), ..Dependency::default() }
    }

    fn messages(name: &str, dependencies: Vec<Dependency>) -> Vec<String> {
        let package = Package { name: name.into(), dependencies, ..Package::default() };
        check_package(&package, &BTreeSet::from(OURS)).into_iter().map(|(_, message)| message).collect()
    }

    #[test]
    fn arrows_at_the_core_are_fine() {
        assert!(messages("stream-memory", vec![dependency("stream-core"), dependency("serde")]).is_empty());
        assert!(
            messages("stream-cli", vec![dependency("stream-redis"), dependency("stream-core")]).is_empty()
        );
    }

    #[test]
    fn any_other_arrow_is_found() {
        assert_eq!(messages("stream-core", vec![dependency("stream-memory")]).len(), 1);
        assert_eq!(messages("stream-redis", vec![dependency("stream-memory")]).len(), 1);
        assert_eq!(messages("stream-redis", vec![dependency("stream-testkit")]).len(), 1);
        assert_eq!(messages("stream-core", vec![dev("stream-testkit", "*")]).len(), 1);
        assert_eq!(messages("stream-redis", vec![dev("stream-memory", "*")]).len(), 1);
    }

    #[test]
    fn a_driver_takes_the_core_without_default_features() {
        let all = Dependency { uses_default_features: true, ..dependency("stream-core") };
        assert_eq!(messages("stream-memory", vec![all.clone()]).len(), 1);
        assert!(messages("stream-testkit", vec![all]).is_empty());
    }

    #[test]
    fn a_dev_arrow_has_no_version_unless_a_normal_one_has_it() {
        assert!(messages("stream-memory", vec![dev("stream-testkit", "*")]).is_empty());
        assert_eq!(messages("stream-memory", vec![dev("stream-testkit", "^0.1")]).len(), 1);
        assert!(
            messages("stream-memory", vec![dependency("stream-core"), dev("stream-core", "^0.1")]).is_empty()
        );
    }

    #[test]
    fn a_crate_without_a_rule_is_found() {
        assert!(messages("stream-web", vec![])[0].contains("decision record"));
    }

    #[test]
    fn the_dependencies_of_the_core_are_counted_with_and_without_the_worker() {
        let optional = |name: &str| Dependency { optional: true, ..dependency(name) };
        let mut dependencies: Vec<_> = ["a", "b", "c", "d", "e"].map(dependency).into();
        dependencies.extend(["tokio", "util", "tracing", "json"].map(optional));
        let features = [
            ("worker", vec!["dep:tokio", "more"]),
            ("more", vec!["dep:util", "tracing/std"]),
            ("json", vec!["dep:json"]),
        ];
        let features =
            features.map(|(name, parts)| (name.to_owned(), parts.into_iter().map(String::from).collect()));
        let mut core =
            Package { name: CORE.into(), dependencies, features: features.into(), ..Package::default() };
        assert_eq!(check_core_size(&core), Vec::<String>::new());
        core.dependencies.push(dependency("f"));
        assert_eq!(check_core_size(&core).len(), 2);
    }
}
