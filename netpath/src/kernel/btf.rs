//! The running kernel's BTF, its modules' included: struct offsets, and where arguments stand.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use btf_rs::{Backend, Btf, Type};
use netpath_common::{
    args::{SPAN_RULES, SPAN_SKB, SPAN_STATE},
    hop::Note,
    layout::{ABSENT, FIELDS, Field, Layout},
    point::{ARGS, ArgPos, Body, Want},
};

use super::KernelError;

/// Where the kernel shows its BTF, and by which name its own.
pub(super) const DIR: &str = "/sys/kernel/btf";
pub(super) const KERNEL: &str = "vmlinux";
const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// The BTF of the kernel, and of each loaded module over it.
pub(super) struct KernelBtf {
    vmlinux: Btf,
    modules: Vec<(String, Btf)>,
}

/// A tracepoint or function that BTF knows.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) name: String,
    /// The module that it is in; `None` for the kernel itself.
    pub(super) module: Option<String>,
    /// Of the function, or of the tracepoint's typedef.
    pub(super) id: u32,
    /// How many parameters it has.
    pub(super) arity: usize,
    pub(super) row: [u8; ARGS],
}

impl KernelBtf {
    pub(super) fn load() -> Result<Self, KernelError> {
        // Mapping it is faster, but sysfs allows that from Linux 6.16 on only.
        let vmlinux = Btf::from_file_with_backend(VMLINUX, Backend::Mmap)
            .or_else(|_| Btf::from_file_with_backend(VMLINUX, Backend::Cache))
            .map_err(|e| KernelError::NoBtf(e.to_string()))?;
        let mut files: Vec<PathBuf> =
            fs::read_dir(DIR).into_iter().flatten().flatten().map(|e| e.path()).collect();
        files.sort();
        let modules = files
            .iter()
            .filter(|path| **path != Path::new(VMLINUX))
            .filter_map(|path| {
                let name = path.file_name()?.to_str()?.to_owned();
                let btf = Btf::from_split_file(path, &vmlinux)
                    .inspect_err(|error| tracing::debug!("BTF of module {name}: {error}"))
                    .ok()?;
                Some((name, btf))
            })
            .collect();
        Ok(Self { vmlinux, modules })
    }

    /// Names of the modules whose BTF this is.
    pub(super) fn modules(&self) -> BTreeSet<String> {
        self.modules.iter().map(|(name, _)| name.clone()).collect()
    }

    /// Whether a module has come since, or is coming: it has symbols before it has BTF, and by symbols alone its
    /// functions would be probed without their arguments for good.
    pub(super) fn has_yet_to_read(&self, module: &str) -> bool {
        let is_live = || {
            let state = fs::read_to_string(format!("/sys/module/{module}/initstate"));
            state.is_ok_and(|state| state.trim_end() == "live")
        };
        self.modules.iter().all(|(name, _)| name != module)
            && (Path::new(DIR).join(module).exists() || !is_live())
    }

    /// The kernel's BTF, then each module's.
    fn all(&self) -> impl Iterator<Item = (Option<&str>, &Btf)> {
        std::iter::once((None, &self.vmlinux))
            .chain(self.modules.iter().map(|(name, btf)| (Some(name.as_str()), btf)))
    }

    /// The offsets that the programs read at.
    pub(super) fn layout(&self) -> Result<Layout, KernelError> {
        let mut offsets = [0u32; FIELDS.len()];
        for (field, offset) in FIELDS.iter().zip(&mut offsets) {
            *offset = match self.offset(field) {
                Err(KernelError::NoField { .. }) if field.optional => ABSENT,
                found => found?,
            };
        }
        Ok(Layout::from_offsets(&offsets))
    }

    /// The offset of a struct's member, wherever the struct is; `None` where it is nowhere.
    pub(super) fn member(&self, of: &'static str, path: &'static str) -> Option<u64> {
        let field = Field { name: path, of, path, bytes: 0, optional: true };
        self.offset(&field).ok().map(u64::from)
    }

    fn offset(&self, field: &Field) -> Result<u32, KernelError> {
        let missing = || KernelError::NoField { of: field.of, path: field.path };
        let (btf, mut at) = self
            .all()
            .filter(|(module, _)| module.is_none() || field.optional)
            .find_map(|(_, btf)| Some((btf, structure(btf, field.of)?)))
            .ok_or_else(missing)?;
        let mut offset = 0;
        for name in field.path.split('.') {
            let (bits, found) = member(btf, &at, name).ok_or_else(missing)?;
            offset += bits / 8;
            at = found;
        }
        let found = size(btf, &at);
        if field.bytes != 0 && found != usize::from(field.bytes) {
            let wanted = usize::from(field.bytes);
            return Err(KernelError::FieldSize { of: field.of, path: field.path, found, wanted });
        }
        Ok(offset)
    }

