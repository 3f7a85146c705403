//! JSON for people: a list of objects as a table, one object as lines.

use serde_json::Value;

/// The text, without a line break at the end.
pub(crate) fn print(value: &Value) -> String {
    match value {
        Value::Array(objects) => table(objects),
        Value::Object(fields) => {
            let width = fields.keys().map(String::len).max().unwrap_or(0);
            let lines = fields.iter().map(|(name, value)| format!("{name:<width$}  {}", cell(value)));
            lines.collect::<Vec<_>>().join("\n")
        }
        other => cell(other),
    }
}

fn table(objects: &[Value]) -> String {
    let Some(Value::Object(first)) = objects.first() else { return String::new() };
    let columns: Vec<&String> = first.keys().collect();
    let heading: Vec<String> = columns.iter().map(|name| name.to_uppercase()).collect();
    let rows = objects.iter().map(|object| columns.iter().map(|name| cell(&object[name.as_str()])).collect());
    let rows: Vec<Vec<String>> = std::iter::once(heading).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn cell(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}
