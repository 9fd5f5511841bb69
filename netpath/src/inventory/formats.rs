//! What runtimes write about their containers, in files and over their sockets.
//!
//! In: bytes of each format, also broken ones. Out: [`Container`]s. Whatever is not as the format says is left out,
//! and what people read has no control characters.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Container, Pod};

/// Labels and annotations that say the same, in order of preference.
const CONTAINER_NAME: &[&str] =
    &["io.kubernetes.cri.container-name", "io.kubernetes.container.name", "nerdctl/name"];
const POD_NAME: &[&str] = &["io.kubernetes.cri.sandbox-name", "io.kubernetes.pod.name"];
const POD_NAMESPACE: &[&str] =
    &["io.kubernetes.cri.sandbox-namespace", "io.kubernetes.pod.namespace"];
const IMAGE: &[&str] = &["io.kubernetes.cri.image-name", "io.kubernetes.cri-o.ImageName"];
/// Whether it is the one that holds a pod together.
const KIND: &[&str] = &["io.kubernetes.cri.container-type", "io.kubernetes.cri-o.ContainerType"];
const SANDBOX: &str = "sandbox";
/// That one's name in Docker's labels.
const SANDBOX_NAME: &str = "POD";

type Labels = BTreeMap<String, String>;

/// Docker's `containers/ID/config.v2.json`.
pub(super) fn docker_config(bytes: &[u8]) -> Option<Container> {
    #[derive(Deserialize)]
    struct Whole {
        #[serde(rename = "ID")]
        id: String,
        #[serde(rename = "Name")]
        name: String,
        #[serde(rename = "Config", default)]
        config: Config,
    }
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Config {
        image: Option<String>,
        labels: Option<Labels>,
    }
    let Whole { id, name, config } = serde_json::from_slice(bytes).ok()?;
    let container = Container { id, ..Container::default() };
    let name = name.trim_start_matches('/');
    Some(labelled(
        container,
        Some(name),
        config.image.as_deref(),
        &config.labels.unwrap_or_default(),
    ))
}

/// What Docker and podman answer to `GET /containers/json`.
pub(super) fn listed(bytes: &[u8]) -> Result<Vec<Container>, serde_json::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Row {
        id: String,
        names: Option<Vec<String>>,
        image: Option<String>,
        labels: Option<Labels>,
    }
    let rows: Vec<Row> = serde_json::from_slice(bytes)?;
    let named = |row: Row| {
        let names = row.names.unwrap_or_default();
        // Those with another slash are what other containers call it.
        let mut own = names.iter().map(|name| name.trim_start_matches('/'));
        let name = own.clone().find(|name| !name.contains('/')).or_else(|| own.next());
        let container = Container { id: row.id, ..Container::default() };
        labelled(container, name, row.image.as_deref(), &row.labels.unwrap_or_default())
    };
    Ok(rows.into_iter().map(named).collect())
}

/// A bundle's `config.json`, as the runtimes below containerd and cri-o are given it.
pub(super) fn bundle(id: &str, bytes: &[u8]) -> Option<Container> {
    #[derive(Deserialize)]
    struct Spec {
        annotations: Option<Labels>,
    }
    let spec: Spec = serde_json::from_slice(bytes).ok()?;
    let container = Container { id: id.to_owned(), ..Container::default() };
    Some(labelled(container, None, None, &spec.annotations.unwrap_or_default()))
}

