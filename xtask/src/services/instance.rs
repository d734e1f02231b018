//! A set of servers that is started and stopped together, in one folder, under one lock.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::process_id::ProcessId;
use super::server::{Choices, Engine, Server};
use super::service::Service;
use super::user;
use super::{catalogue, docker, json, ports, random};

/// The instance of `services up`.
pub(crate) const DEFAULT: &str = "default";

/// The folder of all instances of this checkout.
#[derive(Debug, Clone)]
pub(crate) struct Base(PathBuf);

/// An instance while nobody else can change it.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) folder: PathBuf,
    base: Base,
    choices: BTreeMap<String, Choices>,
    _lock: File,
}

impl Base {
    /// `target/services`, or a folder for temporary files where the servers' users could not reach that.
    pub(crate) fn below(target: &Path) -> Result<Self> {
        let usual = target.join("services");
        fs::create_dir_all(&usual).with_context(|| format!("cannot create {}", usual.display()))?;
        if !user::is_root() || user::is_reachable_by_others(&usual) {
            return Ok(Self(usual));
        }
        let name: String = usual.display().to_string().replace('/', "-");
        let reachable = std::env::temp_dir().join(format!("stream-services{name}"));
        create_folder(&reachable)?;
        // Anybody may create folders there, and ours hold passwords.
        if !user::is_own(&reachable) {
            bail!("{} belongs to somebody else", reachable.display());
        }
        Ok(Self(reachable))
    }

    /// Where programs and jars are put that every user can read.
    pub(crate) fn shared(&self) -> PathBuf {
        self.0.join("programs")
    }

    /// The instances that exist.
    pub(crate) fn names(&self) -> Result<Vec<String>> {
        let entries = fs::read_dir(&self.0).context("cannot list the instances")?.flatten();
        let folders = entries.filter(|entry| entry.path().join("lock").exists());
        Ok(folders.filter_map(|entry| entry.file_name().into_string().ok()).collect())
    }

    /// The process that an instance of a run belongs to; `None` for [`DEFAULT`].
    pub(crate) fn owner(&self, name: &str) -> Result<Option<ProcessId>> {
        json::read(&self.0.join(name).join("owner.json"))
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Held while ports are chosen, so that two instances never choose the same.
    fn lock(&self) -> Result<File> {
        lock(&self.0.join("ports.lock"))
    }
}

impl Instance {
    /// Opens or creates it; waits while another program works on it.
    pub(crate) fn open(base: &Base, name: &str) -> Result<Self> {
        let folder = base.folder(name);
        create_folder(&folder)?;
        let lock = lock(&folder.join("lock"))?;
        let choices = json::read(&folder.join("state.json"))?.unwrap_or_default();
        Ok(Self { folder, base: base.clone(), choices, _lock: lock })
    }

    /// Opens one of a run that ends with `owner`.
    pub(crate) fn open_owned(base: &Base, name: &str, owner: ProcessId) -> Result<Self> {
        let instance = Self::open(base, name)?;
        json::write(&instance.folder.join("owner.json"), &owner)?;
        Ok(instance)
    }

    /// The server of a service, if one was ever set up here.
    pub(crate) fn known(&self, service: &'static dyn Service) -> Option<Server> {
        Some(self.server(service, self.choices.get(service.name())?.clone()))
    }

    /// Every server that was set up here.
    pub(crate) fn servers(&self) -> Vec<Server> {
        catalogue::SERVICES.into_iter().filter_map(|service| self.known(service)).collect()
    }

    fn server(&self, service: &'static dyn Service, choices: Choices) -> Server {
        let folder = self.folder.join(service.name());
        Server { service, folder, shared: self.base.shared(), choices }
    }

    /// The server of a service with its folder; ports and password are chosen if they were not before.
    pub(crate) fn set_up(&mut self, service: &'static dyn Service, wish: &Choices) -> Result<Server> {
        let mut choices = self.choices.get(service.name()).cloned().unwrap_or_default();
        choices.durability = wish.durability;
        choices.engine = wish.engine;
        if choices.password.is_empty() {
            choices.password = random::password()?;
        }
        let _choosing = self.base.lock()?;
        for name in service.ports() {
            if !choices.ports.contains_key(*name) {
                choices.ports.insert((*name).to_owned(), ports::choose(&self.taken(&choices)?)?);
            }
        }
        self.keep(service, choices)
    }

