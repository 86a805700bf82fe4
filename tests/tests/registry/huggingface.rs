//! A registry that takes the adapters of a Hugging Face hub when somebody asks for them.

use std::{collections::BTreeMap, fs, path::Path};

use futures_util::future::join_all;
use hub_formats::checkpoint::BaseFolder;
use hub_schemas::{Digest, Manifest, problem::ProblemCode};
use hub_tests::{
    cli::{Home, Said},
    eventually,
    golden::fixtures,
    hub::{Answer, HubProcess},
    hugging_face::{Files, HuggingFace, Repository, Trouble},
};
use reqwest::Method;
use safetensors::SafeTensors;
use serde_json::{Value, json};

use crate::mirror::{Mirror, blobs};

const JANUARY: &str = "2026-01-02T03:04:05.000Z";
const FEBRUARY: &str = "2026-02-03T00:00:10.000Z";
/// What a commit of `JANUARY` is called here.
const FIRST: &str = "2026.102.30405";
const SECOND: &str = "2026.203.10";

/// The files of a fixture.
fn fixture(name: &str) -> Files {
    let folder = fixtures().join(name);
    let file =
        |path: &Path| (path.file_name().expect("a name").to_string_lossy().into_owned(), path.to_owned());
    let entries = fs::read_dir(&folder).expect("a fixture").map(|entry| entry.expect("an entry").path());
    let files: BTreeMap<String, _> = entries.filter(|path| path.is_file()).map(|path| file(&path)).collect();
    files.into_iter().map(|(name, path)| (name, fs::read(path).expect("reads"))).collect()
}

/// A LoRA of PEFT, with what lies around in repositories besides.
fn lora(base: &str) -> Files {
    let mut files = fixture("peft-lora-classifier/adapter");
    let mut config: Value = serde_json::from_slice(&files["adapter_config.json"]).expect("JSON");
    config["base_model_name_or_path"] = json!(base);
    files.insert("adapter_config.json".to_owned(), config.to_string().into_bytes());
    for (name, text) in [
        ("README.md", "---\nlicense: mit\n---\n# A LoRA\n"),
        (".gitattributes", "*.safetensors filter=lfs diff=lfs merge=lfs -text\n"),
        ("training_args.bin", "a pickle"),
        ("checkpoint-7/adapter_model.safetensors", "left there"),
        ("tokenizer.json", "{}"),
    ] {
        files.insert(name.to_owned(), text.as_bytes().to_vec());
    }
    files
}

/// What is taken of [`lora`].
const TAKEN: [&str; 3] = ["README.md", "adapter_config.json", "adapter_model.safetensors"];

/// A hub with the base model `lab/tiny-bert`, and an adapter on it.
async fn hub() -> HuggingFace {
    let hub = HuggingFace::start().await;
    hub.put("lab/tiny-bert", Repository::default().commit(JANUARY, fixture("tiny-bert")));
    hub.put("lab/lora", Repository::with_card(card()).commit(JANUARY, lora("lab/tiny-bert")));
    hub
}

fn card() -> Value {
    json!({"license": "mit", "language": ["en"], "pipeline_tag": "text-classification"})
}

/// A registry that mirrors `lab` of it.
async fn mirror(hub: &HuggingFace, settings: &str) -> Mirror {
    let all =
        format!("kind = \"huggingface\"\nurl = \"{}\"\nnamespaces = [\"lab\"]\n{settings}\n", hub.url());
    Mirror::set_up(&all).await
}

fn tiny_bert() -> Digest {
    let folder = BaseFolder::open(&fixtures().join("tiny-bert")).expect("a base model");
    folder.weights_digest().expect("a digest")
}

/// Pulls with an empty cache, and compares every byte.
async fn pull(home: &Home, reference: &str, files: &Files, taken: &[&str]) -> Manifest {
    let said = home.hub(&["pull", reference, "--format", "json"]).await.expect_code(0);
    let folder = said.json()["folder"].as_str().expect("a path").to_owned();
    let folder = Path::new(&folder);
    let manifest =
        Manifest::parse(&fs::read(folder.join("manifest.json")).expect("reads")).expect("a manifest");
    let listed: Vec<&str> = manifest.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(listed, taken);
    for file in &manifest.files {
        let bytes = fs::read(folder.join(file.path.as_str())).expect("reads");
        assert_eq!(bytes, files[file.path.as_str()], "{}", file.path);
        assert_eq!(Digest::of(&bytes), file.digest, "{}", file.path);
    }
    manifest
}

