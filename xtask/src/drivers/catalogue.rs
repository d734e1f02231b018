//! The rows of `test-drivers`: which names there are and which package each stands for.

use anyhow::{Result, bail};

/// A row of the table.
#[derive(Debug)]
pub(crate) struct Driver {
    pub(crate) name: &'static str,
    pub(crate) package: &'static str,
    /// The servers its tests need, by their names in `cargo xtask services`.
    pub(crate) services: &'static [&'static str],
    pub(crate) standing: Standing,
}

/// Whether a row decides over green and red.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Main,
    /// The tests of a main row on another make or version of its server: run with `--extras`, told apart.
    Extra,
}

/// Whether rows are wanted that decide nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Extras {
    #[default]
    Left,
    Included,
}

const fn alone(name: &'static str, package: &'static str) -> Driver {
    Driver { name, package, services: &[], standing: Standing::Main }
}

/// The core first: what fails there explains failures further down.
pub(crate) const DRIVERS: [Driver; 3] = [
    alone("core", "stream-core"),
    // Its private servers are proven on the one that starts fastest.
    Driver { services: &["redis"], ..alone("testkit", "stream-testkit") },
    alone("memory", "stream-memory"),
];

/// The named rows in the order of the table; when none is named, the main ones and, if wanted, the extras.
pub(crate) fn select(names: &[String], extras: Extras) -> Result<Vec<&'static Driver>> {
    if let Some(unknown) = names.iter().find(|name| !DRIVERS.iter().any(|driver| driver.name == **name)) {
        let known: Vec<_> = DRIVERS.iter().map(|driver| driver.name).collect();
        bail!("no driver is named {unknown}; there are {}", known.join(", "));
    }
    let is_wanted = |driver: &&Driver| match names {
        [] => driver.standing == Standing::Main || extras == Extras::Included,
        _ => names.iter().any(|name| name == driver.name),
    };
    Ok(DRIVERS.iter().filter(is_wanted).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_selects_all_and_names_keep_the_order_of_the_table() {
        assert_eq!(select(&[], Extras::Included).unwrap().len(), DRIVERS.len());
        let named = select(&["memory".into(), "core".into()], Extras::Left).unwrap();
        assert_eq!(named.iter().map(|driver| driver.name).collect::<Vec<_>>(), ["core", "memory"]);
    }

    #[test]
    fn every_row_names_services_that_exist() {
        for service in DRIVERS.iter().flat_map(|driver| driver.services) {
            assert!(crate::services::catalogue::find(service).is_ok(), "{service}");
        }
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_known_ones() {
        let error = select(&["oracle".into()], Extras::Left).unwrap_err().to_string();
        assert!(error.contains("oracle") && error.contains("memory"), "{error}");
    }
}
