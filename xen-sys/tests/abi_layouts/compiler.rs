//! C compilers as oracles: one program for each set of headers, with a constant for each question.
//!
//! The program is compiled and never run, so that arm64 is asked like amd64: the answers stand in the object file. What a
//! set of headers does not have, the compiler refuses line by line; such lines are taken out.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fmt, fs};

use object::{Object, ObjectSection, ObjectSymbol};

use crate::model::{Architecture, CType, Claim, Question, Version};
use crate::oracle::Oracle;

/// Beginnings of the names of Xen's headers that exclude each other, or are empty.
const LEFT_OUT: [&str; 3] = ["arch-", "xen-x86_32", "dom0_ops"];

/// Headers that are included before Xen's own.
const FIRST: [&str; 5] = ["stdint.h", "stddef.h", "linux/types.h", "linux/ioctl.h", "linux/errno.h"];

/// Headers of one hypervisor and the kernel of the same Debian suite, and their compiler.
pub(crate) struct HeaderSet {
    include: PathBuf,
    version: Version,
    architecture: Architecture,
    compiler: String,
}

impl HeaderSet {
    pub(crate) fn is_of(&self, version: Version, architecture: Architecture) -> bool {
        (self.version, self.architecture) == (version, architecture)
    }
}

impl fmt::Display for HeaderSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Xen {} {}", self.version, self.architecture)
    }
}

/// The sets that the test bed has fetched.
pub(crate) fn header_sets() -> Vec<HeaderSet> {
    let folder = variable("XEN_TESTBED_HEADERS");
    let entries =
        fs::read_dir(&folder).unwrap_or_else(|error| panic!("XEN_TESTBED_HEADERS: {folder}: {error}"));
    let mut sets: Vec<HeaderSet> = entries
        .map(|entry| {
            let path = entry.expect("an entry of the headers' folder").path();
            set(&path).unwrap_or_else(|| panic!("{} is not called like xen-4.17-amd64", path.display()))
        })
        .collect();
    for architecture in Architecture::ALL {
        let there = sets.iter().any(|set| set.architecture == architecture);
        assert!(there, "{folder} has no headers for {architecture}");
    }
    sets.sort_by_key(|set| (set.version, set.architecture.rust()));
    sets
}

fn set(path: &Path) -> Option<HeaderSet> {
    let (version, architecture) = path.file_name()?.to_str()?.strip_prefix("xen-")?.split_once('-')?;
    let version = version.parse().ok()?;
    let architecture = Architecture::ALL.into_iter().find(|it| it.to_string() == architecture)?;
    let compiler = variable(match architecture {
        Architecture::Amd64 => "XEN_TESTBED_CC_AMD64",
        Architecture::Arm64 => "XEN_TESTBED_CC_ARM64",
    });
    Some(HeaderSet { include: path.join("usr/include"), version, architecture, compiler })
}

fn variable(name: &str) -> String {
    env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set; `cargo xen test` fetches headers and sets it"))
}

/// Has the questions answered that arise for this set. Whoever asks at the same time gives another name.
pub(crate) fn ask(set: &HeaderSet, claims: &[Claim], name: &str) -> Oracle {
    let claims = claims.iter().filter(|claim| claim.scope.covers(set.version, set.architecture));
    let mut questions: Vec<&Question> = claims.flat_map(|claim| &claim.questions).collect();
    let folder = format!("{name}/xen-{}-{}", set.version, set.architecture);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
    // the kernel's privcmd.h wants a header that the kernel does not install
    let interface = folder.join("xen/interface");
    fs::create_dir_all(&interface).expect("a folder for the program");
    fs::write(interface.join("xen.h"), "#include <xen/xen.h>\n").expect("a header for privcmd.h");

    let mut refusals = HashMap::new();
    let object = loop {
        let Err(errors) = compile(set, &folder, &questions) else { break folder.join("questions.o") };
        let refused = refused(&errors);
        assert!(!refused.is_empty(), "{} cannot compile the headers:\n{errors}", set.compiler);
        for (line, message) in &refused {
            refusals.insert(questions[*line].clone(), format!("The compiler says: {message}"));
        }
        let mut line = 0..;
        questions.retain(|_| line.next().is_some_and(|line| !refused.contains_key(&line)));
    };
    let answers = answers(&object, &questions);
    Oracle { kind: "C headers", version: set.version, architecture: set.architecture, answers, refusals }
}

