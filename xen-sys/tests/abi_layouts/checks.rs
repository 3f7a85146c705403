//! The oracle's own tests: it is shown mistakes, and must name them.

use std::collections::HashMap;

use crate::claims::Claims;
use crate::compiler;
use crate::model::{Architecture, CType, Question, Version};
use crate::oracle::{Oracle, Verdict};
use crate::source::Source;
use crate::table;

/// A record that is right.
const RIGHT: &str = r#"
    #[repr(C)]
    struct Event { kind: u16, flags: u16, _pad: u32, time: u64 }
    layout!(Event = "struct event", 16, kind("type") @ 0, flags @ 2, time @ 8);
    #[doc(alias = "EVENT_LOST")]
    const LOST: u16 = 1 << 3;
    names! { PORT = "EVENT_PORT" = 2, NONE = "EVENT_NONE" = -1 }
"#;

fn claims(text: &str) -> Claims {
    Claims::of(&Source::of_text("event.rs", text), &[])
}

/// What C says of the right record, on Xen 4.17.
fn c() -> Oracle {
    let event = || CType::new("struct event");
    let member = |name: &str| (event(), name.to_owned());
    let mut answers = HashMap::from([(Question::Size(event()), 16)]);
    for (name, offset, width) in [("type", 0, 2), ("flags", 2, 2), ("time", 8, 8)] {
        let (of, name) = member(name);
        answers.insert(Question::Offset(of.clone(), name.clone()), offset);
        answers.insert(Question::Width(of, name), width);
    }
    for (name, value) in [("EVENT_LOST", 8), ("EVENT_PORT", 2), ("EVENT_NONE", -1)] {
        answers.insert(Question::Value(name.into()), value);
    }
    let (version, architecture) = (Version(4, 17), Architecture::Amd64);
    Oracle { kind: "C", version, architecture, answers, refusals: HashMap::new() }
}

/// All complaints about a source that is like the right one, but for a change.
fn complaints(from: &str, to: &str) -> Vec<String> {
    assert!(RIGHT.contains(from), "`{from}` is not there to be changed");
    let claims = claims(&RIGHT.replacen(from, to, 1));
    let mut verdict = Verdict::default();
    verdict.compare(&claims.list, &c());
    let unanswered = verdict.unanswered(&claims.list);
    [claims.complaints, verdict.complaints, unanswered].concat()
}

/// The only complaint, which must have all these words.
fn one_complaint(from: &str, to: &str, words: &[&str]) {
    let complaints = complaints(from, to);
    let [complaint] = &complaints[..] else { panic!("not one complaint: {complaints:#?}") };
    for word in words {
        assert!(complaint.contains(word), "`{complaint}` does not tell `{word}`");
    }
}

#[test]
fn nothing_to_say_of_what_is_right() {
    assert_eq!(complaints("", ""), [""; 0]);
}

#[test]
fn wrong_numbers_are_named_with_both_sides() {
    let place = "event.rs: Event";
    one_complaint(
        "time @ 8",
        "time @ 4",
        &["event.rs: Event::time", "Rust has 4", "C has 8", "Xen 4.17 amd64"],
    );
    one_complaint("event\", 16", "event\", 24", &[place, "Rust has 24", "C has 16"]);
    one_complaint("1 << 3", "1 << 4", &["event.rs: LOST", "Rust has 16", "C has 8"]);
    one_complaint("\"EVENT_PORT\" = 2", "\"EVENT_PORT\" = 3", &["event.rs: EVENT_PORT", "has 3", "has 2"]);
    one_complaint("flags: u16", "flags: u32", &["size of flags in struct event", "Rust has 4", "C has 2"]);
}

#[test]
fn what_is_missing_is_named() {
    one_complaint(", flags @ 2", "", &["Event::flags", "missing in its record's layout!"]);
    one_complaint("#[doc(alias = \"EVENT_LOST\")]", "", &["LOST", "no C name"]);
    one_complaint("EVENT_LOST", "EVENT_LOS", &["LOST", "no oracle knows the value of EVENT_LOS"]);
    one_complaint("names!", "#[repr(C)] struct Other { a: u8 } names!", &["Other", "without a layout!"]);
    one_complaint("1 << 3", "lost()", &["LOST", "write it as a number"]);
    let macros = "macro_rules! number { ($name:ident) => { #[repr(transparent)] struct $name(u8); }; }";
    one_complaint("names!", &format!("{macros} number!(Hidden); names!"), &["Hidden", "without a layout!"]);
    let hidden = "macro_rules! hidden { () => { const HIDDEN: u8 = 3; }; }";
    one_complaint("names!", &format!("{hidden} names!"), &["HIDDEN", "no C name"]);
    let flags = "bitflags! { struct Flags: u8 { const DYING = 1; const _ = !0; } }";
    one_complaint("names!", &format!("{flags} names!"), &["DYING", "no C name"]);
    let local = "impl X { fn f() { const LOCAL: u8 = 3; } }";
    one_complaint("names!", &format!("{local} names!"), &["LOCAL", "no C name"]);
}

