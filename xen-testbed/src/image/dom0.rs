//! Dom0's ramdisk: busybox, Debian's Xen tools, kernel modules and our scripts.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::Parts;
use super::cpio::Cpio;
use super::elf::Libraries;
use super::linux::Linux;

/// Our scripts, by their place in dom0.
pub(super) const SCRIPTS: [(&str, &str); 7] = [
    ("init", include_str!("../../dom0/init")),
    ("bin/agent", include_str!("../../dom0/agent")),
    ("bin/guest", include_str!("../../dom0/guest")),
    ("bin/guest-kit", include_str!("../../dom0/guest-kit")),
    ("bin/guest-tests", include_str!("../../dom0/guest-tests")),
    ("bin/mp", MODPROBE),
    ("etc/xen/scripts/block", include_str!("../../dom0/block")),
];

/// `mp MODULE...` loads modules with what they need; guests have it too.
pub(super) const MODPROBE: &str = include_str!("../../dom0/mp");

/// Tools from the hypervisor version's own folder.
const XEN_TOOLS: [&str; 15] = [
    "xl",
    "xenstored",
    "xenconsoled",
    "xen-init-dom0",
    "init-xenstore-domain",
    "libxl-save-helper",
    "xenconsole",
    "xen-hvmctx",
    "xenctx",
    "lsevtchn",
    "xen-diag",
    "xenpm",
    "xentop",
    "xenlockprof",
    "readnotes",
];

/// Further files for which a folder of a Debian package is searched.
const OTHER_TOOLS: [&str; 3] = ["mke2fs", "e2fsck", "xenstore"];

/// What the one program `xenstore` does under other names.
const XENSTORE_TOOLS: [&str; 8] = ["chmod", "exists", "list", "ls", "read", "rm", "watch", "write"];

/// Libraries that are opened by name at run time: by the C library when a thread is cancelled.
const OPENED_LIBRARIES: [&str; 1] = ["libgcc_s.so.1"];

/// Writes the ramdisk to `path`.
pub(super) fn write(parts: &Parts, path: &Path) -> Result<()> {
    let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    let mut cpio = Cpio::new(BufWriter::new(file));
    for folder in [
        "proc",
        "sys",
        "dev",
        "run",
        "root",
        "mnt",
        "t/bin",
        "guests",
        "tmp/console",
        "etc",
        "var/log/xen",
        "var/lib/xen/dump",
        "var/lib/xenstored",
        "var/lock",
        "sbin",
    ] {
        cpio.directory(folder)?;
    }
    cpio.symlink("var/run", "../run")?;
    for (name, script) in SCRIPTS {
        cpio.program(name, script.as_bytes())?;
    }
    write_modules(&mut cpio, &parts.linux)?;
    write_tools(&mut cpio, parts)?; // before busybox, which has lesser tools of the same names
    write_busybox(&mut cpio, parts)?;
    write_configuration(&mut cpio, parts)?;
    cpio.finish()?;
    Ok(())
}

/// busybox under all its names that are not taken yet.
pub(super) fn write_busybox(cpio: &mut Cpio<BufWriter<File>>, parts: &Parts) -> Result<()> {
    let path = first_existing(parts, &["bin/busybox", "usr/bin/busybox"])?;
    let mut program = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    for name in HIDDEN_APPLETS {
        hide_applet(&mut program, name);
    }
    cpio.program("bin/busybox", &program)?;
    for name in applets(&program).context("cannot find the names of busybox's applets in its program")? {
        cpio.symlink(format!("bin/{name}"), "busybox")?;
    }
    Ok(())
}

/// busybox's shell prefers its own tools to those on the path, also to the better ones that dom0 has.
const HIDDEN_APPLETS: [&str; 1] = ["mke2fs"];

/// Renames an applet in busybox's table. The order of the table must stay, so only the last letter changes, to `~`.
fn hide_applet(program: &mut [u8], name: &str) {
    let entry = format!("\0{name}\0");
    if let Some(start) = program.windows(entry.len()).position(|bytes| bytes == entry.as_bytes()) {
        program[start + name.len()] = b'~';
    }
}

/// The names in busybox's table of applets, which begins with the names of `test`: strings, the last of them empty.
/// Asking the program itself would need a host of the same architecture.
fn applets(program: &[u8]) -> Option<Vec<&str>> {
    const START: &[u8] = b"[\0[[\0";
    let start = program.windows(START.len()).position(|bytes| bytes == START)?;
    let names = program[start..].split(|&byte| byte == 0).take_while(|name| !name.is_empty());
    let names: Vec<_> = names.map_while(|name| std::str::from_utf8(name).ok()).collect();
    names.contains(&"sh").then_some(names)
}

