//! The results as a picture: one bar for each operation that C has too.

use super::{Comparison, Row};
use std::fmt::Write;

const ROW: usize = 20;
const TOP: usize = 70;
const LEFT: usize = 340;
/// The length of a bar that stands for as much as C.
const UNIT: f64 = 400.0;
/// Bars are no longer than this part of C's.
const LONGEST: f64 = 1.2;
const WIDTH: usize = 900;

/// Colours for light and for dark pages.
const STYLE: &str = "
text { font: 12px sans-serif; fill: #222 } .number { fill: #555 } .title { font-size: 15px; font-weight: bold }
.bar { fill: #2f7dc1 } .floor { stroke: #d1742b; stroke-width: 2 } .c { stroke: #888; stroke-dasharray: 3 3 }
@media (prefers-color-scheme: dark) { text { fill: #ddd } .number { fill: #aaa } .bar { fill: #5ba3e0 } }";

/// An SVG file: our instructions as bars, C's as the line at 1, the bare system calls as marks.
#[must_use]
pub fn chart(comparison: &Comparison) -> String {
    let rows: Vec<_> = comparison.rows.iter().filter(|row| row.ours_to_c.is_some()).collect();
    let bottom = TOP + rows.len() * ROW;
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {}"><style>{STYLE}</style>
<text class="title" x="10" y="24">Instructions of program, kernel and hypervisor, as a part of those with the C libraries</text>
<text class="number" x="10" y="44">{}. Bars: these crates, cut off at {LONGEST}. Marks: bare system calls. Dashed: the C libraries.</text>
"#,
        bottom + 20,
        escape(&comparison.title()),
    );
    for (index, row) in rows.iter().enumerate() {
        add_row(&mut svg, row, TOP + index * ROW);
    }
    let one = place(1.0);
    add(&mut svg, format_args!(r#"<line class="c" x1="{one}" y1="{TOP}" x2="{one}" y2="{bottom}"/>"#));
    svg.push_str("</svg>\n");
    svg
}

fn add_row(svg: &mut String, row: &Row, top: usize) {
    let Some(ratio) = row.ours_to_c else { return };
    let end = place(ratio.mean);
    let (base, middle) = (top + 14, top + 3);
    let name = escape(&row.operation.full_name());
    #[expect(clippy::cast_precision_loss, reason = "a few hundred pixels")]
    let length = end - LEFT as f64;
    add(svg, format_args!(r#"<text x="{}" y="{base}" text-anchor="end">{name}</text>"#, LEFT - 10));
    add(svg, format_args!(r#"<rect class="bar" x="{LEFT}" y="{middle}" width="{length:.1}" height="14"/>"#));
    let aside = if ratio.mean > 0.9 { place(LONGEST) + 10.0 } else { end + 8.0 };
    add(svg, format_args!(r#"<text class="number" x="{aside:.1}" y="{base}">{:.2}</text>"#, ratio.mean));
    if let Some(floor) = row.ours_to_floor {
        let at = place(ratio.mean / floor.mean);
        let (from, to) = (top + 1, top + 19);
        add(svg, format_args!(r#"<line class="floor" x1="{at:.1}" y1="{from}" x2="{at:.1}" y2="{to}"/>"#));
    }
}

fn place(ratio: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a few hundred pixels")]
    let left = LEFT as f64;
    left + ratio.min(LONGEST) * UNIT
}

fn add(svg: &mut String, element: std::fmt::Arguments<'_>) {
    // Text takes everything.
    let _ = writeln!(svg, "{element}");
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
