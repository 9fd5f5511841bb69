//! Where Debian's archive is: as this machine's own apt sources say.
//!
//! In: the texts of apt's sources. Out: the archives' addresses and keys, and sources for other
//! suites of theirs. [`OVERRIDE`] names a file of sources to read instead, for machines that are
//! not Debian's.

use std::{env, fs, path::Path};

use anyhow::{Context as _, bail};

use super::apt::Archive;

/// A file of sources that Debian's archive stands in, in either of apt's formats.
pub(super) const OVERRIDE: &str = "NETPATH_DEBIAN_SOURCES";

/// One source of packages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Source {
    uri: String,
    suites: Vec<String>,
    components: Vec<String>,
    /// As it stands in a `Signed-By` field, lines of a key and all.
    signed_by: Option<String>,
}

/// Debian's archives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Archives {
    main: Source,
    security: Option<Source>,
}

/// Finds the archives in the sources of this machine.
pub(super) fn find() -> anyhow::Result<Archives> {
    if let Some(file) = env::var_os(OVERRIDE) {
        let text = fs::read_to_string(&file)
            .with_context(|| format!("cannot read {} ({OVERRIDE})", file.display()))?;
        let sources = parse(&text);
        let found = sources.iter().find_map(|s| pick(&sources, s.suites.first()?));
        return found.with_context(|| format!("{} names no archive", file.display()));
    }
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let field = |name| release.lines().find_map(|l| l.strip_prefix(name)).unwrap_or_default();
    let mut sources = Vec::new();
    for file in files(Path::new("/etc/apt")) {
        sources.extend(parse(&fs::read_to_string(&file).unwrap_or_default()));
    }
    let found = (field("ID=") == "debian").then(|| pick(&sources, field("VERSION_CODENAME=")));
    match found.flatten() {
        Some(archives) => Ok(archives),
        None => bail!(
            "this machine's apt sources don't say where Debian's archive is; name a file of apt \
             sources that do in {OVERRIDE}, and install debian-archive-keyring"
        ),
    }
}

/// apt's files of sources.
fn files(etc: &Path) -> Vec<std::path::PathBuf> {
    let mut files = vec![etc.join("sources.list")];
    for entry in fs::read_dir(etc.join("sources.list.d")).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|e| e == "list" || e == "sources") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// The archives of the release `codename`: others may have a suite of that name and a component
/// `main` too, but not its updates.
fn pick(sources: &[Source], codename: &str) -> Option<Archives> {
    let having = |suite: String| {
        sources
            .iter()
            .find(|s| s.suites.contains(&suite) && s.components.iter().any(|c| c == "main"))
    };
    let updates = having(format!("{codename}-updates"));
    let main = updates.or_else(|| having(codename.to_owned()))?.clone();
    let security = having(format!("{codename}-security")).cloned();
    Some(Archives { main, security })
}

impl Archives {
    /// Sources for these suites, in apt's newer format.
    pub(super) fn of(&self, suites: &[(Archive, &str)]) -> String {
        let mut text = String::new();
        for (archive, suite) in suites {
            let source = match archive {
                Archive::Main => Some(&self.main),
                Archive::Security => self.security.as_ref(),
            };
            let Some(Source { uri, signed_by, .. }) = source else { continue };
            text += &format!("Types: deb\nURIs: {uri}\nSuites: {suite}\nComponents: main\n");
            if let Some(key) = signed_by {
                text += &format!("Signed-By:{key}\n");
            }
            text.push('\n');
        }
        text
    }
}

/// Reads sources, in either format.
fn parse(text: &str) -> Vec<Source> {
    let one_line = |line: &str| line.starts_with("deb ") || line.starts_with("deb\t");
    if text.lines().any(one_line) {
        text.lines().filter(|l| one_line(l)).filter_map(line).collect()
    } else {
        let plain: Vec<&str> = text.lines().filter(|l| !l.starts_with('#')).collect();
        let stanzas = plain.split(|line| line.trim().is_empty());
        stanzas.filter_map(stanza).collect()
    }
}

