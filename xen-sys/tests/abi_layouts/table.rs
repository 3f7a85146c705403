//! The table of Xen's records in every supported version, `layouts.txt`: made by `make_table.py`, which tells the format.

use std::collections::{BTreeMap, HashMap};

use crate::model::{Architecture, CType, Claim, Question, Scope, Version};
use crate::oracle::Oracle;

/// The part of the table that is about one hypervisor on one architecture.
pub(crate) struct Part<'a> {
    pub(crate) version: Version,
    pub(crate) architecture: Architecture,
    records: BTreeMap<&'a str, Record<'a>>,
}

/// A record's line: its size, and members in the format of the table. Of a constant, its value.
struct Record<'a> {
    size: u64,
    entries: Vec<&'a str>,
}

/// Offset and, where it is known, size of each member of a record, by its path. The empty path is the record itself.
type Members = HashMap<String, (u64, Option<u64>)>;

/// The parts of the project's table.
pub(crate) fn parts() -> Vec<Part<'static>> {
    parse(include_str!("layouts.txt"))
}

/// Reads a table. Its first line tells the versions.
pub(crate) fn parse(table: &str) -> Vec<Part<'_>> {
    let heading =
        table.lines().next().and_then(|line| line.strip_prefix("# ")).expect("the table's versions");
    let versions = heading.split(' ').map(|version| version.parse().expect("a version"));
    versions
        .flat_map(|version| Architecture::ALL.map(|architecture| (version, architecture)))
        .map(|(version, architecture)| {
            let records = table.lines().skip(1).filter_map(|line| record(line, version, architecture));
            Part { version, architecture, records: records.collect() }
        })
        .collect()
}

/// The record of a line, if it holds here.
fn record(line: &str, version: Version, architecture: Architecture) -> Option<(&str, Record<'_>)> {
    let mut words = line.split(' ');
    let (Some(name), Some(scope), Some(size)) = (words.next(), words.next(), words.next()) else {
        panic!("the table's line `{line}` is too short");
    };
    let record = Record { size: number(size), entries: words.collect() };
    holds(scope, version, architecture).then_some((name, record))
}

/// `*`, `4.14-4.16,4.18`, `x86_64:4.14;aarch64:*`
fn holds(scope: &str, version: Version, architecture: Architecture) -> bool {
    scope.split(';').any(|part| {
        let (of, ranges) = part.split_once(':').unwrap_or((architecture.rust(), part));
        of == architecture.rust()
            && ranges.split(',').any(|range| {
                let (first, last) = range.split_once('-').unwrap_or((range, range));
                let parse = |text: &str| text.parse::<Version>().expect("a version");
                range == "*" || (parse(first)..=parse(last)).contains(&version)
            })
    })
}

/// The number that a text begins with.
fn number(text: &str) -> u64 {
    let end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().expect("a number")
}

impl Part<'_> {
    /// An oracle that answers what is claimed.
    pub(crate) fn oracle(&self, claims: &[Claim]) -> Oracle {
        let mut known: HashMap<String, Members> = HashMap::new();
        let mut answers = HashMap::new();
        for question in claims.iter().flat_map(|claim| &claim.questions) {
            let name = match question {
                Question::Value(name) => format!("value/{name}"),
                Question::Size(of) | Question::Offset(of, _) | Question::Width(of, _) => name_of(&of.base),
            };
            if self.records.contains_key(&*name) {
                let members = known.entry(name.clone()).or_insert_with(|| self.members(&name));
                answers.extend(answer(members, question).map(|answer| (question.clone(), answer.into())));
            }
        }
        let (version, architecture) = (self.version, self.architecture);
        Oracle { kind: "the table", version, architecture, answers, refusals: HashMap::new() }
    }

    /// The table's own claims, for a compiler to judge.
    pub(crate) fn claims(&self) -> Vec<Claim> {
        let scope = Scope { first: self.version, last: self.version, architecture: Some(self.architecture) };
        let mut claims = Vec::new();
        for name in self.records.keys() {
            let c_type = CType::new(&c_type_of(name));
            let constant = name.strip_prefix("value/");
            let mut claim = |value: u64, question: &dyn Fn(CType) -> Question| {
                let questions = vec![question(c_type.clone())];
                let place = format!("layouts.txt: {name}");
                claims.push(Claim { place, questions, value: value.into(), or_more: false, scope });
            };
            for (path, (offset, width)) in self.members(name) {
                match width {
                    Some(width) if path.is_empty() => claim(width, &|of| match constant {
                        Some(constant) => Question::Value(constant.into()),
                        None => Question::Size(of),
                    }),
                    Some(width) => claim(width, &|of| Question::Width(of, path.clone())),
                    None => {}
                }
                if !path.is_empty() {
                    claim(offset, &|of| Question::Offset(of, path.clone()));
                }
            }
        }
        claims
    }

    fn members(&self, name: &str) -> Members {
        let record = &self.records[name];
        let mut members = Members::from([(String::new(), (0, Some(record.size)))]);
        self.expand(record, "", 0, &mut members);
        members
    }

    /// Notes all members of a record that begins at `base`.
    fn expand(&self, record: &Record<'_>, prefix: &str, base: u64, members: &mut Members) {
        for entry in &record.entries {
            let (path, place) = entry.split_once('@').expect("a member is `path@offset…`");
            let path = format!("{prefix}{path}");
            let offset = base + number(place);
            // a structure within begins with the first of its members
            for (dot, _) in path.match_indices('.') {
                members.entry(path[..dot].to_owned()).or_insert((offset, None));
            }
            if let Some((_, name)) = place.split_once('=') {
                let record = &self.records[name];
                members.insert(path.clone(), (offset, Some(record.size)));
                self.expand(record, &format!("{path}."), offset, members);
            } else {
                let width = place.split_once(':').map(|(_, width)| number(width));
                members.entry(path).or_insert((offset, width));
            }
        }
    }
}

/// The table's name for a type of C.
fn name_of(c_type: &str) -> String {
    match c_type.split_once(' ') {
        Some(("struct", name)) => name.into(),
        Some((kind, name)) => format!("{kind}/{name}"),
        None => format!("typedef/{c_type}"),
    }
}

/// C's name for a record of the table.
fn c_type_of(name: &str) -> String {
    match name.split_once('/') {
        Some(("typedef", name)) => name.into(),
        Some((kind, name)) => format!("{kind} {name}"),
        None => format!("struct {name}"),
    }
}

fn answer(members: &Members, question: &Question) -> Option<u64> {
    match question {
        Question::Size(c_type) => members.get(&c_type.path)?.1,
        Question::Width(c_type, member) => members.get(&c_type.member(member))?.1,
        Question::Offset(c_type, member) => {
            Some(members.get(&c_type.member(member))?.0 - members.get(&c_type.path)?.0)
        }
        Question::Value(_) => members.get("")?.1,
    }
}
