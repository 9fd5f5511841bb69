//! The running kernel's BTF: struct offsets, and signatures of tracepoints.

use std::collections::BTreeMap;

use btf_rs::{Backend, Btf, Type};
use netpath_common::{
    layout::{FIELDS, Field, Layout},
    point::Tracepoint,
};

use super::KernelError;

const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// The kernel's BTF.
pub(super) struct KernelBtf {
    vmlinux: Btf,
}

impl KernelBtf {
    pub(super) fn load() -> Result<Self, KernelError> {
        // Mapping it is faster, but sysfs allows that from Linux 6.16 on only.
        let vmlinux = Btf::from_file_with_backend(VMLINUX, Backend::Mmap)
            .or_else(|_| Btf::from_file_with_backend(VMLINUX, Backend::Cache))
            .map_err(|e| KernelError::NoBtf(e.to_string()))?;
        Ok(Self { vmlinux })
    }

    /// The offsets that the programs read at.
    pub(super) fn layout(&self) -> Result<Layout, KernelError> {
        let mut offsets = [0u32; FIELDS.len()];
        for (field, offset) in FIELDS.iter().zip(&mut offsets) {
            *offset = self.offset(field)?;
        }
        Ok(Layout::from_offsets(&offsets))
    }

    fn offset(&self, field: &Field) -> Result<u32, KernelError> {
        let missing = || KernelError::NoField { of: field.of, path: field.path };
        let mut at = self
            .vmlinux
            .resolve_types_by_name(field.of)
            .unwrap_or_default()
            .into_iter()
            .find(|t| matches!(t, Type::Struct(_)))
            .ok_or_else(missing)?;
        let mut offset = 0;
        for name in field.path.split('.') {
            let (bits, found) = self.member(&at, name).ok_or_else(missing)?;
            offset += bits / 8;
            at = found;
        }
        let found = self.size(&at);
        if field.bytes != 0 && found != usize::from(field.bytes) {
            let wanted = usize::from(field.bytes);
            return Err(KernelError::FieldSize { of: field.of, path: field.path, found, wanted });
        }
        Ok(offset)
    }

    /// The bit offset and type of a struct's member, also inside anonymous structs and unions.
    fn member(&self, of: &Type, name: &str) -> Option<(u32, Type)> {
        let (Type::Struct(of) | Type::Union(of)) = of else { return None };
        for member in &of.members {
            let kind = self.bare(self.vmlinux.resolve_chained_type(member).ok()?);
            let own = self.vmlinux.resolve_name(member).unwrap_or_default();
            if own == name {
                return Some((member.bit_offset(), kind));
            }
            if own.is_empty()
                && let Some((bits, found)) = self.member(&kind, name)
            {
                return Some((member.bit_offset() + bits, found));
            }
        }
        None
    }

    /// Looks through typedefs and qualifiers.
    fn bare(&self, mut kind: Type) -> Type {
        while let Type::Const(_)
        | Type::Volatile(_)
        | Type::Restrict(_)
        | Type::Typedef(_)
        | Type::TypeTag(_) = &kind
        {
            let Some(next) =
                kind.as_btf_type().and_then(|t| self.vmlinux.resolve_chained_type(t).ok())
            else {
                break;
            };
            kind = next;
        }
        kind
    }

    fn size(&self, kind: &Type) -> usize {
        match kind {
            Type::Int(int) => int.size(),
            Type::Ptr(_) => size_of::<u64>(),
            Type::Struct(s) | Type::Union(s) => s.size(),
            Type::Enum(e) => e.size(),
            Type::Array(array) => {
                let element = self
                    .vmlinux
                    .resolve_chained_type(array)
                    .map_or(0, |t| self.size(&self.bare(t)));
                element * array.len()
            }
            _ => 0,
        }
    }

    /// Whether the tracepoint exists and its sk_buff stands where the program expects it.
    pub(super) fn check_tracepoint(&self, tracepoint: &Tracepoint) -> Result<(), String> {
        let name = format!("btf_trace_{}", tracepoint.name);
        let typedef = self
            .vmlinux
            .resolve_types_by_name(&name)
            .ok()
            .and_then(|types| types.into_iter().find(|t| matches!(t, Type::Typedef(_))))
            .ok_or_else(|| "this kernel doesn't have it".to_owned())?;
        // typedef → pointer → prototype, whose first parameter is the tracepoint's own data.
        let Type::Ptr(pointer) = self.bare(typedef) else {
            return Err("its BTF is not a function pointer".to_owned());
        };
        let Ok(Type::FuncProto(proto)) = self.vmlinux.resolve_chained_type(&pointer) else {
            return Err("its BTF has no prototype".to_owned());
        };
        let (wanted, subject) = (usize::from(tracepoint.subject_arg), tracepoint.subject);
        let found = proto.parameters.iter().skip(1).position(|p| {
            self.vmlinux.resolve_chained_type(p).is_ok_and(|t| self.points_to(&t, subject))
        });
        match found {
            Some(found) if found == wanted => Ok(()),
            Some(found) => Err(format!("its {subject} is argument {found}, not {wanted}")),
            None => Err(format!("none of its arguments is a {subject}")),
        }
    }

    /// Names of `enum skb_drop_reason`, without their prefix.
    pub(super) fn drop_reasons(&self) -> BTreeMap<u16, String> {
        let reasons = self.vmlinux.resolve_types_by_name("skb_drop_reason").unwrap_or_default();
        let Some(Type::Enum(reasons)) = reasons.into_iter().find(|t| matches!(t, Type::Enum(_)))
        else {
            return BTreeMap::new();
        };
        reasons
            .members
            .iter()
            .filter_map(|member| {
                let name = self.vmlinux.resolve_name(member).ok()?;
                let name = name.strip_prefix("SKB_DROP_REASON_").unwrap_or(&name);
                let name = name.strip_prefix("SKB_").unwrap_or(name);
                Some((u16::try_from(member.val()).ok()?, name.to_owned()))
            })
            .collect()
    }

    fn points_to(&self, kind: &Type, name: &str) -> bool {
        let Type::Ptr(pointer) = kind else { return false };
        let Ok(target) = self.vmlinux.resolve_chained_type(pointer) else { return false };
        let Type::Struct(target) = self.bare(target) else { return false };
        self.vmlinux.resolve_name(&target).is_ok_and(|found| found == name)
    }
}