/// The numbers of the versions, newest first.
fn versions(answer: &Answer) -> Vec<String> {
    let index = answer.json();
    let entries = index["versions"].as_array().expect("versions");
    entries.iter().map(|entry| entry["version"].as_str().expect("a version").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_is_pulled_as_an_immutable_version_and_then_is_here() {
    let hub = hub().await;
    let mirror = mirror(&hub, "fresh_seconds = 600").await;
    let files = lora("lab/tiny-bert");
    let manifest = pull(&mirror.home().await, "lab/lora", &files, &TAKEN).await;
    assert_eq!(manifest.version.to_string(), FIRST);
    assert_eq!((manifest.base.id.as_str(), manifest.base.weights_digest), ("lab/tiny-bert", tiny_bert()));
    assert_eq!((manifest.license.as_str(), manifest.task.name.as_str()), ("MIT", "text-classification"));
    assert_eq!(manifest.languages.len(), 1);
    assert!(manifest.description.starts_with("`lab/lora` of http://127.0.0.1:"), "{}", manifest.description);
    // After the first question everything is asked of a commit, and nothing that is not needed.
    let asked = hub.take_requests();
    let main: Vec<_> = asked.iter().filter(|request| request.contains("main")).collect();
    assert_eq!(main, ["/api/models/lab/lora/revision/main", "/api/models/lab/tiny-bert/revision/main"]);
    assert!(!asked.iter().any(|request| request.contains("training_args") || request.contains("checkpoint")));
    // From now on anybody gets it, without a request, by its name and by a word.
    let anyone = Home::new(&mirror.server.url());
    pull(&anyone, "lab/lora", &files, &TAKEN).await;
    let word = anyone.hub(&["pull", "text-classification", "--format", "json"]).await.expect_code(0).json();
    assert_eq!(word["name"], "lab/lora");
    let mirror = mirror.restart();
    mirror.admin(&["gc", "--older-than=0"]).expect_code(0);
    pull(&Home::new(&mirror.server.url()), &format!("lab/lora@{FIRST}"), &files, &TAKEN).await;
    assert_eq!(hub.take_requests(), Vec::<String>::new());
}

/// The weights in two files, and which tensor is in which.
fn sharded(files: Files) -> Files {
    let mut files = files;
    let whole = files.remove("model.safetensors").expect("weights");
    let tensors = SafeTensors::deserialize(&whole).expect("safetensors").tensors();
    let mut map = serde_json::Map::new();
    for part in 0..2 {
        let name = format!("model-0000{}-of-00002.safetensors", part + 1);
        let some =
            tensors.iter().enumerate().filter(|(at, _)| at % 2 == part).map(|(_, tensor)| tensor.clone());
        let some: Vec<_> = some.collect();
        map.extend(some.iter().map(|(tensor, _)| (tensor.clone(), json!(name))));
        files.insert(name, safetensors::serialize(some, None).expect("safetensors"));
    }
    let index = json!({"metadata": {}, "weight_map": map}).to_string();
    files.insert("model.safetensors.index.json".to_owned(), index.into_bytes());
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_of_adapters_and_base_models_in_parts_are_understood_too() {
    let hub = HuggingFace::start().await;
    hub.put("google/tiny-bert", Repository::default().commit(JANUARY, sharded(fixture("tiny-bert"))));
    // The card names the base model, where the configuration names what its author called it at home.
    let card = json!({"license": "apache-2.0", "base_model": ["google/tiny-bert"]});
    let tags = vec!["adapters".to_owned(), "adapterhub:sentiment/imdb".to_owned()];
    let files = fixture("adapters-lora/adapter");
    let repository = Repository { tags, ..Repository::with_card(card) };
    hub.put("lab/adapters-lora", repository.commit(JANUARY, files.clone()));
    let mirror = mirror(&hub, "").await;
    let taken = ["adapter.safetensors", "adapter_config.json", "head_config.json", "model_head.safetensors"];
    let manifest = pull(&mirror.home().await, "lab/adapters-lora", &files, &taken).await;
    assert_eq!((manifest.base.id.as_str(), manifest.base.weights_digest), ("google/tiny-bert", tiny_bert()));
    assert_eq!((manifest.format.to_string().as_str(), manifest.task.labels.len()), ("adapters", 3));
    assert_eq!((manifest.task.name.as_str(), manifest.license.as_str()), ("sentiment", "Apache-2.0"));
    assert_eq!(manifest.task.subtask.expect("a subtask").as_str(), "imdb");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_commit_is_a_second_version_and_the_first_stays() {
    let hub = hub().await;
    let mirror = mirror(&hub, "fresh_seconds = 0").await;
    let first = lora("lab/tiny-bert");
    pull(&mirror.home().await, "lab/lora", &first, &TAKEN).await;
    hub.take_requests();
    // Nothing new: one question.
    assert_eq!(versions(&mirror.eve().get("index/lab/lora").await), [FIRST]);
    assert_eq!(hub.take_requests(), ["/api/models/lab/lora/revision/main"]);
    let mut second = first.clone();
    second.insert("README.md".to_owned(), b"# Better\n".to_vec());
    let both = Repository::with_card(card()).commit(JANUARY, first.clone()).commit(FEBRUARY, second.clone());
    hub.put("lab/lora", both);
    assert_eq!(versions(&mirror.eve().get("index/lab/lora").await), [SECOND, FIRST]);
    let asked = hub.take_requests();
    assert!(!asked.iter().any(|request| request.contains("store ")), "the weights are the same: {asked:?}");
    let anyone = Home::new(&mirror.server.url());
    pull(&anyone, "lab/lora", &second, &TAKEN).await;
    pull(&anyone, &format!("lab/lora@{FIRST}"), &first, &TAKEN).await;
    // What can't be taken changes nothing for those who have what was.
    let mut pickled = second.clone();
    let weights = pickled.remove("adapter_model.safetensors").expect("weights");
    pickled.insert("adapter_model.bin".to_owned(), weights);
    hub.put("lab/lora", Repository::with_card(card()).commit("2026-03-01T00:00:00.000Z", pickled));
    let kept = mirror.eve().get("index/lab/lora").await;
    assert_eq!(versions(&kept), [SECOND, FIRST]);
    assert!(kept.header("hub-stale-seconds").parse::<u64>().is_ok(), "{kept:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_who_ask_at_once_are_one_transfer() {
    let hub = hub().await;
    let mirror = mirror(&hub, "fresh_seconds = 600").await;
    let eve = mirror.eve();
    let all = (0..50).map(|_| async {
        let index = eve.get("index/lab/lora").await;
        assert_eq!(versions(&index), [FIRST], "{index:?}");
        let digest = index.json()["versions"][0]["digest"].as_str().expect("a digest").to_owned();
        let manifest =
            Manifest::parse(&eve.get(&format!("manifests/{digest}")).await.body).expect("a manifest");
        for file in &manifest.files {
            let blob = eve.get(&format!("adapters/lab/lora/blobs/{}", file.digest)).await;
            assert_eq!(Digest::of(&blob.body), file.digest);
        }
    });
    join_all(all).await;
    let mut counts = BTreeMap::new();
    for request in hub.take_requests() {
        *counts.entry(request).or_insert(0) += 1;
    }
    assert!(counts.values().all(|count| *count == 1), "{counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_named_namespaces_are_asked_for_and_only_for_who_is_signed_in() {
    let hub = hub().await;
    hub.put("other/lora", Repository::with_card(card()).commit(JANUARY, lora("lab/tiny-bert")));
    let mirror = mirror(&hub, "fresh_seconds = 600").await;
    let home = mirror.home().await;
    assert_eq!(mirror.anyone().get("index/lab/lora").await.status, 404);
    assert_eq!(mirror.eve().get("index/other/lora").await.status, 404);
    assert_eq!(hub.take_requests(), Vec::<String>::new());
    home.hub(&["info", "lab/lora"]).await.expect_code(0);
    assert_eq!(versions(&mirror.anyone().get("index/lab/lora").await), [FIRST], "known by now");
    let refused =
        Answer::of(mirror.eve().request(Method::PUT, "adapters/lab/new/versions/1.0.0").body("{}")).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (403, ProblemCode::ReadOnly));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_word_is_served_with_its_age_while_the_hub_is_down() {
    let hub = hub().await;
    let mirror = mirror(&hub, "fresh_seconds = 0").await;
    let files = lora("lab/tiny-bert");
    pull(&mirror.home().await, "lab/lora", &files, &TAKEN).await;
    hub.set(Trouble::Answers(503));
    let stale = mirror.eve().get("index/lab/lora").await;
    assert_eq!(versions(&stale), [FIRST]);
    assert!(stale.header("hub-stale-seconds").parse::<u64>().is_ok(), "{stale:?}");
    pull(&mirror.home().await, &format!("lab/lora@{FIRST}"), &files, &TAKEN).await;
    let unknown = mirror.eve().get("index/lab/unknown").await;
    assert_eq!((unknown.status.as_u16(), unknown.code()), (503, ProblemCode::Unavailable));
    assert_eq!(mirror.anyone().get("/readyz").await.status, 200, "the mirror itself is well");
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_bytes_are_neither_stored_nor_served_and_cut_ones_are_continued() {
    let hub = hub().await;
    let mirror = mirror(&hub, "").await;
    hub.set(Trouble::Corrupts);
    let refused = mirror.eve().get("index/lab/lora").await;
    assert_eq!((refused.status.as_u16(), refused.code()), (503, ProblemCode::Unavailable));
    let digest = Digest::of(&lora("lab/tiny-bert")["adapter_model.safetensors"]);
    let detail = refused.problem().detail;
    assert!(detail.contains(&format!("instead of {digest}")), "{detail}");
    assert_eq!(mirror.anyone().get("index/lab/lora").await.status, 404, "no version is listed");
    // Of the adapter, and of its base model.
    hub.set(Trouble::Cuts(1000));
    let weights: Vec<String> = {
        pull(&mirror.home().await, "lab/lora", &lora("lab/tiny-bert"), &TAKEN).await;
        hub.take_requests().into_iter().filter(|request| request.starts_with("store ")).collect()
    };
    assert_eq!(weights.len(), 2 + 4, "two damaged ones, and two in two pieces: {weights:?}");
    if blobs(mirror.data.path()) > 0 {
        eventually("the base model's weights, which were measured, go", async || {
            (blobs(mirror.data.path()) == TAKEN.len()).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_taken_says_why() {
    let hub = hub().await;
    let without = |name: &str| {
        let mut files = lora("lab/tiny-bert");
        files.remove(name);
        files
    };
    let of = |files: Files| Repository::with_card(card()).commit(JANUARY, files);
    let mut pickled = without("adapter_model.safetensors");
    pickled.insert("adapter_model.bin".to_owned(), b"a pickle".to_vec());
    hub.put("lab/pickled", of(pickled));
    hub.put("lab/gated", Repository { gated: true, ..of(lora("lab/tiny-bert")) });
    hub.put("lab/no-adapter", of(fixture("tiny-bert")));
    hub.put("lab/no-weights", of(without("adapter_model.safetensors")));
    let closed = json!({"license": "llama3.1"});
    hub.put("lab/licence", Repository::with_card(closed).commit(JANUARY, lora("lab/tiny-bert")));
    hub.put("lab/at-home", of(lora("/home/ada/bert")));
    hub.put("lab/no-such-base", of(lora("lab/none")));
    let mut pickled = fixture("tiny-bert");
    let weights = pickled.remove("model.safetensors").expect("weights");
    pickled.insert("pytorch_model.bin".to_owned(), weights);
    hub.put("lab/pickled-bert", of(pickled));
    hub.put("lab/on-pickles", of(lora("lab/pickled-bert")));
    hub.put("lab/gated-bert", Repository { gated: true, ..of(fixture("tiny-bert")) });
    hub.put("lab/on-gated", of(lora("lab/gated-bert")));
    let mut broken = lora("lab/tiny-bert");
    broken.insert("adapter_config.json".to_owned(), b"{\"peft_type\": \"LORA\", \"r\": \"four\"}".to_vec());
    hub.put("lab/broken", of(broken));
    let mirror = mirror(&hub, "deny_licenses = [\"LicenseRef-llama3.1\"]").await;
    let names = [
        "missing",
        "pickled",
        "gated",
        "no-adapter",
        "no-weights",
        "licence",
        "at-home",
        "no-such-base",
        "on-pickles",
        "on-gated",
        "broken",
    ];
    let mut told = Vec::new();
    for name in names {
        let refused = mirror.eve().get(&format!("index/lab/{name}")).await;
        let problem = refused.problem();
        told.push(format!(
            "{name}: {} {}",
            refused.status.as_u16(),
            problem.detail.replace(hub.url(), "HUB")
        ));
        told.extend(problem.hint.map(|hint| format!("  hint: {hint}")));
    }
    insta::assert_snapshot!(told.join("\n"), @r#"
    missing: 404 there is no adapter `lab/missing`
      hint: check the name; a private adapter needs the token of somebody who may see it
    pickled: 422 `lab/pickled` of `HUB` can't be taken: its weights are there as `adapter_model.bin` only, a pickle, which can run code when it is loaded; only safetensors are taken
      hint: download it, let `hub convert` write the same adapter as safetensors, and publish that with `hub push`
    gated: 403 `lab/gated` is gated at `HUB`: its files are for those who were given access, and this registry was not
      hint: ask the registry's operator to get access there for the account whose token is in the mirror's `token_file`
    no-adapter: 422 `lab/no-adapter` of `HUB` can't be taken: it holds no adapter: there is none of `adapter_config.json`, `head_config.json`, `hub_adapter.json` at its top
    no-weights: 422 `lab/no-weights` of `HUB` can't be taken: it has no weights: there is none of `adapter_model.safetensors`, `adapter.safetensors`, `model_head.safetensors`, `hub_adapter.safetensors` at its top
    licence: 403 `lab/licence` is under the licence `LicenseRef-llama3.1`, which this registry does not take from `HUB`
      hint: ask the registry's operator to allow it for this mirror
    at-home: 422 `lab/at-home` of `HUB` can't be taken: neither its configuration nor its card names a base model of that hub
    no-such-base: 422 `lab/no-such-base` of `HUB` can't be taken: its base model is `lab/none`, for which `HUB` answers 401 (RepoNotFound)
    on-pickles: 422 `lab/on-pickles` needs the digest of its base model, and `lab/pickled-bert` of `HUB` can't be taken: the weights of this base model are there as `pytorch_model.bin` only, a pickle; their digest is computed of safetensors alone
    on-gated: 403 `lab/on-gated` needs the digest of its base model, and `lab/gated-bert` is gated at `HUB`: its files are for those who were given access, and this registry was not
      hint: ask the registry's operator to get access there for the account whose token is in the mirror's `token_file`
    broken: 422 `lab/broken` of `HUB` can't be taken: `adapter_config.json`: `r` is "four", not a count
    "#);
    assert_eq!(mirror.anyone().get("index/lab/broken").await.status, 404, "nothing is half here");
    let said = mirror.home().await.hub(&["pull", "lab/pickled"]).await.expect_code(1);
    assert!(said.stderr.contains("hub convert"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_for_the_hub_alone_and_what_is_private_there_is_private_here() {
    let hub = hub().await;
    let secret = Repository { private: true, ..Repository::with_card(card()) };
    hub.put("lab/secret", secret.commit(JANUARY, lora("lab/tiny-bert")));
    let pickled = Repository { private: true, ..Repository::with_card(card()) };
    hub.put("lab/secret-pickles", pickled.commit(JANUARY, fixture("tiny-bert")));
    let file = tempfile::tempdir().expect("a folder");
    let token = file.path().join("token");
    fs::write(&token, format!("{}\n", HuggingFace::TOKEN)).expect("writes");
    let mirror = mirror(&hub, &format!("token_file = \"{}\"", token.display())).await;
    let eve = mirror.eve();
    let hidden = eve.get("index/lab/secret").await;
    // Exactly what is said of what is not there.
    for other in ["index/lab/secret-pickles", "index/lab/missing"] {
        let answer = eve.get(other).await;
        assert_eq!((answer.status, answer.code()), (hidden.status, hidden.code()));
        let name = other.trim_start_matches("index/");
        assert_eq!(answer.problem().detail.replace(name, "lab/secret"), hidden.problem().detail);
    }
    assert_eq!(hidden.status, 404);
    let asked = hub.take_requests();
    assert!(asked.iter().any(|request| request.starts_with("store ")), "{asked:?}");
    for request in &asked {
        assert_eq!(request.ends_with(" with a token"), !request.starts_with("store "), "{request}");
    }
    mirror.admin(&["namespace", "member", "add", "lab", "eve"]).expect_code(0);
    let files = lora("lab/tiny-bert");
    pull(&mirror.home().await, "lab/secret", &files, &TAKEN).await;
    assert_eq!(mirror.anyone().get("index/lab/secret").await.status, 404);
    // A token that the hub does not take is the operator's matter, not an adapter that is not there.
    fs::write(&token, "hf_wrong").expect("writes");
    let refused = eve.get("index/lab/lora").await;
    assert_eq!(refused.status, 503);
    assert!(refused.problem().detail.contains("does not take this registry's token"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn capitals_and_dots_are_spelt_as_names_here_are() {
    let hub = hub().await;
    let files = lora("lab/tiny-bert");
    hub.put("lab/Mood-7B.v2", Repository::with_card(card()).commit(JANUARY, files.clone()));
    let mirror = mirror(&hub, "").await;
    let manifest = pull(&mirror.home().await, "lab/mood-7b-v2", &files, &TAKEN).await;
    assert_eq!(manifest.name.to_string(), "lab/mood-7b-v2");
    assert!(manifest.description.contains("`lab/Mood-7B.v2`"), "{}", manifest.description);
    hub.put("lab/Capitals", Repository::with_card(card()).commit(JANUARY, files.clone()));
    let manifest = pull(&mirror.home().await, "lab/capitals", &files, &TAKEN).await;
    assert!(manifest.description.contains("`lab/Capitals`"), "{}", manifest.description);
    // Which of two is meant is not guessed.
    hub.put("lab/a-.b", Repository::with_card(card()).commit(JANUARY, files.clone()));
    hub.put("lab/a.b", Repository::with_card(card()).commit(JANUARY, files));
    let refused = mirror.eve().get("index/lab/a-b").await;
    assert_eq!(refused.status, 503);
    assert!(refused.problem().detail.contains("two repositories that are called `lab/a-b`"), "{refused:?}");
}

#[tokio::test]
async fn such_a_hub_can_not_be_followed_and_says_what_it_is() {
    let data = tempfile::tempdir().expect("a folder");
    let file = data.path().join("hub.toml");
    let said = |text: &str, more: &[&str]| {
        fs::write(&file, format!("[[mirrors]]\nurl = \"https://hf\"\nnamespaces = [\"lab\"]\n{text}\n"))
            .expect("writes");
        let arguments = [&["config", "--config", file.to_str().expect("text")], more].concat();
        Said::new(&HubProcess::admin(data.path(), &arguments))
    };
    let refused = said("kind = \"huggingface\"\nreplicate_as = \"eve\"", &[]).expect_code(1);
    assert!(refused.stderr.contains("a Hugging Face hub has no feed of changes"), "{refused}");
    let refused = said("kind = \"hugging-face\"", &[]).expect_code(1);
    assert!(refused.stderr.contains("`huggingface`"), "{refused}");
    let shown = said("kind = \"huggingface\"", &["--format", "json"]).expect_code(0).json();
    let mirrors = shown.as_array().expect("a list").iter().find(|setting| setting["key"] == "mirrors");
    assert_eq!(mirrors.expect("the mirrors")["value"][0]["kind"], "huggingface");
}