/// `containers.json` of podman's and cri-o's storage.
pub(super) fn stored(bytes: &[u8]) -> Result<Vec<Container>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Row {
        id: String,
        names: Option<Vec<String>>,
        metadata: Option<String>,
    }
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "kebab-case", default)]
    struct Metadata {
        image_name: Option<String>,
        name: Option<String>,
        /// cri-o's: what the container is called in its pod.
        #[serde(rename = "metadata-name")]
        in_pod: Option<String>,
        pod: bool,
    }
    let rows: Vec<Row> = serde_json::from_slice(bytes)?;
    let named = |row: Row| {
        let text = row.metadata.unwrap_or_default();
        let about: Metadata = serde_json::from_str(&text).unwrap_or_default();
        let name = about.in_pod.or(about.name).or_else(|| row.names?.into_iter().next());
        let name = name.filter(|_| !about.pod);
        let container = Container { id: row.id, ..Container::default() };
        labelled(container, name.as_deref(), about.image_name.as_deref(), &Labels::new())
    };
    Ok(rows.into_iter().map(named).collect())
}

/// With what labels say: a pod's container is called what the pod calls it.
fn labelled(
    container: Container,
    name: Option<&str>,
    image: Option<&str>,
    labels: &Labels,
) -> Container {
    let of = |keys: &[&str]| keys.iter().find_map(|key| labels.get(*key)).map(String::as_str);
    let sandbox = of(KIND) == Some(SANDBOX) || of(CONTAINER_NAME) == Some(SANDBOX_NAME);
    let name = of(CONTAINER_NAME).or(name).filter(|_| !sandbox);
    let pod = of(POD_NAMESPACE).zip(of(POD_NAME)).and_then(|(namespace, name)| {
        Some(Pod { namespace: readable(namespace)?, name: readable(name)? })
    });
    let image = image.or_else(|| of(IMAGE)).and_then(readable);
    Container { name: name.and_then(readable), image, pod, ..container }
}

