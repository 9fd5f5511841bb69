//! Devices joined by traffic control: what arrives at one is sent out of another.
//!
//! In: a namespace's netlink socket. Out: which device's arriving packets leave by which other one. No
//! bridge and no route says so; Kata's guests and tap devices beside a veth are joined like this.

use std::collections::BTreeMap;

use futures_util::TryStreamExt as _;
use rtnetlink::{
    Handle,
    packet_route::tc::{
        TcAction, TcActionAttribute, TcActionMirrorOption, TcActionOption, TcAttribute,
        TcFilterMatchAllOption, TcFilterU32Option, TcMessage, TcMirrorActionType, TcOption,
    },
};

/// Queueing disciplines that hold filters for what arrives.
const INGRESS: [&str; 2] = ["ingress", "clsact"];

/// By device: the one that a filter of its ingress redirects to. Where several do, the first.
pub(super) async fn read(handle: &Handle) -> Result<BTreeMap<u32, u32>, rtnetlink::Error> {
    let mut filtered = Vec::new();
    let mut qdiscs = handle.qdisc().get().execute();
    while let Some(qdisc) = qdiscs.try_next().await? {
        let ingress =
            |a: &TcAttribute| matches!(a, TcAttribute::Kind(k) if INGRESS.contains(&k.as_str()));
        if qdisc.attributes.iter().any(ingress) {
            filtered.push(qdisc.header.index);
        }
    }
    let mut found = BTreeMap::new();
    for index in filtered {
        let mut filters = handle.traffic_filter(index).get().ingress().execute();
        while let Some(filter) = filters.try_next().await? {
            if let (Ok(from), Some(to)) = (u32::try_from(index), target(&filter)) {
                found.entry(from).or_insert(to);
            }
        }
    }
    Ok(found)
}

/// The device that a filter sends packets out of.
fn target(filter: &TcMessage) -> Option<u32> {
    let options = filter.attributes.iter().filter_map(|attribute| match attribute {
        TcAttribute::Options(options) => Some(options),
        _ => None,
    });
    let actions = options.flatten().filter_map(|option| match option {
        TcOption::U32(TcFilterU32Option::Action(actions))
        | TcOption::MatchAll(TcFilterMatchAllOption::Action(actions)) => Some(actions),
        _ => None,
    });
    actions.flatten().find_map(redirect)
}

fn redirect(action: &TcAction) -> Option<u32> {
    let options = action.attributes.iter().filter_map(|attribute| match attribute {
        TcActionAttribute::Options(options) => Some(options),
        _ => None,
    });
    options.flatten().find_map(|option| match option {
        TcActionOption::Mirror(TcActionMirrorOption::Parms(mirror))
            if mirror.eaction == TcMirrorActionType::EgressRedir =>
        {
            Some(mirror.ifindex)
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use rtnetlink::packet_route::tc::TcMirror;

    use super::*;

    fn filter(eaction: TcMirrorActionType) -> TcMessage {
        let mut mirror = TcMirror::default();
        (mirror.eaction, mirror.ifindex) = (eaction, 7);
        let mut action = TcAction::default();
        let parms = TcActionOption::Mirror(TcActionMirrorOption::Parms(mirror));
        action.attributes = vec![
            TcActionAttribute::Kind("mirred".to_owned()),
            TcActionAttribute::Options(vec![parms]),
        ];
        let option = TcOption::U32(TcFilterU32Option::Action(vec![action]));
        let attributes =
            vec![TcAttribute::Kind("u32".to_owned()), TcAttribute::Options(vec![option])];
        let mut message = TcMessage::default();
        message.attributes = attributes;
        message
    }

    #[test]
    fn a_redirection_leads_to_a_device_and_a_copy_does_not() {
        assert_eq!(target(&filter(TcMirrorActionType::EgressRedir)), Some(7));
        assert_eq!(target(&filter(TcMirrorActionType::EgressMirror)), None);
        assert_eq!(target(&TcMessage::default()), None);
    }
}
