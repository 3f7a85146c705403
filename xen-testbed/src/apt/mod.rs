//! A private apt root per Debian suite: the machine's own packages are neither read nor changed.

mod collection;
pub(crate) mod sources;
mod unpack;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::iter;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

pub(crate) use self::collection::{Collection, Order, packages_in};
use self::sources::{Archives, KEYRING};
pub(crate) use self::unpack::unpack;
use crate::cache::Cache;
use crate::cells::Architecture;
use crate::child;
use crate::progress::{Progress, note};

/// A package as the archive offers it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Package {
    /// Its name, `libc6` for example.
    pub(crate) name: String,
    /// The file's name in the archive, which tells the version.
    pub(crate) file: String,
    /// Bytes to download.
    pub(crate) size: u64,
}

/// apt's view of one suite.
#[derive(Debug)]
pub(crate) struct Apt {
    suite: &'static str,
    architecture: Architecture,
    root: PathBuf,
}

impl Apt {
    /// Sets the root up and fetches the suite's package lists, unless this process has done so.
    pub(crate) fn update(cache: &Cache, suite: &'static str, architecture: Architecture) -> Result<Self> {
        let list = Archives::find()?.list("deb", suite);
        Self::set_up(cache, suite, architecture, architecture.debian(), &list)
    }

    /// As [`Apt::update`], but without the security archive. Mirrors of that have often lost what its lists still tell.
    pub(crate) fn update_main(
        cache: &Cache,
        suite: &'static str,
        architecture: Architecture,
    ) -> Result<Self> {
        let list = Archives::find()?.without_security().list("deb", suite);
        Self::set_up(cache, suite, architecture, &format!("{}-main", architecture.debian()), &list)
    }

    /// As [`Apt::update_main`], for source packages.
    pub(crate) fn update_sources(cache: &Cache, suite: &'static str) -> Result<Self> {
        let list = Archives::find()?.without_security().list("deb-src", suite);
        Self::set_up(cache, suite, Architecture::Amd64, "source", &list)
    }

    fn set_up(
        cache: &Cache,
        suite: &'static str,
        architecture: Architecture,
        kind: &str,
        list: &str,
    ) -> Result<Self> {
        if !Path::new(KEYRING).exists() {
            bail!(
                "{KEYRING} is missing, so signatures cannot be checked; apt-get install debian-archive-keyring"
            );
        }
        let root = cache.path(format!("apt/{suite}-{kind}"));
        for folder in ["lists/partial", "cache/archives/partial"] {
            let folder = root.join(folder);
            fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        }
        fs::write(root.join("sources.list"), list)
            .and_then(|()| fs::write(root.join("status"), ""))
            .with_context(|| format!("cannot write to {}", root.display()))?;
        let apt = Self { suite, architecture, root };
        if cache.is_first(&format!("lists of {suite} {kind}")) {
            let progress = Progress::percentage(format!("fetching Debian {suite}'s package lists"));
            apt.fetch(&progress, &apt.root, &["update"])?;
        }
        Ok(apt)
    }

    /// What `seeds` and all their dependencies are in this suite.
    pub(crate) fn resolve(&self, seeds: &[String]) -> Result<Vec<Package>> {
        let output = self
            .command("apt-get")
            .args(["install", "--print-uris", "-qq", "-y", "--no-install-recommends"])
            .args(seeds)
            .output()
            .context("cannot start apt-get")?;
        if !output.status.success() {
            bail!(
                "Debian {} cannot give {}:\n{}",
                self.suite,
                seeds.join(", "),
                String::from_utf8_lossy(&output.stderr)
            );
        }
        String::from_utf8_lossy(&output.stdout).lines().map(parse_uri_line).collect()
    }

    /// Downloads `packages` into `folder`.
    pub(crate) fn download(&self, packages: &[Package], folder: &Path) -> Result<()> {
        let mebibytes = packages.iter().map(|package| package.size).sum::<u64>().div_ceil(1 << 20);
        let progress = Progress::percentage(format!(
            "fetching {} packages of Debian {} ({mebibytes} MiB)",
            packages.len(),
            self.suite
        ));
        let names = packages.iter().map(|package| package.name.as_str());
        let arguments: Vec<_> = iter::once("download").chain(names).collect();
        self.fetch(&progress, folder, &arguments)
    }

    /// Downloads the source package `name` into `folder`.
    pub(crate) fn download_source(&self, name: &str, folder: &Path) -> Result<()> {
        let progress =
            Progress::percentage(format!("fetching the source of {name} of Debian {}", self.suite));
        self.fetch(&progress, folder, &["source", "--download-only", "--only-source", name])
    }

    fn command(&self, program: &str) -> Command {
        let root = self.root.display();
        let architecture = self.architecture.debian();
        let mut command = child::command(program);
        command.env("LC_ALL", "C").stdin(Stdio::null());
        for option in [
            format!("Dir::Etc::sourcelist={root}/sources.list"),
            "Dir::Etc::sourceparts=-".into(),
            "Dir::Etc::preferences=-".into(),
            "Dir::Etc::preferencesparts=-".into(),
            format!("Dir::State={root}"),
            format!("Dir::State::lists={root}/lists"),
            format!("Dir::State::status={root}/status"),
            format!("Dir::Cache={root}/cache"),
            format!("APT::Architecture={architecture}"),
            format!("APT::Architectures={architecture}"),
            "Acquire::Languages=none".into(),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".into(),
            "Debug::NoLocking=1".into(),      // the cache's own lock is held
            "APT::Sandbox::User=root".into(), // the account _apt cannot write to a user's folders
        ] {
            command.arg("-o").arg(option);
        }
        command
    }

