//! What the kernel says of a namespace's devices while they change.
//!
//! In: a netlink socket that listens in the namespace. Out: devices that came, were renamed or went, in
//! order. The socket holds the namespace, as its file does.

use std::{
    io,
    os::fd::{AsRawFd, RawFd},
};

use rtnetlink::{
    packet_core::{NetlinkMessage, NetlinkPayload},
    packet_route::{
        AddressFamily, RouteNetlinkMessage,
        link::{LinkAttribute, LinkMessage},
    },
    sys::{Socket, protocols::NETLINK_ROUTE},
};

use super::TopoError;
use crate::netns::Netns;

/// `RTNLGRP_LINK`.
const LINKS: u32 = 1;

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// A device has this name; whether it is new, or what else has changed, the message does not say.
    Is { ifindex: u32, name: String },
    /// There is no such device any more.
    Gone { ifindex: u32, moved: bool },
}

pub(super) struct Listener(Socket);

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Listener")
    }
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl Listener {
    pub(super) fn of(netns: &Netns) -> Result<Self, TopoError> {
        let listening = || -> io::Result<Socket> {
            let mut socket = Socket::new(NETLINK_ROUTE)?;
            socket.bind_auto()?;
            socket.add_membership(LINKS)?;
            socket.set_non_blocking(true)?;
            Ok(socket)
        };
        let socket = netns.run(listening)?.map_err(|error| TopoError::Netlink {
            netns: netns.name.clone(),
            reason: error.to_string(),
        })?;
        Ok(Self(socket))
    }

    /// What was said since the last time; `None` where some of it was missed.
    pub(super) fn heard(&self) -> Option<Vec<Said>> {
        let mut heard = Vec::new();
        loop {
            match self.0.recv_from_full() {
                Ok((bytes, _)) => parse(&bytes, &mut heard),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Some(heard),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // ENOBUFS, most of all.
                Err(_) => return None,
            }
        }
    }
}

fn parse(bytes: &[u8], heard: &mut Vec<Said>) {
    let mut rest = bytes;
    while let Ok(message) = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest) {
        let length = usize::try_from(message.header.length).unwrap_or(0).next_multiple_of(4);
        if let NetlinkPayload::InnerMessage(inner) = message.payload {
            heard.extend(meaning(&inner));
        }
        match rest.get(length..) {
            Some(more) if length > 0 && !more.is_empty() => rest = more,
            _ => break,
        }
    }
}

fn meaning(message: &RouteNetlinkMessage) -> Option<Said> {
    match message {
        // A bridge speaks of its ports with the same words.
        RouteNetlinkMessage::NewLink(link) | RouteNetlinkMessage::DelLink(link)
            if link.header.interface_family == AddressFamily::Bridge =>
        {
            None
        }
        RouteNetlinkMessage::NewLink(link) => {
            let name = link.attributes.iter().find_map(|attribute| match attribute {
                LinkAttribute::IfName(name) => Some(name.clone()),
                _ => None,
            })?;
            Some(Said::Is { ifindex: link.header.index, name })
        }
        RouteNetlinkMessage::DelLink(link) => {
            Some(Said::Gone { ifindex: link.header.index, moved: is_moved(link) })
        }
        _ => None,
    }
}

fn is_moved(link: &LinkMessage) -> bool {
    link.attributes.iter().any(|attribute| matches!(attribute, LinkAttribute::NewNetnsId(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(family: AddressFamily, attributes: Vec<LinkAttribute>) -> LinkMessage {
        let mut link = LinkMessage::default();
        link.header.index = 7;
        link.header.interface_family = family;
        link.attributes = attributes;
        link
    }

    fn bytes(message: RouteNetlinkMessage) -> Vec<u8> {
        let mut message = NetlinkMessage::from(message);
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn devices_come_are_renamed_and_go() {
        let named = LinkAttribute::IfName("v0".to_owned());
        let all = [
            RouteNetlinkMessage::NewLink(link(AddressFamily::Unspec, vec![named])),
            RouteNetlinkMessage::DelLink(link(AddressFamily::Bridge, vec![])),
            RouteNetlinkMessage::DelLink(link(AddressFamily::Unspec, vec![])),
            RouteNetlinkMessage::DelLink(link(
                AddressFamily::Unspec,
                vec![LinkAttribute::NewNetnsId(3)],
            )),
        ];
        let mut heard = Vec::new();
        parse(&all.map(bytes).concat(), &mut heard);
        assert_eq!(
            heard,
            [
                Said::Is { ifindex: 7, name: "v0".to_owned() },
                Said::Gone { ifindex: 7, moved: false },
                Said::Gone { ifindex: 7, moved: true },
            ]
        );
    }
}
