//! Grants of dom0 to itself, on real Xen.

mod loopback;
mod sharing;