    /// Where a tracepoint has what `body` wants; an error where it is missing.
    pub(super) fn tracepoint(&self, name: &str, body: Body) -> Result<Found, String> {
        let ids = self.vmlinux.resolve_ids_by_name(&format!("btf_trace_{name}"));
        let (id, typedef) = ids
            .unwrap_or_default()
            .into_iter()
            .find_map(|id| match self.vmlinux.resolve_type_by_id(id) {
                Ok(typedef @ Type::Typedef(_)) => Some((id, typedef)),
                _ => None,
            })
            .ok_or_else(|| "this kernel doesn't have it".to_owned())?;
        // typedef → pointer → prototype, whose first parameter is the tracepoint's own data.
        let Type::Ptr(pointer) = bare(&self.vmlinux, typedef) else {
            return Err("its BTF is not a function pointer".to_owned());
        };
        let Ok(Type::FuncProto(proto)) = self.vmlinux.resolve_chained_type(&pointer) else {
            return Err("its BTF has no prototype".to_owned());
        };
        let signature = Signature::new(&self.vmlinux, &proto, 1);
        let row = wants(&signature, body, true)?;
        let arity = signature.parameters.len();
        Ok(Found { name: name.to_owned(), module: None, id, arity, row })
    }

    /// The first of `names` that is a traceable function by BTF, with where it has what `body`
    /// wants.
    pub(super) fn function(&self, names: &[&str], body: Body) -> Result<Found, String> {
        self.find(names, |signature| wants(signature, body, false))
    }

    /// The first of `names` that is a function by BTF, with where it has its sk_buff and what
    /// `note` says.
    pub(super) fn span(&self, names: &[&str], note: Note) -> Result<Found, String> {
        self.find(names, |Signature { parameters, .. }| {
            let mut row = [ArgPos::NONE; ARGS];
            row[SPAN_SKB] = skb_position(parameters).unwrap_or(ArgPos::NONE);
            if note != Note::None {
                row[SPAN_STATE] = pointer_to(parameters, "nf_hook_state").unwrap_or(ArgPos::NONE);
            }
            if matches!(note, Note::Rules(_)) {
                let rules = pointer_to(parameters, "xt_table")
                    .or_else(|| named(parameters, "priv"))
                    .or_else(|| named(parameters, "table"));
                row[SPAN_RULES] = rules.unwrap_or(ArgPos::NONE);
            }
            Ok(row)
        })
    }

    fn find(
        &self,
        names: &[&str],
        row: impl Fn(&Signature) -> Result<[u8; ARGS], String>,
    ) -> Result<Found, String> {
        let mut why = format!("no function {}", names.join(" or "));
        for name in names {
            for (module, btf) in self.all() {
                // A module's lookup also finds what is in the kernel itself: only its own counts.
                let own = if module.is_some() { btf.split() } else { Some(btf.base()) };
                let ids = own.and_then(|s| s.resolve_ids_by_name(name).ok()).unwrap_or_default();
                let functions: Vec<(u32, btf_rs::Func)> = ids
                    .into_iter()
                    .filter_map(|id| match btf.resolve_type_by_id(id) {
                        Ok(Type::Func(func)) => Some((id, func)),
                        _ => None,
                    })
                    .collect();
                match functions.as_slice() {
                    [] => {}
                    [(id, func)] => {
                        let Ok(Type::FuncProto(proto)) = btf.resolve_chained_type(func) else {
                            continue;
                        };
                        let signature = Signature::new(btf, &proto, 0);
                        match row(&signature) {
                            Ok(row) => {
                                let module = module.map(str::to_owned);
                                return Ok(Found {
                                    name: (*name).to_owned(),
                                    module,
                                    id: *id,
                                    arity: signature.parameters.len(),
                                    row,
                                });
                            }
                            Err(reason) => why = format!("{name}: {reason}"),
                        }
                    }
                    _ => why = format!("{name} is not one function but several"),
                }
            }
        }
        Err(why)
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
                let bare = name.strip_prefix("SKB_DROP_REASON_");
                let name = bare.or_else(|| name.strip_prefix("SKB_")).unwrap_or(&name);
                Some((u16::try_from(member.val()).ok()?, name.to_owned()))
            })
            .collect()
    }
}

/// A parameter, or what a function returns: its name, and what it points to, how often over.
#[derive(Debug)]
struct Parameter {
    name: String,
    pointers: usize,
    target: String,
}

impl Parameter {
    fn new(btf: &Btf, name: String, kind: btf_rs::Result<Type>) -> Self {
        let (mut pointers, mut target) = (0, String::new());
        let mut kind = kind.map(|t| bare(btf, t));
        while let Ok(Type::Ptr(pointer)) = &kind {
            pointers += 1;
            kind = btf.resolve_chained_type(pointer).map(|t| bare(btf, t));
        }
        if let Ok(Type::Struct(s)) = &kind {
            target = btf.resolve_name(s).unwrap_or_default();
        }
        Self { name, pointers, target }
    }
}

/// What a function, or a tracepoint, is called with, and what it returns.
#[derive(Debug)]
struct Signature {
    parameters: Vec<Parameter>,
    returned: Parameter,
}

