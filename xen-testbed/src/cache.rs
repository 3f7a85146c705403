//! The folder of everything that is fetched or built, and the lock on it.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::env;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

use crate::cargo::metadata;
use crate::progress::Progress;

/// The cache, held exclusively: a second test bed on it waits until this one is dropped.
#[derive(Debug)]
pub(crate) struct Cache {
    root: PathBuf,
    _lock: File,
    /// What was done already while the lock is held.
    done: RefCell<BTreeSet<String>>,
}

impl Cache {
    /// Finds the folder, creates it if need be and waits for the lock.
    pub(crate) fn open() -> Result<Self> {
        let root = location()?;
        fs::create_dir_all(root.join("log"))
            .and_then(|()| {
                fs::write(root.join("CACHEDIR.TAG"), "Signature: 8a477f597d28d172789f06886806bc55\n")
            })
            .with_context(|| {
                format!("cannot create the cache {}; XEN_TESTBED_CACHE chooses another", root.display())
            })?;
        let path = root.join("lock");
        let lock = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            let _waiting = Progress::phase("waiting for another xen-testbed to finish");
            flock(&lock, FlockOperation::LockExclusive)
                .with_context(|| format!("cannot lock {}", path.display()))?;
        }
        let cache = Self { root, _lock: lock, done: RefCell::default() };
        cache.discard_leftovers()?;
        Ok(cache)
    }

    /// A path inside the cache.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.root.join(name)
    }

    /// Whether `work`, which need not be done twice, comes up for the first time.
    pub(crate) fn is_first(&self, work: &str) -> bool {
        self.done.borrow_mut().insert(work.to_owned())
    }

    /// A folder for unfinished work, removed when dropped. It lies on the cache's own file system, so that results can be renamed.
    pub(crate) fn scratch(&self) -> Result<TempDir> {
        let parent = self.path("tmp");
        fs::create_dir_all(&parent)
            .and_then(|()| TempDir::new_in(&parent))
            .with_context(|| format!("cannot create a folder in {}", parent.display()))
    }

    /// Moves finished work to its place, instead of what is there.
    pub(crate) fn commit(&self, finished: TempDir, place: &Path) -> Result<()> {
        let replaced = self.scratch()?;
        let moving = || {
            if place.exists() {
                fs::rename(place, replaced.path().join("replaced"))?;
            }
            if let Some(parent) = place.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::rename(finished.keep(), place)
        };
        moving().with_context(|| format!("cannot put {} in place", place.display()))
    }

    /// Removes what an interrupted run left behind; nobody else can be using it while the lock is held.
    fn discard_leftovers(&self) -> Result<()> {
        let leftovers = self.path("tmp");
        if leftovers.exists() {
            fs::remove_dir_all(&leftovers)
                .with_context(|| format!("cannot remove {}", leftovers.display()))?;
        }
        Ok(())
    }
}

/// Where the cache is: `XEN_TESTBED_CACHE`, or else in the target folder of the project one stands in.
pub(crate) fn location() -> Result<PathBuf> {
    if let Some(chosen) = env::var_os("XEN_TESTBED_CACHE") {
        return absolute(Path::new(&chosen));
    }
    if let Some(target) = target_folder()? {
        return Ok(target.join("xen-testbed"));
    }
    let home = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")));
    match home {
        Some(home) => absolute(&home.join("xen-testbed")),
        None => bail!("no folder for the cache: set XEN_TESTBED_CACHE, or run this inside a cargo project"),
    }
}

/// Cargo's target folder, if the current folder belongs to a cargo project.
pub(crate) fn target_folder() -> Result<Option<PathBuf>> {
    if let Some(target) = env::var_os("CARGO_TARGET_DIR") {
        return absolute(Path::new(&target)).map(Some);
    }
    Ok(metadata().ok().and_then(|metadata| metadata["target_directory"].as_str().map(PathBuf::from)))
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("cannot make {} absolute", path.display()))
}

/// A short name for `content`: equal content, equal name. Another compiler may name differently, which only costs a rebuild.
pub(crate) fn fingerprint(content: impl Hash) -> String {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
