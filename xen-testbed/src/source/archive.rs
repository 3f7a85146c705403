//! Debian's source package of Xen.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use lzma_rust2::XzReader;
use tar::Archive;

use crate::apt::Apt;
use crate::cache::Cache;
use crate::progress::Progress;

/// Fetches the source and unpacks what the hypervisor is built from below `folder`; tells the folder of the source.
///
/// Debian's patches are not applied: they fit Xen's programs into Debian, and what corrects the hypervisor comes with the
/// next version anyway. Without them neither `dpkg-source` nor `patch` is needed.
pub(super) fn fetch(cache: &Cache, suite: &'static str, folder: &Path) -> Result<PathBuf> {
    let downloads = cache.scratch()?;
    Apt::update_sources(cache, suite)?.download_source("xen", downloads.path())?;
    let files = entries(downloads.path())?;
    let Some(archive) = files.iter().find(|path| path.to_string_lossy().ends_with(".orig.tar.xz")) else {
        bail!("the source package xen of Debian {suite} has no .orig.tar.xz, only {files:?}");
    };
    let _progress = Progress::phase("unpacking the hypervisor's source");
    let unpacked = folder.join("source");
    unpack(archive, &unpacked).with_context(|| format!("cannot unpack {}", archive.display()))?;
    match entries(&unpacked)?.as_slice() {
        [source] => Ok(source.clone()),
        other => bail!("the source is expected in one folder, but {} has {other:?}", archive.display()),
    }
}

fn unpack(archive: &Path, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    let file = BufReader::new(File::open(archive)?);
    for entry in Archive::new(XzReader::new(file, true)).entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        if is_needed(&path) {
            entry.unpack_in(folder).with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    Ok(())
}

/// Whether the hypervisor, apart from the programs that belong to it, is built from the file at `path`.
fn is_needed(path: &Path) -> bool {
    let inside: PathBuf = path.components().skip(1).collect();
    ["xen", "config", "Config.mk"].iter().any(|part| inside.starts_with(part))
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let list = || fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>();
    list().with_context(|| format!("cannot list {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hypervisor_is_a_part_of_the_source() {
        assert!(is_needed(Path::new("xen-4.17.5/xen/common/domain.c")));
        assert!(is_needed(Path::new("xen-4.17.5/Config.mk")));
        assert!(!is_needed(Path::new("xen-4.17.5/tools/xl/xl.c")));
        assert!(!is_needed(Path::new("xen-4.17.5/")));
    }
}