/// Compiles a program whose line n+1 asks question n; gives what the compiler has against it.
fn compile(set: &HeaderSet, folder: &Path, questions: &[&Question]) -> Result<(), String> {
    let lines = questions.iter().enumerate().map(|(number, question)| {
        format!("const long long question_{number} = (long long)({});\n", expression(question))
    });
    fs::write(folder.join("questions.c"), lines.collect::<String>()).expect("the program");
    fs::write(folder.join("headers.h"), headers(set)).expect("the program's headers");
    let multiarch = format!("{}-linux-gnu", set.architecture.rust());
    let output = Command::new(&set.compiler)
        .current_dir(folder)
        .env("LC_ALL", "C")
        // errors inside a header's macro count where it is used
        .args(["-c", "-w", "-ftrack-macro-expansion=0", "-fno-diagnostics-show-caret"])
        .args(["-ffreestanding", "-nostdinc", "-fno-zero-initialized-in-bss", "-D__XEN_TOOLS__"])
        .arg("-isystem")
        .arg(own_headers(&set.compiler))
        .arg("-I.")
        .arg("-I")
        .arg(&set.include)
        .arg("-I")
        .arg(set.include.join(multiarch))
        .args(["-include", "headers.h", "questions.c", "-o", "questions.o"])
        .output()
        .unwrap_or_else(|error| panic!("cannot start {}: {error}", set.compiler));
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// Where the compiler has `stdint.h`, which belongs to no package of headers.
fn own_headers(compiler: &str) -> String {
    let output = Command::new(compiler).arg("-print-file-name=include").output();
    let output = output.unwrap_or_else(|error| panic!("cannot start {compiler}: {error}"));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Includes every header of Xen's, and the kernel's beside them.
fn headers(set: &HeaderSet) -> String {
    let mut names: Vec<String> = FIRST.iter().map(|name| (*name).to_owned()).collect();
    let own: &[&str] = match set.architecture {
        Architecture::Amd64 => &["xen/arch-x86", "xen/arch-x86/hvm"],
        Architecture::Arm64 => &[],
    };
    for folder in ["xen", "xen/hvm", "xen/xsm"].iter().chain(own) {
        let entries = fs::read_dir(set.include.join(folder));
        let entries = entries.unwrap_or_else(|error| panic!("{}/{folder}: {error}", set.include.display()));
        let mut found: Vec<String> = entries
            .map(|entry| entry.expect("an entry of the headers' folder").path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "h"))
            .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
            .filter(|name| !LEFT_OUT.iter().any(|start| name.starts_with(start)))
            .map(|name| format!("{folder}/{name}"))
            .collect();
        found.sort();
        names.append(&mut found);
    }
    names.iter().flat_map(|name| ["#include <", name, ">\n"]).collect()
}

/// The question in C.
fn expression(question: &Question) -> String {
    match question {
        Question::Size(c_type) if c_type.path.is_empty() => format!("sizeof({})", c_type.base),
        Question::Size(CType { base, path }) => format!("sizeof((({base} *)0)->{path})"),
        Question::Width(c_type, member) => {
            format!("sizeof((({} *)0)->{})", c_type.base, c_type.member(member))
        }
        Question::Offset(c_type, member) => {
            let CType { base, path } = c_type;
            let offset = format!("__builtin_offsetof({base}, {})", c_type.member(member));
            if path.is_empty() { offset } else { format!("{offset} - __builtin_offsetof({base}, {path})") }
        }
        Question::Value(name) => name.clone(),
    }
}

/// The lines, from 0, with errors such as `questions.c:12:34: error: 'X' undeclared here`.
fn refused(errors: &str) -> HashMap<usize, String> {
    errors
        .lines()
        .filter_map(|line| {
            let (place, message) = line.split_once(": error: ")?;
            let number = place.strip_prefix("questions.c:")?.split(':').next()?;
            Some((number.parse::<usize>().ok()? - 1, message.to_owned()))
        })
        .collect()
}

/// Reads the answers from the object file.
fn answers(object: &Path, questions: &[&Question]) -> HashMap<Question, i128> {
    let bytes = fs::read(object).expect("the compiled program");
    let file = object::File::parse(&*bytes).expect("an ELF file");
    let symbols = file.symbols().filter_map(|symbol| {
        let number: usize = symbol.name().ok()?.strip_prefix("question_")?.parse().ok()?;
        let section = file.section_by_index(symbol.section_index()?).ok()?;
        let answer = section.data_range(symbol.address(), 8).ok()??;
        Some((questions[number].clone(), i64::from_le_bytes(answer.try_into().ok()?).into()))
    });
    let answers: HashMap<Question, i128> = symbols.collect();
    for question in questions {
        assert!(answers.contains_key(question), "{} does not tell the {question}", object.display());
    }
    answers
}
