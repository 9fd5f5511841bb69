//! Which packet goes where: from what was found to the machines that make round trips of it.

use super::{
    Found, Packet, Transactions,
    connect::Connect,
    datagrams::Datagrams,
    once::{self, Once},
    seen::{Seen, answer_to},
    stream::Stream,
    trip::{Done, Kind},
};
use crate::packet::{TCP, Tuple};

/// A passage that ends silently is found to be over within this time, ns.
const SILENT_NS: u64 = 2_000_000_000;
/// After this time without an answer nobody waits for one, ns.
const GIVEN_UP_NS: u64 = 10_000_000_000;
/// Places of small tables that are looked at as packets are booked.
const SWEPT: usize = 4;

impl Transactions {
    pub(super) fn lost(&mut self, packet: &Packet, place: Option<u32>) {
        match packet.seen {
            // The connection is over for its sender, whoever took notice.
            Seen::Close => self.close(packet),
            // Its sender has connected.
            Seen::Ack { ack } => self.acknowledge(packet, ack),
            seen => {
                let answers = packet.says.unwrap_or(false);
                let start_ns = packet.leg.start_ns;
                let unanswered = &mut self.done.unanswered;
                self.lost.add(packet.born, seen, answers, start_ns, place, unanswered);
            }
        }
    }

    pub(super) fn arrived(&mut self, packet: &Packet, found: Found) {
        match packet.seen {
            Seen::Syn { .. } | Seen::SynAck { .. } => self.handshake(packet),
            Seen::Ack { ack } => self.acknowledge(packet, ack),
            Seen::Close => self.close(packet),
            Seen::Data(_) => self.data(packet, found),
            Seen::Datagram => self.datagram(packet, found),
            Seen::Once { id } => self.once(packet, id),
        }
    }

    fn handshake(&mut self, packet: &Packet) {
        let Packet { leg, .. } = *packet;
        let answers = packet.says == Some(true);
        let key = if answers { packet.answered() } else { packet.arrived };
        let done = &mut self.done;
        // It says who asks, whatever was thought of that before; and what the ports' last connection did is over.
        if let Some(mut other) = self.streams.remove(&answer_to(key)) {
            other.finish(done);
        }
        let stream = self.streams.put(key, leg.start_ns, |_, mut stream| stream.finish(done));
        match stream {
            Some(stream) if !answers && stream.last_ns < leg.start_ns => {
                stream.finish(done);
                *stream = Stream::default();
                stream.last_ns = leg.end_ns;
            }
            Some(_) => {}
            None => self.unfollowed += 1,
        }
        let ends = |_, connect: Connect| connect.book(done);
        let Some(connect) = self.connects.put(key, leg.start_ns, ends) else { return };
        match packet.seen {
            Seen::SynAck { seq } => connect.syn_ack(seq, leg),
            Seen::Syn { seq } => connect.syn(seq, leg, &mut self.done),
            _ => {}
        }
        self.connected(&key);
    }

    /// An ACK may end a handshake.
    fn acknowledge(&mut self, packet: &Packet, ack: u32) {
        if self.connects.len() > 0
            && let Some(connect) = self.connects.get(None, &packet.arrived)
        {
            connect.ack(ack, packet.leg.start_ns);
            self.connected(&packet.arrived);
        }
    }

    /// Books a handshake of which everything is there.
    fn connected(&mut self, key: &Tuple) {
        if self.connects.get(None, key).is_some_and(|connect| connect.is_whole())
            && let Some(connect) = self.connects.remove(key)
        {
            connect.book(&mut self.done);
        }
    }

    fn close(&mut self, packet: &Packet) {
        for key in [packet.arrived, packet.answered()] {
            if let Some(stream) = self.streams.get(None, &key)
                && !stream.closed
            {
                stream.closed = true;
                self.closed.push_back((key, packet.leg.end_ns));
            }
        }
        // A SYN that was refused has its answer.
        let key = packet.answered();
        if self.connects.get(None, &key).is_some_and(|connect| connect.is_unanswered(u64::MAX)) {
            self.connects.remove(&key);
        }
    }

    /// Whether a packet that belongs to nothing known answers.
    fn answers(&self, packet: &Packet) -> bool {
        let Packet { born, arrived, leg, conntrack, .. } = packet;
        packet.says.unwrap_or_else(|| self.roles.answers(born, arrived, leg.path, *conntrack))
    }

