//! The disk image, as dom0 sees it: an ext4 file system in a file.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

const IMAGE_BYTES: u64 = 96 << 20;
/// Size of the files that travel.
const FILE_BYTES: usize = 32 << 20;

/// An image file with an ext4 file system.
#[derive(Debug)]
pub(crate) struct Image {
    path: PathBuf,
}

impl Image {
    /// Makes the file system, with nothing in it.
    pub(crate) fn create(path: PathBuf) -> Result<Self> {
        let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        file.set_len(IMAGE_BYTES).with_context(|| format!("cannot extend {}", path.display()))?;
        // Without a configuration file, mke2fs uses the settings that it was built with, the same everywhere.
        let settings = ("MKE2FS_CONFIG", "/does/not/exist");
        run(Command::new("mke2fs").env(settings.0, settings.1).args(["-q", "-F", "-t", "ext4"]).arg(&path))?;
        Ok(Self { path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file of random bytes and its checksum, and returns the checksum.
    pub(crate) fn fill(&self, seed: u64) -> Result<String> {
        let mount = Mount::new(&self.path, "rw")?;
        let mut file = File::create(mount.directory.join("from-dom0"))?;
        let mut hash = Sha256::new();
        let mut random = Random(seed);
        let mut block = vec![0; 1 << 20];
        for _ in 0..FILE_BYTES / block.len() {
            random.fill(&mut block);
            hash.update(&block);
            file.write_all(&block).context("cannot write to the image")?;
        }
        drop(file); // an open file keeps the file system mounted
        let sum = format!("{:x}", hash.finalize());
        fs::write(mount.directory.join("from-dom0.sha256"), format!("{sum}  from-dom0\n"))?;
        mount.unmount()?;
        Ok(sum)
    }

    /// The file system is sound, and the guest's file is there, whole and as large as it should be. Returns its checksum.
    pub(crate) fn verify(&self) -> Result<String> {
        run(Command::new("e2fsck").args(["-f", "-n"]).arg(&self.path))?;
        let mount = Mount::new(&self.path, "ro")?;
        let mut hash = Sha256::new();
        let mut file =
            File::open(mount.directory.join("from-guest")).context("the guest's file is missing")?;
        let bytes = io::copy(&mut file, &mut hash).context("cannot read the guest's file")?;
        let sum = format!("{:x}", hash.finalize());
        let noted = fs::read_to_string(mount.directory.join("from-guest.sha256"))?;
        ensure!(bytes == FILE_BYTES as u64, "the guest's file has {bytes} bytes");
        ensure!(noted.starts_with(&sum), "the guest's file has the sum {sum}, and the guest noted {noted}");
        drop(file);
        mount.unmount()?;
        Ok(sum)
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        // A file in the temporary directory is no harm.
        let _ = fs::remove_file(&self.path);
    }
}

/// A mounted image. Dropping it unmounts it.
struct Mount {
    directory: PathBuf,
    mounted: bool,
}

impl Mount {
    fn new(image: &Path, mode: &str) -> Result<Self> {
        let directory = std::env::temp_dir().join("demo-mount");
        fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
        let options = format!("loop,{mode}");
        run(Command::new("mount").args(["-t", "ext4", "-o", &options]).arg(image).arg(&directory))?;
        Ok(Self { directory, mounted: true })
    }

    fn unmount(mut self) -> Result<()> {
        self.mounted = false;
        run(Command::new("umount").arg("-d").arg(&self.directory))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if self.mounted {
            // An error is on its way already.
            let _ = run(Command::new("umount").arg("-d").arg(&self.directory));
        }
    }
}

/// Runs a command; what it printed is part of the error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot start {name}"))?;
    let text = [output.stdout, output.stderr].concat();
    ensure!(
        output.status.success(),
        "{name} ended with {}: {}",
        output.status,
        String::from_utf8_lossy(&text)
    );
    Ok(())
}

/// Bytes that do not compress and do not repeat (xorshift64*). Not for secrets.
struct Random(u64);

impl Random {
    fn fill(&mut self, block: &mut [u8]) {
        for word in block.chunks_exact_mut(8) {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            word.copy_from_slice(&self.0.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
        }
    }
}
