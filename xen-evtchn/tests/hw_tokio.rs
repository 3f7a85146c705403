//! The `tokio` feature on real Xen.

use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::timeout;
use xen_evtchn::tokio::{AsyncEventChannel, AsyncEvtchn};
use xen_evtchn::{DomId, Evtchn, Port};

/// For what is certain to come: a slow machine fails no test.
const PATIENCE: Duration = Duration::from_secs(60);

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn pair(evtchn: &AsyncEvtchn) -> (AsyncEventChannel, AsyncEventChannel) {
    let near = evtchn.own(evtchn.handle().bind_unbound(DomId::SELF).expect("an unbound port"));
    let far = evtchn.own(evtchn.handle().bind_interdomain(DomId::SELF, near.port()).expect("a bound port"));
    (near, far)
}

#[test]
#[ignore = "needs Xen dom0"]
fn tasks_wait_for_channels_of_one_handle() {
    runtime().block_on(async {
        let evtchn = AsyncEvtchn::new(Evtchn::open().expect("the device")).expect("registered");
        let pairs: Vec<_> = (0..8).map(|_| pair(&evtchn)).collect();
        let mut tasks = Vec::new();
        for (near, far) in pairs {
            tasks.push(async move {
                far.wait().await.expect("the event that binding causes");
                for _ in 0..50 {
                    near.notify().expect("sent");
                    far.wait().await.expect("an event");
                    far.notify().expect("answered");
                    near.wait().await.expect("an answer");
                }
            });
        }
        let all = async {
            let mut set = tokio::task::JoinSet::new();
            for task in tasks {
                set.spawn(task);
            }
            while let Some(outcome) = set.join_next().await {
                outcome.expect("a task");
            }
        };
        timeout(PATIENCE, all).await.expect("in time");
    });
}

#[test]
#[ignore = "needs Xen dom0"]
fn the_whole_set_is_waited_for_and_an_abandoned_wait_loses_nothing() {
    runtime().block_on(async {
        let evtchn = AsyncEvtchn::new(Evtchn::open().expect("the device")).expect("registered");
        let handle = evtchn.handle();
        let near = handle.bind_unbound(DomId::SELF).expect("an unbound port");
        let far = handle.bind_interdomain(DomId::SELF, near.port()).expect("a bound port");
        let (owned_near, owned_far) = pair(&evtchn);
        let mut ports = [Port::default(); 8];
        let count = timeout(PATIENCE, evtchn.pending(&mut ports)).await.expect("in time").expect("ports");
        assert_eq!(ports[..count], [far.port()], "only the port that no task owns");
        handle.unmask(&ports[..count]).expect("unmasked");

        assert!(timeout(Duration::from_millis(50), evtchn.pending(&mut ports)).await.is_err(), "nothing");
        near.notify().expect("sent");
        owned_near.notify().expect("sent");
        timeout(PATIENCE, owned_far.wait()).await.expect("in time").expect("its own event");
        let count = timeout(PATIENCE, evtchn.pending(&mut ports)).await.expect("in time").expect("ports");
        assert_eq!(ports[..count].iter().collect::<BTreeSet<_>>(), BTreeSet::from([&far.port()]));
    });
}

#[test]
#[ignore = "needs Xen dom0"]
fn an_overflow_wakes_the_waiter() {
    runtime().block_on(async {
        let evtchn = AsyncEvtchn::new(Evtchn::open().expect("the device")).expect("registered");
        let (near, far) = pair(&evtchn);
        timeout(PATIENCE, far.wait()).await.expect("in time").expect("the event that binding causes");
        for _ in 0..200 {
            near.notify().expect("sent");
            far.unmask().expect("unmasked");
        }
        timeout(PATIENCE, far.wait()).await.expect("in time").expect("recovered");
        timeout(PATIENCE, near.wait()).await.expect("in time").expect("every port is handed out");
        near.notify().expect("sent");
        timeout(PATIENCE, far.wait()).await.expect("in time").expect("delivers again");
    });
}
