//! RabbitMQ 4, an extra: from Debian's next release, in a root folder of its own, since its Erlang needs newer
//! libraries than the system has.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::rabbitmq::{self, RabbitMq};
use crate::services::install::foreign::Foreign;
use crate::services::install::{Need, download};
use crate::services::launch::Launch;
use crate::services::server::Server;
use crate::services::service::{Process, Role, Service};
use crate::services::user::{NOBODY, User};

static PACKAGES: Foreign = Foreign {
    name: "rabbitmq",
    release: "trixie",
    packages: &["rabbitmq-server", "bash", "coreutils", "dash", "sed", "grep"],
    left_out: &[],
};

/// In a mount namespace of its own: the system's processes and devices and the server's folder become visible below
/// the root, then the program takes our place in it. `$0` is the root, `$1` the folder, `$2` user and group.
const ENTER: &str = "set -e
mount --bind /proc \"$0/proc\"
mount --rbind /dev \"$0/dev\"
mount --bind \"$1\" \"$0/srv\"
root=$0 user=$2
shift 2
exec chroot --userspec=\"$user\" \"$root\" \"$@\"";

/// One node.
#[derive(Debug)]
pub(crate) struct RabbitMqNext;

impl Service for RabbitMqNext {
    fn name(&self) -> &'static str {
        "rabbitmq4"
    }

    fn role(&self) -> Role {
        Role::Extra
    }

    fn user(&self) -> &'static str {
        NOBODY
    }

    fn needs(&self) -> Vec<Need> {
        let programs = [Need::Program("apt-get", "apt"), Need::Program("unshare", "util-linux")];
        programs.into_iter().chain([Need::Download(&PACKAGES)]).collect()
    }

    fn ports(&self) -> &'static [&'static str] {
        RabbitMq::Plain.ports()
    }

    fn configure(&self, server: &Server) -> Result<()> {
        make_mount_points(&download::in_folder(&PACKAGES, &server.shared))?;
        RabbitMq::Plain.configure(server)
    }

    fn processes(&self, server: &Server) -> Result<Vec<Process>> {
        let mapper = server.port("mapper");
        let port = mapper.to_string();
        let mut epmd = enter(server, &["/usr/bin/epmd", "-port", &port, "-address", "127.0.0.1"])?;
        epmd.stop_limit = Duration::from_secs(2);
        let node = enter(server, &["/usr/lib/rabbitmq/bin/rabbitmq-server"])?;
        Ok(vec![
            Process { label: "mapper".to_owned(), launch: epmd.helping_on(mapper) },
            Process { label: "node".to_owned(), launch: rabbitmq::node(node, server, Path::new("/srv")) },
        ])
    }

    fn probe(&self, server: &Server) -> Result<String> {
        RabbitMq::Plain.probe(server)
    }

    fn variable(&self) -> &'static str {
        RabbitMq::Plain.variable()
    }

    fn address(&self, server: &Server) -> String {
        RabbitMq::Plain.address(server)
    }

    fn more_variables(&self, server: &Server) -> Vec<(&'static str, String)> {
        RabbitMq::Plain.more_variables(server)
    }
}

fn enter(server: &Server, program: &[&str]) -> Result<Launch> {
    let Some(user) = User::to_switch_to(NOBODY)? else {
        bail!("rabbitmq4 needs root: it runs in a root of its own")
    };
    let root = download::in_folder(&PACKAGES, &server.shared).display().to_string();
    let mut launch = server.launch("unshare")?;
    // The switch happens inside, after the mounts.
    launch.user = None;
    let numbers = format!("{}:{}", user.user, user.group);
    let words = ["-m", "sh", "-c", ENTER, &root, &server.folder.display().to_string(), &numbers];
    Ok(launch
        .args(words)
        .args(program.iter().copied())
        .env("HOME", "/srv/data")
        .env("PATH", "/usr/sbin:/usr/bin"))
}

/// What a root needs beside its packages, which were unpacked and not installed.
fn make_mount_points(root: &Path) -> Result<()> {
    for name in ["proc", "dev", "srv", "tmp", "etc"] {
        fs::create_dir_all(root.join(name)).with_context(|| format!("cannot create {name} in a root"))?;
    }
    for name in ["etc/hosts", "etc/passwd", "etc/group"] {
        fs::copy(PathBuf::from("/").join(name), root.join(name))
            .with_context(|| format!("cannot copy {name}"))?;
    }
    let shell = root.join("usr/bin/sh");
    if !shell.exists() {
        symlink("dash", shell).context("cannot name a shell in a root")?;
    }
    Ok(())
}
