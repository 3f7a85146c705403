//! What is switched on.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// One `NAME=y` a line, as Kconfig reads it; `#` starts a comment.
const EXTRA: &str = include_str!("extra.config");

/// Puts the wishes where `KCONFIG_ALLCONFIG` names them.
pub(super) fn write(folder: &Path) -> Result<()> {
    let path = folder.join("extra.config");
    fs::write(&path, EXTRA).with_context(|| format!("cannot write {}", path.display()))
}

/// Fails unless all wishes are fulfilled: Kconfig drops without a word what depends on something else, or has another name now.
pub(super) fn check(folder: &Path) -> Result<()> {
    let path = folder.join(".config");
    let config = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let missing = missing(&config, EXTRA);
    if !missing.is_empty() {
        bail!(
            "this source does not switch on {}: the options' names or what they depend on may have changed",
            missing.join(", ")
        );
    }
    Ok(())
}

/// The lines of `wishes` that `config` does not have.
fn missing<'a>(config: &str, wishes: &'a str) -> Vec<&'a str> {
    let wishes = wishes.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    wishes.filter(|wish| !config.lines().any(|line| line == *wish)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_that_were_dropped_are_named() {
        let config = "CONFIG_DEBUG=y\n# CONFIG_ARGO is not set\nCONFIG_XSM_FLASK_POLICY=y\n";
        let wishes = "# a comment\n\nCONFIG_DEBUG=y\nCONFIG_ARGO=y\nCONFIG_XSM_FLASK=y\n";
        assert_eq!(missing(config, wishes), ["CONFIG_ARGO=y", "CONFIG_XSM_FLASK=y"]);
        assert!(missing(config, "CONFIG_DEBUG=y\n").is_empty());
    }

    #[test]
    fn every_wish_is_an_option_to_switch_on() {
        let wishes = missing("", EXTRA);
        assert!(wishes.len() >= 16, "{wishes:?}");
        for wish in wishes {
            let name = wish.strip_prefix("CONFIG_").and_then(|rest| rest.strip_suffix("=y"));
            assert!(name.is_some_and(|name| !name.contains(' ')), "{wish} is not CONFIG_NAME=y");
        }
    }

    #[test]
    fn a_dropped_wish_fails_the_check() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        write(folder.path()).expect("it can be written to");
        fs::copy(folder.path().join("extra.config"), folder.path().join(".config")).expect("copied");
        check(folder.path()).expect("all wishes are there");
        fs::write(folder.path().join(".config"), EXTRA.replace("CONFIG_ARGO=y", "")).expect("written");
        let error = check(folder.path()).expect_err("one is missing");
        assert!(error.to_string().contains("CONFIG_ARGO=y"), "{error}");
    }
}
