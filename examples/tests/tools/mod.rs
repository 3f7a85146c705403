//! What tests of the tools for administrators share.
#![allow(dead_code, reason = "not every test program uses everything")]

use std::process::{Command, Output};

use serde_json::Value;

pub(crate) fn run(program: &str, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).output().expect(program)
}

pub(crate) fn text(program: &str, arguments: &[&str]) -> String {
    let output = run(program, arguments);
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// What `domain_tool` says to a program.
pub(crate) fn tool(arguments: &[&str]) -> Value {
    let all = [&["--json"], arguments].concat();
    serde_json::from_str(&text("domain_tool", &all)).expect("JSON")
}

pub(crate) fn list(value: Value) -> Vec<Value> {
    let Value::Array(list) = value else { panic!("{value}") };
    list
}

/// The lines of a table of `xl`, in columns, without the heading.
pub(crate) fn xl_table(arguments: &[&str]) -> Vec<Vec<String>> {
    let text = text("xl", arguments);
    text.lines().skip(1).map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
}

/// A domain with nothing in its memory, destroyed when dropped.
pub(crate) struct Bare {
    pub(crate) id: String,
}

impl Bare {
    pub(crate) fn create(arguments: &[&str]) -> Self {
        let described = tool(&[&["create"], arguments].concat());
        Self { id: described["id"].to_string() }
    }

    /// The third letter of the state that `xl` prints.
    pub(crate) fn is_paused(&self) -> bool {
        let line = xl_table(&["list"]).into_iter().find(|line| line.iter().rev().nth(4) == Some(&self.id));
        line.expect("xl lists it").iter().rev().nth(1).expect("a state").contains('p')
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        run("domain_tool", &["destroy", &self.id]); // a test may have done that
    }
}
