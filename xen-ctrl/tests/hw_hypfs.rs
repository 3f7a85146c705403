//! The hypervisor's file system, on real Xen.

mod common;

use common::{xenctrl, xl_info};
use xen_ctrl::Error;
use xen_ctrl::domain::CreateDomain;
use xen_ctrl::hypfs::HypfsValue;

const ENOENT: i32 = 2;
const EINVAL: i32 = 22;

#[test]
#[ignore = "needs Xen dom0"]
fn facts_and_parameters_are_read_and_written() {
    let xen = xenctrl();
    let hypfs = xen.hypfs();
    match hypfs.version() {
        Err(Error::Unsupported { .. }) => {
            println!("skipped: this hypervisor has no hypfs");
            return;
        }
        version => assert_eq!(version.expect("allowed"), 1),
    }
    let root = hypfs.list("/").expect("the root");
    for name in ["buildinfo", "params"] {
        assert!(root.iter().any(|file| file.name == name && file.is_directory), "{root:?}");
    }
    let info = xl_info();
    let number = |path: &str| match hypfs.read(path).expect(path) {
        HypfsValue::Unsigned(number) => number.to_string(),
        other => panic!("{path}: {other:?}"),
    };
    assert_eq!(number("/buildinfo/version/major"), info["xen_major"]);
    assert_eq!(number("/buildinfo/version/minor"), info["xen_minor"]);
    assert_eq!(
        hypfs.read("/buildinfo/version/extra").expect("text"),
        HypfsValue::Text(info["xen_extra"].clone())
    );
    assert!(
        matches!(hypfs.read("/buildinfo/config").expect("packed"), HypfsValue::Gzip(bytes) if bytes.len() > 100)
    );
    assert_eq!(hypfs.read("/nothing").expect_err("not there").errno(), Some(ENOENT));
    let no_path = hypfs.read("no/slash").expect_err("no path");
    assert!([Some(ENOENT), Some(EINVAL)].contains(&no_path.errno()), "{no_path}");
    assert!(hypfs.list("/buildinfo/version/major").expect_err("a file").to_string().contains("HYPFS"));

    let params = hypfs.list("/params").expect("a directory");
    let names: Vec<&str> = params.iter().map(|file| file.name.as_str()).collect();
    let path = "/params/gnttab_max_frames";
    assert!(names.contains(&"gnttab_max_frames"), "{names:?}");
    let before = hypfs.read(path).expect("a limit");
    let frames_of_a_new_domain = || {
        let domain = xen.create_domain(&CreateDomain::default()).expect("created");
        domain.grant_table_size().expect("there").max_frames
    };
    hypfs.write(path, &HypfsValue::Text("37".to_owned())).expect("written");
    assert_eq!(frames_of_a_new_domain(), 37);
    hypfs.write(path, &before).expect("written back");
    assert_ne!(frames_of_a_new_domain(), 37);
    let wrong = hypfs.write(path, &HypfsValue::Text("many".to_owned())).expect_err("no number");
    assert_eq!(wrong.errno(), Some(EINVAL), "{wrong}");
    let refused = hypfs.write("/buildinfo/version/major", &HypfsValue::Unsigned(5)).expect_err("read-only");
    assert!(matches!(refused, Error::Denied { .. }), "{refused:?}");
}
