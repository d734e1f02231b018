//! What has to be on the machine before a server can start, and how it gets there.

pub(crate) mod apt;
pub(crate) mod download;
pub(crate) mod foreign;
pub(crate) mod jars;
pub(crate) mod programs;
pub(crate) mod wheel;

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context as _, Result, bail};

use self::download::Download;
use self::jars::Jars;
use super::service::Service;

/// Something a server needs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Need {
    /// A program, and the package that brings it.
    Program(&'static str, &'static str),
    /// What no package of the system brings.
    Download(&'static dyn Download),
}

/// What to do about something that is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IfMissing {
    Install,
    Refuse,
}

impl Need {
    fn is_missing_package(self) -> bool {
        matches!(self, Self::Program(..)) && !self.is_met()
    }

    fn is_met(self) -> bool {
        match self {
            Self::Program(name, _) => programs::look_for(name).is_some(),
            Self::Download(wanted) => download::is_there(wanted),
        }
    }
}

/// What a server in Java needs beside its jars.
pub(crate) fn java(jars: &'static Jars) -> Vec<Need> {
    let runtime = Need::Program("java", "default-jre-headless");
    // Maven is of no use once the jars are there.
    let maven = (!download::is_there(jars)).then_some(Need::Program("mvn", "maven"));
    [runtime].into_iter().chain(maven).chain([Need::Download(jars)]).collect()
}

/// Makes sure of everything that these services need; `shared` is where their users can read what is no package.
pub(crate) fn ensure(services: &[&'static dyn Service], missing: IfMissing, shared: &Path) -> Result<()> {
    let needs: Vec<Need> = services.iter().flat_map(|service| service.needs()).collect();
    let unmet: Vec<Need> = needs.iter().copied().filter(|need| !need.is_met()).collect();
    let packages = packages_of(&unmet);
    let downloads = downloads_of(&unmet);
    if missing == IfMissing::Refuse && !unmet.is_empty() {
        bail!("{}", complaint(services));
    }
    let brings_a_client =
        ["maven", "default-jre-headless", "python3-pip"].iter().any(|name| packages.contains(name));
    if brings_a_client {
        apt::install(&packages)?;
        fetch(&downloads)?;
    } else {
        // Both wait for the network most of the time.
        thread::scope(|scope| {
            let fetching = scope.spawn(|| fetch(&downloads));
            let installed = if packages.is_empty() { Ok(()) } else { apt::install(&packages) };
            installed.and(fetching.join().expect("fetching does not panic"))
        })?;
    }
    for wanted in downloads_of(&needs) {
        download::share(wanted, shared)?;
    }
    Ok(())
}

fn fetch(downloads: &[&'static dyn Download]) -> Result<()> {
    downloads.iter().try_for_each(|wanted| download::fetch(*wanted))
}

/// What is missing for which service, with the commands that would install it.
pub(crate) fn complaint(services: &[&'static dyn Service]) -> String {
    let mut lines = vec!["some servers are missing; --install would run:".to_owned()];
    for service in services {
        let unmet: Vec<Need> = service.needs().into_iter().filter(|need| !need.is_met()).collect();
        let packages = packages_of(&unmet);
        if !packages.is_empty() {
            lines.push(format!("  {}: {}", service.name(), apt::shown(&packages)));
        }
        lines.extend(
            downloads_of(&unmet).iter().map(|wanted| format!("  {}: {}", service.name(), wanted.shown())),
        );
    }
    let needs_packages = services.iter().flat_map(|service| service.needs()).any(Need::is_missing_package);
    lines.extend(apt::obstacle().filter(|_| needs_packages).map(|obstacle| format!("  but {obstacle}")));
    lines.join("\n")
}

/// Whether the service could start without installing anything.
pub(crate) fn is_complete(service: &dyn Service) -> bool {
    service.needs().into_iter().all(Need::is_met)
}

fn packages_of(needs: &[Need]) -> Vec<&'static str> {
    let packages = needs.iter().filter_map(|need| match need {
        Need::Program(_, package) => Some(*package),
        Need::Download(_) => None,
    });
    packages.collect::<BTreeSet<_>>().into_iter().collect()
}

fn downloads_of(needs: &[Need]) -> Vec<&'static dyn Download> {
    let downloads = needs.iter().filter_map(|need| match need {
        Need::Program(..) => None,
        Need::Download(download) => Some((download.folder_name(), *download)),
    });
    downloads.collect::<BTreeMap<_, _>>().into_values().collect()
}

/// Where downloads are kept, outside `target`.
pub(crate) fn cache_folder() -> Result<PathBuf> {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache")));
    Ok(cache.context("set HOME or XDG_CACHE_HOME: downloads are kept below it")?.join("stream-tools"))
}

#[cfg(test)]
mod tests {
    use super::*;

    static A: Jars = Jars { name: "a", version: "1", artifacts: &["a:a:1"] };

    #[test]
    fn each_package_and_each_set_of_jars_is_asked_for_once() {
        let needs = [
            Need::Program("psql", "postgresql"),
            Need::Program("initdb", "postgresql"),
            Need::Program("mvn", "maven"),
            Need::Download(&A),
            Need::Download(&A),
        ];
        assert_eq!(packages_of(&needs), ["maven", "postgresql"]);
        assert_eq!(downloads_of(&needs).len(), 1);
    }
}
