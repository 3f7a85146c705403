//! What the backend offers and what the frontend chooses, through xenstore.

use std::str::FromStr;

use anyhow::{Context, Result, ensure};
use xen_evtchn::Port;
use xen_gnttab::GrantRef;

use crate::blkif::Abi;
use crate::xenstore::Tree;

/// The most that the backend takes.
#[derive(Clone, Copy, Debug)]
pub struct Offer {
    /// Rings, each with its own thread.
    pub queues: u32,
    /// Logarithm of the pages of a ring.
    pub ring_page_order: u32,
    /// Keeping the guest's pages mapped.
    pub persistent: bool,
}

/// One ring, as the frontend describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueChoice {
    /// The pages of the ring.
    pub ring: Vec<GrantRef>,
    /// The frontend's port.
    pub port: Port,
}

/// What the frontend chose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// How it lays out its records.
    pub abi: Abi,
    /// Whether it lets its pages be kept mapped, because it uses the same ones again and again.
    pub persistent: bool,
    /// Its rings.
    pub queues: Vec<QueueChoice>,
}

impl Choice {
    /// Reads the frontend's nodes below `path`. They are the guest's to write, so nothing in them is believed.
    ///
    /// # Errors
    /// If a node is missing, is no number, or exceeds what was offered.
    pub fn read(store: &mut impl Tree, path: &str, offer: Offer) -> Result<Self> {
        let protocol = store.read_optional(&format!("{path}/protocol"))?;
        let abi = Abi::from_protocol(protocol.as_deref())?;
        let queues: u32 = number(store, &format!("{path}/multi-queue-num-queues"))?.unwrap_or(1);
        ensure!(
            (1..=offer.queues).contains(&queues),
            "the frontend wants {queues} queues, and 1 to {} were offered",
            offer.queues
        );
        let order: Option<u32> = number(store, &format!("{path}/ring-page-order"))?;
        ensure!(
            order.is_none_or(|order| order <= offer.ring_page_order),
            "the frontend wants rings of 2^{} pages, and 2^{} were offered",
            order.unwrap_or_default(),
            offer.ring_page_order
        );
        let pages = 1 << order.unwrap_or(0);
        let queues = match queues {
            1 => vec![QueueChoice::read(store, path, pages)?],
            _ => (0..queues)
                .map(|index| QueueChoice::read(store, &format!("{path}/queue-{index}"), pages))
                .collect::<Result<_>>()?,
        };
        let persistent: Option<u32> = number(store, &format!("{path}/feature-persistent"))?;
        let persistent = offer.persistent && persistent == Some(1);
        Ok(Self { abi, persistent, queues })
    }
}

impl QueueChoice {
    fn read(store: &mut impl Tree, path: &str, pages: u32) -> Result<Self> {
        let port = number(store, &format!("{path}/event-channel"))?;
        let port = Port::new(port.with_context(|| format!("the frontend names no {path}/event-channel"))?);
        let single = number(store, &format!("{path}/ring-ref"))?.filter(|_| pages == 1);
        let ring = match single {
            Some(reference) => vec![GrantRef::new(reference)],
            None => (0..pages)
                .map(|page| {
                    let node = format!("{path}/ring-ref{page}");
                    let reference = number(store, &node)?;
                    Ok(GrantRef::new(reference.with_context(|| format!("the frontend names no {node}"))?))
                })
                .collect::<Result<_>>()?,
        };
        Ok(Self { ring, port })
    }
}

/// A node with a number, if it is there.
fn number<T: FromStr>(store: &mut impl Tree, path: &str) -> Result<Option<T>>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let Some(text) = store.read_optional(path)? else { return Ok(None) };
    text.trim().parse().map(Some).with_context(|| format!("{path} is {text:?}, which is no number"))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::xenstore::{Error, Operation};

    struct Nodes(HashMap<String, &'static str>);

    impl Tree for Nodes {
        fn call(&mut self, operation: Operation, path: &str, _: &[u8]) -> Result<Vec<u8>, Error> {
            self.0.get(path).map(|value| value.as_bytes().to_vec()).ok_or_else(|| Error::Refused {
                operation,
                path: path.to_owned(),
                errno: "ENOENT".to_owned(),
            })
        }
    }

    fn choice(nodes: &[(&str, &'static str)]) -> Result<Choice> {
        let nodes = nodes.iter().map(|(node, value)| (format!("/f/{node}"), *value)).collect();
        Choice::read(&mut Nodes(nodes), "/f", Offer { queues: 2, ring_page_order: 2, persistent: true })
    }

    fn queue(ring: &[u32], port: u32) -> QueueChoice {
        QueueChoice { ring: ring.iter().copied().map(GrantRef::new).collect(), port: Port::new(port) }
    }

    #[test]
    fn an_old_frontend_writes_two_nodes() {
        let choice = choice(&[("ring-ref", "8"), ("event-channel", "3")]).unwrap();
        assert_eq!(choice, Choice { abi: Abi::Native, persistent: false, queues: vec![queue(&[8], 3)] });
    }

    #[test]
    fn pages_are_kept_if_both_sides_want_it() {
        let wants =
            |value| choice(&[("ring-ref", "8"), ("event-channel", "3"), ("feature-persistent", value)]);
        assert!(wants("1").unwrap().persistent);
        assert!(!wants("0").unwrap().persistent);
        assert!(wants("yes").is_err());
    }

    #[test]
    fn queues_and_pages_combine() {
        let choice = choice(&[
            ("protocol", "x86_64-abi"),
            ("multi-queue-num-queues", "2"),
            ("ring-page-order", "1"),
            ("queue-0/ring-ref0", "1"),
            ("queue-0/ring-ref1", "2"),
            ("queue-0/event-channel", "3"),
            ("queue-1/ring-ref0", "4"),
            ("queue-1/ring-ref1", "5"),
            ("queue-1/event-channel", "6"),
        ]);
        assert_eq!(choice.unwrap().queues, [queue(&[1, 2], 3), queue(&[4, 5], 6)]);
    }

    #[test]
    fn a_frontend_that_wants_too_much_is_refused() {
        for (nodes, message) in [
            (&[("multi-queue-num-queues", "3")][..], "3 queues, and 1 to 2"),
            (&[("multi-queue-num-queues", "0")], "0 queues"),
            (&[("ring-page-order", "31")], "rings of 2^31 pages"),
            (&[("ring-page-order", "-1")], "no number"),
            (
                &[("event-channel", "9"), ("ring-page-order", "1"), ("ring-ref0", "9")],
                "names no /f/ring-ref1",
            ),
            (&[("ring-ref", "9")], "names no /f/event-channel"),
            (&[("protocol", "vax-abi")], "\"vax-abi\""),
        ] {
            let error = format!("{:#}", choice(nodes).unwrap_err());
            assert!(error.contains(message), "{error}");
        }
    }
}
