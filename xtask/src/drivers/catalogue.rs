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
    pub(crate) part: Part,
    /// How many conformance cases run at once; as many as there are processors unless set.
    pub(crate) cases_at_once: Option<usize>,
}

/// Which tests of its package a row stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Whole,
    /// Those of the suite whose second module has this name, after the tier: `conformance::postgres::..`.
    Named(&'static str),
    /// All that no other row of the package names. Its name selects those rows too.
    Rest,
}

impl Driver {
    /// Whether a test of the suite, by its full name, is one of this row.
    pub(crate) fn has(&self, test: &str) -> bool {
        let mut modules = test.split("::");
        let second = modules.nth(1).filter(|_| modules.next().is_some());
        match self.part {
            Part::Whole => true,
            Part::Named(name) => second == Some(name),
            Part::Rest => {
                let others = DRIVERS.iter().filter(|other| other.package == self.package);
                !others.filter_map(|other| other.part.name()).any(|name| second == Some(name))
            }
        }
    }

    /// Whether this row is meant by a name: its own, or that of the row for the rest of its package.
    fn is_named(&self, name: &str) -> bool {
        let is_rest = |other: &Driver| {
            other.part == Part::Rest && other.package == self.package && other.standing == Standing::Main
        };
        // An extra is named by itself alone: it needs a server that few have.
        let is_main = self.standing == Standing::Main;
        self.name == name || is_main && DRIVERS.iter().any(|other| other.name == name && is_rest(other))
    }
}

impl Part {
    /// The module that the tests are in, where they have one of their own.
    pub(crate) fn name(self) -> Option<&'static str> {
        match self {
            Self::Named(name) => Some(name),
            Self::Whole | Self::Rest => None,
        }
    }
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
    Driver { name, package, services: &[], standing: Standing::Main, part: Part::Whole, cases_at_once: None }
}

/// One database of a package that drives several.
const fn database(name: &'static str, services: &'static [&'static str], module: &'static str) -> Driver {
    Driver { services, part: Part::Named(module), ..alone(name, "stream-database") }
}

/// The core first: what fails there explains failures further down.
pub(crate) const DRIVERS: [Driver; 14] = [
    alone("core", "stream-core"),
    // Its private servers are proven on the one that starts fastest.
    Driver { services: &["redis"], ..alone("testkit", "stream-testkit") },
    // The suite many times over, behind limits like those of other stores: what takes its time is waiting.
    Driver { cases_at_once: Some(16), ..alone("memory", "stream-memory") },
    // The driver that is written in docs/writing-a-driver.md: as long as it passes, that page is true.
    alone("file", "stream-file-driver"),
    Driver { part: Part::Rest, ..alone("database", "stream-database") },
    database("postgres", &["postgres"], "postgres"),
    database("mariadb", &["mariadb"], "mysql"),
    database("sqlite", &[], "sqlite"),
    Driver { services: &["redis"], part: Part::Rest, ..alone("redis", "stream-redis") },
    Driver {
        services: &["redis-cluster"],
        part: Part::Named("cluster"),
        ..alone("redis-cluster", "stream-redis")
    },
    Driver { services: &["rabbitmq"], ..alone("rabbitmq", "stream-rabbitmq") },
    // The same tests on MySQL itself, which only Debian's unstable release has.
    Driver { standing: Standing::Extra, ..database("mysql", &["mysql"], "mysql") },
    Driver {
        services: &["valkey"],
        standing: Standing::Extra,
        part: Part::Rest,
        ..alone("valkey", "stream-redis")
    },
    Driver { services: &["rabbitmq4"], standing: Standing::Extra, ..alone("rabbitmq4", "stream-rabbitmq") },
];

/// The main row that a test belongs to.
pub(crate) fn of_test(package: &str, test: &str) -> Option<&'static Driver> {
    let is_its = |driver: &&Driver| driver.package == package && driver.has(test);
    DRIVERS.iter().filter(|driver| driver.standing == Standing::Main).find(is_its)
}

/// The named rows in the order of the table; when none is named, the main ones and, if wanted, the extras.
pub(crate) fn select(names: &[String], extras: Extras) -> Result<Vec<&'static Driver>> {
    if let Some(unknown) = names.iter().find(|name| !DRIVERS.iter().any(|driver| driver.name == **name)) {
        let known: Vec<_> = DRIVERS.iter().map(|driver| driver.name).collect();
        bail!("no driver is named {unknown}; there are {}", known.join(", "));
    }
    let is_wanted = |driver: &&Driver| match names {
        [] => driver.standing == Standing::Main || extras == Extras::Included,
        _ => names.iter().any(|name| driver.is_named(name)),
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

    #[test]
    fn the_rest_of_a_package_is_run_once_and_names_all_its_rows() {
        let [rest, postgres] =
            ["database", "postgres"].map(|name| select(&[name.into()], Extras::Left).unwrap());
        assert!(rest.iter().any(|driver| driver.name == "postgres"));
        assert_eq!(postgres.len(), 1);
        for (test, row) in [
            ("conformance::postgres::pushed_job_is_delivered_once", "postgres"),
            ("own::config::settings_are_refused", "database"),
            ("names::tests::names_are_quoted", "database"),
            ("own::postgres", "database"),
            ("alone", "database"),
        ] {
            let rows: Vec<_> =
                rest.iter().filter(|driver| driver.has(test)).map(|driver| driver.name).collect();
            assert_eq!(rows, [row], "{test}");
        }
    }
}
