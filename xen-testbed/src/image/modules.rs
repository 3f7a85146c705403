//! Picks kernel modules with everything they depend on, and writes the tables that busybox's `modprobe` reads.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use object::read::elf::ElfFile64;
use object::{Object, ObjectSection};

use super::kernel::decompress;

/// What a module says of itself in its section `.modinfo`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Info {
    needs: Vec<String>,
    aliases: Vec<String>,
}

/// The chosen modules, uncompressed.
#[derive(Debug, Default)]
pub(crate) struct Modules {
    chosen: BTreeMap<String, (Vec<u8>, Info)>,
}

impl Modules {
    /// Takes `wanted` out of the kernel's module tree. What is built into the kernel has no file and is passed over.
    pub(crate) fn choose(tree: &Path, wanted: &[&str]) -> Result<Self> {
        let mut files = BTreeMap::new();
        list(tree, &mut files)?;
        if files.is_empty() {
            bail!("there is no kernel module below {}", tree.display());
        }
        let mut modules = Self::default();
        for name in wanted {
            modules.add(&canonical(name), &files)?;
        }
        Ok(modules)
    }

    fn add(&mut self, name: &str, files: &BTreeMap<String, PathBuf>) -> Result<()> {
        let Some(path) = files.get(name).filter(|_| !self.chosen.contains_key(name)) else { return Ok(()) };
        let content = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let content = decompress(&content).with_context(|| format!("cannot unpack {}", path.display()))?;
        let info =
            module_info(&content).with_context(|| format!("{} is no kernel module", path.display()))?;
        let needs = info.needs.clone();
        self.chosen.insert(name.to_owned(), (content, info));
        needs.iter().try_for_each(|need| self.add(need, files))
    }

    /// Writes the modules and the tables of a `/lib/modules/VERSION` into `folder`.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        let write = |name: &str, content: &[u8]| {
            let path = folder.join(name);
            fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))
        };
        for (name, (content, _)) in &self.chosen {
            write(&format!("{name}.ko"), content)?;
        }
        write("modules.dep", self.dependency_table().as_bytes())?;
        write("modules.alias", self.alias_table().as_bytes())?;
        write("modules.symbols", b"")
    }

    /// `a.ko: b.ko c.ko`: each line has all the modules that must be there before the first, nearest first.
    fn dependency_table(&self) -> String {
        let mut table = String::new();
        for name in self.chosen.keys() {
            let mut before = Vec::new();
            self.collect_needs(name, &mut before);
            before.reverse();
            table.extend([name, ".ko:"]);
            table.extend(before.iter().flat_map(|need| [" ", need, ".ko"]));
            table.push('\n');
        }
        table
    }

    fn collect_needs<'a>(&'a self, name: &str, before: &mut Vec<&'a str>) {
        let Some((_, info)) = self.chosen.get(name) else { return };
        for need in info.needs.iter().filter(|need| self.chosen.contains_key(*need)) {
            if !before.contains(&need.as_str()) {
                self.collect_needs(need, before);
                before.push(need);
            }
        }
    }

    fn alias_table(&self) -> String {
        let lines = self.chosen.iter().flat_map(|(name, (_, info))| {
            info.aliases.iter().map(move |alias| format!("alias {alias} {name}\n"))
        });
        lines.collect()
    }
}

/// Module names are told with dashes and underscores alike.
fn canonical(name: &str) -> String {
    name.replace('-', "_")
}

fn list(folder: &Path, files: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            list(&path, files)?;
        } else if let Some((name, _)) = entry.file_name().to_string_lossy().split_once(".ko") {
            files.insert(canonical(name), path);
        }
    }
    Ok(())
}

fn module_info(content: &[u8]) -> Result<Info> {
    let file = ElfFile64::<object::Endianness>::parse(content)?;
    let section = file.section_by_name(".modinfo").context("it has no section .modinfo")?;
    Ok(parse_info(section.data()?))
}

/// `key=value` pairs, each ended by a zero byte.
fn parse_info(section: &[u8]) -> Info {
    let mut info = Info::default();
    for field in section.split(|&byte| byte == 0) {
        let field = String::from_utf8_lossy(field);
        match field.split_once('=') {
            Some(("depends", names)) => {
                info.needs.extend(names.split(',').filter(|name| !name.is_empty()).map(canonical));
            }
            // "pre: NAME...": wanted by the module, but not through a symbol
            Some(("softdep", wish)) => {
                let names = wish.strip_prefix("pre: ").unwrap_or_default();
                info.needs.extend(names.split_whitespace().map(canonical));
            }
            Some(("alias", alias)) => info.aliases.push(alias.to_owned()),
            _ => {}
        }
    }
    info
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(section: &[u8]) -> (Vec<u8>, Info) {
        (Vec::new(), parse_info(section))
    }

    #[test]
    fn information_is_read() {
        let info = parse_info(b"license=GPL\0depends=mbcache,jbd2\0softdep=pre: crc32c\0alias=fs-ext4\0");
        assert_eq!(info.needs, ["mbcache", "jbd2", "crc32c"]);
        assert_eq!(info.aliases, ["fs-ext4"]);
        assert_eq!(parse_info(b"depends=\0"), Info::default());
    }

    #[test]
    fn tables_have_the_nearest_need_first() {
        let modules = Modules {
            chosen: BTreeMap::from([
                ("virtio".into(), module(b"")),
                ("virtio_ring".into(), module(b"depends=virtio\0")),
                ("virtio_blk".into(), module(b"depends=virtio_ring,virtio\0alias=virtio:d2\0")),
            ]),
        };
        assert_eq!(
            modules.dependency_table(),
            "virtio.ko:\nvirtio_blk.ko: virtio_ring.ko virtio.ko\nvirtio_ring.ko: virtio.ko\n"
        );
        assert_eq!(modules.alias_table(), "alias virtio:d2 virtio_blk\n");
    }
}