    /// Lets apt-get fetch something into `folder`. A network or an archive that fails gets some more chances.
    fn fetch(&self, progress: &Progress, folder: &Path, arguments: &[&str]) -> Result<()> {
        for pause in PAUSES {
            match self.try_to_fetch(progress, folder, arguments) {
                Err(error) if is_passing(&error.to_string()) => {
                    note(&format!("{error:#}\ntrying again in {} seconds", pause.as_secs()));
                    thread::sleep(pause);
                }
                result => return result,
            }
        }
        self.try_to_fetch(progress, folder, arguments)
    }

    /// Runs apt-get, follows its progress, and turns a failure into its own words.
    fn try_to_fetch(&self, progress: &Progress, folder: &Path, arguments: &[&str]) -> Result<()> {
        let mut apt = self
            .command("apt-get")
            .current_dir(folder)
            .args(arguments)
            .args(["-qq", "-o", "APT::Status-Fd=1"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start apt-get; xen-testbed needs a Debian machine (or one of its relatives)")?;
        let mut complaints = apt.stderr.take().context("apt-get has no error output")?;
        let listener = thread::spawn(move || {
            let mut text = Vec::new();
            complaints.read_to_end(&mut text).map(|_| String::from_utf8_lossy(&text).into_owned())
        });
        let status = apt.stdout.take().context("apt-get has no output")?;
        for line in BufReader::new(status).lines() {
            if let Some(percent) = parse_progress(&line.context("cannot read apt-get's progress")?) {
                progress.set(percent);
            }
        }
        let status = apt.wait().context("cannot wait for apt-get")?;
        let complaints = listener.join().map_err(|_| anyhow!("reading apt-get's errors failed"))??;
        // `update` reports an unreachable archive as a warning, and succeeds
        if !status.success() || complaints.contains("Failed to fetch") {
            bail!(
                "apt-get could not fetch from Debian {} ({status}); is the archive reachable from here?\n{}",
                self.suite,
                complaints.trim_end()
            );
        }
        Ok(())
    }
}

/// How long to wait before the next chance.
const PAUSES: [Duration; 2] = [Duration::from_secs(3), Duration::from_secs(20)];

/// Whether what apt-get complains of may be otherwise the next time. What an archive has not, it will not have then.
fn is_passing(complaints: &str) -> bool {
    let lasting = ["404  Not Found", "does not have a Release file", "File not found", "NO_PUBKEY"];
    complaints.contains("Failed to fetch") && !lasting.iter().any(|reason| complaints.contains(reason))
}

/// `dlstatus:3:41.9:Retrieving file 3 of 6` → 41
fn parse_progress(line: &str) -> Option<u64> {
    let percent = line.strip_prefix("dlstatus:")?.split(':').nth(1)?;
    percent.split('.').next()?.parse().ok()
}

/// `'http://…/l/libyajl/libyajl2_2.1.0-3_amd64.deb' libyajl2_2.1.0-3_amd64.deb 22960 MD5Sum:…`
fn parse_uri_line(line: &str) -> Result<Package> {
    let mut fields = line.rsplit('\'').next().unwrap_or_default().split_whitespace();
    let package = (|| {
        let file = fields.next()?.to_owned();
        let name = file.split('_').next()?.to_owned();
        Some(Package { name, file, size: fields.next()?.parse().ok()? })
    })();
    package.with_context(|| format!("apt-get --print-uris said something unexpected: {line}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uri_lines() {
        let line = "'http://mirror.example/pool/b/busybox_1.35_amd64.deb' busybox-static_1%3a1.35.0-4_amd64.deb 928188 MD5Sum:0";
        let package = parse_uri_line(line).expect("a well-formed line");
        assert_eq!((package.name.as_str(), package.size), ("busybox-static", 928_188));
        assert_eq!(package.file, "busybox-static_1%3a1.35.0-4_amd64.deb");
        assert!(parse_uri_line("Reading package lists...").is_err());
    }

    #[test]
    fn what_passes_is_told_from_what_stays() {
        let failure =
            |what: &str| format!("E: Failed to fetch http://mirror.example/debian/pool/x.deb  {what}");
        for what in
            ["Connection timed out", "503  Service Unavailable [IP: 192.0.2.1 80]", "Hash Sum mismatch"]
        {
            assert!(is_passing(&failure(what)), "{what}");
        }
        assert!(!is_passing(&failure("404  Not Found [IP: 192.0.2.1 80]")));
        assert!(!is_passing("E: Unable to locate package x"));
    }

    #[test]
    fn progress_lines() {
        assert_eq!(parse_progress("dlstatus:5:90.0998:Retrieving file 5 of 6"), Some(90));
        assert_eq!(parse_progress("Fetched 9354 kB in 1s"), None);
    }
}
