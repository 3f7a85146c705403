//! Which test targets a workspace has, by the conventions for their names.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::cargo::metadata;

/// Test targets whose name begins so are for dom0,
pub(super) const FOR_DOM0: &str = "hw_";
/// for the inside of a guest,
pub(super) const FOR_GUESTS: &str = "domu_";
/// for this machine, with C headers and compilers.
pub(super) const FOR_HEADERS: &str = "abi_";

/// The names of a workspace's test targets.
#[derive(Debug)]
pub(super) struct Targets(Vec<String>);

impl Targets {
    /// Asks cargo.
    pub(super) fn find() -> Result<Self> {
        parse(&metadata()?).context("cannot read cargo's metadata")
    }

    /// Whether there is one with this beginning.
    pub(super) fn any(&self, start: &str) -> bool {
        self.0.iter().any(|name| name.starts_with(start))
    }

    /// What makes cargo build the test programs for Xen, and only these, or the `wanted` one; nothing if there are none.
    pub(super) fn selection(&self, wanted: Option<&str>) -> Vec<String> {
        let starts = [FOR_DOM0, FOR_GUESTS].into_iter().filter(|start| self.any(start));
        let globs: Vec<_> = match wanted {
            Some(wanted) => vec![wanted.to_owned()],
            None => starts.map(|start| format!("{start}*")).collect(),
        };
        globs.into_iter().flat_map(|glob| ["--test".to_owned(), glob]).collect()
    }
}

fn parse(metadata: &Value) -> Result<Targets> {
    let packages = metadata["packages"].as_array().context("it has no packages")?;
    let targets = packages.iter().flat_map(|package| package["targets"].as_array().into_iter().flatten());
    let tests = targets.filter(|target| target["kind"][0] == "test");
    Ok(Targets(tests.filter_map(|target| Some(target["name"].as_str()?.to_owned())).collect()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_test_targets_count() {
        let kinds = [("lib", "domu_things"), ("test", "hw_map"), ("test", "parsing")];
        let targets = kinds.map(|(kind, name)| json!({ "kind": [kind], "name": name }));
        let targets = parse(&json!({ "packages": [{ "targets": targets }] })).expect("metadata");
        assert_eq!(targets.selection(None), ["--test", "hw_*"]);
        assert_eq!(targets.selection(Some("hw_m*")), ["--test", "hw_m*"]);
        assert!(!targets.any(FOR_GUESTS) && !targets.any(FOR_HEADERS));
    }
}
