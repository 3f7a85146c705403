//! A folder of the cache that is made from packages of one suite.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{Apt, Package};
use crate::cache::Cache;
use crate::cells::Architecture;
use crate::progress::{Progress, note};

/// What is to be fetched, and what is made of it.
pub(crate) struct Order<'a> {
    /// The folder in the cache.
    pub(crate) place: String,
    /// For the user: "QEMU", for example.
    pub(crate) what: String,
    /// Where from.
    pub(crate) suite: &'static str,
    /// For which processor.
    pub(crate) architecture: Architecture,
    /// The packages; what they depend on is resolved by apt.
    pub(crate) seeds: Vec<String>,
    /// Which of all these packages are needed.
    pub(crate) needed: &'a dyn Fn(&str) -> bool,
    /// Changes when the folder is to be made differently from the same packages.
    pub(crate) recipe: String,
    /// Makes the second folder from the packages in the first.
    pub(crate) extract: &'a dyn Fn(&Path, &Path, &Progress) -> Result<()>,
}

/// Such a folder, complete.
#[derive(Debug)]
pub(crate) struct Collection {
    folder: PathBuf,
    identity: String,
}

impl Collection {
    /// What is in the cache, or what the archive has now.
    pub(crate) fn prepare(cache: &Cache, order: &Order<'_>) -> Result<Self> {
        let folder = cache.path(&order.place);
        match fs::read_to_string(folder.join(IDENTITY)) {
            Ok(identity) if identity.starts_with(&head(&order.recipe)) => Ok(Self { folder, identity }),
            _ => Self::update(cache, order),
        }
    }

    /// The same; if a `newer` one is wished for, the archive is asked in any case.
    pub(crate) fn prepare_or_renew(cache: &Cache, order: &Order<'_>, newer: bool) -> Result<Self> {
        if newer { Self::update(cache, order) } else { Self::prepare(cache, order) }
    }

    /// What the archive has now; nothing is downloaded if that is in the cache.
    fn update(cache: &Cache, order: &Order<'_>) -> Result<Self> {
        let apt = Apt::update(cache, order.suite, order.architecture)?;
        Self::update_from(cache, order, &apt).or_else(|error| {
            note(&format!("{error:#}\ntrying without Debian's security archive"));
            Self::update_main(cache, order)
        })
    }

    /// What the main archive has now, whatever the security archive has.
    pub(crate) fn update_main(cache: &Cache, order: &Order<'_>) -> Result<Self> {
        let apt = Apt::update_main(cache, order.suite, order.architecture)?;
        Self::update_from(cache, order, &apt)
    }

    fn update_from(cache: &Cache, order: &Order<'_>, apt: &Apt) -> Result<Self> {
        let folder = cache.path(&order.place);
        let mut packages = apt.resolve(&order.seeds)?;
        packages.retain(|package| (order.needed)(&package.name));
        let identity = identity(&order.recipe, &packages);
        if fs::read_to_string(folder.join(IDENTITY)).is_ok_and(|found| found == identity) {
            return Ok(Self { folder, identity });
        }
        let downloads = cache.scratch()?;
        apt.download(&packages, downloads.path())?;
        let progress = Progress::phase(format!("unpacking {}", order.what));
        let scratch = cache.scratch()?;
        (order.extract)(downloads.path(), scratch.path(), &progress)?;
        fs::write(scratch.path().join(IDENTITY), &identity).context("cannot write to the cache")?;
        cache.commit(scratch, &folder)?;
        Ok(Self { folder, identity })
    }

    /// The recipe and the packages, with their versions, that this came from.
    pub(crate) fn identity(&self) -> &str {
        &self.identity
    }

    /// A file in the folder.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.join(name)
    }
}

/// The file that tells the identity; it is written last.
const IDENTITY: &str = "packages";

fn head(recipe: &str) -> String {
    format!("recipe {recipe}\n")
}

fn identity(recipe: &str, packages: &[Package]) -> String {
    let mut lines: Vec<_> = packages.iter().map(|package| format!("{}\n", package.file)).collect();
    lines.sort();
    head(recipe) + &lines.concat()
}

/// The packages that were downloaded to `folder`.
pub(crate) fn packages_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).context("cannot list the downloaded packages")?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "deb"));
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_is_that_of_the_recipe_and_all_versions() {
        let package = |file: &str| Package { name: "p".into(), file: file.into(), size: 1 };
        let identity = identity("7", &[package("b_2.deb"), package("a_1.deb")]);
        assert_eq!(identity, "recipe 7\na_1.deb\nb_2.deb\n");
        assert!(identity.starts_with(&head("7")) && !identity.starts_with(&head("70")));
    }
}