    fn data(&mut self, packet: &Packet, found: Found) {
        let Seen::Data(segment) = packet.seen else { return };
        let leg = packet.leg;
        let done = &mut self.done;
        if let Some(stream) = self.streams.get(found.as_request, &packet.arrived) {
            stream.last_ns = stream.last_ns.max(leg.end_ns);
            stream.asks(segment, leg, done);
        } else if let Some(stream) = self.streams.get(found.as_reply, &packet.answered()) {
            stream.last_ns = stream.last_ns.max(leg.end_ns);
            stream.answers(segment, leg);
        } else if !self.answers(packet) {
            let done = &mut self.done;
            let ends = |_, mut stream: Stream| stream.finish(done);
            let Some(stream) = self.streams.put(packet.arrived, leg.start_ns, ends) else {
                self.unfollowed += 1;
                return;
            };
            stream.last_ns = leg.end_ns;
            stream.asks(segment, leg, &mut self.done);
        }
        if segment.last {
            self.close(packet);
        }
    }

    fn datagram(&mut self, packet: &Packet, found: Found) {
        let leg = packet.leg;
        let done = &mut self.done;
        if let Some(known) = self.datagrams.get(found.as_request, &packet.arrived) {
            known.take(leg, false, done);
        } else if let Some(known) = self.datagrams.get(found.as_reply, &packet.answered()) {
            known.take(leg, true, done);
        } else {
            let answers = self.answers(packet);
            let key = if answers { packet.answered() } else { packet.arrived };
            let done = &mut self.done;
            let ends = |_, mut known: Datagrams| known.finish(done);
            match self.datagrams.put(key, leg.start_ns, ends) {
                Some(known) => known.take(leg, answers, &mut self.done),
                None => self.unfollowed += 1,
            }
        }
    }

    fn once(&mut self, packet: &Packet, id: u16) {
        let answers = packet.says == Some(true);
        let tuple = if answers { packet.answered() } else { packet.arrived };
        let key = (tuple, id);
        let until_ns = packet.leg.start_ns;
        let Done { unanswered, .. } = &mut self.done;
        let ends = |(tuple, _): (Tuple, u16), once: Once| {
            if once.is_unanswered(until_ns) {
                *unanswered.entry((once::kind(tuple.proto), tuple.proto)).or_default() += 1;
            }
        };
        let Some(once) = self.once.put(key, until_ns, ends) else {
            self.unfollowed += 1;
            return;
        };
        if answers {
            once.answers(packet.leg);
        } else {
            once.asks(packet.leg);
        }
        if once.is_whole()
            && let Some(trip) = self.once.remove(&key).and_then(|once| once.trip(tuple.proto))
        {
            self.done.add(&trip);
        }
    }

    /// Ends what is over: connections that have closed, and what nobody will answer any more.
    pub(super) fn sweep(&mut self) {
        let now_ns = self.now_ns;
        while let Some((key, _)) = self.closed.pop_front_if(|(_, at)| *at + SILENT_NS < now_ns) {
            let Some(stream) = self.streams.get(None, &key).filter(|stream| stream.closed) else {
                continue;
            };
            let silent_ns = if stream.awaits() { GIVEN_UP_NS } else { SILENT_NS };
            if stream.last_ns + silent_ns >= now_ns {
                self.closed.push_back((key, now_ns));
            } else if let Some(mut stream) = self.streams.remove(&key) {
                stream.finish(&mut self.done);
            }
        }
        self.sweep_small(SWEPT, now_ns);
    }

    fn sweep_small(&mut self, many: usize, now_ns: u64) {
        let mut over = Vec::new();
        let is_over = |connect: &Connect| {
            let answered = !connect.is_unanswered(u64::MAX);
            connect.last_ns() + if answered { SILENT_NS } else { GIVEN_UP_NS } < now_ns
        };
        self.connects.sweep(many, is_over, |_, connect| over.push(connect));
        for connect in over {
            self.end_connect(connect, now_ns);
        }
        let mut over = Vec::new();
        self.once.sweep(many, |o| o.last_ns() + GIVEN_UP_NS < now_ns, |key, o| over.push((key, o)));
        for ((tuple, _), once) in over {
            self.end_once(&tuple, &once, now_ns);
        }
    }

    pub(super) fn end_connect(&mut self, connect: Connect, until_ns: u64) {
        if connect.is_unanswered(until_ns) {
            self.done.unanswered(Kind::Connect, TCP);
        }
        connect.book(&mut self.done);
    }

    pub(super) fn end_once(&mut self, tuple: &Tuple, once: &Once, until_ns: u64) {
        if once.is_unanswered(until_ns) {
            self.done.unanswered(once::kind(tuple.proto), tuple.proto);
        }
    }
}
