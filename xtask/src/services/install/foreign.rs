//! Packages of another release of Debian, unpacked into a folder: the system's own packages stay as they are.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::download::Download;
use crate::process;

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Where apt is told its sources; the first that names one is taken.
const SOURCES: [&str; 2] = ["/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list"];

/// Some packages of a release, with all they depend on.
#[derive(Debug)]
pub(crate) struct Foreign {
    pub(crate) name: &'static str,
    pub(crate) release: &'static str,
    pub(crate) packages: &'static [&'static str],
    /// Depended on, large, and of no use to a server.
    pub(crate) left_out: &'static [&'static str],
}

impl Download for Foreign {
    fn folder_name(&self) -> String {
        format!("{}-{}", self.name, self.release)
    }

    fn shown(&self) -> String {
        format!("apt-get --download-only install {} of {}", self.packages.join(" "), self.release)
    }

    fn fetch_into(&self, folder: &Path) -> Result<()> {
        let apt = folder.join("apt");
        self.set_up_apt(&apt)?;
        process::run(&mut apt_get(&apt, &["-qq", "update"]))?;
        process::run(&mut apt_get(
            &apt,
            &[&["-y", "-qq", "--download-only", "install"], self.packages].concat(),
        ))?;
        make_root(folder)?;
        let packages = fs::read_dir(apt.join("cache/archives")).context("apt has fetched nothing")?.flatten();
        for package in packages.map(|entry| entry.path()).filter(|path| self.is_wanted(path)) {
            unpack(&package, folder)?;
        }
        fs::remove_dir_all(&apt).context("cannot remove apt's folder")
    }
}

impl Foreign {
    /// Lists, state and cache of its own, and nothing of the system's but its mirror and key.
    fn set_up_apt(&self, apt: &Path) -> Result<()> {
        for folder in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(apt.join(folder)).context("cannot create apt's folders")?;
        }
        fs::write(apt.join("status"), "")?;
        let mirror = SOURCES.iter().filter_map(|file| mirror_in(&fs::read_to_string(file).ok()?)).next();
        let mirror = mirror.context("apt knows no source of Debian")?;
        let source = format!("deb [signed-by={KEYRING}] {mirror} {} main\n", self.release);
        fs::write(apt.join("sources.list"), source)?;
        let apt = apt.display();
        let settings = format!(
            "Dir::Etc::sourcelist \"{apt}/sources.list\";\nDir::Etc::sourceparts \"-\";\n\
             Dir::State::lists \"{apt}/lists\";\nDir::State::status \"{apt}/status\";\nDir::Cache \"{apt}/cache\";\n\
             Acquire::Languages \"none\";\nAPT::Sandbox::User \"\";\nAPT::Install-Recommends \"false\";\n\
             Debug::NoLocking \"true\";\n"
        );
        fs::write(format!("{apt}/apt.conf"), settings).context("cannot write apt's settings")
    }

    fn is_wanted(&self, package: &Path) -> bool {
        let name = package.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.ends_with(".deb") && !self.left_out.iter().any(|start| name.starts_with(start))
    }
}

fn apt_get(apt: &Path, words: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command.arg("-c").arg(apt.join("apt.conf")).args(words);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// Newer packages expect that `/bin` and its like are links into `/usr`.
fn make_root(folder: &Path) -> Result<()> {
    for name in ["bin", "sbin", "lib", "lib64"] {
        fs::create_dir_all(folder.join("usr").join(name)).context("cannot create a folder")?;
        std::os::unix::fs::symlink(PathBuf::from("usr").join(name), folder.join(name))?;
    }
    Ok(())
}

fn unpack(package: &Path, folder: &Path) -> Result<()> {
    let mut archive = Command::new("dpkg-deb");
    let archive = archive.arg("--fsys-tarfile").arg(package).stdout(Stdio::piped()).spawn();
    let mut archive = archive.context("cannot start dpkg-deb")?;
    let mut tar = Command::new("tar");
    tar.args(["-x", "--no-same-owner", "--keep-directory-symlink", "-C"]).arg(folder);
    tar.args(["doc", "man", "locale"].map(|name| format!("--exclude=./usr/share/{name}")));
    let tar = tar.stdin(archive.stdout.take().context("dpkg-deb has no output")?).status();
    if !tar.context("cannot start tar")?.success() || !archive.wait()?.success() {
        bail!("cannot unpack {}", package.display());
    }
    Ok(())
}

/// The address of the first source in either of apt's two formats.
fn mirror_in(text: &str) -> Option<String> {
    let address = |line: &str| {
        let words = line.strip_prefix("URIs:").or_else(|| line.strip_prefix("deb "))?;
        words.split_whitespace().find(|word| word.contains("://")).map(str::to_owned)
    };
    text.lines().find_map(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_found_in_both_formats() {
        let new = "Types: deb\n# http://old/\nURIs: http://mirror/debian\nSuites: bookworm\n";
        assert_eq!(mirror_in(new).as_deref(), Some("http://mirror/debian"));
        let old = "# deb http://old/ x\ndeb [signed-by=/a] http://mirror/debian bookworm main\n";
        assert_eq!(mirror_in(old).as_deref(), Some("http://mirror/debian"));
        assert_eq!(mirror_in("Types: deb\n"), None);
    }

    #[test]
    fn packages_that_are_left_out_are_known_by_their_start() {
        let foreign = Foreign { name: "a", release: "sid", packages: &["a"], left_out: &["perl", "libperl"] };
        assert!(foreign.is_wanted(Path::new("x/mysql-server-core_9.7_amd64.deb")));
        assert!(!foreign.is_wanted(Path::new("x/perl-base_5_amd64.deb")));
        assert!(!foreign.is_wanted(Path::new("x/lock")));
    }
}
