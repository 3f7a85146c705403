//! `report FILE... [--into FOLDER]`: prints a table of what programs measured, and writes table, chart, and all of
//! it as JSON. See `cargo xen bench`.

use anyhow::{Context, Result};
use benches::report::{Report, chart};
use std::path::PathBuf;
use std::{env, fs};

#[expect(clippy::print_stdout, reason = "the table is the program's output")]
fn main() -> Result<()> {
    let mut arguments: Vec<_> = env::args_os().skip(1).map(PathBuf::from).collect();
    let folder = match arguments.iter().position(|argument| argument.as_os_str() == "--into") {
        Some(place) => arguments.split_off(place).pop(),
        None => None,
    };
    let results = arguments.iter().map(|file| {
        let text = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} has no results", file.display()))
    });
    let report = Report::new(results.collect::<Result<_>>()?)?;
    let table = report.table();
    println!("{table}");
    if let Some(folder) = folder {
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("results.json"), serde_json::to_string_pretty(&report)? + "\n")?;
        fs::write(folder.join("table.txt"), table + "\n")?;
        if let Some(operations) = &report.operations {
            fs::write(folder.join("instructions.svg"), chart(operations))?;
        }
        println!("\nwritten to {}", folder.display());
    }
    Ok(())
}
