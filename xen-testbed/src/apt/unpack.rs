//! Takes the wanted files out of Debian packages.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use tar::Archive;

use crate::child;

/// Unpacks the files of `package` for which `wanted` says yes (their paths have no leading `./`) below `folder`.
pub(crate) fn unpack(package: &Path, folder: &Path, wanted: impl Fn(&Path) -> bool) -> Result<()> {
    let mut dpkg = child::command("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(package)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start dpkg-deb, which every Debian machine has")?;
    let mut stream = dpkg.stdout.take().context("dpkg-deb has no output")?;
    unpack_tar(&mut stream, folder, wanted)
        .with_context(|| format!("cannot unpack {} to {}", package.display(), folder.display()))?;
    let status = dpkg.wait().context("cannot wait for dpkg-deb")?;
    if !status.success() {
        bail!("dpkg-deb cannot read {} ({status})", package.display());
    }
    Ok(())
}

fn unpack_tar(stream: &mut impl Read, folder: &Path, wanted: impl Fn(&Path) -> bool) -> Result<()> {
    fs::create_dir_all(folder)?;
    let mut archive = Archive::new(&mut *stream);
    archive.set_preserve_mtime(false);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let path = path.strip_prefix(".").unwrap_or(&path);
        if wanted(path) && !entry.header().entry_type().is_dir() {
            entry.unpack_in(folder).with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    // dpkg-deb complains if the padding after the archive's end is not read
    std::io::copy(stream, &mut std::io::sink())?;
    Ok(())
}
