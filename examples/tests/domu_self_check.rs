//! The self-check inside an unprivileged guest of real Xen.

#[test]
#[ignore = "needs a Xen guest"]
fn what_a_guest_may_works_and_the_rest_is_skipped() {
    let mut output = Vec::new();
    let counts = examples::self_check::run(&mut output).expect("memory");
    let text = String::from_utf8(output).expect("text");
    println!("{text}");
    assert_eq!(counts.failed, 0, "{text}");
    assert!(counts.good >= 10, "{text}");
    let reasons = text.lines().filter(|line| line.starts_with("skipped "));
    assert_eq!(
        reasons.filter(|line| line.contains(": ")).count(),
        counts.skipped as usize,
        "each with its reason"
    );
}