    /// Gives up ports that another program has taken while the server was down.
    pub(crate) fn replace_lost_ports(&mut self, server: &Server) -> Result<Server> {
        let mut choices = server.choices.clone();
        let lost: Vec<String> = choices
            .ports
            .iter()
            .filter(|(_, port)| !ports::becomes_free(**port))
            .map(|(name, _)| name.clone())
            .collect();
        let _choosing = self.base.lock()?;
        for name in lost {
            let port = ports::choose(&self.taken(&choices)?)?;
            choices.ports.insert(name, port);
        }
        self.keep(server.service, choices)
    }

    fn keep(&mut self, service: &'static dyn Service, choices: Choices) -> Result<Server> {
        self.choices.insert(service.name().to_owned(), choices.clone());
        json::write(&self.folder.join("state.json"), &self.choices)?;
        let server = self.server(service, choices);
        create_folder(&server.folder)?;
        Ok(server)
    }

    /// Ports chosen by any instance of this checkout: a server that is down still owns its own.
    fn taken(&self, choices: &Choices) -> Result<BTreeSet<u16>> {
        let mut taken: BTreeSet<u16> = choices.ports.values().copied().collect();
        taken.extend(self.choices.values().flat_map(|choices| choices.ports.values()));
        for name in self.base.names()? {
            let state = self.base.folder(&name).join("state.json");
            let others = json::read::<BTreeMap<String, Choices>>(&state)?.unwrap_or_default();
            taken.extend(others.values().flat_map(|choices| choices.ports.values()));
        }
        Ok(taken)
    }

    /// Deletes the instance with all data. Its servers are down.
    pub(crate) fn delete(self) -> Result<()> {
        let servers = self.servers().into_iter();
        for server in servers.filter(|server| server.choices.engine == Engine::Compose) {
            docker::delete(&server)?;
        }
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot delete {}", self.folder.display()))
            }
            _ => Ok(()),
        }
    }
}

fn lock(path: &Path) -> Result<File> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path);
    let file = file.with_context(|| format!("cannot open {}", path.display()))?;
    file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

/// Others may pass through to the files that are theirs, and see nothing else.
fn create_folder(folder: &Path) -> Result<()> {
    let context = || format!("cannot create {}", folder.display());
    fs::create_dir_all(folder).with_context(context)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o711)).with_context(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A base of its own for each test, deleted at its end.
    struct Scratch(Base);

    impl Scratch {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("xtask-{name}-{}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            Self(Base(folder))
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0.0).ok();
        }
    }

    fn rabbitmq() -> &'static dyn Service {
        catalogue::find("rabbitmq").unwrap()
    }

    #[test]
    fn ports_and_password_are_chosen_once() {
        let scratch = Scratch::new("chosen-once");
        let choose = || {
            let mut instance = Instance::open(&scratch.0, "default").unwrap();
            instance.set_up(rabbitmq(), &Choices::default()).unwrap().choices
        };
        let (first, second) = (choose(), choose());
        assert_eq!((&first.ports, &first.password), (&second.ports, &second.password));
        assert_eq!(first.ports.values().collect::<BTreeSet<_>>().len(), rabbitmq().ports().len());
        assert_eq!(first.password.len(), 24);
    }

    #[test]
    fn a_port_that_was_lost_is_replaced_and_the_others_stay() {
        let scratch = Scratch::new("lost-port");
        let mut instance = Instance::open(&scratch.0, "default").unwrap();
        let server = instance.set_up(rabbitmq(), &Choices::default()).unwrap();
        let _other = std::net::TcpListener::bind(("127.0.0.1", server.main_port())).unwrap();
        let moved = instance.replace_lost_ports(&server).unwrap();
        assert_ne!(moved.main_port(), server.main_port());
        assert_eq!(moved.port("management"), server.port("management"));
    }

    #[test]
    fn two_instances_share_neither_ports_nor_password() {
        let scratch = Scratch::new("two");
        let choices = |name| {
            let mut instance = Instance::open(&scratch.0, name).unwrap();
            instance.set_up(rabbitmq(), &Choices::default()).unwrap().choices
        };
        let (one, other) = (choices("default"), choices("run-1"));
        assert!(one.ports.values().all(|port| !other.ports.values().any(|taken| taken == port)));
        assert_ne!(one.password, other.password);
    }

    #[test]
    fn an_instance_knows_its_owner_and_the_default_has_none() {
        let scratch = Scratch::new("owner");
        let own = ProcessId::own().unwrap();
        drop(Instance::open_owned(&scratch.0, "run-1", own).unwrap());
        drop(Instance::open(&scratch.0, DEFAULT).unwrap());
        assert_eq!(scratch.0.owner("run-1").unwrap(), Some(own));
        assert_eq!(scratch.0.owner(DEFAULT).unwrap(), None);
        assert_eq!(scratch.0.names().unwrap().len(), 2);
    }
}