/// All modules of a kernel, where `modprobe` looks for them, also when the kernel itself calls it.
pub(super) fn write_modules(cpio: &mut Cpio<BufWriter<File>>, linux: &Linux) -> Result<()> {
    let folder = PathBuf::from("lib/modules").join(linux.version()?);
    for (name, path) in files_of(&linux.path("modules"))? {
        let content = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        cpio.file(folder.join(name), &content)?;
    }
    cpio.symlink("sbin/modprobe", "../bin/busybox")
}

fn write_tools(cpio: &mut Cpio<BufWriter<File>>, parts: &Parts) -> Result<()> {
    let version = format!("usr/lib/xen-{}", parts.cell.xen);
    let multiarch = parts.cell.architecture.multiarch();
    let library_folder = format!("lib/{multiarch}");
    let usr_library_folder = format!("usr/lib/{multiarch}");
    let folders = [
        library_folder.clone(),
        usr_library_folder.clone(),
        format!("{version}/lib/{multiarch}"),
        format!("{version}/lib"),
    ];
    let mut libraries = Libraries::new(folders.map(|folder| parts.tools.root(folder)).into());
    for name in XEN_TOOLS {
        // the tools find each other in this folder; not every version has all of them
        let place = format!("{version}/bin/{name}");
        let path = parts.tools.root(&place);
        if path.exists() {
            libraries.add(&path)?;
            cpio.copy_program(&place, &path)?;
            cpio.symlink(format!("bin/{name}"), &format!("/{place}"))?;
        }
    }
    for name in OTHER_TOOLS {
        let places = ["bin/", "sbin/", "usr/bin/", "usr/sbin/"].map(|folder| format!("{folder}{name}"));
        let path = first_existing(parts, &places.each_ref().map(String::as_str))?;
        libraries.add(&path)?;
        cpio.copy_program(format!("bin/{name}"), &path)?;
    }
    cpio.symlink("bin/mkfs.ext4", "mke2fs")?;
    for name in XENSTORE_TOOLS {
        cpio.symlink(format!("bin/xenstore-{name}"), "xenstore")?;
    }
    for name in OPENED_LIBRARIES {
        libraries.add_library(name)?;
    }
    for (name, path) in libraries.found() {
        cpio.copy_program(Path::new(&library_folder).join(name), path)?;
    }
    let loader = Path::new(parts.cell.architecture.loader());
    let name = loader.file_name().unwrap_or_default().to_string_lossy();
    let loaders = [library_folder.as_str(), &usr_library_folder, "lib64", "usr/lib64", "lib", "usr/lib"]
        .map(|folder| format!("{folder}/{name}"));
    cpio.copy_program(loader, &first_existing(parts, &loaders.each_ref().map(String::as_str))?)
}

fn write_configuration(cpio: &mut Cpio<BufWriter<File>>, parts: &Parts) -> Result<()> {
    cpio.file("etc/mke2fs.conf", MKE2FS_CONFIGURATION.as_bytes())?;
    cpio.file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n")?;
    cpio.file("etc/group", b"root:x:0:\n")?;
    for (name, path) in files_of(&parts.tools.root("etc/xen"))? {
        let content = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        cpio.file(Path::new("etc/xen").join(name), &content)?;
    }
    Ok(())
}

/// The features that Debian gives a new ext4 file system.
const MKE2FS_CONFIGURATION: &str = "[defaults]
  base_features = sparse_super,large_file,filetype,resize_inode,dir_index,ext_attr
  blocksize = 4096
  inode_size = 256
  inode_ratio = 16384
[fs_types]
  small = {
  }
  ext4 = {
    features = has_journal,extent,huge_file,flex_bg,metadata_csum,64bit,dir_nlink,extra_isize
  }
";

/// The plain files in `folder`, by name.
fn files_of(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            files.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
        }
    }
    files.sort();
    Ok(files)
}

/// The first of `places` where Debian's packages have something.
fn first_existing(parts: &Parts, places: &[&str]) -> Result<PathBuf> {
    let found = places.iter().map(|place| parts.tools.root(place)).find(|path| path.exists());
    found.with_context(|| format!("the packages have none of {}", places.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::{applets, hide_applet};

    #[test]
    fn applets_are_read_from_the_table() {
        assert_eq!(
            applets(b"code\0[\0[[\0cat\0sh\0zcat\0\0more"),
            Some(vec!["[", "[[", "cat", "sh", "zcat"])
        );
        assert_eq!(applets(b"no table"), None);
    }

    #[test]
    fn an_applet_is_hidden() {
        let mut program = b"[\0[[\0mke2fs\0sh\0\0".to_vec();
        hide_applet(&mut program, "mke2fs");
        assert_eq!(applets(&program), Some(vec!["[", "[[", "mke2f~", "sh"]));
    }
}
