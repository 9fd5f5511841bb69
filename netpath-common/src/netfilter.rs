//! Netfilter as both sides speak of it: hooks and families, what a link's event says, and the hooks that
//! are registered in a namespace.

/// A netfilter hook of the `inet` families, with the kernel's number (`enum nf_inet_hooks`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Hook {
    Prerouting = 0,
    Input = 1,
    Forward = 2,
    Output = 3,
    Postrouting = 4,
}

impl Hook {
    /// In the kernel's order.
    pub const ALL: [Self; 5] =
        [Self::Prerouting, Self::Input, Self::Forward, Self::Output, Self::Postrouting];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Prerouting => "PREROUTING",
            Self::Input => "INPUT",
            Self::Forward => "FORWARD",
            Self::Output => "OUTPUT",
            Self::Postrouting => "POSTROUTING",
        }
    }

    #[inline]
    pub const fn from_number(n: u8) -> Option<Self> {
        if (n as usize) < Self::ALL.len() { Some(Self::ALL[n as usize]) } else { None }
    }
}

/// A protocol family with netfilter hooks that links are attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Family {
    V4 = 0,
    V6 = 1,
}

impl Family {
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// The kernel's number, `NFPROTO_IPV4` or `NFPROTO_IPV6`.
    pub const fn nfproto(self) -> u8 {
        match self {
            Self::V4 => 2,
            Self::V6 => 10,
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }
}

/// Programs for netfilter links, one per slot: how many links one hook can hold at most.
pub const HOOK_SLOTS: u8 = 15;

/// The `aux` of a [`crate::point::HOOK_SLOT`] event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HookAux {
    /// The how-manieth link of its hook, from 0.
    pub slot: u8,
    /// The kernel's hook number.
    pub hook: u8,
    /// 0 for IPv4, 1 for IPv6, as [`Family`].
    pub family: u8,
    /// `enum ip_conntrack_info` where a connection is attached, or [`CT_UNREPLIED`].
    pub ctinfo: Option<u8>,
}

impl HookAux {
    const NO_CT: u8 = 7;
    /// The `slot` of what is not a link but a function that runs in a hook.
    pub const NO_SLOT: u8 = 15;
    /// The `aux` of a function whose hook is not known.
    pub const NOWHERE: u16 = 0xffff;

    pub const fn pack(self) -> u16 {
        let ct = match self.ctinfo {
            Some(ct) => ct,
            None => Self::NO_CT,
        };
        (self.slot as u16 & 0xf)
            | ((self.hook as u16 & 7) << 4)
            | ((self.family as u16 & 1) << 7)
            | ((ct as u16 & 7) << 8)
    }

    #[inline]
    pub const fn unpack(aux: u16) -> Self {
        let ct = ((aux >> 8) & 7) as u8;
        Self {
            slot: (aux & 0xf) as u8,
            hook: ((aux >> 4) & 7) as u8,
            family: ((aux >> 7) & 1) as u8,
            ctinfo: if ct == Self::NO_CT { None } else { Some(ct) },
        }
    }
}

/// `ctinfo` of a packet that opens a connection (`IP_CT_NEW`).
pub const IP_CT_NEW: u8 = 2;
/// Our own `ctinfo`: the kernel's is [`IP_CT_NEW`], since nothing came back yet, but the connection is in
/// the table already (`IPS_CONFIRMED`): another packet has opened it.
pub const CT_UNREPLIED: u8 = 5;
/// The bit of `nf_conn.status` for that.
pub const IPS_CONFIRMED: u64 = 1 << 3;
/// `ctinfo` from here on means the reply direction (`IP_CT_IS_REPLY`).
pub const IP_CT_IS_REPLY: u8 = 3;

/// One registered netfilter hook, as read from `struct nf_hook_entries`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct HookEntry {
    /// Address of its function.
    pub function: u64,
    pub priority: i32,
    pub reserved: u32,
}

/// Hooks that are read per hook point at most.
pub const HOOK_ENTRIES: usize = 24;

/// The hooks registered at one hook point of the calling thread's network namespace.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct HookList {
    /// How many there are; may exceed what fits into `entries`.
    pub count: u32,
    pub reserved: u32,
    pub entries: [HookEntry; HOOK_ENTRIES],
}

/// Hook points read by the `netns_hooks` program: families × hooks, family first.
pub const HOOK_LISTS: usize = Family::ALL.len() * Hook::ALL.len();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hook_aux_survives_packing() {
        for slot in 0..HOOK_SLOTS {
            for hook in 0..5 {
                for family in 0..2 {
                    for ctinfo in [None, Some(0), Some(2), Some(4), Some(CT_UNREPLIED)] {
                        let aux = HookAux { slot, hook, family, ctinfo };
                        assert_eq!(HookAux::unpack(aux.pack()), aux);
                    }
                }
            }
        }
    }
}
