//! What a report says, asked in the terms of its JSON contract.

use serde_json::Value;

pub(crate) struct Report(pub(crate) Value);

/// What must stand in an object's fields.
pub(crate) type Fields<'a> = &'a [(&'a str, &'a str)];

pub(crate) const MS: f64 = 1e6;

/// Ends that are drops.
const DROPS: [&str; 2] = ["lost", "refused"];

impl Report {
    fn list(&self, key: &str) -> impl Iterator<Item = &Value> {
        self.0[key].as_array().into_iter().flatten()
    }

    /// `packets.KEY`.
    pub(crate) fn packets(&self, key: &str) -> u64 {
        self.0["packets"][key].as_u64().unwrap_or(0)
    }

    /// Ends that are drops, with these fields.
    pub(crate) fn drops<'a>(&'a self, fields: Fields<'a>) -> impl Iterator<Item = &'a Value> {
        self.list("drops")
            .filter(|d| DROPS.contains(&d["sort"].as_str().unwrap_or_default()))
            .filter(move |d| has(d, fields))
    }

    /// How many packets were lost or refused, with these fields.
    pub(crate) fn dropped(&self, fields: Fields) -> u64 {
        self.drops(fields).map(count).sum()
    }

    /// All drops, short, for what is said of a claim that fails.
    pub(crate) fn all_drops(&self) -> Vec<String> {
        self.list("drops").map(Value::to_string).collect()
    }

    /// Whether links stand around hooks, so that a packet is known to be in one whoever's function it calls. Elsewhere
    /// functions are probed, which not every hook's is.
    pub(crate) fn has_links(&self) -> bool {
        self.0["backends"]["hook.other"] == "netfilter-link"
    }

    pub(crate) fn paths(&self) -> impl Iterator<Item = &Value> {
        self.list("paths")
    }

    /// Paths that pass these devices (`netns/dev`) in this order.
    pub(crate) fn through<'a>(&'a self, devices: &'a [&str]) -> impl Iterator<Item = &'a Value> {
        self.paths().filter(|path| passes(path, devices))
    }

    /// How many packets these paths delivered.
    #[expect(clippy::unused_self, reason = "it is asked like the others")]
    pub(crate) fn delivered<'a>(&self, paths: impl Iterator<Item = &'a Value>) -> u64 {
        paths.map(|path| path["ends"]["delivered"].as_u64().unwrap_or(0)).sum()
    }

    /// Rows of all paths with these fields.
    pub(crate) fn hops<'a>(&'a self, fields: Fields<'a>) -> impl Iterator<Item = &'a Value> {
        self.paths()
            .flat_map(|path| path["hops"].as_array().into_iter().flatten())
            .filter(move |hop| has(hop, fields))
    }

    /// Rows of which a packet took so long in one, ns.
    pub(crate) fn hops_over(&self, ns: f64) -> Vec<String> {
        self.hops(&[]).filter(|hop| max_ns(hop) >= ns).map(said).collect()
    }

    /// Spans of which a packet took so long in one, ns.
    pub(crate) fn spans_over(&self, ns: f64) -> Vec<String> {
        self.hops(&[("kind", "span")]).filter(|hop| max_ns(hop) >= ns).map(said).collect()
    }

    pub(crate) fn trips<'a>(&'a self, fields: Fields<'a>) -> impl Iterator<Item = &'a Value> {
        self.list("transactions").filter(move |trip| has(trip, fields))
    }

    /// How many round trips there were, with these fields.
    pub(crate) fn trip_count(&self, fields: Fields) -> u64 {
        self.trips(fields).map(count).sum()
    }

    /// In how many of them something was sent again.
    pub(crate) fn sent_again(&self, fields: Fields) -> u64 {
        self.trips(fields).map(|trip| trip["sent_again"].as_u64().unwrap_or(0)).sum()
    }

    /// How many packets of theirs were sent again.
    pub(crate) fn retransmitted(&self, fields: Fields) -> u64 {
        self.trips(fields).map(|trip| trip["retransmitted"].as_u64().unwrap_or(0)).sum()
    }

    /// The longest of a round trip's parts of this name, ns.
    pub(crate) fn part_max(&self, part: &str) -> f64 {
        self.list("transactions")
            .flat_map(|trip| trip["parts"].as_array().into_iter().flatten())
            .filter(|p| p["part"] == part)
            .map(max_ns)
            .fold(0.0, f64::max)
    }

    /// What the kernel counted and what netpath did.
    pub(crate) fn counter(&self, fields: Fields) -> Option<(u64, u64)> {
        let found = self.list("counters").find(|c| has(c, fields))?;
        Some((found["kernel"].as_u64()?, found["netpath"].as_u64()?))
    }

    /// What the kernel counted.
    pub(crate) fn kernel(&self, fields: Fields) -> Option<u64> {
        self.list("counters").find(|c| has(c, fields))?["kernel"].as_u64()
    }

    pub(crate) fn findings(&self) -> Vec<&str> {
        self.list("findings").filter_map(|f| f["id"].as_str()).collect()
    }

    pub(crate) fn notes(&self) -> String {
        self.list("notes").filter_map(Value::as_str).collect::<Vec<_>>().join("; ")
    }
}

/// Whether the object's fields are these, whatever their type.
#[expect(clippy::cmp_owned, reason = "a value's text is made when it is asked for")]
pub(crate) fn has(object: &Value, fields: Fields) -> bool {
    fields.iter().all(|(key, wanted)| match &object[*key] {
        Value::String(text) => text == wanted,
        Value::Null => wanted.is_empty(),
        other => other.to_string() == *wanted,
    })
}

/// Whether what the object says in this field, in whatever form, holds the text.
pub(crate) fn says(object: &Value, key: &str, text: &str) -> bool {
    object[key].to_string().contains(text)
}

pub(crate) fn count(object: &Value) -> u64 {
    object["count"].as_u64().unwrap_or(0)
}

/// `max_ns`, its own or its total's.
pub(crate) fn max_ns(object: &Value) -> f64 {
    object["max_ns"].as_f64().or_else(|| object["total"]["max_ns"].as_f64()).unwrap_or(0.0)
}

/// A row in few words.
fn said(hop: &Value) -> String {
    let text = |key: &str| hop[key].as_str().unwrap_or_default();
    let (key, dev) = (text("hop"), [text("dev"), text("hook")].concat());
    format!("{key} {}/{dev} {:.1} ms", text("netns"), max_ns(hop) / MS)
}

fn passes(path: &Value, devices: &[&str]) -> bool {
    let mut wanted = devices.iter().peekable();
    for place in path["places"].as_array().into_iter().flatten() {
        let text = |key: &str| place[key].as_str().unwrap_or_default();
        let name = format!("{}/{}", text("netns"), text("dev"));
        if wanted.peek().is_some_and(|device| **device == name) {
            wanted.next();
        }
    }
    wanted.peek().is_none()
}
