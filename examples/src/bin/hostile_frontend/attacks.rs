//! The attacks: on requests, on the ring, on the nodes in xenstore, and on the time between check and use.

use anyhow::{Context, Result, ensure};
use examples::blkfront::{FrontQueue, Shape};
use examples::blkif::layout::operation;
use examples::blkif::{PAGE_SIZE, Status};
use examples::xenbus::State;

use crate::requests::{self, Bad, Make};
use crate::victim::{SECTORS, Victim, deadline};

/// An attack on a backend of its own. The result says how the backend took it.
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    pub(crate) run: Run,
}

/// Attacks; the argument is the backend's way of moving data.
pub(crate) type Run = Box<dyn Fn(&str) -> Result<String>>;

/// What the data pages hold before a request, and must hold after one that failed.
const MARK: u8 = 0xa5;
/// Rounds of a race.
const ROUNDS: usize = 200;

pub(crate) fn all() -> Vec<Attack> {
    let mut attacks = vec![Attack { name: "requests that make no sense", run: Box::new(bad_requests) }];
    let mut attack = |name, run: Run| attacks.push(Attack { name, run });
    attack("all of them at once", Box::new(all_at_once));
    attack("requests that change after they were sent", Box::new(|transfer| race(transfer, change_request)));
    attack(
        "segment lists that change after they were sent",
        Box::new(|transfer| race(transfer, change_list)),
    );
    attack("thousand events without a request", Box::new(events_for_nothing));
    attack("producer index far ahead", Box::new(|transfer| bad_index(transfer, 1 << 30)));
    attack("producer index one more than the ring holds", Box::new(|transfer| bad_index(transfer, 33)));
    attack("producer index running backwards", Box::new(|transfer| bad_index(transfer, u32::MAX)));
    attack("a broken queue beside a good one", Box::new(one_broken_queue));
    for (name, nodes) in BAD_NODES {
        attack(name, Box::new(|transfer| bad_nodes(transfer, nodes)));
    }
    attacks
}

/// Nodes that a frontend must not write.
const BAD_NODES: &[(&str, &[(&str, &str)])] = &[
    ("a ring that was never granted", &[("ring-ref", "1048320"), ("event-channel", "1"), ("state", "3")]),
    ("a port that does not exist", &[("event-channel", "99999"), ("state", "3")]),
    ("no ring and no port", &[("state", "3")]),
    ("a ring that is no number", &[("ring-ref", "../../../../0"), ("event-channel", "1"), ("state", "3")]),
    ("more queues than offered", &[("multi-queue-num-queues", "4000000000"), ("state", "3")]),
    ("a larger ring than offered", &[("ring-page-order", "63"), ("state", "3")]),
    ("an unknown protocol", &[("protocol", "vax-abi"), ("state", "3")]),
    ("a state that does not exist", &[("state", "-1")]),
];

/// Sends each bad request alone, and a good one after each.
fn bad_requests(transfer: &str) -> Result<String> {
    let victim = Victim::start(transfer)?;
    let mut frontend = victim.connect(Shape::default())?;
    for (name, make) in requests::ALL {
        one_bad_request(&victim, &mut frontend.queues[0], *make).with_context(|| (*name).to_owned())?;
    }
    victim.part(frontend)?;
    Ok(format!("{} kinds, each answered with an error, and served on", requests::ALL.len()))
}

fn one_bad_request(victim: &Victim, queue: &mut FrontQueue, make: Make) -> Result<()> {
    queue.data.fill(0, queue.data.len(), MARK)?;
    let Bad { record, pages } = make(queue)?;
    let response = queue.call(&record, deadline())?;
    drop(pages);
    ensure!(response.status != Status::OKAY, "it was answered with success");
    let untouched = queue.bytes(0, queue.data.len() / PAGE_SIZE)?.iter().all(|byte| *byte == MARK);
    ensure!(untouched, "the backend wrote to our pages");
    victim.check_image()?;
    victim.check_service(queue)
}

