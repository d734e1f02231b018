//! Certificates for servers that speak TLS: an authority for each server, made when it is prepared.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use crate::services::install::{Need, programs};
use crate::services::server::Server;

/// What a service that speaks TLS needs beside its own programs.
pub(super) const NEED: Need = Need::Program("openssl", "openssl");

/// Curves are made in no time, where keys of RSA take seconds.
const KEY: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

const DAYS: &str = "3650";

const EXTENSIONS: &str = "subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n";

/// Where a server's certificates lie.
#[derive(Debug)]
pub(super) struct Certificates {
    folder: PathBuf,
}

impl Certificates {
    pub(super) fn of(server: &Server) -> Self {
        Self { folder: server.folder.join("tls") }
    }

    /// What clients trust.
    pub(super) fn authority(&self) -> String {
        self.file("authority.pem")
    }

    pub(super) fn certificate(&self) -> String {
        self.file("server.pem")
    }

    pub(super) fn key(&self) -> String {
        self.file("server.key")
    }

    /// Key and certificate in one.
    pub(super) fn key_and_certificate(&self) -> String {
        self.file("both.pem")
    }

    fn file(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }
}

/// Makes an authority and a certificate for 127.0.0.1 and localhost; the key belongs to the server's user.
pub(super) fn make(server: &Server) -> Result<()> {
    let certificates = Certificates::of(server);
    fs::create_dir_all(&certificates.folder).context("cannot create a folder for certificates")?;
    let openssl = |words: &[&str]| openssl(server, &certificates.folder, words);

    let subject = ["-subj", "/CN=stream tests", "-days", DAYS, "-x509"];
    let files = ["-keyout", "authority.key", "-out", "authority.pem"];
    openssl(
        &[&["req"], &KEY[..], &subject, &files, &["-addext", "basicConstraints=critical,CA:TRUE"]].concat(),
    )?;

    let files = ["-keyout", "server.key", "-out", "request.pem", "-subj", "/CN=localhost"];
    openssl(&[&["req"], &KEY[..], &files].concat())?;
    fs::write(certificates.folder.join("extensions"), EXTENSIONS)?;
    let authority = ["-CA", "authority.pem", "-CAkey", "authority.key", "-CAcreateserial"];
    let signed = ["-in", "request.pem", "-extfile", "extensions", "-out", "server.pem", "-days", DAYS];
    openssl(&[&["x509", "-req"], &authority[..], &signed].concat())?;

    let both = [certificates.key(), certificates.certificate()].map(fs::read_to_string);
    fs::write(certificates.key_and_certificate(), both.into_iter().collect::<Result<String, _>>()?)?;
    for file in [certificates.key(), certificates.key_and_certificate()] {
        server.give_to_user(Path::new(&file))?;
    }
    Ok(())
}

fn openssl(server: &Server, folder: &Path, words: &[&str]) -> Result<()> {
    let mut command = Command::new(programs::find("openssl")?);
    command.args(words).current_dir(folder);
    server.ask(command).map(drop)
}

/// Shakes hands over TLS and checks the server's certificate.
pub(super) fn shake_hands(server: &Server) -> Result<()> {
    let mut command = Command::new(programs::find("openssl")?);
    let address = format!("127.0.0.1:{}", server.main_port());
    command.args([
        "s_client",
        "-brief",
        "-verify_return_error",
        "-verify_ip",
        "127.0.0.1",
        "-connect",
        &address,
    ]);
    command.args(["-CAfile", &Certificates::of(server).authority()]).stdin(Stdio::null());
    server.ask(command).map(drop).context("no handshake over TLS")
}
