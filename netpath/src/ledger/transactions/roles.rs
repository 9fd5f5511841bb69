//! Which of two ends asks, where a packet does not say so itself.
//!
//! In this order: a port that something listened on when tracing began; conntrack's direction; the lower port,
//! which is seldom the client's. Never who was seen first: a trace begins in the middle of conversations.

use std::collections::BTreeMap;

use crate::{facts::Facts, facts::Listening, packet::Tuple};

/// What is known of ends.
#[derive(Clone, Debug, Default)]
pub(super) struct Roles {
    /// By network namespace.
    listening: BTreeMap<u32, Listening>,
    /// By the index of a path: the namespaces that it comes from and goes to.
    pub(super) ends: Vec<(u32, u32)>,
}

impl Roles {
    pub(super) fn of(facts: &Facts) -> Self {
        let known = facts.netns.iter().filter(|(_, f)| f.listening != Listening::default());
        let listening = known.map(|(netns, facts)| (*netns, facts.listening.clone())).collect();
        Self { listening, ends: Vec::new() }
    }

    /// Whether a packet answers, by its tuple where it was born and by the one with which it arrives.
    pub(super) fn answers(
        &self,
        born: &Tuple,
        arrives: &Tuple,
        path: Option<u32>,
        conntrack: Option<bool>,
    ) -> bool {
        let listens = |netns: u32, port: u16| {
            self.listening.get(&netns).is_some_and(|l| l.on(born.proto, port))
        };
        let ends = path.and_then(|path| self.ends.get(path as usize));
        if let Some((from, to)) = ends {
            let (server_sends, server_gets) =
                (listens(*from, born.sport), listens(*to, arrives.dport));
            if server_sends != server_gets {
                return server_sends;
            }
        }
        conntrack.unwrap_or(born.sport < arrives.dport)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{facts::NetnsFacts, testing};

    #[test]
    fn who_listens_answers_then_conntrack_says_it_then_the_port() {
        let mut facts = Facts::default();
        let listening = Listening { tcp: [9].into(), udp: [9000].into() };
        facts.netns.insert(5, NetnsFacts { listening, ..NetnsFacts::default() });
        let mut roles = Roles::of(&facts);
        roles.ends = vec![(4, 5), (5, 4), (4, 4)];
        let to = |port: u16| testing::tuple([10, 0, 0, 1], [10, 0, 0, 2], 8000, port);
        let answers = |t: Tuple, path, conntrack| roles.answers(&t, &t, Some(path), conntrack);
        // Of UDP's, 9000 listens, whatever the rest says; of TCP's, 9.
        assert!(!answers(to(9000), 0, Some(true)));
        assert!(answers(to(9000), 2, None) && !answers(to(9000), 2, Some(false)));
        let back = testing::tuple([10, 0, 0, 2], [10, 0, 0, 1], 9000, 8000);
        assert!(answers(back, 1, Some(false)) && !answers(back, 0, None));
        assert!(!answers(to(9), 0, None));
    }
}