impl Signature {
    /// The first `skip` parameters are left out.
    fn new(btf: &Btf, proto: &btf_rs::FuncProto, skip: usize) -> Self {
        let parameter = |p: &btf_rs::Parameter| {
            let name = btf.resolve_name(p).unwrap_or_default();
            Parameter::new(btf, name, btf.resolve_chained_type(p))
        };
        let returned = btf.resolve_type_by_id(proto.return_type_id());
        Self {
            parameters: proto.parameters.iter().skip(skip).map(parameter).collect(),
            returned: Parameter::new(btf, String::new(), returned),
        }
    }
}

fn position(parameters: &[Parameter], which: impl Fn(&Parameter) -> bool) -> Option<u8> {
    let at = parameters.iter().position(which)?;
    // The programs read six arguments at most.
    u8::try_from(at).ok().filter(|at| *at < 6)
}

fn pointer_to(parameters: &[Parameter], name: &str) -> Option<u8> {
    position(parameters, |p| p.pointers == 1 && p.target == name)
}

fn named(parameters: &[Parameter], name: &str) -> Option<u8> {
    position(parameters, |p| p.name == name)
}

/// Where the sk_buff is, or what leads to it.
fn skb_position(parameters: &[Parameter]) -> Option<u8> {
    pointer_to(parameters, "sk_buff")
        .or_else(|| {
            position(parameters, |p| p.pointers == 2 && p.target == "sk_buff")
                .map(|at| at | ArgPos::INDIRECT)
        })
        .or_else(|| pointer_to(parameters, "nft_pktinfo").map(|at| at | ArgPos::PKTINFO))
}

fn wants(signature: &Signature, body: Body, tracepoint: bool) -> Result<[u8; ARGS], String> {
    let Signature { parameters, returned } = signature;
    let mut row = [ArgPos::NONE; ARGS];
    for (want, slot) in body.wants().iter().zip(&mut row) {
        let found = match *want {
            Want::Pointer("sk_buff") => skb_position(parameters),
            Want::Pointer(name) => pointer_to(parameters, name),
            Want::Number { position, .. } if tracepoint => {
                Some(position).filter(|at| usize::from(*at) < parameters.len())
            }
            Want::Number { name, .. } => named(parameters, name),
            Want::Returned(name) => u8::try_from(parameters.len())
                .ok()
                .filter(|_| returned.pointers == 1 && returned.target == name),
        };
        match (found, want) {
            (Some(at), _) => *slot = at,
            (None, Want::Pointer(name)) => {
                return Err(format!("none of its arguments is a {name}"));
            }
            (None, Want::Returned(name)) => return Err(format!("it doesn't return a {name}")),
            (None, Want::Number { .. }) => {}
        }
    }
    Ok(row)
}

fn structure(btf: &Btf, name: &str) -> Option<Type> {
    btf.resolve_types_by_name(name).ok()?.into_iter().find(|t| matches!(t, Type::Struct(_)))
}

/// The bit offset and type of a struct's member, also inside anonymous structs and unions.
fn member(btf: &Btf, of: &Type, name: &str) -> Option<(u32, Type)> {
    let (Type::Struct(of) | Type::Union(of)) = of else { return None };
    for candidate in &of.members {
        let kind = bare(btf, btf.resolve_chained_type(candidate).ok()?);
        let own = btf.resolve_name(candidate).unwrap_or_default();
        if own == name {
            return Some((candidate.bit_offset(), kind));
        }
        if own.is_empty()
            && let Some((bits, found)) = member(btf, &kind, name)
        {
            return Some((candidate.bit_offset() + bits, found));
        }
    }
    None
}

/// Looks through typedefs and qualifiers.
fn bare(btf: &Btf, mut kind: Type) -> Type {
    while let Type::Const(_)
    | Type::Volatile(_)
    | Type::Restrict(_)
    | Type::Typedef(_)
    | Type::TypeTag(_) = &kind
    {
        let Some(next) = kind.as_btf_type().and_then(|t| btf.resolve_chained_type(t).ok()) else {
            break;
        };
        kind = next;
    }
    kind
}

fn size(btf: &Btf, kind: &Type) -> usize {
    match kind {
        Type::Int(int) => int.size(),
        Type::Ptr(_) => size_of::<u64>(),
        Type::Struct(s) | Type::Union(s) => s.size(),
        Type::Enum(e) => e.size(),
        Type::Array(array) => {
            let element = btf.resolve_chained_type(array).map_or(0, |t| size(btf, &bare(btf, t)));
            element * array.len()
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use netpath_common::end;

    use super::*;

    #[test]
    fn what_each_reason_of_this_kernel_means_is_known() {
        let Ok(btf) = KernelBtf::load() else {
            println!("SKIP this kernel's BTF can't be read");
            return;
        };
        let reasons = btf.drop_reasons();
        assert!(reasons.len() > 50, "{reasons:?}");
        for name in reasons.values().filter(|name| *name != "SUBSYS_MASK") {
            assert!(end::says_nothing(name) || end::reason(name).is_some(), "{name}");
        }
    }
}
