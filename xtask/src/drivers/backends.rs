//! The servers of a run of `test-drivers`: brought up beside the build, taken down at its end.

use std::collections::BTreeMap;
use std::env;

use anyhow::{Context as _, Result, anyhow};

use super::catalogue::{DRIVERS, Driver, Standing};
use super::selection::Selection;
use crate::services::bring_up::{self, Wish};
use crate::services::instance::{self, Base, Instance};
use crate::services::server::{Durability, Server};
use crate::services::service::{Role, Service};
use crate::services::{ProcessId, catalogue, install};
use crate::workspace::Workspace;

/// Tells tests the program that starts private servers: `PROGRAM services run NAME --private`.
const PROGRAM: &str = "STREAM_TEST_XTASK";

/// Names and values for the environment of tests.
pub(crate) type Environment = Vec<(&'static str, String)>;

/// The servers that run for a selection.
#[derive(Debug)]
pub(crate) struct Backends {
    base: Base,
    servers: Vec<Server>,
    /// The instance that ends with the run; `None` if the servers are to be kept.
    ends_with_run: Option<String>,
}

/// The services that these drivers need and nobody gave an address for.
pub(crate) fn needed(drivers: &[&'static Driver]) -> Result<Vec<&'static dyn Service>> {
    let names: Vec<String> =
        drivers.iter().flat_map(|driver| driver.services).map(|name| (*name).to_owned()).collect();
    if names.is_empty() { Ok(Vec::new()) } else { Ok(bring_up::without_given(catalogue::select(&names)?)) }
}

/// Fails with the list of what is missing and of the drivers that need nothing of it.
pub(crate) fn refuse_if_missing(services: &[&'static dyn Service]) -> Result<()> {
    // Extras are left out instead.
    let services: Vec<_> = services.iter().copied().filter(|service| service.role() != Role::Extra).collect();
    if services.iter().all(|service| install::is_complete(*service)) || bring_up::uses_compose(None) {
        return Ok(());
    }
    let has_all = |driver: &&Driver| {
        let needs = driver.services.iter().filter_map(|name| catalogue::find(name).ok());
        needs.into_iter().all(install::is_complete)
    };
    let testable: Vec<_> = DRIVERS.iter().filter(has_all).map(|driver| driver.name).collect();
    let complaint = install::complaint(&services);
    Err(anyhow!("{complaint}\nwithout them: cargo xtask test-drivers --driver {}", testable.join(" ")))
}

impl Backends {
    /// Starts the services; they end with this program, however it ends, unless they are to be kept.
    pub(crate) fn up(
        workspace: &Workspace,
        services: Vec<&'static dyn Service>,
        selection: &Selection,
    ) -> Result<Self> {
        let base = Base::below(&workspace.target)?;
        if services.is_empty() {
            return Ok(Self { base, servers: Vec::new(), ends_with_run: None });
        }
        bring_up::sweep(&base)?;
        let (extras, services): (Vec<_>, Vec<_>) =
            services.into_iter().partition(|service| service.role() == Role::Extra);
        let missing = selection.if_missing();
        let wish = |services| Wish { services, durability: Durability::Synced, engine: None, missing };
        if selection.keep {
            let mut servers = bring_up::up_and_release(&base, instance::DEFAULT, &wish(services))?;
            servers.extend(each_if_possible(extras, |extra| {
                bring_up::up_and_release(&base, instance::DEFAULT, &wish(vec![extra]))
            }));
            return Ok(Self { base, servers, ends_with_run: None });
        }
        let own = ProcessId::own()?;
        let name = format!("run-{}", own.pid());
        let mut instance = Instance::open_owned(&base, &name, own)?;
        match bring_up::up(&base, &mut instance, &wish(services)) {
            Ok(mut servers) => {
                servers.extend(each_if_possible(extras, |extra| {
                    bring_up::up(&base, &mut instance, &wish(vec![extra]))
                }));
                Ok(Self { base, servers, ends_with_run: Some(name) })
            }
            Err(error) => {
                bring_up::take_all_down(&instance.servers())?;
                instance.delete()?;
                Err(error)
            }
        }
    }

    /// Whether an extra's server is not there: its rows are left out then, as they decide nothing.
    pub(crate) fn lacks_extra(&self, driver: &Driver) -> bool {
        let has = |name: &&str| self.servers.iter().any(|server| server.service.name() == *name);
        driver.standing == Standing::Extra && !driver.services.iter().all(has)
    }

    /// What the tests of this driver are told.
    pub(crate) fn environment(&self, driver: &Driver) -> Result<Environment> {
        let own = self.servers.iter().filter(|server| driver.services.contains(&server.service.name()));
        let mut environment = bring_up::environment(&own.cloned().collect::<Vec<_>>());
        let program = env::current_exe().context("cannot find this program's own file")?;
        environment.push((PROGRAM, program.display().to_string()));
        // What one store is told twice would be decided by chance.
        let names: BTreeMap<_, _> = environment.into_iter().collect();
        Ok(names.into_iter().collect())
    }

    /// Ends the servers and deletes what they kept.
    pub(crate) fn down(self) -> Result<()> {
        let Some(name) = self.ends_with_run else { return Ok(()) };
        let instance = Instance::open(&self.base, &name)?;
        bring_up::take_all_down(&instance.servers())?;
        instance.delete()
    }
}

/// Starts one after the other and says which cannot be had: other releases' packages move, and come and go.
fn each_if_possible(
    extras: Vec<&'static dyn Service>,
    mut up: impl FnMut(&'static dyn Service) -> Result<Vec<Server>>,
) -> Vec<Server> {
    let mut servers = Vec::new();
    for extra in extras {
        match up(extra) {
            Ok(more) => servers.extend(more),
            Err(error) => println!("extra {} left out: {error:#}", extra.name()),
        }
    }
    servers
}