/// All bad requests between good ones, in batches as large as the ring.
fn all_at_once(transfer: &str) -> Result<String> {
    let victim = Victim::start(transfer)?;
    let mut frontend = victim.connect(Shape { ring_page_order: 2, ..Shape::default() })?;
    let queue = &mut frontend.queues[0];
    let mut good = Vec::new();
    let mut kept = Vec::new();
    for (_, make) in requests::ALL {
        let bad = make(queue)?;
        queue.push(&bad.record)?;
        kept.extend(bad.pages);
        let segments = queue.segments(8, 4)?;
        let record = queue.transfer(operation::READ, 64, &segments)?;
        good.push(record.id);
        queue.push(&record)?;
    }
    queue.send()?;
    for _ in 0..2 * requests::ALL.len() {
        let response = queue.response(deadline())?;
        let fine = good.contains(&response.id) == (response.status == Status::OKAY);
        ensure!(fine, "request {} got {:?}", response.id, response.status);
    }
    victim.check_service(queue)?;
    drop(kept);
    victim.part(frontend)?;
    Ok("each good request served, each bad one refused".to_owned())
}

/// Changes a request while the backend may be looking at it.
fn race(transfer: &str, change: fn(&mut FrontQueue, usize) -> Result<()>) -> Result<String> {
    let victim = Victim::start(transfer)?;
    let mut frontend = victim.connect(Shape::default())?;
    let queue = &mut frontend.queues[0];
    for round in 0..ROUNDS {
        change(queue, round)?;
        // Success or error: it depends on which of the two the backend saw. But one of them.
        queue.response(deadline())?;
    }
    victim.check_image()?;
    victim.check_service(queue)?;
    victim.part(frontend)?;
    Ok(format!("{ROUNDS} rounds, all answered, the image untouched"))
}

fn change_request(queue: &mut FrontQueue, round: usize) -> Result<()> {
    let segments = queue.segments(0, 4)?;
    let good = queue.transfer(operation::READ, 0, &segments)?;
    let mut bad = good;
    (bad.operation, bad.sector, bad.segment_count) = (operation::WRITE, SECTORS.into(), 255);
    bad.segments[3].last_sector = 200;
    queue.push(&good)?;
    queue.send()?;
    for turn in 0..round * 10 {
        queue.ring.overwrite(if turn % 2 == 0 { &bad } else { &good })?;
    }
    Ok(())
}

fn change_list(queue: &mut FrontQueue, round: usize) -> Result<()> {
    let segments = queue.segments(0, 16)?;
    let record = queue.transfer(operation::READ, u64::from(SECTORS) - 128, &segments)?;
    queue.push(&record)?;
    queue.send()?;
    let mut bad = segments.clone();
    for segment in &mut bad {
        (segment.reference, segment.first_sector, segment.last_sector) = (u32::MAX, 7, 255);
    }
    for turn in 0..round * 10 {
        queue.indirect(record.id, operation::READ, 0, 16, if turn % 2 == 0 { &bad } else { &segments })?;
    }
    Ok(())
}

fn events_for_nothing(transfer: &str) -> Result<String> {
    let victim = Victim::start(transfer)?;
    let mut frontend = victim.connect(Shape::default())?;
    for _ in 0..1000 {
        frontend.queues[0].notify()?;
    }
    victim.check_service(&mut frontend.queues[0])?;
    victim.part(frontend)?;
    Ok("served on".to_owned())
}

fn bad_index(transfer: &str, ahead: u32) -> Result<String> {
    let victim = Victim::start(transfer)?;
    let mut frontend = victim.connect(Shape::default())?;
    let queue = &mut frontend.queues[0];
    victim.check_service(queue)?;
    queue.ring.claim(queue.ring.produced().wrapping_add(ahead))?;
    queue.notify()?;
    victim.check_disconnected(frontend)?;
    Ok("disconnected, and the backend ended in order".to_owned())
}

fn one_broken_queue(transfer: &str) -> Result<String> {
    let victim = Victim::start(transfer)?;
    let mut frontend = victim.connect(Shape { queues: 2, ..Shape::default() })?;
    frontend.queues[0].ring.claim(1 << 20)?;
    frontend.queues[0].notify()?;
    victim.check_service(&mut frontend.queues[1])?;
    frontend.set_state(State::Closing)?;
    victim.check_disconnected(frontend)?;
    Ok("the good one was served on".to_owned())
}

fn bad_nodes(transfer: &str, nodes: &[(&str, &str)]) -> Result<String> {
    let victim = Victim::start(transfer)?;
    let mut frontend = victim.find()?;
    let nodes: Vec<_> = nodes.iter().map(|(node, value)| ((*node).to_owned(), (*value).to_owned())).collect();
    frontend.publish(&nodes)?;
    victim.check_disconnected(frontend)?;
    Ok("refused, and the backend ended in order".to_owned())
}