/// Without what a terminal would take for a command; `None` where nothing is left.
fn readable(text: &str) -> Option<String> {
    let text: String = text.chars().filter(|c| !c.is_control()).collect();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pod() -> Pod {
        Pod { namespace: "shop".to_owned(), name: "web-1".to_owned() }
    }

    fn told(container: &Container) -> (&str, Option<&str>, Option<&str>) {
        (&container.id, container.name.as_deref(), container.image.as_deref())
    }

    #[test]
    fn dockers_file_tells_name_and_image() {
        let text = r#"{"State":{"Running":true},"ID":"4e5c","Name":"/web","Image":"sha256:12",
            "Config":{"Hostname":"4e5c","Image":"nginx:1.27","Labels":{"a":"b"}}}"#;
        let container = docker_config(text.as_bytes()).unwrap();
        assert_eq!(told(&container), ("4e5c", Some("web"), Some("nginx:1.27")));
        let bare = docker_config(br#"{"ID":"4e5c","Name":"/web"}"#).unwrap();
        assert_eq!(told(&bare), ("4e5c", Some("web"), None));
        let nulls = br#"{"ID":"4e5c","Name":"","Config":{"Image":null,"Labels":null}}"#;
        assert_eq!(told(&docker_config(nulls).unwrap()), ("4e5c", None, None));
        for broken in [&text[..text.len() - 9], "", "[]", r#"{"ID":7,"Name":"/web"}"#] {
            assert_eq!(docker_config(broken.as_bytes()), None, "{broken}");
        }
    }

    #[test]
    fn a_list_tells_own_names() {
        let text = r#"[{"Id":"4e5c","Names":["/app/db","/web"],"Image":"nginx","Labels":{}},
            {"Id":"77","Names":["/web"],"Image":"caddy","State":"running"},
            {"Id":"88","Names":null,"Labels":null},
            {"Id":"99","Names":["/a/b"]}]"#;
        let all = listed(text.as_bytes()).unwrap();
        let all: Vec<_> = all.iter().map(told).collect();
        let web = ("4e5c", Some("web"), Some("nginx"));
        let other = ("77", Some("web"), Some("caddy"));
        assert_eq!(all, [web, other, ("88", None, None), ("99", Some("a/b"), None)]);
        for broken in [&text[..50], "{}", r#"{"message":"no"}"#, r#"[{"Names":["/web"]}]"#] {
            assert!(listed(broken.as_bytes()).is_err(), "{broken}");
        }
    }

    #[test]
    fn labels_tell_pods_and_their_containers() {
        let labels = |name: &str| {
            format!(
                r#"[{{"Id":"1","Names":["/k8s_{name}_web-1_shop_7"],"Labels":{{
                "io.kubernetes.container.name":"{name}","io.kubernetes.pod.name":"web-1",
                "io.kubernetes.pod.namespace":"shop"}}}}]"#
            )
        };
        let app = &listed(labels("app").as_bytes()).unwrap()[0];
        assert_eq!((app.name.as_deref(), &app.pod), (Some("app"), &Some(pod())));
        let sandbox = &listed(labels("POD").as_bytes()).unwrap()[0];
        assert_eq!((sandbox.name.as_deref(), &sandbox.pod), (None, &Some(pod())));
    }

    #[test]
    fn annotations_of_a_bundle_tell_the_pod() {
        let text = r#"{"ociVersion":"1.0.2","annotations":{
            "io.kubernetes.cri.container-name":"app","io.kubernetes.cri.container-type":"container",
            "io.kubernetes.cri.image-name":"docker.io/library/nginx:1.27",
            "io.kubernetes.cri.sandbox-name":"web-1","io.kubernetes.cri.sandbox-namespace":"shop"}}"#;
        let container = bundle("12", text.as_bytes()).unwrap();
        assert_eq!(told(&container), ("12", Some("app"), Some("docker.io/library/nginx:1.27")));
        assert_eq!(container.pod, Some(pod()));
        let sandbox = text.replace(r#":"container""#, r#":"sandbox""#);
        let sandbox = bundle("12", sandbox.as_bytes()).unwrap();
        assert_eq!((sandbox.name, sandbox.pod), (None, Some(pod())));
        let bare = bundle("12", br#"{"process":{}}"#).unwrap();
        assert_eq!(told(&bare), ("12", None, None));
        let nerdctl = bundle("12", br#"{"annotations":{"nerdctl/name":"web"}}"#).unwrap();
        assert_eq!(nerdctl.name.as_deref(), Some("web"));
        for broken in [&text[..90], "", "7", r#"{"annotations":[]}"#] {
            assert_eq!(bundle("12", broken.as_bytes()), None, "{broken}");
        }
    }

    #[test]
    fn podmans_storage_tells_names() {
        let text = r#"[{"id":"12","names":["web"],"image":"ab","metadata":
            "{\"image-name\":\"docker.io/library/nginx:latest\",\"name\":\"web\"}"},
            {"id":"13","names":["k8s_app_web-1_shop_7_0","x"],"metadata":
            "{\"pod-name\":\"k8s_web-1_shop_7_0\",\"metadata-name\":\"app\",\"name\":\"k8s_app\"}"},
            {"id":"14","names":["k8s_POD"],"metadata":"{\"pod\":true,\"metadata-name\":\"web-1\"}"},
            {"id":"15","names":["db"],"metadata":"{\"image-na"},
            {"id":"16"}]"#;
        let all = stored(text.as_bytes()).unwrap();
        let all: Vec<_> = all.iter().map(told).collect();
        let web = ("12", Some("web"), Some("docker.io/library/nginx:latest"));
        let others = [("13", Some("app"), None), ("14", None, None), ("15", Some("db"), None)];
        assert_eq!(all[0], web);
        assert_eq!(all[1..4], others);
        assert_eq!(all[4], ("16", None, None));
        assert!(stored(&text.as_bytes()[..70]).is_err());
    }

    #[test]
    fn names_command_no_terminal() {
        let text = br#"[{"Id":"1","Names":["/we\u001b[31mb\n"],"Image":"\u0007"}]"#;
        assert_eq!(told(&listed(text).unwrap()[0]), ("1", Some("we[31mb"), None));
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>) {
            let _ = (docker_config(&bytes), listed(&bytes), bundle("1", &bytes), stored(&bytes));
        }
    }
}