#[test]
fn members_that_c_does_not_have_are_named() {
    let complaints = complaints("flags @ 2", "flags(\"flag\") @ 2");
    assert!(
        complaints[0].contains("Rust has a member flag at 2, C's struct event has none"),
        "{complaints:#?}"
    );
    // one of several names will do
    assert_eq!(self::complaints("flags @ 2", "flags(\"pad\" | \"flags\") @ 2"), [""; 0]);
}

#[test]
fn a_layout_counts_for_its_versions_and_architecture_only() {
    let wrong = RIGHT.replace("\"struct event\", 16", "\"struct event\" (4.14..=4.16), 24");
    let mut verdict = Verdict::default();
    let list = claims(&wrong).list;
    verdict.compare(&list, &c());
    assert_eq!(verdict.complaints, [""; 0]);
    verdict.compare(&list, &Oracle { version: Version(4, 16), ..c() });
    assert_eq!(verdict.complaints.len(), 1, "{:#?}", verdict.complaints);
    one_complaint(
        "names!",
        "#[cfg(target_arch = \"aarch64\")] names! { \"EVENT_ARM\" = 3 } names!",
        &["EVENT_ARM"],
    );
    let per_version = r#"names! { ABI = "EVENT_VERSION" (4.14..=4.16) = 5, "EVENT_VERSION" (4.17) = 6 }"#;
    let (list, mut verdict) = (claims(per_version).list, Verdict::default());
    let answers = HashMap::from([(Question::Value("EVENT_VERSION".into()), 5)]);
    verdict.compare(&list, &Oracle { version: Version(4, 16), answers: answers.clone(), ..c() });
    assert_eq!(verdict.complaints, [""; 0]);
    verdict.compare(&list, &Oracle { version: Version(4, 17), answers, ..c() });
    let expected =
        "event.rs: EVENT_VERSION: value of EVENT_VERSION: Rust has 6, C has 5 (C of Xen 4.17 amd64)";
    assert_eq!(verdict.complaints, [expected]);
    let [not_understood, _] = &complaints("event\", 16", "event\" (4.14..4.16), 16")[..] else {
        panic!("an exclusive range passes");
    };
    assert!(not_understood.contains("write `..=`"), "{not_understood}");
}

#[test]
fn exemptions_that_exempt_nothing_are_named() {
    let source = Source::of_text("event.rs", "const OURS: u8 = 3;");
    assert_eq!(Claims::of(&source, &[("OURS", "ours")]).complaints, [""; 0]);
    let complaints = Claims::of(&source, &[("OURS", "ours"), ("GONE", "gone")]).complaints;
    assert_eq!(complaints, ["exemptions.rs: GONE exempts nothing: remove the entry"]);
}

#[test]
fn the_table_is_read_with_its_references_and_ranges() {
    let table = "# 4.16 4.17 4.18\n\
        event 4.17-4.18 16 type@0:2 flags@2:2 time@8:8\n\
        event x86_64:4.16;aarch64:* 24 type@0:2 flags@2:2 time@8:8\n\
        ring * 40 lock@0:8 last@8=event u.first@24=event\n";
    let text = r#"
        #[repr(C)] struct Last { time: u64 }
        layout!(Last = "struct ring.u.first", 16, time @ 8);
    "#;
    let list = claims(text).list;
    let judge = |version, architecture| {
        let is_meant = |it: &table::Part<'_>| it.version == version && it.architecture == architecture;
        let oracle =
            table::parse(table).into_iter().find(is_meant).expect("it is in the table").oracle(&list);
        let mut verdict = Verdict::default();
        verdict.compare(&list, &oracle);
        assert_eq!(verdict.unanswered(&list), [""; 0]);
        verdict.complaints
    };
    assert_eq!(judge(Version(4, 17), Architecture::Amd64), [""; 0]);
    let complaints = judge(Version(4, 16), Architecture::Amd64);
    let expected = "event.rs: Last: size of struct ring.u.first: Rust has 16 (0x10), C has 24 (0x18) \
        (the table of Xen 4.16 amd64)";
    assert_eq!(complaints, [expected]);
}

#[test]
#[ignore = "needs Xen's headers: cargo xen test"]
fn a_real_compiler_finds_mistakes_on_both_architectures() {
    let text = r#"
        #[repr(C)] struct Copy { status: i16 }
        layout!(Copy = "struct gnttab_copy", 48, status("status") @ 36);
        #[doc(alias = "GNTST_eagain")] const EAGAIN: i16 = 12;
        #[doc(alias = "GNTST_no_such")] const NO_SUCH: i16 = 13;
    "#;
    let list = claims(text).list;
    for set in compiler::header_sets() {
        let mut verdict = Verdict::default();
        let oracle = compiler::ask(&set, &list, "checks");
        verdict.compare(&list, &oracle);
        let complaints = [verdict.complaints.clone(), verdict.unanswered(&list)].concat();
        let [size, eagain, no_such] = &complaints[..] else {
            panic!("not three complaints: {complaints:#?}")
        };
        assert!(
            size.contains("Rust has 48 (0x30), C has 40 (0x28)") && size.contains(&oracle.name()),
            "{size}"
        );
        assert!(eagain.contains("Rust has 12 (0xc), C has -12"), "{eagain}");
        assert!(no_such.contains("'GNTST_no_such' undeclared"), "{no_such}");
    }
}