/// `deb [signed-by=KEY] URI SUITE COMPONENT…`
fn line(line: &str) -> Option<Source> {
    let mut rest = line.strip_prefix("deb")?.split('#').next()?.trim();
    let mut signed_by = None;
    if let Some(options) = rest.strip_prefix('[') {
        let (options, after) = options.split_once(']')?;
        let key = options.split_whitespace().find_map(|o| o.strip_prefix("signed-by="));
        signed_by = key.map(|key| format!(" {key}"));
        rest = after.trim();
    }
    let mut words = rest.split_whitespace().map(str::to_owned);
    let (uri, suite) = (words.next()?, words.next()?);
    Some(Source { uri, suites: vec![suite], components: words.collect(), signed_by })
}

/// `Types: deb`, `URIs: …`, …; a field goes on in lines that begin with a space.
fn stanza(lines: &[&str]) -> Option<Source> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in lines {
        if line.starts_with([' ', '\t'])
            && let Some((_, value)) = fields.last_mut()
        {
            value.push('\n');
            value.push_str(line);
        } else {
            let (name, value) = line.split_once(':')?;
            fields.push((name.to_ascii_lowercase(), value.to_owned()));
        }
    }
    let field = |name: &str| Some(&fields.iter().find(|(found, _)| found == name)?.1);
    let words = |name: &str| -> Vec<String> {
        field(name).map_or_else(Vec::new, |v| v.split_whitespace().map(str::to_owned).collect())
    };
    let off = words("enabled").first().is_some_and(|v| v == "no" || v == "false");
    if off || !words("types").iter().any(|t| t == "deb") {
        return None;
    }
    Some(Source {
        uri: words("uris").into_iter().next()?,
        suites: words("suites"),
        components: words("components"),
        signed_by: field("signed-by").map(|key| key.trim_end().to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::{super::kernels::KERNELS, *};

    const STANZAS: &str = "\
Types: deb
# a comment
URIs: http://mirror.test/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/some.gpg

Types: deb
URIs: http://mirror.test/debian-security
Suites: bookworm-security
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
 -----END PGP PUBLIC KEY BLOCK-----

Types: deb
URIs: http://off.test/
Suites: bookworm
Components: main
Enabled: no
";

    #[test]
    fn stanzas_are_read() {
        let archives = pick(&parse(STANZAS), "bookworm").unwrap();
        assert_eq!(archives.main.uri, "http://mirror.test/debian");
        let sources = archives.of(KERNELS[0].suites);
        assert!(sources.contains(
            "URIs: http://mirror.test/debian\nSuites: bookworm\nComponents: main\nSigned-By: \
             /usr/share/keyrings/some.gpg\n\n"
        ));
        assert!(sources.contains("Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n"));
        // What is written is what would be read.
        assert_eq!(parse(&sources).len(), 2);
    }

    #[test]
    fn lines_are_read() {
        let sources = parse(
            "# mine\ndeb https://elsewhere.test bookworm main\n\
             deb [arch=amd64 signed-by=/key.gpg] http://mirror.test/debian/ bookworm main contrib\n\
             deb [signed-by=/key.gpg] http://mirror.test/debian/ bookworm-updates main # often\n\
             deb-src http://mirror.test/debian/ bookworm main\n",
        );
        assert_eq!(sources.len(), 3);
        let archives = pick(&sources, "bookworm").unwrap();
        assert_eq!(archives.main.uri, "http://mirror.test/debian/");
        assert_eq!(archives.main.signed_by.as_deref(), Some(" /key.gpg"));
        assert_eq!(archives.security, None);
        assert!(!archives.of(KERNELS[0].suites).contains("bookworm-security"));
    }

    #[test]
    fn another_release_has_no_archive() {
        assert_eq!(pick(&parse(STANZAS), "noble"), None);
    }
}
