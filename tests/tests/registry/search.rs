//! Search: words and filters, best first.

use hub_schemas::{api::SearchPage, problem::ProblemCode};
use hub_tests::hub::{SampleAdapter, TestHub, Visitor, tiny_base};
use insta::assert_json_snapshot;

async fn names(visitor: &Visitor, query: &str) -> Vec<String> {
    let page: SearchPage = visitor.get(&format!("search?{query}")).await.expect_ok();
    assert_eq!(page.total as usize, page.items.len(), "one page");
    page.items.into_iter().map(|item| item.name.to_string()).collect()
}

fn named(name: &str, description: &str) -> SampleAdapter {
    SampleAdapter::lora(name, "1.0.0").with(|m| description.clone_into(&mut m.description))
}

/// Three adapters that differ in everything a filter asks for.
async fn library() -> (TestHub, Visitor) {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let reviews = named("ada/reviews", "Finds out whether a film was liked.").with(|m| {
        m.task.subtask = Some("movie-reviews".parse().expect("a task"));
        m.languages = vec!["en".parse().expect("a language"), "de".parse().expect("a language")];
    });
    let topics = SampleAdapter::bottleneck("ada/topics", "1.0.0").with(|m| {
        "Sorts news by topic.".clone_into(&mut m.description);
        m.task.name = "topic".parse().expect("a task");
        m.license = "MIT".parse().expect("a licence");
    });
    let other = named("ada/mini", "On another backbone.").with(|m| m.base = tiny_base("org/mini-bert"));
    for sample in [reviews, topics, other] {
        ada.publish(&sample).await;
    }
    let anyone = hub.anonymous();
    (hub, anyone)
}

#[tokio::test]
async fn every_filter_narrows_and_filters_combine() {
    let (_hub, anyone) = library().await;
    let digest = tiny_base("org/mini-bert").weights_digest;
    assert_eq!(names(&anyone, "").await.len(), 3);
    assert_eq!(names(&anyone, "task=topic").await, ["ada/topics"]);
    assert_eq!(names(&anyone, "task=movie-reviews").await, ["ada/reviews"]);
    assert_eq!(names(&anyone, "base=org/mini-bert").await, ["ada/mini"]);
    assert_eq!(names(&anyone, &format!("base={digest}")).await, ["ada/mini"]);
    assert_eq!(names(&anyone, "method=bottleneck").await, ["ada/topics"]);
    assert_eq!(names(&anyone, "architecture=bert").await.len(), 3);
    assert_eq!(names(&anyone, "architecture=vit").await.len(), 0);
    assert_eq!(names(&anyone, "language=de").await, ["ada/reviews"]);
    assert_eq!(names(&anyone, "license=mit").await, ["ada/topics"]);
    assert_eq!(names(&anyone, "method=lora&language=en&q=film").await, ["ada/reviews"]);
    assert_eq!(names(&anyone, "method=lora&license=MIT").await.len(), 0);
}

#[tokio::test]
async fn words_are_found_in_every_field_and_by_their_beginning() {
    let (_hub, anyone) = library().await;
    assert_eq!(names(&anyone, "q=liked").await, ["ada/reviews"]);
    assert_eq!(names(&anyone, "q=NEWS+sorts").await, ["ada/topics"]);
    assert_eq!(names(&anyone, "q=mini-bert").await, ["ada/mini"]);
    assert_eq!(names(&anyone, "q=bottlen").await, ["ada/topics"]);
    assert_eq!(names(&anyone, "q=negative").await.len(), 3, "label names");
    assert_eq!(names(&anyone, "q=liked+news").await.len(), 0, "every word must match");
}

#[tokio::test]
async fn a_word_in_the_name_counts_more_and_pulls_decide_between_equals() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let by_name = named("ada/spam", "A classifier.");
    let by_text = named("ada/mail", "A classifier of spam, and nothing else at all.");
    for sample in [&by_text, &by_name] {
        ada.publish(sample).await;
    }
    assert_eq!(names(&ada, "q=spam").await, ["ada/spam", "ada/mail"]);
    ada.get(&format!("manifests/{}?purpose=pull", by_text.digest())).await;
    hub.flush_pulls().await;
    assert_eq!(names(&ada, "q=spam").await, ["ada/spam", "ada/mail"], "relevance comes first");
    assert_eq!(names(&ada, "").await, ["ada/mail", "ada/spam"], "without words, pulls do");
}

