//! Finds Debian's archive in the machine's own apt configuration, so that none is named here.

use std::env;
use std::fmt::{self, Write};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Debian's keys, from the package `debian-archive-keyring`.
pub(crate) const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

const FORMAT: &str = "$(ORIGIN)|$(RELEASE)|$(REPO_URI)";

const HELP: &str = "xen-testbed fetches hypervisor, kernel and QEMU from Debian's archive. Add it to apt's sources, \
     or name it in XEN_TESTBED_ARCHIVE (and the security archive in XEN_TESTBED_SECURITY_ARCHIVE)";

/// The addresses of the archives that packages are fetched from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Archives {
    main: String,
    security: Option<String>,
}

impl Archives {
    /// Asks apt; the environment has the last word.
    pub(crate) fn find() -> Result<Self> {
        let security = env::var("XEN_TESTBED_SECURITY_ARCHIVE").ok();
        if let Ok(main) = env::var("XEN_TESTBED_ARCHIVE") {
            return Ok(Self { main, security });
        }
        let output = Command::new("apt-get")
            .args(["indextargets", "--format", FORMAT, "Created-By: Packages"])
            .output()
            .context("cannot start apt-get; xen-testbed needs a Debian machine (or one of its relatives)")?;
        let found = Self::parse(&String::from_utf8_lossy(&output.stdout))?;
        Ok(Self { security: security.or(found.security), ..found })
    }

    /// Reads lines of `FORMAT`. apt leaves the origin as it was written when it has not fetched the lists yet.
    fn parse(targets: &str) -> Result<Self> {
        let (mut main, mut security) = (None, None);
        for target in targets.lines() {
            let mut fields = target.split('|');
            let (Some(origin), Some(release), Some(uri)) = (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            let uri = uri.trim_end_matches('/');
            let is_debian = match origin {
                "Debian" => true,
                "" | "$(ORIGIN)" => uri.rsplit('/').next().is_some_and(|folder| folder.starts_with("debian")),
                _ => false,
            };
            let archive = match release {
                _ if !is_debian => continue,
                _ if release.ends_with("-backports") => continue,
                _ if release.ends_with("-security") || release.ends_with("/updates") => &mut security,
                _ => &mut main,
            };
            archive.get_or_insert_with(|| uri.to_owned());
        }
        match main {
            Some(main) => Ok(Self { main, security }),
            None => bail!("apt's configuration on this machine has no Debian archive. {HELP}"),
        }
    }

    /// The main archive alone.
    pub(crate) fn without_security(self) -> Self {
        Self { security: None, ..self }
    }

    /// The sources list for one suite; `kind` is `deb` or `deb-src`.
    pub(crate) fn list(&self, kind: &str, suite: &str) -> String {
        let mut list = format!("{kind} [signed-by={KEYRING}] {} {suite} main\n", self.main);
        // sid has no such archive
        if let Some(security) = self.security.as_ref().filter(|_| suite != "sid") {
            // writing to a String cannot fail
            let _ = writeln!(list, "{kind} [signed-by={KEYRING}] {security} {suite}-security main");
        }
        list
    }
}

impl fmt::Display for Archives {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.security {
            Some(security) => write!(f, "{} and {security}", self.main),
            None => write!(f, "{}, without security updates", self.main),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Archives;

    #[test]
    fn finds_main_and_security() {
        let archives = Archives::parse(
            "Ubuntu|noble|http://other.example/ubuntu/\n\
             Debian|bookworm-updates|http://mirror.example/debian/\n\
             Debian|bookworm-security|http://mirror.example/debian-security/\n",
        );
        let archives = archives.expect("both are there");
        assert_eq!(
            archives.list("deb", "trixie"),
            "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://mirror.example/debian trixie main\n\
             deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://mirror.example/debian-security trixie-security main\n"
        );
    }

    #[test]
    fn the_security_archive_is_not_for_all() {
        let archives =
            Archives { main: "http://m.example/d".into(), security: Some("http://s.example".into()) };
        assert_eq!(archives.list("deb", "trixie").lines().count(), 2);
        assert_eq!(archives.list("deb", "sid").lines().count(), 1);
        assert_eq!(archives.without_security().list("deb-src", "trixie").lines().count(), 1);
    }

    #[test]
    fn works_before_the_first_update() {
        let archives =
            Archives::parse("$(ORIGIN)|bookworm|file:/srv/debian/\n").expect("the folder's name tells");
        assert!(archives.list("deb", "bookworm").contains("file:/srv/debian bookworm main"));
        assert_eq!(archives.list("deb", "bookworm").lines().count(), 1);
    }

    #[test]
    fn says_what_to_do_elsewhere() {
        let error =
            Archives::parse("Ubuntu|noble|http://other.example/ubuntu/\n").expect_err("no Debian there");
        assert!(error.to_string().contains("XEN_TESTBED_ARCHIVE"));
    }
}
