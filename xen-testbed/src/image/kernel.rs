//! Takes kernels and modules out of their compressed forms. Uncompressed ones boot seconds faster under emulation.

use std::fs;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};
use flate2::read::GzDecoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::StreamingDecoder;

const ELF_MAGIC: &[u8] = b"\x7fELF";
const XZ_MAGIC: &[u8] = b"\xfd7zXZ\0";
const ZSTD_MAGIC: &[u8] = b"\x28\xb5\x2f\xfd";
const GZIP_MAGIC: &[u8] = b"\x1f\x8b\x08";

/// Unpacks `data` by the method that its first bytes tell; what has none of the known marks is returned as it is.
pub(crate) fn decompress(data: &[u8]) -> Result<Vec<u8>> {
    let mut output = Vec::with_capacity(data.len() * 4);
    if data.starts_with(XZ_MAGIC) {
        XzReader::new(data, false).read_to_end(&mut output).context("broken xz data")?;
    } else if data.starts_with(ZSTD_MAGIC) {
        StreamingDecoder::new(data)
            .context("broken zstd data")?
            .read_to_end(&mut output)
            .context("broken zstd data")?;
    } else if data.starts_with(GZIP_MAGIC) {
        GzDecoder::new(data).read_to_end(&mut output).context("broken gzip data")?;
    } else {
        output.extend_from_slice(data);
    }
    Ok(output)
}

/// The ELF kernel inside a Linux/x86 `vmlinuz`. Offsets are those of Linux's x86 boot protocol, version 2.08 and later.
pub(crate) fn vmlinux(vmlinuz: &[u8]) -> Result<Vec<u8>> {
    const BOOT_MAGIC_OFFSET: usize = 0x202;
    if vmlinuz.get(BOOT_MAGIC_OFFSET..BOOT_MAGIC_OFFSET + 4) != Some(b"HdrS") {
        bail!("the kernel image has no Linux boot header");
    }
    let setup_sectors = vmlinuz[0x1f1];
    let start = (usize::from(setup_sectors) + 1) * 512 + word(vmlinuz, 0x248)?;
    let length = word(vmlinuz, 0x24c)?;
    let payload = vmlinuz.get(start..start + length).context("the kernel image is cut off")?;
    // behind the compressed data Linux keeps the size that it unpacks to
    let compressed = &payload[..length.saturating_sub(4)];
    let kernel = decompress(compressed)?;
    if !kernel.starts_with(ELF_MAGIC) {
        bail!("the kernel is compressed by a method other than xz, zstd and gzip");
    }
    Ok(kernel)
}

/// Writes what `unpack` makes of the file `from` to the file `to`.
pub(crate) fn copy(from: &Path, to: &Path, unpack: impl Fn(&[u8]) -> Result<Vec<u8>>) -> Result<()> {
    let data = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    let data = unpack(&data).with_context(|| format!("cannot unpack {}", from.display()))?;
    fs::write(to, data).with_context(|| format!("cannot write {}", to.display()))
}

fn word(data: &[u8], offset: usize) -> Result<usize> {
    let bytes = data.get(offset..offset + 4).context("the kernel image is cut off")?;
    Ok(usize::try_from(u32::from_le_bytes(bytes.try_into()?))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_data_stays() {
        assert_eq!(decompress(b"\x7fELF and so on").expect("nothing to do"), b"\x7fELF and so on");
    }

    #[test]
    fn broken_data_is_an_error() {
        assert!(decompress(b"\xfd7zXZ\0 broken").is_err());
        assert!(vmlinux(b"not a kernel").is_err());
    }
}
