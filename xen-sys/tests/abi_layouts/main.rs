//! The ABI oracle: every record and constant of this crate, compared with what C compilers make of Xen's and Linux's
//! headers.
//!
//! The sources of the crate are parsed, not linked: so private items count too, and what has no counterpart in C is found.
//! A record is compared by the literals of its `layout!`, which rustc has asserted, a constant by its value.
//!
//! Two oracles answer. C compilers, for each set of headers that Debian has ([`compiler`]); they need the test bed to
//! fetch headers. And a table of the layouts in every supported hypervisor ([`table`]), which is always there.

mod checks;
mod claims;
mod compiler;
mod evaluate;
mod exemptions;
mod model;
mod oracle;
mod source;
mod table;
mod tokens;

use std::path::Path;

use crate::claims::Claims;
use crate::exemptions::NOT_OF_THE_ABI;
use crate::oracle::Verdict;
use crate::source::Source;

/// What this crate says of the ABI, and what is missing there.
fn this_crate() -> (Source, Claims) {
    let source = Source::of_crate(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let claims = Claims::of(&source, NOT_OF_THE_ABI);
    (source, claims)
}

/// Fails with all complaints, one a line.
fn none(complaints: &[String]) {
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
}

#[test]
fn every_record_and_constant_names_its_counterpart_in_c() {
    let (source, claims) = this_crate();
    println!(
        "{} records, {} layouts with {} fields, {} constants, {} exemptions",
        source.records.len(),
        source.layouts.len(),
        source.layouts.iter().map(|layout| layout.fields.len()).sum::<usize>(),
        source.constants.len(),
        NOT_OF_THE_ABI.len(),
    );
    none(&claims.complaints);
}

#[test]
fn records_are_as_in_the_table_of_every_hypervisor() {
    let (_, claims) = this_crate();
    let mut verdict = Verdict::default();
    for part in table::parts() {
        let oracle = part.oracle(&claims.list);
        let compared = verdict.compare(&claims.list, &oracle);
        println!("{}: {compared}", oracle.name());
    }
    none(&verdict.complaints);
    assert!(!verdict.answered.is_empty(), "the table knows no record of this crate");
}

#[test]
#[ignore = "needs Xen's headers: cargo xen test"]
fn c_compilers_agree_and_nothing_is_left_out() {
    let (source, claims) = this_crate();
    let mut verdict = Verdict::default();
    for set in compiler::header_sets() {
        let oracle = compiler::ask(&set, &claims.list, "abi");
        let compared = verdict.compare(&claims.list, &oracle);
        println!("{}: {compared}", oracle.name());
    }
    for part in table::parts() {
        verdict.compare(&claims.list, &part.oracle(&claims.list));
    }
    let unanswered = verdict.unanswered(&claims.list);
    println!(
        "{} records, {} constants: {} claims, coverage {} %",
        source.records.len(),
        source.constants.len(),
        claims.list.len(),
        (claims.list.len() - unanswered.len()) * 100 / claims.list.len().max(1),
    );
    none(&[claims.complaints, verdict.complaints, unanswered].concat());
}

#[test]
#[ignore = "needs Xen's headers: cargo xen test"]
fn c_compilers_agree_with_the_table() {
    let mut complaints = Vec::new();
    for set in compiler::header_sets() {
        let parts = table::parts();
        let Some(part) = parts.iter().find(|part| set.is_of(part.version, part.architecture)) else {
            println!("{set}: not in the table");
            continue;
        };
        let claims = part.claims();
        let oracle = compiler::ask(&set, &claims, "table");
        let mut verdict = Verdict::default();
        let compared = verdict.compare(&claims, &oracle);
        let unanswered = verdict.unanswered(&claims);
        println!("{}: {compared}, {} not known to it", oracle.name(), unanswered.len());
        complaints.extend(verdict.complaints);
        complaints.extend(unanswered);
    }
    none(&complaints);
}
