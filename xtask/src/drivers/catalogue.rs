//! The rows of `test-drivers`: which names there are and which package each stands for.

use anyhow::{Result, bail};

/// A row of the table.
#[derive(Debug)]
pub(crate) struct Driver {
    pub(crate) name: &'static str,
    pub(crate) package: &'static str,
}

/// The core first: what fails there explains failures further down.
pub(crate) const DRIVERS: [Driver; 3] = [
    Driver { name: "core", package: "stream-core" },
    Driver { name: "testkit", package: "stream-testkit" },
    Driver { name: "memory", package: "stream-memory" },
];

/// The named rows in the order of the table; all of them when none is named.
pub(crate) fn select(names: &[String]) -> Result<Vec<&'static Driver>> {
    if let Some(unknown) = names.iter().find(|name| !DRIVERS.iter().any(|driver| driver.name == **name)) {
        let known: Vec<_> = DRIVERS.iter().map(|driver| driver.name).collect();
        bail!("no driver is named {unknown}; there are {}", known.join(", "));
    }
    let is_wanted = |driver: &&Driver| names.is_empty() || names.iter().any(|name| name == driver.name);
    Ok(DRIVERS.iter().filter(is_wanted).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_selects_all_and_names_keep_the_order_of_the_table() {
        assert_eq!(select(&[]).unwrap().len(), DRIVERS.len());
        let named = select(&["memory".into(), "core".into()]).unwrap();
        assert_eq!(named.iter().map(|driver| driver.name).collect::<Vec<_>>(), ["core", "memory"]);
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_known_ones() {
        let error = select(&["oracle".into()]).unwrap_err().to_string();
        assert!(error.contains("oracle") && error.contains("memory"), "{error}");
    }
}