#[tokio::test]
async fn pages_follow_each_other_without_gaps() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    for i in 0..7 {
        ada.publish(&named(&format!("ada/n{i}"), "A classifier.")).await;
    }
    let mut seen = Vec::new();
    let mut path = "search?q=classifier&limit=3".to_owned();
    loop {
        let page: SearchPage = ada.get(&path).await.expect_ok();
        assert_eq!(page.total, 7);
        seen.extend(page.items.into_iter().map(|item| item.name.to_string()));
        let Some(next) = page.next else { break };
        path = format!("search?q=classifier&limit=3&cursor={next}");
    }
    let unique: std::collections::BTreeSet<_> = seen.iter().collect();
    assert_eq!((seen.len(), unique.len()), (7, 7));
    let foreign = ada.get(&path.replace("q=classifier", "q=other")).await;
    assert_eq!(foreign.code(), ProblemCode::InvalidValue);
}

/// The names on all pages of a query, which are `limit` long.
async fn walk(visitor: &Visitor, query: &str, limit: usize) -> Vec<String> {
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page: SearchPage =
            visitor.get(&format!("search?{query}&limit={limit}{cursor}")).await.expect_ok();
        assert!(page.next.is_none() || page.items.len() == limit, "only the last page is short");
        seen.extend(page.items.into_iter().map(|item| item.name.to_string()));
        let Some(next) = page.next else { return seen };
        cursor = format!("&cursor={next}");
    }
}

fn pulls_of(name: &str) -> u32 {
    name.rsplit_once('-').map_or(0, |(_, number)| number.parse::<u32>().expect("a number") % 10)
}

#[tokio::test]
async fn more_than_a_thousand_results_come_by_pulls_and_are_counted_no_further() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    ada.publish(&named("ada/tone", "A classifier.")).await;
    ada.publish_private(&named("ada/hidden", "A classifier.")).await;
    hub.add_copies("ada/tone", 1_200).await;
    hub.add_copies("ada/hidden", 700).await;
    let anyone = hub.anonymous();
    for query in ["q=classifier", "q=sent+class", "q=classifier&method=lora", "language=en"] {
        let first = anyone.get(&format!("search?{query}")).await.json();
        assert_eq!((&first["total"], &first["more"]), (&1_000.into(), &true.into()), "{query}");
        let seen = walk(&anyone, query, 100).await;
        let unique: std::collections::BTreeSet<_> = seen.iter().collect();
        assert_eq!((seen.len(), unique.len()), (1_201, 1_201), "{query}");
        assert!(seen.iter().all(|name| name.starts_with("ada/tone")), "{query}");
        assert!(seen.is_sorted_by_key(|name| std::cmp::Reverse(pulls_of(name))), "{query}");
    }
    assert_eq!(walk(&ada, "q=classifier", 100).await.len(), 1_902);
    // Seven hundred and one are few: counted to the end, for whoever may see them.
    let page = ada.get("search?q=hidden").await.json();
    assert_eq!((&page["total"], page.get("more")), (&701.into(), None));
    assert_eq!(anyone.get("search?q=hidden").await.json()["total"], 0);
    let page = anyone.get("search?q=classifier&method=bottleneck").await.json();
    assert_eq!((&page["total"], page.get("more")), (&0.into(), None));
}

#[tokio::test]
async fn no_query_can_break_the_search() {
    let (_hub, anyone) = library().await;
    for q in [
        "\"",
        "'",
        "\"unbalanced",
        "a AND",
        "NEAR(",
        "name:x",
        "*",
        "a*b",
        "(((",
        "-a",
        "^a",
        "{a b}:c",
        "'); DROP TABLE users;--",
        "\u{0}",
        "%",
        "💥",
        "a OR b",
        "a & | !b",
        ":*",
        "\\",
        "<->",
        "٣",
        "ﬁ",
    ] {
        let answer = anyone.request(reqwest::Method::GET, "search").query(&[("q", q)]).send().await;
        assert_eq!(answer.expect("an answer").status(), 200, "{q:?}");
    }
    assert_eq!(names(&anyone, "q=!!!").await.len(), 0, "no word, no result");
}

#[tokio::test]
async fn malformed_queries_are_refused_with_the_reason() {
    let (_hub, anyone) = library().await;
    for query in ["limit=0", "limit=101", "limit=x", "colour=red", "language=%25"] {
        let answer = anyone.get(&format!("search?{query}")).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (400, ProblemCode::BadRequest), "{query}");
    }
    let answer = anyone.get("search?cursor=zz").await;
    assert_eq!((answer.status.as_u16(), answer.code()), (422, ProblemCode::InvalidValue));
}

#[tokio::test]
async fn a_result_says_all_that_a_listing_shows() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    ada.publish(&SampleAdapter::lora("ada/sentiment", "1.0.0").with_metric("accuracy", 0.875)).await;
    let page = hub.anonymous().get("search?q=sentiment").await.json();
    assert_json_snapshot!(page, {".items[].published_at" => "[time]"});
}
