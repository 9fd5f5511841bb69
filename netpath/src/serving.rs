//! Which backend serves which hop, and why not.

use netpath_common::hop::{At, Hop, Measure};

use serde::{Deserialize, Serialize};

use crate::kernel::{Backend, Served};

/// What is attached, in the terms of the hop table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Serving {
    /// Each with why it doesn't work, where it doesn't.
    backends: Vec<(Backend, Option<String>)>,
    /// Tracepoints that are not there, and why.
    absent: Vec<(String, String)>,
}

impl Serving {
    pub fn new<'a>(
        served: impl IntoIterator<Item = (&'a Backend, &'a Served)>,
        absent: impl IntoIterator<Item = (&'a &'static str, &'a String)>,
    ) -> Self {
        let backends = served
            .into_iter()
            .map(|(backend, state)| match state {
                Served::Yes(_) => (*backend, None),
                Served::No(why) => (*backend, Some(why.clone())),
            })
            .collect();
        let absent =
            absent.into_iter().map(|(name, why)| ((*name).to_owned(), why.clone())).collect();
        Self { backends, absent }
    }

    /// The backends that are attached.
    pub fn attached(&self) -> impl Iterator<Item = Backend> {
        self.backends.iter().filter(|(_, state)| state.is_none()).map(|(backend, _)| *backend)
    }

    /// What serves a hop: one or two backends, or why none does.
    pub fn of(&self, hop: &Hop) -> Result<String, String> {
        let mut why = "no way to measure it".to_owned();
        for measure in hop.measures {
            match self.measure(measure) {
                Ok(backends) => {
                    let keys: Vec<&str> = backends.iter().map(|b| b.key()).collect();
                    return Ok(keys.join("+"));
                }
                Err(reason) => why = reason,
            }
        }
        Err(why)
    }

    fn measure(&self, measure: &Measure) -> Result<Vec<Backend>, String> {
        match measure {
            Measure::Hooks(_) => {
                self.backend(Backend::NetfilterLink).map(|()| vec![Backend::NetfilterLink])
            }
            Measure::Between(edges) => {
                let mut why = String::new();
                for edge in *edges {
                    for before in edge.before {
                        match self.point(edge.after).and_then(|a| Ok((a, self.point(*before)?))) {
                            Ok((a, b)) if a == b => return Ok(vec![a]),
                            Ok((a, b)) => return Ok(vec![a.min(b), a.max(b)]),
                            Err(reason) => why = reason,
                        }
                    }
                }
                Err(why)
            }
        }
    }

    /// The backend that a situation is seen by.
    fn point(&self, at: At) -> Result<Backend, String> {
        let Some(name) = at.tracepoint() else {
            return self.backend(Backend::NetfilterLink).map(|()| Backend::NetfilterLink);
        };
        if let Some((_, why)) = self.absent.iter().find(|(absent, _)| absent == name) {
            return Err(format!("tracepoint {name}: {why}"));
        }
        self.backend(Backend::Tracepoint).map(|()| Backend::Tracepoint)
    }

    fn backend(&self, wanted: Backend) -> Result<(), String> {
        match self.backends.iter().find(|(backend, _)| *backend == wanted) {
            Some((_, None)) => Ok(()),
            Some((_, Some(why))) => Err(format!("{}: {why}", wanted.key())),
            None => Err(format!("{}: not asked for", wanted.key())),
        }
    }
}
