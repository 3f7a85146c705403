//! `report FILE... [--into FOLDER]`: prints a table of several runs of `bench`, and writes table, chart, and all of
//! it as JSON. See `cargo xen bench`.

use anyhow::{Context, Result};
use benches::report::{Report, chart, table};
use std::path::PathBuf;
use std::{env, fs};

#[expect(clippy::print_stdout, reason = "the table is the program's output")]
fn main() -> Result<()> {
    let mut arguments: Vec<_> = env::args_os().skip(1).map(PathBuf::from).collect();
    let folder = match arguments.iter().position(|argument| argument.as_os_str() == "--into") {
        Some(place) => arguments.split_off(place).pop(),
        None => None,
    };
    let runs = arguments.iter().map(|file| {
        let text = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} has no results", file.display()))
    });
    let report = Report::new(&runs.collect::<Result<Vec<_>>>()?)?;
    let table = table(&report);
    println!("{table}");
    if let Some(folder) = folder {
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("results.json"), serde_json::to_string_pretty(&report)? + "\n")?;
        fs::write(folder.join("table.txt"), table + "\n")?;
        fs::write(folder.join("instructions.svg"), chart(&report))?;
        println!("\nwritten to {}", folder.display());
    }
    Ok(())
}
