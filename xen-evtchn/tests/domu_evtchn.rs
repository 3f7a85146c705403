//! Event channels inside an unprivileged guest, on real Xen.

mod loopback;

use loopback::{errno, open};
use xen_evtchn::{DomId, Port};

#[test]
#[ignore = "needs a Xen guest"]
fn what_dom0_does_not_offer_is_refused() {
    let evtchn = open();
    for port in [1, 3999, u32::MAX] {
        let error = evtchn.bind_interdomain(DomId::ZERO, Port::new(port)).expect_err("not offered to us");
        assert_eq!(errno(&error), Some(22), "EINVAL: {error}");
        assert!(error.to_string().contains("not offered to this domain"), "{error}");
    }
    // What dom0 may bind to needs nobody's leave, and goes with the channel.
    let offered = evtchn.bind_unbound(DomId::ZERO).expect("a port for dom0");
    let error = evtchn.bind_interdomain(DomId::SELF, offered.port()).expect_err("offered to dom0 only");
    assert_eq!(errno(&error), Some(22), "EINVAL: {error}");
}
